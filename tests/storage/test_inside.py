"""Tasks in a thread beside their worker's: what goes wrong with them, and with what they print."""

from __future__ import annotations

import contextvars
import gc
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Callable, Optional
from unittest.mock import patch

import pytest

from queuectl import batch as batches
from queuectl import current, life, locks, runner
from queuectl import worker as workers
from queuectl.engine import Conditions
from queuectl.errors import InvalidInput
from queuectl.hands import Hands
from queuectl.job import Job
from queuectl.queue import Queue
from queuectl.queue.claims import claim_some
from queuectl.queue.liveness import is_alive, note_of_runs, note_run, noted_runs, outlived_by_command
from queuectl.queue.recovery import recover
from queuectl.queue.requests import pause
from queuectl.queue.store import Store
from queuectl.runner import CANCELLED, COMPLETED, FAILED, INTERRUPTED, Outcome, Runner
from queuectl.tasks import loading, output
from queuectl.tasks.calling import Stopped
from queuectl.tasks.inside import CallRun, Inside
from queuectl.tasks.task import GiveUp, Task
from queuectl.tidings import Tidings
from queuectl.worker import Worker
from tests.support.commands import python
from tests.support.invariants import check
from tests.support.program import PATIENCE, WINDOWS
from tests.support.spools import Desk
from tests.support.waiting import wait_until

WORKER = "host-1-1-abc"


class Bench:
    """A runner of one function after the other."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.tasks: dict[str, Task[Any, Any]] = {}
        self.runner = Runner(Inside(self.tasks))

    def register(self, function: Callable[..., Any], name: str = "t") -> None:
        self.tasks[name] = Task(self.desk.queue, function, name, {})

    def conditions(self) -> Conditions:
        root = self.desk.root
        begin = str(root / "tmp" / f"{WORKER}~1-00000000.")
        tidings = Tidings(f"{begin}result", f"{begin}progress", [str(root / "logs" / "a.result")])
        return Conditions(str(root), str(root / "logs" / "a.log"), None, None, 1 << 20, None, tidings=tidings)

    def run(self, function: Callable[..., Any]) -> Outcome:
        self.register(function)
        return self.runner.run(Job(id="a", task="t"), self.conditions())

    @property
    def log(self) -> str:
        return (self.desk.root / "logs" / "a.log").read_text("utf-8")


@pytest.fixture
def bench(desk: Desk) -> Iterator[Bench]:
    one = Bench(desk)
    yield one
    one.runner.close()


@contextmanager
def streams() -> Iterator[None]:
    """Those of a worker. Not as a fixture: pytest puts its own in place behind those."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("stdout", "stderr"):
            patch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
        patch.setattr(output, "_routers", {})
        output.install()
        yield


# How a call ends


class _Odd(tzinfo):
    """A value that has a say in how it is written as JSON, and fails."""

    def utcoffset(self, moment: Optional[datetime]) -> timedelta:
        raise LookupError("no such zone")


def test_a_value_that_cannot_be_asked_for_its_form_is_refused_and_harms_nothing(bench: Bench) -> None:
    refused = bench.run(lambda: datetime(2027, 1, 1, tzinfo=_Odd()))
    assert (refused.verdict, refused.result) == (COMPLETED, None)
    assert "no such zone" in str(refused.refused)
    assert bench.run(lambda: 2).result == 2


class _Mute(GiveUp):
    def __str__(self) -> str:
        raise ValueError("mute")


def test_an_error_that_cannot_be_told_is_told_by_its_name(bench: Bench) -> None:
    def fails() -> None:
        raise _Mute

    failed = bench.run(fails)
    assert (failed.verdict, failed.for_good) == (FAILED, True)
    assert "_Mute" in str(failed.error)
    assert bench.run(lambda: 2).result == 2


@pytest.mark.parametrize("error", [Stopped, MemoryError])
def test_an_error_just_as_it_is_over_does_not_leave_its_worker_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """What is sent to a thread comes when it may, and that may be at the very end."""
    leave, left = CallRun._leave, [error]

    def leaving(self: CallRun) -> None:
        if left:
            raise left.pop()
        leave(self)

    monkeypatch.setattr(CallRun, "_leave", leaving)
    assert bench.run(lambda: 1).result == 1
    assert left == []
    assert bench.run(lambda: 2).result == 2


