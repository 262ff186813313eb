"""One command: how it is started, how it ends, what it prints."""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Optional

import pytest

from queuectl import runner
from queuectl.engine import Conditions
from queuectl.job import Job
from queuectl.joblog import BlankLog, log_mark, tidy_log, trim_log
from queuectl.runner import CANCELLED, COMPLETED, FAILED, INTERRUPTED, TIMEOUT, Outcome, Runner
from queuectl.system import process
from queuectl.system.patience import LACKS
from tests.support.commands import Line, post, python
from tests.support.waiting import wait_until

WINDOWS = sys.platform == "win32"


class Bench:
    """Runs commands in a spool of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root / "spool"
        (self.root / "logs").mkdir(parents=True)
        self.log = self.root / "logs" / "a.log"
        self.runner = Runner()

    def run(
        self, command: Any, *, timeout: Optional[float] = None, limit: int = 10_000, **fields: Any
    ) -> Outcome:
        job = Job(id="a", command=command, **fields)
        return self.runner.run(job, Conditions(str(self.root), str(self.log), None, timeout, limit, None))

    def kill(self, verdict: str) -> None:
        """As the runner can at last: what it has started may tell so before it knows."""
        wait_until(lambda: self.runner.kill(verdict), "it is killed")

    def trimmed(self) -> int:
        self.runner.trim()
        return self.log.stat().st_size

    def printed(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class TestExitCodes:
    @pytest.mark.parametrize("code", [0, 1, 3, 255])
    def test_zero_alone_is_success(self, bench: Bench, code: int) -> None:
        outcome = bench.run(python(f"raise SystemExit({code})"))
        wanted = (COMPLETED, 0, None) if code == 0 else (FAILED, code, f"exit code {code}")
        assert (outcome.verdict, outcome.exit_code, outcome.error) == wanted
        assert outcome.started <= outcome.ended

    @pytest.mark.parametrize(("code", "verdict"), [(3, COMPLETED), (0, FAILED)])
    def test_a_job_may_say_which_are_success(self, bench: Bench, code: int, verdict: str) -> None:
        assert bench.run(python(f"raise SystemExit({code})"), success_exit_codes=[3, 4]).verdict == verdict

    @pytest.mark.skipif(WINDOWS, reason="Windows has no signals")
    def test_a_signal_is_told_by_its_name(self, bench: Bench) -> None:
        outcome = bench.run(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
        assert (outcome.verdict, outcome.exit_code, outcome.error) == (FAILED, -11, "killed by SIGSEGV")

    def test_a_string_goes_to_the_shell(self, bench: Bench) -> None:
        assert bench.run("echo one&& echo two").verdict == COMPLETED
        assert [line.strip() for line in bench.printed()] == ["one", "two"]

    def test_the_shell_gives_its_exit_code(self, bench: Bench) -> None:
        assert bench.run("exit 7").exit_code == 7

    def test_an_array_goes_to_no_shell(self, bench: Bench) -> None:
        bench.run(python("import sys; print(sys.argv[1:])", "a b", "$HOME", "%PATH%", "&& echo", '"q"'))
        assert bench.printed() == [str(["a b", "$HOME", "%PATH%", "&& echo", '"q"'])]


class TestWhatCannotBeStarted:
    def test_a_program_that_is_not_there(self, bench: Bench) -> None:
        outcome = bench.run(["no-such-program-anywhere", "x"])
        assert (outcome.verdict, outcome.exit_code) == (FAILED, None)
        assert outcome.error == "program not found: no-such-program-anywhere"
        assert not bench.log.exists() or bench.log.stat().st_size == 0

    def test_a_folder_that_is_not_there(self, bench: Bench) -> None:
        outcome = bench.run(python("pass"), cwd="nowhere")
        assert (outcome.verdict, outcome.exit_code) == (FAILED, None)
        assert "nowhere" in (outcome.error or "")
        assert "not there" in (outcome.error or "")

    def test_a_folder_that_is_a_file(self, bench: Bench, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert "is not there" in (bench.run(python("pass"), cwd="file").error or "")

    def test_a_shell_of_another_system(self, bench: Bench) -> None:
        shell = "bash" if WINDOWS else "cmd"
        outcome = bench.run("echo hi", shell=shell)
        assert outcome.verdict == FAILED
        assert outcome.exit_code is None or WINDOWS

    @pytest.mark.skipif(WINDOWS, reason="any file may be run on Windows")
    def test_a_file_that_is_no_program(self, bench: Bench, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("x")
        outcome = bench.run([str(tmp_path / "data")])
        assert (outcome.exit_code, "could not be started" in (outcome.error or "")) == (None, True)

    def test_an_argument_that_no_system_can_take(self, bench: Bench) -> None:
        outcome = bench.run(python("pass", "a\0b"))
        assert (outcome.verdict, outcome.exit_code) == (FAILED, None)


class TestSurroundings:
    SHOW = "import os, sys; print('\\n'.join(os.environ.get(n, '-') for n in sys.argv[1:]))"

    def test_it_knows_its_job_its_attempt_and_the_spool(self, bench: Bench) -> None:
        bench.run(python(self.SHOW, "QUEUECTL_JOB_ID", "QUEUECTL_ATTEMPT", "QUEUECTL_SPOOL"), attempts=2)
        assert bench.printed() == ["a", "3", str(bench.root)]

    def test_it_has_the_jobs_variables_over_the_workers(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MINE", "worker")
        monkeypatch.setenv("OTHER", "worker")
        bench.run(python(self.SHOW, "MINE", "OTHER", "NEW"), env={"MINE": "job", "NEW": "a=b c"})
        assert bench.printed() == ["job", "worker", "a=b c"]

    def test_a_job_cannot_pretend_to_be_another(self, bench: Bench) -> None:
        bench.run(python(self.SHOW, "QUEUECTL_JOB_ID"), env={"QUEUECTL_JOB_ID": "b"})
        assert bench.printed() == ["a"]

    @pytest.mark.parametrize(("cwd", "folder"), [(None, ""), ("sub", "sub"), ("./sub/../sub", "sub")])
    def test_it_runs_beside_the_spool_or_from_there_on(
        self, bench: Bench, tmp_path: Path, cwd: Optional[str], folder: str
    ) -> None:
        (tmp_path / "sub").mkdir()
        bench.run(python("import os; print(os.getcwd())"), cwd=cwd)
        assert os.path.samefile(bench.printed()[0], tmp_path / folder)

    def test_it_may_run_in_any_folder(self, bench: Bench, tmp_path: Path) -> None:
        bench.run(python("import os; print(os.getcwd())"), cwd=str(tmp_path / "spool" / "logs"))
        assert os.path.samefile(bench.printed()[0], tmp_path / "spool" / "logs")

    READ = "import sys; data = sys.stdin.buffer.read(); print(len(data), ascii(data.decode()))"

    def test_it_reads_nothing_when_the_job_gives_nothing(self, bench: Bench) -> None:
        bench.run(python(self.READ))
        assert bench.printed() == ["0 ''"]

    def test_it_reads_what_the_job_gives(self, bench: Bench) -> None:
        bench.run(python(self.READ), stdin="ü\r\n\x1a.")
        assert bench.printed() == ["6 '\\xfc\\r\\n\\x1a.'"]

    def test_it_need_not_read_what_the_job_gives(self, bench: Bench) -> None:
        assert bench.run(python("pass"), stdin="x" * 1_000_000).verdict == COMPLETED


class TestTheEnd:
    def test_a_timeout_ends_it(self, bench: Bench) -> None:
        outcome = bench.run(python("import time; time.sleep(600)"), timeout=0.2)
        assert (outcome.verdict, outcome.error) == (TIMEOUT, "timed out after 0.2 s")
        assert outcome.ended - outcome.started < 60

    def test_a_timeout_that_is_not_reached_does_nothing(self, bench: Bench) -> None:
        before = _timers()
        assert bench.run(python("pass"), timeout=600).verdict == COMPLETED
        wait_until(lambda: _timers() == before, "its timer has ended", 30)

    @pytest.mark.parametrize("verdict", [CANCELLED, INTERRUPTED, TIMEOUT])
    def test_a_kill_ends_all_that_it_started(self, bench: Bench, verdict: str) -> None:
        with post() as office:
            child = f"import subprocess, sys\nsubprocess.Popen({office.hold()!r})"
            outcomes: list[Outcome] = []
            job = threading.Thread(target=lambda: outcomes.append(bench.run(office.hold(child), timeout=500)))
            job.start()
            with office.line() as first, office.line() as second:
                bench.kill(verdict)
                job.join()
                first.wait_for_end()
                second.wait_for_end()
        assert outcomes[0].verdict == verdict
        assert outcomes[0].error == ("timed out after 500 s" if verdict == TIMEOUT else verdict)

    def test_the_first_reason_stands(self, bench: Bench) -> None:
        with post() as office:
            outcomes: list[Outcome] = []
            job = threading.Thread(target=lambda: outcomes.append(bench.run(office.hold())))
            job.start()
            with office.line():
                bench.kill(CANCELLED)
                bench.runner.kill(INTERRUPTED)
                job.join()
        assert outcomes[0].verdict == CANCELLED

    def test_a_kill_meets_the_job_that_it_is_meant_for(self, bench: Bench) -> None:
        """It was asked for of the one before, which ended just then."""
        with post() as office:
            outcomes: list[Outcome] = []
            job = threading.Thread(target=lambda: outcomes.append(bench.run(office.hold())))
            job.start()
            with office.line():
                assert not bench.runner.kill(CANCELLED, job_id="before")
                wait_until(lambda: bench.runner.kill(INTERRUPTED, job_id="a"), "it is killed")
                job.join()
        assert outcomes[0].verdict == INTERRUPTED

    @pytest.mark.skipif(WINDOWS, reason="Windows has no gentle way that could be ignored")
    @pytest.mark.parametrize("room", [True, False])
    def test_what_does_not_want_to_end_is_ended(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, room: bool
    ) -> None:
        """After its grace; at once where there is no room for the thread that would count that."""
        if room:
            monkeypatch.setattr(runner, "KILL_GRACE", 0.05)
        stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)"
        with post() as office:
            outcomes: list[Outcome] = []
            job = threading.Thread(target=lambda: outcomes.append(bench.run(office.hold(stubborn))))
            job.start()
            with office.line():
                if not room:
                    monkeypatch.setattr(threading.Timer, "start", _no_room)
                bench.kill(CANCELLED)
                job.join()
        assert (outcomes[0].verdict, outcomes[0].exit_code) == (CANCELLED, -9)

    def test_without_room_for_the_thread_of_its_timeout_it_does_not_run_on(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else it would run beside its next run: nobody knew of it."""
        monkeypatch.setattr(threading.Timer, "start", _no_room)
        with post() as office:
            with pytest.raises(OSError, match="can't start new thread") as lack:
                bench.run(office.hold(), timeout=60)
            assert lack.value.errno == errno.EAGAIN
        assert bench.runner.kill(CANCELLED) is False

    def test_where_nothing_runs_there_is_nothing_to_kill(self, bench: Bench) -> None:
        assert bench.runner.kill(CANCELLED) is False
        bench.run(python("pass"))
        assert bench.runner.kill(CANCELLED) is False
        assert bench.run(python("pass")).verdict == COMPLETED


