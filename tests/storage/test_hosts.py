"""Tasks in a process beside a worker: what it is asked and says, how it ends, whom it leaves what."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import pytest

from queuectl import locks, system
from queuectl.engine import Conditions
from queuectl.errors import InvalidInput, QueueError
from queuectl.job import Job
from queuectl.names import HOST_SUFFIX
from queuectl.runner import CANCELLED, COMPLETED, FAILED, TIMEOUT, Outcome, Runner
from queuectl.tasks import hosts
from queuectl.tasks.host import Reply
from queuectl.tasks.hosts import Host, Hosts, Program
from queuectl.tidings import Tidings
from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, WINDOWS
from tests.support.spools import Desk
from tests.support.tasks import MODULE, Tasks
from tests.support.waiting import wait_until

posix = pytest.mark.skipif(WINDOWS, reason="there processes neither fork nor outlive their worker")
WORKER = "host-1-1-abc"

MORE = """
@queue.task
def forks():
    child = os.fork()
    if child == 0:
        return "the child"
    os.waitpid(child, 0)
    return "the parent"


@queue.task
def starts_daemon():
    import subprocess
    program = [sys.executable, "-c", "import time; time.sleep(600)"]
    return subprocess.Popen(program, close_fds=False, start_new_session=True).pid


@queue.task
def forks_daemon():
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        time.sleep(600)
        os._exit(0)
    return child


@queue.task
def dies_later(path):
    def die():
        while not os.path.exists(path):
            time.sleep(0.01)
        os._exit(9)
    threading.Thread(target=die, daemon=True).start()
    return os.getpid()


@queue.task
def says_half():
    os.write(int(os.environ["REPLIES"]), b'{"result": "ha')
    os._exit(3)


@queue.task
def closes_everything():
    os.closerange(3, 256)


@queue.task
def prints(lines):
    for number in range(lines):
        print("z" * 99)
    os.write(1, b"by the number of the stream\\n")
    return lines


@queue.task
def prints_later(path):
    def later():
        while not os.path.exists(path):
            time.sleep(0.01)
        print("from a thread", flush=True)
        os.write(1, b"from a thread\\n")
        open(path + ".said", "w").close()
    threading.Thread(target=later, daemon=True).start()


@queue.task
def closes_streams():
    os.close(1)
    os.close(2)
    sys.stdout = sys.stderr = open(os.devnull, "w")
    sys.stdout.close()


@queue.task
def moves_away(folder):
    os.chdir(folder)
    os.environ.clear()
"""


class Bench:
    """One worker's hosts, and the runner that asks them."""

    def __init__(self, root: Path, program: Program) -> None:
        self.root, self.program = root, program
        self.hosts = Hosts(program)
        self.runner = Runner(self.hosts)
        self._number = 0

    def run(self, task: str, *args: Any, job_id: str = "a", timeout: Optional[float] = None) -> Outcome:
        self._number += 1
        job = Job(id=job_id, task=f"{MODULE}.{task}", args=list(args))
        begin = str(self.root / "tmp" / f"{WORKER}~{self._number}-00000000.")
        refused = [str(self.root / "logs" / f"{job_id}.result")]
        tidings = Tidings(f"{begin}result", f"{begin}progress", refused)
        log = str(self.root / "logs" / f"{job_id}.log")
        return self.runner.run(
            job, Conditions(str(self.root), log, None, timeout, 1 << 20, None, tidings=tidings)
        )

    def kill(self, verdict: str, *, force: bool = False) -> None:
        wait_until(lambda: self.runner.kill(verdict, force=force), "it is killed")

    def log(self, job_id: str = "a") -> str:
        return (self.root / "logs" / f"{job_id}.log").read_text("utf-8")

    @property
    def pid(self) -> int:
        assert self.hosts._host is not None
        return self.hosts._host.process.pid

    @property
    def owns(self) -> bool:
        """Whether what was started still owns the worker's jobs."""
        return locks.is_held(self.program.lock_path)


@pytest.fixture
def tasks(tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(Tasks.path()))
    return Tasks(tmp_path, ledger, MORE)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def program(desk: Desk) -> Program:
    spool = desk.store.spool
    return Program(spool.root, [MODULE], spool.tmp.new("host.txt"), spool.lock_path(WORKER + HOST_SUFFIX))


