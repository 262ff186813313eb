"""A queue in a Python program: its threads, its forks, its event loop; handles of jobs."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from queuectl import Handle, Queue, system
from queuectl.errors import DamagedRecord, InvalidInput, JobFailed, NoSuchJob, SpoolUnusable, TimedOut
from queuectl.queue.store import Store
from queuectl.queue.waiting import Watch
from queuectl.state import State
from tests.support.commands import python
from tests.support.spools import Desk, failing, succeeding
from tests.support.waiting import wait_until


class TestItsFolder:
    def test_is_made_when_it_is_first_needed(self, tmp_path: Path) -> None:
        """A module of tasks is imported by programs that only look at it."""
        queue = Queue(tmp_path / "spool")
        queue.task(name="t")(lambda: None)
        assert list(tmp_path.iterdir()) == []
        queue.enqueue({"command": "echo hi"})
        assert queue.status().counts["pending"] == 1
        queue.close()

    def test_is_not_made_where_that_is_not_wanted(self, tmp_path: Path) -> None:
        with pytest.raises(SpoolUnusable, match="is no spool"):
            Queue(tmp_path / "spool", create=False).status()
        assert list(tmp_path.iterdir()) == []

    def test_is_that_of_the_commands(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("QUEUECTL_SPOOL", raising=False)
        assert Queue().root == str(tmp_path / "spool")
        monkeypatch.setenv("QUEUECTL_SPOOL", str(tmp_path / "other"))
        assert Queue().root == str(tmp_path / "other")
        assert Queue("mine").root == str(tmp_path / "mine")

    def test_stays_where_it_was_when_the_program_goes_elsewhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        queue = Queue("spool")
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir(tmp_path / "sub")
        queue.enqueue({"command": "x"})
        queue.close()
        assert (tmp_path / "spool" / "pending").is_dir()

    def test_open_tells_at_once_what_is_wrong(self, tmp_path: Path) -> None:
        (tmp_path / "spool").write_text("a file")
        with pytest.raises(SpoolUnusable):
            Queue.open(tmp_path / "spool")


class TestThreads:
    def test_each_may_use_it(self, desk: Desk) -> None:
        def work(number: int) -> str:
            handle = desk.queue.enqueue({"id": f"job{number}", "command": "x"})
            assert handle.state is State.PENDING
            return handle.id

        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(work, range(40)))
        assert sorted(job.name for job in desk.queue) == sorted(ids)

    def test_what_one_has_opened_goes_with_it(self, desk: Desk) -> None:
        opened: list[Any] = []

        def work() -> None:
            desk.queue.status()
            opened.append(desk.store.index._sql)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        gc.collect()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            opened[0].execute("SELECT 1")

    def test_closing_closes_those_of_all(self, desk: Desk) -> None:
        opened, goes_on, ends = [], threading.Event(), threading.Event()

        def work() -> None:
            desk.queue.status()
            opened.append(desk.store.index._sql)
            goes_on.set()
            assert ends.wait(30)

        thread = threading.Thread(target=work)
        thread.start()
        assert goes_on.wait(30)
        desk.queue.close()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            opened[0].execute("SELECT 1")
        ends.set()
        thread.join()

    def test_it_can_be_used_again_when_it_was_closed(self, desk: Desk) -> None:
        desk.queue.close()
        assert desk.queue.status().counts["pending"] == 0

    def test_one_that_nobody_has_any_more_is_closed(self, tmp_path: Path) -> None:
        queue = Queue(tmp_path / "spool")
        connection, gone = queue.store.index._sql, weakref.ref(queue)
        del queue
        gc.collect()
        assert gone() is None
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
class TestForks:
    def test_a_child_has_a_connection_of_its_own(self, desk: Desk) -> None:
        """As web servers do that load a program and fork then: SQLite must not be carried along."""
        desk.queue.enqueue({"id": "before", "command": "x"})
        theirs = id(desk.store)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                own = id(desk.store) != theirs
                desk.queue.enqueue({"id": "child", "command": "x"})
                os.write(write, b"own" if own else b"shared")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(write)
        with os.fdopen(read, "rb") as told:
            assert told.read() == b"own"
        assert id(desk.store) == theirs
        desk.queue.enqueue({"id": "after", "command": "x"})
        assert {job.name for job in desk.queue} == {"before", "child", "after"}
        assert desk.store.index.is_sound()


class TestEnqueue:
    def test_of_one_gives_its_handle(self, desk: Desk) -> None:
        handle = desk.queue.enqueue({"id": "a", "command": "x"})
        assert handle == Handle(desk.queue, "a") == desk.queue.handle("a")
        assert handle != desk.queue.handle("b")
        assert len({handle, desk.queue.handle("a")}) == 1

    def test_of_several_gives_their_places(self, desk: Desk) -> None:
        places = desk.queue.enqueue([{"id": "a", "command": "x"}, {"id": "b", "command": "x"}])
        assert [place.job_id for place in places] == ["a", "b"]

    def test_of_any_number_from_anywhere(self, desk: Desk) -> None:
        places = desk.queue.enqueue({"id": one, "command": "x"} for one in "ab")
        assert [place.job_id for place in places] == ["a", "b"]

    def test_of_text_is_refused(self, desk: Desk) -> None:
        with pytest.raises(InvalidInput, match="a job is a mapping, not text"):
            desk.queue.enqueue("echo hi")  # type: ignore[call-overload]

    def test_without_holding_up_the_event_loop(self, desk: Desk) -> None:
        async def main() -> tuple[str, list[str]]:
            one = await desk.queue.enqueue_async({"id": "a", "command": "x"})
            more = await desk.queue.enqueue_async([{"id": "b", "command": "x"}])
            return one.id, [place.job_id for place in more]

        assert asyncio.run(main()) == ("a", ["b"])


class TestLooking:
    def test_at_one(self, desk: Desk) -> None:
        desk.add("a", tags=["t"])
        job = desk.queue.get("a")
        assert (job.name, job.command, job.tags, job.state) == ("a", "echo hi", ["t"], State.PENDING)
        assert "a" in desk.queue
        assert "b" not in desk.queue
        assert "no/id" not in desk.queue
        with pytest.raises(NoSuchJob):
            desk.queue.get("b")
        with pytest.raises(NoSuchJob):
            desk.queue.state_of("b")

    def test_at_all_in_the_order_of_list(self, desk: Desk) -> None:
        desk.add("late", "done")
        desk.add("first", priority=9)
        desk.queue.hold("first")
        desk.queue.hold("late")
        desk.run_once()
        desk.queue.release(["first", "late"])
        assert [job.name for job in desk.queue] == desk.ids() == ["first", "late", "done"]
        assert len(desk.queue) == 3
        assert bool(desk.queue)

    def test_what_goes_or_breaks_meanwhile_is_passed_over(self, desk: Desk) -> None:
        desk.add("a", "b", "c")
        jobs = iter(desk.queue)
        assert next(jobs).name == "a"
        desk.path("pending", "b.json").unlink()
        desk.path("pending", "c.json").write_text("{")
        assert list(jobs) == []
        with pytest.raises(DamagedRecord):
            desk.queue.get("c")

    def test_an_empty_one_is_one(self, desk: Desk) -> None:
        assert (len(desk.queue), bool(desk.queue), list(desk.queue)) == (0, True, [])


class TestHandle:
    def test_waits_for_the_result(self, desk: Desk) -> None:
        task = desk.queue.task(name="t")(lambda a: a * 2)
        handle = task.enqueue(21)
        with desk.worker(tasks=desk.queue.tasks) as worker:
            worker.run_once()
        assert handle.wait() == 42
        assert (handle.state, handle.job().attempts) == (State.COMPLETED, 1)

    def test_says_why_there_is_none(self, desk: Desk) -> None:
        handle = desk.queue.enqueue({"id": "a", "command": "x", "max_retries": 0})
        desk.run_once(failing(desk.clock, 3))
        with pytest.raises(JobFailed, match="job a has no result: exit code 3") as failure:
            handle.wait()
        assert failure.value.row["outcome"] == "failed"

    def test_of_a_job_that_is_deleted_meanwhile(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        handle = desk.queue.enqueue({"id": "a", "command": "x"})
        real = system.sleep

        def sleep(seconds: float) -> None:
            desk.path("pending", "a.json").unlink(missing_ok=True)
            real(seconds)

        monkeypatch.setattr(system, "sleep", sleep)
        with pytest.raises(JobFailed, match="job a has no result: it is in this spool no more"):
            handle.wait()

    def test_is_told_when_the_time_is_over(self, desk: Desk) -> None:
        handle = desk.queue.enqueue({"command": "x"})
        with pytest.raises(TimedOut):
            handle.wait(timeout=0)

    def test_of_a_job_that_is_not_there(self, desk: Desk) -> None:
        handle = desk.queue.handle("a")
        for ask in (handle.wait, handle.job, handle.cancel, handle.retry, lambda: handle.state):
            with pytest.raises(NoSuchJob):
                ask()

    def test_cancels_and_retries(self, desk: Desk) -> None:
        handle = desk.queue.enqueue({"command": "x"})
        handle.cancel()
        assert handle.state is State.DEAD
        handle.retry()
        assert handle.state is State.PENDING


def test_verbs_take_one_id_as_well(desk: Desk) -> None:
    """Of a text each letter would else be a job."""
    desk.add("abc")
    desk.queue.hold("abc")
    desk.queue.release("abc")
    desk.queue.cancel("abc")
    desk.queue.retry("abc")
    desk.run_once(succeeding(desk.clock))
    (row,) = desk.queue.wait("abc")
    assert row["state"] == "completed"


class Looks:
    """Counts the looks at jobs that are waited for, and how many threads look at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = self.most = 0
        self._now = 0
        real = Watch.look

        def look(watch: Watch, store: Store) -> None:
            self._now += 1
            self.most = max(self.most, self._now)
            try:
                real(watch, store)
            finally:
                self._now -= 1
                self.count += 1

        monkeypatch.setattr(Watch, "look", look)

    async def reach(self, count: int) -> None:
        end = system.monotonic() + 30
        while self.count < count:
            assert system.monotonic() < end, f"{self.count} looks, not {count}"
            await asyncio.sleep(0.001)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