def test_an_error_of_ours_fails_the_run_and_not_the_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("queuectl.tasks.inside.call", lambda *_: 1 // 0)
        failed = bench.run(lambda: 1)
    assert (failed.verdict, failed.error) == (FAILED, "ZeroDivisionError")
    assert bench.run(lambda: 2).result == 2


def test_how_far_it_was_is_forgotten(bench: Bench) -> None:
    def tells() -> list[str]:
        current().progress(40, "on its way")
        return os.listdir(bench.desk.root / "tmp")

    assert bench.run(tells).result == [f"{WORKER}~1-00000000.progress"]
    assert os.listdir(bench.desk.root / "tmp") == []


# What they print


def test_a_module_may_ask_of_its_streams_what_it_asks_of_others(bench: Bench) -> None:
    """As many do on Windows, as they are imported."""

    def asks() -> bool:
        sys.stdout.reconfigure(newline="\n")  # type: ignore[union-attr]
        print("ü")
        return sys.stdout.line_buffering  # type: ignore[no-any-return, attr-defined]

    with streams():
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
            assert stream.encoding == "utf-8"
            assert stream.line_buffering is False  # type: ignore[attr-defined]
        assert bench.run(asks).result is True
    assert bench.log == "ü\n"


def test_a_stream_that_a_task_has_replaced_and_closed_is_not_the_nexts(bench: Bench) -> None:
    def closes() -> None:
        sys.stdout = sys.stderr = io.StringIO()
        sys.stdout.close()

    def prints() -> None:
        print("out")
        print("err", file=sys.stderr)

    with streams():
        assert bench.run(closes).verdict == COMPLETED
        printed = bench.run(prints)
    assert (printed.verdict, printed.error) == (COMPLETED, None)
    assert bench.log == "out\nerr\n"


@pytest.mark.parametrize("before", [None, "now"])
def test_what_it_has_left_behind_prints_where_the_worker_does(bench: Bench, before: Optional[str]) -> None:
    """In a thread with the task's own context; not into a log that is closed, nor into one made anew."""
    left, go = list[threading.Thread](), threading.Event()

    def prints() -> None:
        assert go.wait(30)
        print("later", flush=True)

    def leaves() -> None:
        if before:
            print(before)
        left.append(threading.Thread(target=contextvars.copy_context().run, args=(prints,)))
        left[0].start()

    with streams():
        assert bench.run(leaves).verdict == COMPLETED
        go.set()
        left[0].join()
        assert sys.stdout.buffer.getvalue().split() == [b"later"]  # type: ignore[attr-defined]
    log = bench.desk.root / "logs" / "a.log"
    assert (log.read_text() if log.exists() else None) == (before and f"{before}\n")


# Which of them there are


def test_two_functions_by_one_name_are_refused_whichever_queues_they_are_of(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one of them would be called, and which one would be up to chance."""
    first, second = Queue(desk.root, create=False), Queue(desk.root, create=False)
    monkeypatch.setattr(loading, "queues", lambda: [first, second])
    monkeypatch.setattr(loading, "_import", lambda name: None)
    monkeypatch.setattr(output, "install", lambda: None)
    monkeypatch.setenv("QUEUECTL_SPOOL", str(desk.root))
    first.task(name="same")(lambda: 1)

    @second.task(name="same")
    def other() -> int:
        return 2

    with pytest.raises(InvalidInput, match="two functions are registered as the task 'same'"):
        loading.load(["m"], str(desk.root))


@pytest.mark.parametrize("code", ["3", "0", "'no config'"])
def test_a_module_that_ends_the_program_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Instead of a worker that ends without a word."""
    (tmp_path / "goes_away.py").write_text(f"import sys\nsys.exit({code})\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(InvalidInput, match="goes_away cannot be imported: SystemExit"):
        loading._import("goes_away")


# Of what a worker claims, and whose it is


def worker_with(desk: Desk, bench: Bench, store: Store, **hands: Any) -> Worker:
    store.index.tasks = frozenset(bench.tasks)
    worker = Worker(store, WORKER, Hands(now=desk.clock, **hands), tasks=Inside(bench.tasks))
    worker.start()
    return worker


def test_what_was_a_command_when_it_was_looked_at_is_not_claimed_as_a_task(desk: Desk) -> None:
    """It would have ended the worker, and all others of its program."""
    desk.add("a")
    desk.add("b")
    desk.put_job("pending", "a", command=None, task="nobodys.task")
    with desk.worker() as worker:
        assert worker.run_once()
        assert not worker.run_once()
    assert desk.folder_of("a") == ["pending"]
    assert desk.folder_of("b") == ["done"]
    assert desk.store.index.ready_tasks() == ["nobodys.task"], "the index has learned it"


def test_of_several_notes_of_one_job_any_may_be_that_of_its_run(desk: Desk, bench: Bench) -> None:
    """One that a dead worker has left must not hide that of the one which runs it."""
    bench.register(lambda: None)
    spool = desk.store.spool
    alive = locks.try_lock(spool.lock_path("host-2-1-abc.lock"))
    assert alive is not None
    for name in ("host-1-9-abc", "host-2-1-abc", "host-3-1-abc"):
        (desk.root / "processing" / name).mkdir()
        note_run(note_of_runs(spool, name), ["a"])
    desk.put_job("pending", "a", command=None, task="t")
    desk.look()
    with Store.open(str(desk.root)) as store:
        worker = worker_with(desk, bench, store)
        assert not worker.run_once(), "a person has dragged it out of a worker's folder"
        alive.release()
        desk.clock.advance(1)
        assert worker.run_once()
        worker.close()


@pytest.mark.skipif(WINDOWS, reason="there a command dies with its worker")
def test_what_a_command_has_left_running_does_not_own_the_next_task(
    desk: Desk, bench: Bench, tmp_path: Path
) -> None:
    """If its worker dies, the task would never be run again."""
    spool, same = desk.store.spool, list[bool]()
    lock = spool.lock_path(f"{WORKER}.run")
    bench.register(lambda: same.append(os.path.samestat(os.fstat(left_open), os.stat(lock))))
    text = (
        "import subprocess, sys; left = subprocess.Popen("
        "[sys.executable, '-c', 'import time; time.sleep(600)'], close_fds=False, start_new_session=True); "
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(left.pid))"
    )
    desk.add("a", command=python(text), priority=1)
    desk.put_job("pending", "b", command=None, task="t")
    desk.look()
    with Store.open(str(desk.root)) as store:
        worker = worker_with(desk, bench, store)
        assert worker.run_once()
        left_open = os.open(lock, os.O_RDONLY)
        try:
            assert outlived_by_command(spool, WORKER)
            assert worker.run_once()
            assert same == [False], "the note of the task lies in a file that nobody else has"
            assert not outlived_by_command(spool, WORKER)
        finally:
            os.close(left_open)
            os.kill(int((tmp_path / "pid").read_text()), 9)
        worker.close()
    assert desk.folder_of("b") == ["done"]


# What does not end


@pytest.fixture
def deaf(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A task `t` that ends when this is set, and not because it is asked to."""
    monkeypatch.setattr(runner, "KILL_GRACE", 0.05)
    monkeypatch.setattr(life, "_lasting", [])
    go = threading.Event()
    begun = bench.desk.root / "begun"

    def hears_nothing() -> None:
        try:
            begun.touch()
            while not go.is_set():
                go.wait(0.01)
        except BaseException:  # noqa: BLE001 (that is what it is for; not in a loop, which has gaps)
            hears_nothing()

    bench.register(hears_nothing)
    yield go
    go.set()
    for held in life._lasting:
        held.release()


def test_what_is_left_behind_is_its_workers_until_the_program_ends(
    desk: Desk, bench: Bench, deaf: threading.Event
) -> None:
    """Not only as long as somebody refers to the worker: another one would run it beside itself."""
    desk.put_job("pending", "a", command=None, task="t")
    desk.look()

    def work() -> None:
        with Store.open(str(desk.root)) as store:
            worker = worker_with(desk, bench, store)
            killer = threading.Thread(target=lambda: wait_until(lambda: interrupts(worker), "it is killed"))
            killer.start()
            assert worker.run_once()
            killer.join()
            worker.close()

    def interrupts(worker: Worker) -> bool:
        return (desk.root / "begun").exists() and worker.runner.kill(INTERRUPTED)

    work()
    gc.collect()
    spool = desk.store.spool
    assert is_alive(spool, WORKER)
    assert life.lasts()
    assert recover(desk.store, desk.clock(), 0.5) == []
    (held,) = life._lasting
    held.release()
    (back,) = recover(desk.store, desk.clock(), 0.5)
    assert (back.job_id, back.state.value) == ("a", "pending")
    assert desk.record("pending", "a")["crashes"] == 0


def test_what_cannot_be_broken_off_is_not_given_back(
    desk: Desk, bench: Bench, deaf: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would run a second time while it goes on."""
    desk.put_job("pending", "a", command=None, task="t")
    desk.look()

    def fails(*_: object) -> float:
        wait_until((desk.root / "begun").exists, "it has begun")
        raise RuntimeError("no room")

    with Store.open(str(desk.root)) as store:
        worker = worker_with(desk, bench, store)
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "_see_to_others", fails)
            with pytest.raises(RuntimeError, match="no room"):
                worker.run_once()
        worker.close()
    assert desk.folder_of("a") == ["processing"]
    assert is_alive(desk.store.spool, WORKER)
    assert noted_runs(desk.store.spool, WORKER) == ["/"]


def test_what_can_be_broken_off_is_given_back(
    desk: Desk, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing behind it is called: Ctrl+C in a program that runs a worker in its main thread."""
    called = list[str]()

    def lasts() -> None:
        called.append("t")
        while True:
            time.sleep(0.01)

    def interrupts(*_: object) -> float:
        wait_until(lambda: called, "it has begun")
        raise KeyboardInterrupt

    bench.register(lasts)
    with several(desk, bench, 3, patience=0.05) as worker:
        monkeypatch.setattr(Worker, "_see_to_others", interrupts)
        with pytest.raises(KeyboardInterrupt):
            worker.run_once()
        monkeypatch.undo()
    assert called == ["t"]
    assert sorted(desk.files()["pending"]) == ["a0.json", "a1.json", "a2.json"]
    assert {desk.record("pending", one)["crashes"] for one in ("a0", "a1", "a2")} == {0}


def test_one_that_could_not_be_ended_in_time_is_not_called(
    desk: Desk, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = list[int]()
    bench.register(lambda: called.append(1))
    desk.put_job("pending", "a", command=None, task="t", timeout=600)
    desk.look()

    def fails(*_: object, **__: object) -> Any:
        raise RuntimeError("can't start new thread")

    with Store.open(str(desk.root)) as store:
        worker = worker_with(desk, bench, store)
        with monkeypatch.context() as patch:
            patch.setattr(Runner, "_later", fails)
            with pytest.raises(OSError, match="can't start new thread"):
                worker.run_once()
        worker.close()
    assert (desk.folder_of("a"), called) == (["pending"], [])


def test_what_ends_in_the_end_is_given_back(desk: Desk, bench: Bench, deaf: threading.Event) -> None:
    """A cancelled one that hears nothing is waited for, and its worker goes on."""
    bench.register(lambda: 7, "quick")
    with Store.open(str(desk.root)) as store:
        desk.put_job("pending", "a", command=None, task="t")
        desk.look()
        worker = worker_with(desk, bench, store)

        def cancel() -> None:
            wait_until((desk.root / "begun").exists, "it has begun")
            assert worker.runner.kill(CANCELLED)
            wait_until(lambda: "it is waited for" in log(), "it says so", PATIENCE)
            deaf.set()

        def log() -> str:
            path = desk.root / "logs" / "a.log"
            return path.read_text("utf-8") if path.exists() else ""

        canceller = threading.Thread(target=cancel)
        canceller.start()
        assert worker.run_once()
        canceller.join()
        assert desk.folder_of("a") == ["dead"]
        desk.put_job("pending", "b", command=None, task="quick")
        desk.look()
        assert worker.run_once()
        worker.close()
    assert desk.record("done", "b")["result"] == 7


# One after the other


@contextmanager
def several(
    desk: Desk, bench: Bench, count: int, *, patience: float = 1000.0, **hands: Any
) -> Iterator[Worker]:
    """A worker that has claimed so many calls of `t`, `a0` to `a9`, and has not begun. None lasts unless it
    takes so many seconds, however slow this machine is.
    """
    for number in range(count):
        desk.put_job("pending", f"a{number}", command=None, task="t", priority=-number)
    desk.look()
    patient = (
        patch.multiple(batches, PATIENCE=patience, HORIZON=1000.0),
        patch.object(workers, "PATIENCE", patience),
    )
    with patient[0], patient[1], Store.open(str(desk.root)) as store:
        worker = worker_with(desk, bench, store, **hands)
        worker.batch.most = count
        worker.batch.add(claim_some(store, WORKER, desk.clock(), most=count))
        yield worker
        worker.close()


def done(desk: Desk) -> list[str]:
    return sorted(name[: -len(".json")] for name in desk.files().get("done", []))


def test_quick_ones_are_called_in_one_go_and_each_is_noted(desk: Desk, bench: Bench) -> None:
    noted = list[Any]()
    bench.register(lambda: noted.append((threading.get_ident(), noted_runs(desk.store.spool, WORKER))))
    with several(desk, bench, 4) as worker:
        assert worker.run_once()
        assert done(desk) == ["a0", "a1", "a2", "a3"]
    assert [names for _, names in noted] == [
        ["a0"],
        ["a1", "a0"],
        ["a2", "a0", "a1"],
        ["a3", "a0", "a1", "a2"],
    ]
    (ident,) = {one for one, _ in noted}
    assert ident != threading.get_ident()
    check(desk.root, ["a0", "a1", "a2", "a3"])


def test_while_one_lasts_the_others_are_settled_and_given_back(desk: Desk, bench: Bench) -> None:
    seen = list[Any]()

    def calls() -> None:
        if current().id == "a1":
            wait_until(lambda: len(desk.files().get("pending", [])) == 2, "they are given back")
            seen.append(desk.files())

    bench.register(calls)
    with several(desk, bench, 4, patience=0.5) as worker:
        assert worker.run_once()
        assert done(desk) == ["a0", "a1"]
    here, back = [f"{WORKER}/a1.json"], ["a2.json", "a3.json"]
    assert seen == [{"done": ["a0.json"], "processing": here, "pending": back}]


def test_what_ends_meanwhile_waits_for_that(
    desk: Desk, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else both would move the same jobs, and one worker would run two at a time."""
    order, go = list[str](), threading.Event()
    real = Worker._thin_out

    def thins_out(worker: Worker) -> bool:
        go.set()
        order.append("looks")
        # As long as it takes the other thread to come to where it waits.
        wait_until(lambda: worker.runner._run is not None and worker.runner._run.is_over(), "it has ended")
        left = real(worker)
        order.append("has looked")
        return left

    def calls() -> None:
        if current().id == "a0":
            assert go.wait(30)
        else:
            order.append(current().id)

    monkeypatch.setattr(Worker, "_thin_out", thins_out)
    bench.register(calls)
    with several(desk, bench, 3, patience=0.05) as worker:
        assert worker.run_once()
        assert order == ["looks", "has looked"]
        monkeypatch.undo()
        assert (done(desk), sorted(desk.files()["pending"])) == (["a0"], ["a1.json", "a2.json"])


@pytest.mark.parametrize("why", ["it is to stop", "somebody pauses", "a command comes next"])
def test_the_next_one_is_not_called_when(desk: Desk, bench: Bench, why: str) -> None:
    called, stops = list[str](), list[bool]()

    def calls() -> None:
        called.append(current().id)
        if len(called) == 2:
            stops.append(why == "it is to stop")
            if why == "somebody pauses":
                pause(desk.store.spool)

    bench.register(calls)
    with several(desk, bench, 4, stops=lambda: any(stops)) as worker:
        if why == "a command comes next":
            first, second, third, fourth = worker.batch.take_back()
            command = third._replace(job=Job(id="a2", command="x"))
            worker.batch.add([first, second, command, fourth])
        assert worker.run_once()
        assert called == ["a0", "a1"]
        assert worker.batch.waits


def test_where_each_takes_its_time_the_others_are_given_back(
    desk: Desk, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though none lasts so long that it is seen to meanwhile."""
    called = list[str]()
    bench.register(lambda: called.append(current().id))
    with several(desk, bench, 4) as worker:
        assert not worker.batch.is_overdue
        monkeypatch.setattr(batches, "OVERDUE", 0.0)
        assert worker.run_once()
        assert (called, done(desk)) == (["a0"], ["a0"])
        assert sorted(desk.files()["pending"]) == ["a1.json", "a2.json", "a3.json"]
    assert {desk.record("pending", one)["attempts"] for one in ("a1", "a2", "a3")} == {0}


def test_behind_one_that_is_left_behind_nothing_is_called(
    desk: Desk, bench: Bench, deaf: threading.Event
) -> None:
    """Its worker has come to its end meanwhile."""
    with several(desk, bench, 3, patience=0.05) as worker:
        killer = threading.Thread(
            target=lambda: wait_until(lambda: worker.runner.kill(INTERRUPTED), "it is killed")
        )
        killer.start()
        assert worker.run_once()
        killer.join()
        thread = worker._beside._thread  # type: ignore[union-attr]
        deaf.set()
        wait_until(lambda: worker.runner._run is not None and worker.runner._run.is_over(), "it ends")
        # Time in which it would go on.
        thread.join(0.2)
    assert desk.files()["processing"] == [f"{WORKER}/a0.json"]
    assert sorted(desk.files()["pending"]) == ["a1.json", "a2.json"]
    assert noted_runs(desk.store.spool, WORKER) == ["/"]
