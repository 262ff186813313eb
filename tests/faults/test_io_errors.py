"""Each system call on the spool is refused: the disk is full or broken, a file not ours, too many are open.

Once, as by a moment's lack, and for good. The verb then ends well or says what is wrong, in its own words
and with a documented exit code; everything is still there, and who meets no error finishes the work.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.support.faults.bench import Bench
from tests.support.faults.forker import STRACE, Ended
from tests.support.faults.judges import NO_JOB
from tests.support.faults.scenarios import SCENARIOS
from tests.support.faults.tampering import ERRORS, WHY_NOT, Fault, calls_of, faults, meet, telling_calls
from tests.support.invariants import check
from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, Program, Running, environment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

FEW = ("enqueue many", "run to success", "recover", "config set")
SAMPLES = (13, 50)
"""Of so many faults one is tried in the fast form, on files of jobs and on those of the index."""
Make = Callable[[str], Bench]
Figure = Callable[[str, int], None]


@pytest.mark.parametrize("name", FEW)
def test_some_errors(name: str, bench: Make, figure: Figure) -> None:
    trial = bench(name)
    sample: list[Fault] = []
    for of_index, stride in enumerate(SAMPLES):
        sample += [one for one in faults(calls_of(trial)) if one.call.of_index == bool(of_index)][::stride]
    for fault in sample:
        meet(trial, fault)
    figure(f"I/O errors injected: {name}", len(sample))


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_error(name: str, bench: Make, figure: Figure) -> None:
    """But of those that only SQLite meets, in the pages of the index, one in five (`telling_calls`)."""
    trial = bench(name)
    every = list(faults(telling_calls(trial)))
    for fault in every:
        meet(trial, fault)
    figure(f"I/O errors injected: {name}", len(every))


# The same through the command line: what a person sees


class CommandLine:
    """`queuectl ARGS`, with strace from its first moment on; stands in for a `Forker`."""

    def __init__(self, args: Sequence[str], said: Sequence[str]) -> None:
        self._args, self._said = args, list(said)

    def warm(self, spool: Path, action: str) -> None:
        """What is compiled once is compiled then."""
        self.perform(spool, action, trace=True)

    def perform(
        self, spool: Path, action: str, *, inject: str = "", trace: bool = False, **options: Any
    ) -> Ended:
        assert STRACE is not None
        told = ["-e", f"trace={','.join(f'?{name}' for name in ERRORS)}", "-y", "-s", "0"]
        names = inject.split(":", 1)[0]
        tampering = ["-f", "--seccomp-bpf", "-e", f"trace={names}", "-e", f"inject={inject}"]
        program = [sys.executable, "-m", "queuectl", "--spool", str(spool), *self._args]
        try:
            done = subprocess.run(
                [STRACE, *(tampering if inject else told), "-o", f"{spool}.trace", *program],
                cwd=spool.parent,
                env=environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return Ended(None, [], "")
        said = self._said if done.returncode == 0 else []
        return Ended(done.returncode, said, done.stderr.decode("utf-8", "replace"))


COMMANDS = {
    "enqueue": (("enqueue", "--id", "first", "--", "x"), ("first",)),
    "cancel": (("cancel", "waits", "failed"), ("cancel",)),
    "dlq retry": (("retry", "dead", "done", "mended"), ("retry",)),
    "purge": (("dlq", "purge", "--yes", "dead", "other", "bad"), ("purge",)),
    "reindex": (("reindex",), ("reindex",)),
    "pause": (("pause",), ("pause",)),
}


@pytest.mark.parametrize(
    ("name", "most"),
    [("enqueue", 4), *(pytest.param(name, 12, marks=pytest.mark.slow) for name in COMMANDS)],
)
def test_through_the_command_line(name: str, most: int, tmp_path: Path, figure: Figure) -> None:
    """Every exit code is a documented one, and what is printed is no traceback."""
    trial = Bench(SCENARIOS[name], tmp_path, CommandLine(*COMMANDS[name]))
    # Who can write nothing any more cannot say so.
    every = [one for one in faults(calls_of(trial)) if not (one.for_good and one.call.name == "write")]
    sample = every[len(every) // (2 * most) :: len(every) // most]
    codes = [meet(trial, fault).code for fault in sample]
    assert any(codes), "no error was felt"
    figure(f"I/O errors injected: {name}, command line", len(sample))


# Workers: they go on, or stop with a word


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        *("rename:error=EACCES:when=1", "rename:error=EACCES:when=2+", "rename:error=ENOSPC:when=1+"),
        *("fsync:error=EIO:when=1", "fsync:error=EIO:when=2+", "fdatasync:error=EIO:when=1+"),
        *("pwrite64:error=ENOSPC:when=5", "pwrite64:error=ENOSPC:when=9+", "ftruncate:error=EIO:when=1+"),
        *("unlink:error=EACCES:when=1+", "mkdir:error=ENOSPC:when=1+", "rmdir:error=EACCES:when=1+"),
    ],
)
def test_workers_meet_errors(fault: str, tmp_path: Path, figure: Figure) -> None:
    """Real commands, threads and drops; each thread of the program meets the fault at its own n-th call."""
    program, ledger = Program(tmp_path), Ledger(tmp_path / "ledger")
    for name, value in (("poll_interval", "0.1"), ("settle_time", "0"), ("backoff_base", "0.1")):
        program.ok("config", "set", name, value)
    for name in ("one", "two", "three"):
        program.drop(f"{name}.json", ledger.job(name))
    program.drop("bad.json", NO_JOB)
    with _workers(program, fault) as running:
        for _ in range(2):
            # What lasts is waited for: by then two wishes to stop are needed.
            with suppress(AssertionError):
                wait_until(lambda: not running.runs, "it has ended by itself", 3)
            running.interrupt()
        result = running.end()
    assert "(INJECTED)" in (program.here / "trace").read_text(encoding="utf-8"), "the fault was not met"
    assert result.code in (*range(8), 130), result.err
    assert "Traceback" not in result.err
    wait_until(lambda: _done(program) == ["one", "three", "two"], "the work is finished", PATIENCE)
    assert ledger.overlaps() == []
    assert all(ledger.runs(name) >= 1 for name in ("one", "two", "three"))
    assert program.path("dead", "bad").read_bytes() == NO_JOB
    check(program.spool, ["one", "two", "three", "bad"])
    assert program.left_behind() == []
    figure("I/O errors injected: workers", 1)


def _workers(program: Program, fault: str) -> Running:
    assert STRACE is not None
    call = fault.split(":", 1)[0]
    # -D: the program is our child, not strace's.
    tracer = [STRACE, "-D", "-qq", "-f", "--seccomp-bpf", "-e", f"trace={call}", "-e", f"inject={fault}"]
    command = [sys.executable, "-m", "queuectl", "--spool", str(program.spool), "worker", "start", "--drain"]
    return Running(
        subprocess.Popen(
            [*tracer, "-o", str(program.here / "trace"), *command, "--count", "2"],
            cwd=program.here,
            env=program.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    )


def _done(program: Program) -> list[str]:
    program.ok("worker", "start", "--drain", "--quiet")
    return sorted(name.split(".")[0] for name in program.names("done"))


# The controls: what a careless variant does of it must be noticed.


@pytest.mark.parametrize(
    ("variant", "complaint"),
    [
        ("acknowledge_anyway", "acknowledged and is nowhere"),
        ("fail_with_a_traceback", "ZeroDivisionError"),
        ("try_for_ever", "it hung"),
    ],
)
def test_a_careless_variant_is_noticed(variant: str, complaint: str, bench: Make) -> None:
    """It does well as long as the system refuses nothing."""
    trial = bench("enqueue")
    with trial.attempt(variant=variant) as (spool, ended):
        trial.judge(spool, ended, "come to its end")
    (move,) = (call for call in calls_of(trial) if call.name.startswith("rename"))
    with pytest.raises(AssertionError, match=complaint):
        meet(trial, Fault(move, "ENOSPC", for_good=True), variant, deadline=1.0)


def test_a_move_that_is_refused_is_not_made(bench: Make) -> None:
    """The control of the controls: the sound program meets the error, and tells it."""
    trial = bench("enqueue")
    (move,) = (call for call in calls_of(trial) if call.name.startswith("rename"))
    ended = meet(trial, Fault(move, "ENOSPC", for_good=False))
    assert (ended.code, ended.said) == (7, [])
    assert "No space left on device" in ended.err
