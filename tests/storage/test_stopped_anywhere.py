"""A task in a thread may be told to stop between any two lines: also where a lock has just been taken."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from queuectl import locks
from queuectl.index import connection
from queuectl.runner import CANCELLED, COMPLETED
from queuectl.tasks.calling import Stopped
from queuectl.tasks.inside import CallRun
from queuectl.uncut import here, uncut
from tests.storage.test_inside import Bench
from tests.support.spools import Desk

Stop = Callable[[], None]


@pytest.fixture
def bench(desk: Desk) -> Iterator[Bench]:
    one = Bench(desk)
    yield one
    one.runner.close()


@pytest.fixture
def stop(bench: Bench) -> Stop:
    """Stops the task that calls it, once, as another thread would."""
    left = [CANCELLED]

    def stop() -> None:
        if left:
            killer = threading.Thread(target=bench.runner.kill, args=(left.pop(),), kwargs={"force": True})
            killer.start()
            killer.join()

    return stop


class Gate:
    """A lock; whoever has taken it is told to stop."""

    def __init__(self, stop: Stop) -> None:
        self.real, self._stop = threading.RLock(), stop

    def acquire(self, **how: Any) -> bool:
        got = self.real.acquire(**how)
        self._stop()
        return got

    def release(self) -> None:
        self.real.release()


def test_the_lock_of_claims_is_not_kept(bench: Bench, stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker of its process would claim anything any more."""
    gate = Gate(stop)
    of_path = locks._gates.setdefault(bench.desk.store.spool.lock_path("claim.lock"), locks._Gate())
    monkeypatch.setattr(of_path, "lock", gate)
    assert bench.run(lambda: bench.desk.queue.enqueue({"id": "b", "command": "x"})).verdict == CANCELLED
    free: list[bool] = []
    other = threading.Thread(target=lambda: free.append(gate.real.acquire(blocking=False)))
    other.start()
    other.join()
    assert (free, of_path.depth) == ([True], 0)
    assert bench.desk.folder_of("b") == ["pending"], "what was begun is done whole"


def test_no_transaction_is_kept_open(bench: Bench, stop: Stop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could write to the index any more, in no program."""
    real = connection._Connection.execute

    def execute(self: Any, sql: str, *values: Any) -> sqlite3.Cursor:
        cursor = real(self, sql, *values)
        if sql == "BEGIN IMMEDIATE":
            stop()
        return cursor

    def begins() -> None:
        with bench.desk.queue.store.index.transaction():
            pass

    with monkeypatch.context() as patch:
        patch.setattr(connection._Connection, "execute", execute)
        assert bench.run(begins).verdict == CANCELLED
    with sqlite3.connect(bench.desk.root / "index.sqlite3", timeout=0.0) as other:
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_what_is_held_off_comes_at_the_end_of_the_outermost_block(bench: Bench, stop: Stop) -> None:
    reached: list[str] = []

    def works() -> None:
        with uncut():
            with uncut():
                stop()
                reached.append("inner")
            reached.append("outer")
        reached.append("behind")

    assert bench.run(works).verdict == CANCELLED
    assert reached == ["inner", "outer"]
    assert bench.run(lambda: 2).result == 2


def test_waiting_for_another_job_can_be_stopped(bench: Bench, stop: Stop) -> None:
    bench.desk.queue.enqueue({"id": "b", "command": "x"})

    def waits() -> None:
        bench.desk.queue.wait("b", meanwhile=lambda left: stop())

    assert bench.run(waits).verdict == CANCELLED
    assert bench.run(lambda: 2).verdict == COMPLETED


def test_two_of_them_as_it_ends_do_not_reach_its_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes three seconds after the first: as a task ends that has cleaned up for so long."""
    leave, left = CallRun._leave, [Stopped, Stopped]

    def leaving(self: CallRun) -> None:
        if left:
            raise left.pop()
        leave(self)

    monkeypatch.setattr(CallRun, "_leave", leaving)
    assert bench.run(lambda: 1).result == 1
    assert (left, here.one) == ([], None)
    assert bench.run(lambda: 2).result == 2