def _no_room(timer: threading.Timer) -> None:
    raise RuntimeError("can't start new thread")


def _timers() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if isinstance(one, threading.Timer)]


class TestOneThatLasts:
    """Is told of, so that what waits for it can go elsewhere."""

    def run(self, bench: Bench, command: Any, lasts: Any, patience: float = 0.01) -> Outcome:
        conditions = Conditions(str(bench.root), str(bench.log), None, None, 10_000, None)
        job = Job(id="a", command=command)
        return bench.runner.run(job, conditions._replace(patience=patience, lasts=lasts))

    def test_until_nobody_asks_any_more(self, bench: Bench, tmp_path: Path) -> None:
        gate, told = tmp_path / "gate", list[int]()

        def lasts() -> bool:
            told.append(1)
            if len(told) == 3:
                gate.touch()
            return len(told) < 3

        waits = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)"
        assert self.run(bench, python(waits), lasts).verdict == COMPLETED
        assert len(told) == 3

    def test_a_quick_one_is_not_told_of(self, bench: Bench) -> None:
        outcome = self.run(bench, python("pass"), lambda: pytest.fail("it was quick"), patience=60.0)
        assert outcome.verdict == COMPLETED

    @pytest.mark.parametrize("verdict", [CANCELLED, INTERRUPTED, TIMEOUT])
    def test_one_that_has_ended_by_itself_meanwhile_was_not_killed(
        self, bench: Bench, tmp_path: Path, verdict: str
    ) -> None:
        """Else it would run again, or count as failed, though it has succeeded."""
        begun, killed = tmp_path / "begun", list[bool]()

        def lasts() -> bool:
            wait_until(lambda: bench.runner._run is not None and bench.runner._run.is_over(), "its end")
            killed.append(bench.runner.kill(verdict, force=True))
            return False

        code = f"import time\nopen({str(begun)!r}, 'x').close()\ntime.sleep(0.3)"
        outcome = self.run(bench, python(code), lasts)
        assert killed == [False]
        assert (outcome.verdict, outcome.exit_code) == (COMPLETED, 0)