@pytest.fixture
def bench(tasks: Tasks, desk: Desk, program: Program) -> Iterator[Bench]:
    one = Bench(desk.root, program)
    yield one
    one.runner.close()


@contextmanager
def background(action: Any, *args: Any, **options: Any) -> Iterator[list[Outcome]]:
    """Runs it in a thread, whose outcome is in the list at the block's end."""
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(action(*args, **options)))
    thread.start()
    try:
        yield found
    finally:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "it has no end"


# What is asked and said


def test_one_process_calls_one_task_after_the_other(bench: Bench) -> None:
    told = bench.run("answers", {"a": [1, None, "ü"]})
    assert (told.verdict, told.exit_code, told.error) == (COMPLETED, None, None)
    assert told.result == {"a": [1, None, "ü"]}
    first = bench.pid
    assert bench.run("answers", 2).result == 2
    assert bench.pid == first


def test_what_is_larger_than_a_pipe_goes_both_ways(bench: Bench) -> None:
    assert bench.run("measures", "y" * 3_000_000).result == 3_000_000
    assert len(bench.run("big", 65_000).result) == 65_000
    refused = bench.run("big", 5_000_000)
    assert (refused.verdict, refused.result) == (COMPLETED, None)
    assert "larger than" in str(refused.refused)
    assert (bench.root / "logs" / "a.result").stat().st_size == 5_000_002


def test_an_error_is_told_and_its_trace_printed(bench: Bench) -> None:
    failed = bench.run("fails_at", "noon")
    assert (failed.verdict, failed.exit_code, failed.error) == (FAILED, None, "RuntimeError: noon")
    assert f"{MODULE}.py" in bench.log()
    assert "queuectl" not in bench.log(), "how it came to be called tells nothing"
    given_up = bench.run("gives_up")
    assert (given_up.error, given_up.for_good) == ("never", True)


def test_much_is_printed_in_whatever_way_into_its_own_log(bench: Bench) -> None:
    assert bench.run("prints", 9_000).result == 9_000
    assert bench.run("prints", 1, job_id="b").result == 1
    assert bench.log("b").splitlines() == ["z" * 99, "by the number of the stream"]
    assert bench.log().count("z" * 99) == 9_000


def test_what_a_thread_prints_after_its_task_goes_nowhere(bench: Bench, tmp_path: Path) -> None:
    go = tmp_path / "go"
    assert bench.run("prints_later", str(go)).verdict == COMPLETED
    go.touch()
    wait_until((tmp_path / "go.said").exists, "it has printed")
    assert bench.run("prints", 1, job_id="b").result == 1
    assert "thread" not in bench.log("b")
    log = bench.root / "logs" / "a.log"
    assert not log.exists() or log.read_bytes() == b"", "it printed nothing while it ran"


def test_what_a_task_does_to_its_streams_is_not_the_nexts(bench: Bench) -> None:
    assert bench.run("closes_streams").verdict == COMPLETED
    assert bench.run("prints", 1, job_id="b").verdict == COMPLETED
    assert "z" * 99 in bench.log("b")


def test_what_a_task_does_to_its_folder_and_environment_harms_no_other(bench: Bench, tmp_path: Path) -> None:
    assert bench.run("moves_away", str(tmp_path / "ledger")).verdict == COMPLETED
    assert bench.run("prints", 1).result == 1
    assert "z" * 99 in bench.log()


# How it ends


@pytest.mark.parametrize(
    ("task", "args", "code"),
    [
        ("leaves", [7], "exit code 7"),
        ("leaves", [0], "exit code 0"),
        pytest.param("crashes", [], "killed by SIGSEGV", marks=posix),
        pytest.param("closes_everything", [], "exit code 1", marks=posix),
    ],
)
def test_the_end_of_the_process_is_a_failure_and_the_next_task_has_another(
    bench: Bench, task: str, args: list[Any], code: str
) -> None:
    assert bench.run("answers", 1).result == 1
    first = bench.pid
    failed = bench.run(task, *args)
    assert (failed.verdict, failed.error) == (FAILED, f"its process has ended: {code}")
    assert bench.run("answers", 2).result == 2
    assert bench.pid != first