class TestEventLoops:
    def test_many_wait_and_one_thread_looks(self, desk: Desk, looks: Looks) -> None:
        ids = [f"job{number}" for number in range(50)]
        desk.add(*ids)

        async def main() -> list[Any]:
            waiting = asyncio.gather(*(desk.queue.handle(job_id).wait_async() for job_id in ids))
            await looks.reach(200)
            with desk.worker(succeeding(desk.clock)) as worker:
                while worker.run_once():
                    pass
            return await waiting

        assert asyncio.run(main()) == [None] * 50
        assert looks.most == 1

    def test_await_is_short_for_it(self, desk: Desk) -> None:
        task = desk.queue.task(name="t")(lambda: "made")

        async def main() -> Any:
            handle = await task.enqueue_async()
            with desk.worker(tasks=desk.queue.tasks) as worker:
                worker.run_once()
            return await handle

        assert asyncio.run(main()) == "made"

    def test_each_is_told_its_own_trouble(self, desk: Desk, looks: Looks) -> None:
        desk.add("good", "bad", max_retries=0)

        async def main() -> list[Any]:
            with pytest.raises(TimedOut):
                await desk.queue.wait_async(["good"], timeout=0)
            waiting = asyncio.gather(
                *(desk.queue.handle(job_id).wait_async(timeout=30) for job_id in ("good", "bad", "none")),
                return_exceptions=True,
            )
            await looks.reach(5)
            desk.run_once(succeeding(desk.clock))
            desk.run_once(failing(desk.clock))
            return await waiting

        good, bad, none = asyncio.run(main())
        assert (good, type(bad), type(none)) == (None, JobFailed, NoSuchJob)

    def test_one_that_is_cancelled_leaves_the_others(self, desk: Desk, looks: Looks) -> None:
        desk.add("a", "b")

        async def main() -> Any:
            first = asyncio.ensure_future(desk.queue.handle("a").wait_async())
            second = asyncio.ensure_future(desk.queue.handle("b").wait_async())
            await looks.reach(2)
            first.cancel()
            desk.run_once(succeeding(desk.clock))
            desk.run_once(succeeding(desk.clock))
            return await second

        assert asyncio.run(main()) is None

    def test_one_loop_after_another(self, desk: Desk) -> None:
        desk.add("a")
        desk.run_once(succeeding(desk.clock))
        for _ in range(3):
            assert asyncio.run(desk.queue.handle("a").wait_async()) is None


class TestRegistering:
    def test_as_a_decorator_with_and_without_fields(self, desk: Desk) -> None:
        @desk.queue.task
        def one() -> int:
            return 1

        @desk.queue.task(name="two", priority=3)
        def other() -> int:
            return 2

        assert (one(), other()) == (1, 2)
        assert set(desk.queue.tasks) == {one.name, "two"}
        assert other.job()["priority"] == 3

    def test_two_of_a_name_are_refused(self, desk: Desk) -> None:
        desk.queue.task(name="t")(lambda: None)
        with pytest.raises(InvalidInput, match="two functions are registered"):
            desk.queue.task(name="t")(python)

    def test_a_second_with_a_unique_key(self, desk: Desk) -> None:
        task = desk.queue.task(name="t", unique_key="k", if_exists="return")(lambda: None)
        assert task.enqueue() == task.enqueue()
        desk.run_once()
        wait_until(lambda: len(desk.queue) == 1, "one job is there")