class TestTheLog:
    def test_has_what_it_printed_on_both_ways(self, bench: Bench) -> None:
        bench.run(python("import os; os.write(1, b'out\\n'); os.write(2, b'err\\n')"))
        assert bench.printed() == ["out", "err"]

    def test_is_not_there_when_it_printed_nothing(self, bench: Bench) -> None:
        bench.run(python("pass"))
        # On Windows its name would stay until the last handle of the ended command is closed, in the next
        # run's way: so it stays there, empty.
        assert bench.log.exists() is WINDOWS
        assert bench.printed() == [] if WINDOWS else True

    def test_sets_runs_apart(self, bench: Bench) -> None:
        for attempts in range(3):
            bench.run(python("print('hi')"), attempts=attempts)
        lines = bench.printed()
        assert [line for line in lines if line == "hi"] == ["hi"] * 3
        marks = [line for line in lines if line.startswith("--- attempt ")]
        assert [mark.split(",")[0] for mark in marks] == ["--- attempt 2", "--- attempt 3"]

    def test_that_is_too_long_keeps_its_head_and_its_end(self, bench: Bench) -> None:
        bench.run(python("for n in range(3000): print('line', n)"), limit=2000)
        lines = bench.printed()
        assert bench.log.stat().st_size <= 2000
        assert lines[0] == "line 0"
        assert sum(line.endswith("bytes cut here (log_max_bytes) ---") for line in lines) == 1
        assert lines[-1] == "line 2999"
        assert all(line.startswith(("line ", "--- ")) for line in lines)

    @pytest.mark.skipif(WINDOWS, reason="there are no FIFOs")
    def test_that_is_a_fifo_holds_nobody_up(self, bench: Bench) -> None:
        os.mkfifo(bench.log)
        outcome = bench.run(python("print('hi')"))
        assert outcome.verdict == FAILED
        assert str(outcome.error).startswith("could not be started: not a plain file: ")

    @pytest.mark.skipif(WINDOWS, reason="links need a privilege there")
    @pytest.mark.parametrize("attempts", [0, 1])
    def test_that_is_a_link_leads_nowhere(self, bench: Bench, tmp_path: Path, attempts: int) -> None:
        victim = tmp_path / "victim"
        victim.write_text("x" * 20_000)
        bench.log.symlink_to(victim)
        assert bench.run(python("print('hi')"), attempts=attempts).verdict == FAILED
        assert victim.read_text() == "x" * 20_000

    @pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
    def test_whose_path_is_no_unicode_can_be_told_of(self, tmp_path: Path) -> None:
        bench = Bench(tmp_path / os.fsdecode(b"\xff"))
        os.mkfifo(bench.log)
        assert r"\udcff" in str(bench.run(python("pass")).error)

    def test_may_hold_a_number_that_no_count_can_be(self, bench: Bench) -> None:
        """It looks like our own line, with more digits than Python reads."""
        line = "--- ' + '9' * 5000 + ' bytes cut here (log_max_bytes) ---"
        talk = python(f"print('{line}'); print('x' * 200_000)")
        assert bench.run(talk, limit=100_000).verdict == COMPLETED
        assert bench.log.stat().st_size <= 100_000

    def test_its_folder_is_made_again(self, bench: Bench) -> None:
        (bench.root / "logs").rmdir()
        assert bench.run(python("print('hi')")).verdict == COMPLETED
        assert bench.printed() == ["hi"]

    def test_can_be_cut_while_it_is_written(self, bench: Bench) -> None:
        with post() as office:
            talk = "import os\nos.write(1, b'early\\n' * 1000)"
            job = threading.Thread(target=lambda: bench.run(office.hold(talk), limit=2000))
            job.start()
            with office.line():
                wait_until(lambda: bench.trimmed() <= 2000, "its log is cut")
                bench.kill(CANCELLED)
                job.join()
        bench.runner.trim()
        assert bench.printed()[-1] == "early"

    @pytest.mark.parametrize(("size", "kept"), [(1000, 1000), (1001, None)])
    def test_is_cut_only_when_it_is_over_the_limit(
        self, tmp_path: Path, size: int, kept: Optional[int]
    ) -> None:
        log = tmp_path / "a.log"
        log.write_bytes(b"x" * (size - 1) + b"\n")
        trim_log(str(log), 1000)
        assert (log.stat().st_size == size) is (kept is not None)

    def test_keeps_its_head_and_its_end_however_often_it_is_cut(self, tmp_path: Path) -> None:
        log = tmp_path / "a.log"
        written = 0
        for number in range(2000):
            with open(log, "ab") as file:
                written += file.write(f"line {number:05}\n".encode())
            trim_log(str(log), 2000)
            assert log.stat().st_size <= 2000
        told = log.read_text().splitlines()
        (mark,) = (line for line in told if "cut here" in line)
        at = told.index(mark)
        assert told[:at] == [f"line {number:05}" for number in range(at)]
        assert told[at + 1 :] == [f"line {number:05}" for number in range(2000 - len(told) + at + 1, 2000)]
        assert at > 30
        assert len(told) - at > 60
        left = sum(len(line) + 1 for line in told if line != mark)
        assert mark == f"--- {written - left} bytes cut here (log_max_bytes) ---"

    def test_of_one_endless_line_keeps_its_head_and_its_end_too(self, tmp_path: Path) -> None:
        log = tmp_path / "a.log"
        log.write_bytes(b"begin" + b"x" * 10_000 + b"end\n")
        trim_log(str(log), 2000)
        trim_log(str(log), 1000)
        told = log.read_bytes()
        assert told.startswith(b"begin")
        assert told.endswith(b"xend\n")
        assert told.count(b"cut here") == 1

    def test_that_is_not_there_needs_nothing(self, tmp_path: Path) -> None:
        missing = str(tmp_path / "a.log")
        log_mark(missing, Job(id="a", command="x"), 0)
        trim_log(missing, 1000)
        tidy_log(missing, 1000)
        assert not os.path.exists(missing)