def test_a_process_that_dies_between_two_tasks_is_nobodys_failure(bench: Bench, tmp_path: Path) -> None:
    """Also where something that it has left running still holds its pipes."""
    go = tmp_path / "go"
    pid = bench.run("dies_later", str(go)).result
    host = bench.hosts._host
    assert host is not None
    left = None if WINDOWS else bench.run("forks_daemon").result
    try:
        go.touch()
        wait_until(lambda: host.has_said, "its end is noticed")
        assert bench.run("answers", 2).result == 2
        assert bench.pid != pid
    finally:
        if left is not None:
            os.kill(left, signal.SIGTERM)


def test_a_word_cut_off_by_its_death_is_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for a reply, which would end all workers as it cannot be read."""
    half = Reply(result="ha" * 9)
    monkeypatch.setattr(Host, "ask", lambda host, request: host.process.kill(force=True))
    real = Host._read

    def reading(self: Host, replies: Any) -> None:
        real(self, _Cut(replies))

    monkeypatch.setattr(Host, "_read", reading)
    failed = bench.run("answers", half.result)
    assert (failed.verdict, failed.result) == (FAILED, None)
    assert str(failed.error).startswith("its process has ended")


class _Cut:
    """A pipe at whose end a reply begins that does not end."""

    def __init__(self, replies: Any) -> None:
        self._replies = replies

    def __enter__(self) -> _Cut:
        return self

    def __exit__(self, *_: object) -> None:
        self._replies.close()

    def __iter__(self) -> Iterator[bytes]:
        yield from self._replies
        yield b'{"result": "ha'


def test_what_it_has_said_comes_before_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    """However late it is read: why its modules cannot be imported must not be "exit code 1"."""
    listen, read = Host._listen, Host._read

    def listening(self: Host, replies: Any, process: Any) -> None:
        self.process = process
        listen(self, replies, process)

    def reading(self: Host, replies: Any) -> None:
        wait_until(self.process.is_over, "it has ended")
        read(self, replies)

    monkeypatch.setattr(Host, "_listen", listening)
    monkeypatch.setattr(Host, "_read", reading)
    with pytest.raises(InvalidInput, match="no module 'none'"):
        Host(program._replace(modules=["none"]))


def test_modules_that_cannot_be_used_are_told(bench: Bench, program: Program, tmp_path: Path) -> None:
    for name, text, told in (
        ("ends", "import sys; sys.exit(3)", "SystemExit: 3"),
        ("breaks", "import nothing_like_it", "No module named 'nothing_like_it'"),
        ("idle", "x = 1", "no task is registered"),
    ):
        (tmp_path / f"{name}.py").write_text(text)
        with pytest.raises(InvalidInput, match=told):
            Host(program._replace(modules=[name]))
    (tmp_path / "dies.py").write_text("import os; print('oh'); os.write(2, b'dear'); os._exit(5)")
    with pytest.raises(QueueError, match=r"has ended: exit code 5: (oh\s+)?dear"):
        Host(program._replace(modules=["dies"]))
    assert os.listdir(bench.root / "tmp") == []
    assert not bench.owns


def test_an_import_without_an_end_is_given_up(
    bench: Bench, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "endless.py").write_text("import time\ntime.sleep(600)")
    stopped = threading.Event()
    endless = program._replace(modules=["endless"], gives_up=stopped.is_set)
    threading.Timer(0.2, stopped.set).start()
    with pytest.raises(BlockingIOError) as caught:
        Host(endless)
    assert system.is_lack(caught.value), "the job is given back, at no attempt's cost"
    assert not bench.owns
    monkeypatch.setattr(hosts, "_START", 0.3)
    with pytest.raises(QueueError, match="has not started in time"):
        Host(endless._replace(gives_up=lambda: False))
    assert not bench.owns


def test_where_there_is_no_room_for_its_threads_nothing_is_left(
    bench: Bench, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoRoom(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(hosts.threading, "Thread", NoRoom)
    with pytest.raises(OSError, match="can't start new thread") as caught:
        Host(program)
    assert system.is_lack(caught.value)
    assert not bench.owns


# How it is ended


def test_a_timeout_ends_it_and_what_it_has_started(bench: Bench, ledger: Ledger) -> None:
    timed_out = bench.run("hold", "long", timeout=0.3)
    assert (timed_out.verdict, timed_out.error) == (TIMEOUT, "timed out after 0.3 s")
    ledger.wait_dead("long")
    assert bench.run("answers", 2).result == 2


def test_one_that_does_not_heed_it_is_killed(
    bench: Bench, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queuectl.runner.KILL_GRACE", 0.2)
    with background(bench.run, "stuck", "deaf") as found:
        wait_until(lambda: "deaf" in ledger.words("deaf"), "it is deaf", PATIENCE)
        bench.kill(CANCELLED)
    assert found[0].verdict == CANCELLED
    assert "end" not in ledger.words("deaf")
    ledger.wait_dead("deaf")
    assert bench.run("answers", 2).result == 2


def test_who_comes_too_late_to_kill_does_not_meet_the_next_task(bench: Bench) -> None:
    assert bench.run("answers", 1).result == 1
    host = bench.hosts._host
    assert host is not None
    run = hosts.HostRun(bench.hosts, host)
    host._replies.put(Reply(result=1))
    assert run.is_over(), "it has said so, though nobody has heard it"
    assert run.wait().result == 1
    run.kill(force=True)
    assert bench.run("answers", 2).result == 2
    assert bench.hosts._host is host


# What it leaves to whom


@posix
def test_a_copy_of_it_answers_for_nobody(bench: Bench) -> None:
    """A task that forks, and whose child returns, too: the child's answer would be the job's."""
    assert bench.run("forks").result == "the parent"
    assert bench.run("answers", 2).result == 2


@posix
@pytest.mark.parametrize("task", ["starts_daemon", "forks_daemon"])
def test_what_a_task_leaves_running_owns_no_job(bench: Bench, task: str) -> None:
    """Else the worker's jobs, after its death, would never be run again."""
    left = bench.run(task).result
    try:
        assert bench.owns
        bench.runner.close()
        assert not bench.owns
    finally:
        os.kill(left, signal.SIGTERM)


