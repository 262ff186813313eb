"""The machine's limits: few open files, small files, no more processes. (A full disk: test_full_disk.)

What cannot be done is refused with its exit code and leaves nothing; workers go on or stop with a clear
message; and without the limit everything that was acknowledged finishes, each job once.
"""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from queuectl.spool import Spool
from tests.support.ledger import Ledger
from tests.support.program import WINDOWS, Program, Running
from tests.support.spools import Desk
from tests.support.storms.altered import NO_PROCESSES, Altered
from tests.support.storms.limits import clear, enqueue, finish
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

Figure = Callable[[str, int], None]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


posix = pytest.mark.skipif(WINDOWS, reason="no such limits on Windows")


def limited(program: Program, limit: str, *args: str) -> Running:
    """A call under this limit of `ulimit`."""
    queuectl = [sys.executable, "-m", "queuectl", "--spool", str(program.spool)]
    return Running(
        subprocess.Popen(
            ["/bin/sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *queuectl, *args],
            cwd=program.here,
            env={**program.env, "TMPDIR": str(program.here)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    )


def enqueue_within(program: Program, ledger: Ledger, option: str, limits: Sequence[int]) -> list[int]:
    """The exit codes of one `enqueue` within each limit; all that was acknowledged is there and runs."""
    enqueue(program, ledger, "job-0")
    acknowledged, codes = ["job-0"], []
    for limit in limits:
        name = f"new-{limit}"
        with limited(
            program, f"{option} {limit}", "enqueue", "--id", name, "--", *ledger.command(name)
        ) as call:
            codes.append(clear(call.end()).code)
        assert program.where(name) == ["pending"] * (codes[-1] == 0)
        assert program.left_behind() == []
        acknowledged += [name] * (codes[-1] == 0)
    assert set(codes) == {0, 7}, "the limit has not been met"
    finish(program, ledger, acknowledged)
    return codes


@posix
@pytest.mark.slow
class TestFewOpenFiles:
    def test_enqueue_does_it_or_refuses(self, tmp_path: Path, ledger: Ledger, figure: Figure) -> None:
        """With fewer than four Python itself does not start."""
        codes = enqueue_within(Program(tmp_path), ledger, "-n", (5, 6, 7, 8, 9, 10, 12, 16))
        figure("limits: calls with few open files", len(codes))

    @pytest.mark.parametrize(
        "limit",
        [7, 8, 12, 16, 18, 20, 24],
    )
    def test_workers_go_on_or_stop_with_a_clear_message(
        self, tmp_path: Path, ledger: Ledger, limit: int, figure: Figure
    ) -> None:
        program = Program(tmp_path)
        names = [f"job-{number}" for number in range(6)]
        enqueue(program, ledger, *names)
        with limited(program, f"-n {limit}", "worker", "start", "--count", "2") as worker:
            end = time.monotonic() + 3
            done = [f"{name}.json" for name in names]
            wait_until(
                lambda: not worker.runs or program.names("done") == done or time.monotonic() > end, "", 10
            )
            program.ok("worker", "stop")
            ended = worker.end()
        assert ended.code in (0, 7)
        assert "Traceback" not in ended.err
        assert "Too many open files" in ended.err or "unable to open" in ended.err or limit > 12
        finish(program, ledger, names)
        figure("limits: workers with few open files", 1)


@posix
@pytest.mark.slow
class TestSmallFiles:
    """Nobody may write a file of more than some KiB (RLIMIT_FSIZE)."""

    def test_enqueue_does_it_or_refuses(self, tmp_path: Path, ledger: Ledger, figure: Figure) -> None:
        codes = enqueue_within(Program(tmp_path), ledger, "-f", (0, 1, 8, 32, 64, 128, 512))
        figure("limits: calls that may write small files only", len(codes))

    def test_a_command_that_prints_too_much_fails_and_its_worker_goes_on(
        self, tmp_path: Path, ledger: Ledger
    ) -> None:
        program = Program(tmp_path)
        enqueue(program, ledger, "good")
        program.ok(
            "enqueue", "--id", "loud", "--max-retries", "0", "--", "head", "-c", "5000000", "/dev/zero"
        )
        with limited(program, "-f 2000", "worker", "start", "--drain") as worker:
            assert worker.end().code == 0
        assert program.record("dead", "loud")["error"] == "killed by SIGXFSZ"
        assert program.where("good") == ["done"]


def test_too_many_open_files_at_a_claim_say_nothing_about_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not passed over as one whose file somebody holds; the worker says what it lacks."""

    def lacking(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with Desk(tmp_path / "spool") as desk:
        desk.add("job")
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "move", lacking)
            with pytest.raises(OSError, match="Too many open files"):
                desk.run_once()
        assert desk.store.index.stuck() == []
        assert desk.run_once()


@pytest.mark.slow
def test_no_more_processes_cost_no_attempt(tmp_path: Path, ledger: Ledger) -> None:
    """The system has none left (EAGAIN): the job goes back, and runs when it has."""
    flag = tmp_path / "no-processes"
    flag.touch()
    program = Altered(tmp_path).altered("no_processes", **{NO_PROCESSES: str(flag)})
    with program.workers() as worker:
        program.drop("job.json", ledger.job("job"))
        worker.wait_for("cannot claim just now")
        assert "dead" not in program.where("job")
        flag.unlink()
        program.wait_in("done", "job")
        program.ok("worker", "stop")
        assert worker.end().code == 0
    finish(program, ledger, ["job"])