class TestOurOwnLack:
    """What says nothing about the job must not count against it."""

    @pytest.mark.parametrize("number", sorted(LACKS))
    def test_of_something_that_any_command_needs_is_no_outcome(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def lacking(*_: object, **__: object) -> Any:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(process, "start", lacking)
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            bench.run(python("pass"))

    def test_of_a_file_is_not_told_as_that_of_the_program(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (bench.root / "logs").rmdir()
        monkeypatch.setattr(runner.system, "make_folder", lambda path: False)
        error = bench.run(python("pass")).error or ""
        assert error.startswith("could not be started: ")
        assert error.endswith("a.log")

    def test_of_patience_while_it_runs_ends_it_too(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ctrl+C in a program that runs a worker in its main thread: nobody would own the command."""
        real, interrupts = process.Process.wait, [KeyboardInterrupt]
        with post() as office:

            def wait(self: process.Process) -> int:
                if interrupts:
                    lines.append(stack.enter_context(office.line()))
                    raise interrupts.pop()
                return real(self)

            lines: list[Line] = []
            monkeypatch.setattr(process.Process, "wait", wait)
            with ExitStack() as stack:
                with pytest.raises(KeyboardInterrupt):
                    bench.run(office.hold(), timeout=500)
                lines[0].wait_for_end()
        assert bench.runner.kill(CANCELLED) is False
        assert bench.run(python("pass")).verdict == COMPLETED

    def test_of_longer_waits_does_not_cost_a_job_its_timeout(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Windows waits for 49.7 days at most."""
        waits: list[float] = []

        class Timer(threading.Timer):
            def __init__(self, interval: float, *args: Any) -> None:
                waits.append(interval)
                super().__init__(interval, *args)

        monkeypatch.setattr(threading, "Timer", Timer)
        monkeypatch.setattr(threading, "TIMEOUT_MAX", 1000.0)
        assert bench.run(python("pass"), timeout=1e9).verdict == COMPLETED
        assert waits == [1000.0]


@pytest.mark.skipif(WINDOWS, reason="Windows has it")
def test_a_shell_that_is_not_here_is_told_by_its_name(bench: Bench) -> None:
    assert bench.run("echo hi", shell="cmd").error == "program not found: cmd"


@pytest.mark.skipif(sys.platform != "linux", reason="who writes to a file is told on Linux only")
class TestABlankLog:
    """One empty file is the log of one silent command after the other."""

    def test_is_the_log_while_a_command_runs_and_no_longer(self, lending: Lending) -> None:
        first = lending.run("a", "stat -c '%i %h' logs/a.log > told", cwd="spool")
        second = lending.run("b", "stat -c '%i %h' logs/b.log > told", cwd="spool")
        assert first == second
        assert first.split()[1] == "2"
        assert lending.logs() == []

    def test_stays_that_of_one_that_prints(self, lending: Lending) -> None:
        lending.run("a", "true")
        lending.run("b", "echo hi")
        lending.run("c", "echo ho")
        lending.run("d", "true")
        assert lending.logs() == ["b.log", "c.log"]
        assert [(lending.folder / name).read_text() for name in lending.logs()] == ["hi\n", "ho\n"]

    def test_is_not_lent_again_while_something_may_print_into_it(self, lending: Lending) -> None:
        """What a command leaves running has its output open, and need not have our lock."""
        go = lending.root / "go"
        late = f"(while [ ! -e {go} ]; do sleep 0.01; done; echo late; touch {go}.done) &"
        lending.run("a", late)
        lending.run("b", f"touch {go}; while [ ! -e {go}.done ]; do sleep 0.01; done")
        assert lending.logs() == []
        lending.run("c", "echo hi")
        assert (lending.folder / "c.log").read_text() == "hi\n"

    def test_of_a_job_that_has_one_is_left_alone(self, lending: Lending) -> None:
        (lending.folder / "a.log").write_text("before\n")
        lending.run("a", "echo after")
        told = (lending.folder / "a.log").read_text().splitlines()
        assert (told[0], told[-1]) == ("before", "after")

    def test_that_somebody_has_deleted_is_made_anew(self, lending: Lending) -> None:
        lending.run("a", "true")
        lending.blank.unlink()
        lending.run("b", "true")
        assert lending.blank.stat().st_size == 0

    def test_that_somebody_writes_to_is_that_jobs(self, lending: Lending) -> None:
        lending.run("a", "true")
        lending.blank.write_text("rubbish")
        lending.run("b", "echo hi")
        assert (lending.folder / "b.log").read_text() == "hi\n"

    @pytest.mark.parametrize("call", ["link", "is_written"])
    def test_is_none_where_the_file_system_does_not_know_it(
        self, lending: Lending, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "not here")

        if call == "link":
            monkeypatch.setattr(os, "link", refuse)
        else:
            monkeypatch.setattr("queuectl.system.is_written", refuse)
        for name in "abc":
            lending.run(name, f"echo {name}")
        assert lending.logs() == ["a.log", "b.log", "c.log"]
        lending.run("d", "true")
        assert "d.log" not in lending.logs()


class Lending:
    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "spool" / "logs"
        self.folder.mkdir(parents=True)
        self.blank = root / "spool" / "blank"
        self._log, self._runner = BlankLog(str(self.blank)), Runner()

    def run(self, name: str, command: str, **fields: Any) -> str:
        conditions = Conditions(
            root=str(self.root / "spool"),
            log_path=str(self.folder / f"{name}.log"),
            shell="sh",
            timeout=30,
            log_max_bytes=10_000,
            inherit=None,
            blank=self._log,
        )
        self._runner.run(Job(id=name, command=command, **fields), conditions)
        told = self.root / "spool" / "told"
        return told.read_text() if told.exists() else ""

    def logs(self) -> list[str]:
        return sorted(os.listdir(self.folder))

    def close(self) -> None:
        self._log.close()


@pytest.fixture
def lending(tmp_path: Path) -> Iterator[Lending]:
    one = Lending(tmp_path)
    yield one
    one.close()