@posix
def test_each_process_has_a_lock_of_its_own_whoever_holds_the_one_before(
    bench: Bench, program: Program
) -> None:
    before = locks.try_lock(program.lock_path)
    assert before is not None
    holder = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[before.fileno()]
    )
    before.close()
    assert bench.run("answers", 1).result == 1
    holder.communicate(b"\n")
    assert bench.owns, "by the process for tasks"


@posix
def test_where_its_locks_file_was_deleted_another_one_is_started(bench: Bench, program: Program) -> None:
    assert bench.run("answers", 1).result == 1
    first = bench.pid
    os.unlink(program.lock_path)
    assert bench.run("answers", 2).result == 2
    assert bench.pid != first
    assert bench.owns


@posix
def test_a_worker_that_dies_while_modules_are_imported_leaves_no_process(
    bench: Bench, program: Program, tmp_path: Path
) -> None:
    (tmp_path / "endless.py").write_text("open('begun', 'w').close()\nimport time\ntime.sleep(600)")
    text = (
        "from queuectl.tasks.hosts import Host, Program\n"
        f"Host(Program({program.root!r}, ['endless'], {program.boot_log!r}, {program.lock_path!r}))"
    )
    worker = subprocess.Popen([sys.executable, "-c", text])
    wait_until((tmp_path / "begun").exists, "it imports", PATIENCE)
    worker.kill()
    worker.wait()
    wait_until(lambda: not bench.owns, "it has ended, too", PATIENCE)


def test_how_far_a_task_was_is_forgotten_with_its_end(bench: Bench, ledger: Ledger) -> None:
    """Also where its process has died."""

    def told() -> list[Path]:
        return list((bench.root / "tmp").glob("*.progress"))

    with background(bench.run, "tells", "one") as found:
        ledger.wait_started("one")
        wait_until(told, "it tells")
        ledger.let_go("one")
    assert found[0].verdict == COMPLETED
    assert told() == []
    with background(bench.run, "tells", "two"):
        ledger.wait_started("two")
        wait_until(told, "it tells")
        bench.kill(CANCELLED, force=True)
    assert told() == []
