"""One worker that calls Python functions: how their runs end, and what of them is kept."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl import GiveUp, current, events
from queuectl.errors import QueueError
from queuectl.queue.liveness import noted_runs, noted_tasks
from queuectl.runner import CANCELLED, INTERRUPTED
from queuectl.spool.place import LARGEST_RESULT
from queuectl.tasks import output
from queuectl.tidings import read_progress
from queuectl.worker import Worker
from tests.support.commands import python
from tests.support.invariants import check
from tests.support.spools import Desk, Heard
from tests.support.waiting import wait_until


def run(desk: Desk, function: Callable[..., Any], *args: Any, **fields: Any) -> dict[str, Any]:
    """The record of a job that has called the function once."""
    task = desk.queue.task(name="t", **{"max_retries": 0, **fields})(function)
    job_id = task.enqueue(*args).id
    # As a worker's program has it; pytest's own streams come back.
    with desk.worker(tasks=desk.queue.tasks) as worker, output.installed():
        assert worker.run_once() is True
    (folder,) = desk.folder_of(job_id)
    return {**desk.record(folder, job_id), "folder": folder}


def log_of(desk: Desk, record: dict[str, Any]) -> str:
    path = desk.path("logs", f"{record['id']}.log")
    return path.read_text(encoding="utf-8") if path.exists() else ""


@dataclass
class Size:
    width: int
    name: str


class TestSuccess:
    def test_is_recorded_as_a_commands_is(self, desk: Desk) -> None:
        record = run(desk, lambda a, b: a + b, 1, 2)
        assert (record["folder"], record["state"], record["attempts"]) == ("done", "completed", 1)
        assert (record["result"], "exit_code" in record, "error" in record) == (3, False, False)
        assert record["history"][0]["outcome"] == "completed"
        assert not desk.path("logs", f"{record['id']}.log").exists()
        check(desk.root, [record["id"]])

    @pytest.mark.parametrize(
        ("value", "kept"),
        [
            (None, None),
            (0, 0),
            ((1, "a"), [1, "a"]),
            (Size(3, "a"), {"width": 3, "name": "a"}),
            ({"a": [1.5, None]}, {"a": [1.5, None]}),
        ],
        ids=str,
    )
    def test_keeps_what_it_returns(self, desk: Desk, value: Any, kept: Any) -> None:
        assert run(desk, lambda: value).get("result") == kept

    def test_of_a_coroutine(self, desk: Desk) -> None:
        async def add(a: int, b: int) -> int:
            await asyncio.sleep(0)
            return a + b

        assert run(desk, add, 1, 2)["result"] == 3

    @pytest.mark.parametrize(
        "value",
        [Path("a"), float("nan"), {"a": [None, -float("inf")]}, Size(float("nan"), "a")],  # type: ignore[arg-type]
        ids=str,
    )
    def test_what_json_has_no_form_for_is_told_and_the_run_is_a_success(self, desk: Desk, value: Any) -> None:
        heard = Heard()
        job_id = desk.queue.task(name="t")(lambda: value).enqueue().id
        with desk.worker(tasks=desk.queue.tasks, emit=heard) as worker:
            worker.run_once()
        assert "result" not in desk.record("done", job_id)
        (notice,) = [event.text for event in heard.events if event.kind == events.NOTICE]
        assert notice.startswith("what it has returned is not kept: JSON has no form for it")

    def test_what_is_too_large_is_set_aside(self, desk: Desk) -> None:
        heard = Heard()
        task = desk.queue.task(name="t")(lambda: "x" * LARGEST_RESULT)
        job_id = task.enqueue().id
        with desk.worker(tasks=desk.queue.tasks, emit=heard) as worker:
            worker.run_once()
        assert "result" not in desk.record("done", job_id)
        kept = desk.path("logs", f"{job_id}.result").read_bytes()
        assert kept == b'"' + b"x" * LARGEST_RESULT + b'"'
        (notice,) = [event.text for event in heard.events if event.kind == events.NOTICE]
        assert notice.startswith("what it has returned is not kept: larger than")


class TestFailure:
    def test_tells_the_last_line_and_the_log_has_all(self, desk: Desk) -> None:
        def fail() -> None:
            raise ValueError("bad")

        record = run(desk, fail)
        assert (record["folder"], record["error"]) == ("dead", "ValueError: bad")
        trace = log_of(desk, record)
        assert trace.startswith("Traceback (most recent call last):\n")
        assert trace.rstrip().endswith("ValueError: bad")
        assert "calling.py" not in trace

    def test_of_a_coroutine_too(self, desk: Desk) -> None:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise ValueError("bad")

        record = run(desk, fail)
        assert (record["folder"], record["error"]) == ("dead", "ValueError: bad")
        assert "asyncio" not in log_of(desk, record)

    def test_is_tried_again(self, desk: Desk) -> None:
        record = run(desk, lambda: 1 / 0, max_retries=1, backoff_base=2)
        assert (record["folder"], record["attempts"]) == ("failed", 1)
        desk.clock.advance(3)
        with desk.worker(tasks=desk.queue.tasks) as worker:
            worker.run_once()
        record = desk.record("dead", record["id"])
        assert (record["attempts"], record["error"]) == (2, "ZeroDivisionError: division by zero")
        assert "--- attempt 2, " in log_of(desk, record)

    def test_one_that_gives_up_is_not(self, desk: Desk) -> None:
        def give_up() -> None:
            raise GiveUp("there is no such picture")

        record = run(desk, give_up, max_retries=9)
        assert (record["folder"], record["error"]) == ("dead", "there is no such picture")

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (SystemExit(3), "SystemExit: 3"),
            (KeyboardInterrupt(), "KeyboardInterrupt"),
            (GeneratorExit(), "GeneratorExit"),
            (ValueError("\ud800"), "ValueError: \\ud800"),
            (ValueError("x" * 5000), "x..."),
        ],
        ids=["exit", "interrupt", "generator", "surrogate", "long"],
    )
    def test_by_anything_that_can_be_raised(self, desk: Desk, error: BaseException, told: str) -> None:
        def fail() -> None:
            raise error

        record = run(desk, fail)
        assert record["folder"] == "dead"
        assert record["error"].endswith(told)
        assert len(record["error"]) < 1100

    def test_by_an_error_that_cannot_be_told(self, desk: Desk) -> None:
        class Broken(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        def fail() -> None:
            raise Broken

        assert "Broken" in run(desk, fail)["error"]

    def test_when_it_is_called_with_what_it_does_not_take(self, desk: Desk) -> None:
        desk.queue.task(name="t", max_retries=0)(lambda: None)
        desk.drop("a.json", {"task": "t", "args": [1], "max_retries": 0})
        desk.look()
        with desk.worker(tasks=desk.queue.tasks) as worker:
            worker.run_once()
        assert "TypeError: " in desk.record("dead", "a")["error"]


class TestPrinting:
    def test_goes_to_the_jobs_log(self, desk: Desk) -> None:
        def print_much() -> None:
            print("out")
            print("err", file=sys.stderr)
            sys.stdout.buffer.write(b"bytes\n")
            sys.stdout.buffer.flush()
            logging.getLogger("photos").warning("logged")

        with output.installed():
            handler = logging.StreamHandler(sys.stderr)
            logging.getLogger("photos").addHandler(handler)
            try:
                record = run(desk, print_much)
            finally:
                logging.getLogger("photos").removeHandler(handler)
        assert log_of(desk, record).split() == ["out", "err", "bytes", "logged"]

    def test_of_two_at_a_time_is_not_mixed(self, desk: Desk) -> None:
        meeting = threading.Barrier(2)

        def speak(word: str) -> None:
            meeting.wait(10)
            print(word)
            meeting.wait(10)
            print(word)

        task = desk.queue.task(name="t")(speak)
        ids = [task.enqueue(word).id for word in ("a", "b")]

        def work(name: str) -> None:
            with desk.worker(tasks=desk.queue.tasks, name=name) as worker:
                worker.run_once()

        threads = [threading.Thread(target=work, args=(f"host-1-{one}-abc",)) for one in (1, 2)]
        with output.installed():
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert [log_of(desk, {"id": one}) for one in ids] == ["a\na\n", "b\nb\n"]

    def test_into_a_log_that_cannot_be_written_is_lost_and_the_task_goes_on(self, desk: Desk) -> None:
        def speak() -> int:
            desk.path("logs", f"{current().id}.log").mkdir()
            print("a")
            return 1

        assert run(desk, speak)["result"] == 1

    def test_what_the_program_itself_prints_goes_where_it_did(self, desk: Desk) -> None:
        before = sys.stdout
        with output.installed():
            run(desk, lambda: print("a"))
            assert isinstance(sys.stdout, output.Router)
            assert sys.stdout._target() is before
        assert sys.stdout is before


class TestTheRunItself:
    def test_is_known_to_the_task(self, desk: Desk) -> None:
        def tell() -> dict[str, Any]:
            here = current()
            return {"id": here.id, "attempt": here.attempt, "spool": here.spool, "tags": here.job.tags}

        record = run(desk, tell, tags=["p"])
        assert record["result"] == {
            "id": record["id"],
            "attempt": 1,
            "spool": str(desk.root),
            "tags": ["p"],
        }

    def test_is_unknown_elsewhere(self) -> None:
        with pytest.raises(QueueError, match="no job runs here"):
            current()

    def test_tells_how_far_it_is(self, desk: Desk) -> None:
        told: list[Any] = []

        def work() -> None:
            current().progress(42, "half\nway")
            (path,) = desk.path("tmp", "").glob("*progress*")
            told.append(read_progress(str(path)))
            current().progress(1000)

        desk.queue.task(name="t")(work).enqueue()
        with desk.worker(tasks=desk.queue.tasks) as worker:
            worker.run_once()
            # A worker may live for months.
            assert not [*desk.path("tmp", "").glob("*progress*")]
        assert told == [(42.0, "half way")]

    def test_has_its_own_context(self, desk: Desk) -> None:
        from contextvars import ContextVar

        seen: ContextVar[int] = ContextVar("seen", default=0)

        def count() -> int:
            seen.set(seen.get() + 1)
            return seen.get()

        task = desk.queue.task(name="t")(count)
        ids = [task.enqueue().id for _ in range(3)]
        with desk.worker(tasks=desk.queue.tasks) as worker:
            while worker.run_once():
                pass
        assert [desk.record("done", one)["result"] for one in ids] == [1, 1, 1]

    def test_is_noted_as_a_commands_is(self, desk: Desk) -> None:
        noted: list[Any] = []

        def look() -> None:
            store = desk.queue.store
            noted.append((noted_runs(store.spool, "host-1-1-abc"), noted_tasks(store.spool, "host-1-1-abc")))

        record = run(desk, look)
        assert noted == [([record["id"]], ["t"])]


class Slow:
    """A task that goes on until it is told to end, and heeds what is raised in it, or not."""

    def __init__(self, *, heeds: bool = True) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()
        self.heeds, self.met = heeds, False

    def __call__(self) -> None:
        self.began.set()
        while not self.may_end.is_set():
            try:
                self.may_end.wait(0.01)
            except BaseException:
                self.met = True
                if self.heeds:
                    raise


@pytest.fixture
def slow() -> Iterator[Callable[..., Slow]]:
    made: list[Slow] = []

    def make(**options: Any) -> Slow:
        made.append(Slow(**options))
        return made[-1]

    yield make
    for one in made:
        one.may_end.set()


class Working:
    """A worker that runs one job in a thread of its own."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._ready = desk, threading.Event()
        self.worker: Worker = None  # type: ignore[assignment]
        self.thread = threading.Thread(target=self._work)
        self.thread.start()
        assert self._ready.wait(30)

    def _work(self) -> None:
        with self._desk.worker(tasks=self._desk.queue.tasks) as self.worker:
            self._ready.set()
            self.worker.run_once()

    def join(self) -> None:
        self.thread.join(30)
        assert not self.thread.is_alive()


class TestStopping:
    def test_when_its_time_is_over(self, desk: Desk, slow: Callable[..., Slow]) -> None:
        record = run(desk, slow(), timeout=0.05)
        assert (record["folder"], record["error"]) == ("dead", "timed out after 0.05 s")
        assert record["history"][0]["outcome"] == "timeout"
        assert "Stopped" in log_of(desk, record)

    def test_a_coroutine_that_waits(self, desk: Desk) -> None:
        ended: list[bool] = []

        async def wait() -> None:
            try:
                await asyncio.sleep(600)
            finally:
                ended.append(True)

        record = run(desk, wait, timeout=0.05)
        assert (record["folder"], record["error"], ended) == ("dead", "timed out after 0.05 s", [True])

    def test_a_cancelled_one_is_given_up(self, desk: Desk, slow: Callable[..., Slow]) -> None:
        task = slow()
        job_id = desk.queue.task(name="t", max_retries=9)(task).enqueue().id
        working = Working(desk)
        assert task.began.wait(30)
        wait_until(lambda: working.worker.runner.kill(CANCELLED, job_id=job_id), "it is stopped")
        working.join()
        assert task.met
        assert desk.record("dead", job_id)["error"] == "cancelled"

    def test_an_interrupted_one_goes_back_at_no_cost(self, desk: Desk, slow: Callable[..., Slow]) -> None:
        task = slow()
        job_id = desk.queue.task(name="t")(task).enqueue().id
        working = Working(desk)
        assert task.began.wait(30)
        wait_until(lambda: working.worker.runner.kill(INTERRUPTED), "it is stopped")
        working.join()
        record = desk.record("pending", job_id)
        assert (record["attempts"], record["crashes"]) == (0, 0)

    def test_one_that_does_not_heed_it_is_waited_for(self, desk: Desk, slow: Callable[..., Slow]) -> None:
        task = slow(heeds=False)
        job_id = desk.queue.task(name="t", max_retries=0, timeout=0.05)(task).enqueue().id
        working = Working(desk)
        wait_until(lambda: task.met, "it was to end")
        wait_until(lambda: working.worker.runner.kill(CANCELLED, force=True), "it is forced")
        log = desk.path("logs", f"{job_id}.log")
        wait_until(lambda: log.exists() and b"it is waited for" in log.read_bytes(), "it is told")
        assert desk.folder_of(job_id) == ["processing"]
        task.may_end.set()
        working.join()
        assert desk.record("dead", job_id)["error"] == "timed out after 0.05 s"

    def test_one_that_is_left_behind_stays_ours_and_has_not_run(
        self, desk: Desk, slow: Callable[..., Slow]
    ) -> None:
        task = slow(heeds=False)
        job_id = desk.queue.task(name="t")(task).enqueue().id
        working = Working(desk)
        assert task.began.wait(30)
        wait_until(lambda: working.worker.runner.kill(INTERRUPTED, force=True), "it is forced")
        working.join()
        # As long as this program lives: the function goes on in it.
        assert desk.folder_of(job_id) == ["processing"]
        assert desk.queue.living(["host-1-1-abc"]) == ["host-1-1-abc"]
        with desk.worker(tasks=desk.queue.tasks, name="host-1-2-abc") as other:
            assert other.run_once() is False
        # It ends with the program.
        working.worker.life.end()
        with desk.worker(name="host-1-3-abc") as other:
            from queuectl.queue.recovery import recover

            (recovered,) = recover(other.store, desk.clock(), 0.5)
        assert (recovered.job_id, recovered.state.value) == (job_id, "pending")
        record = desk.record("pending", job_id)
        assert (record["attempts"], record["crashes"]) == (0, 0)


class TestWhoRunsWhat:
    def test_a_worker_without_tasks_leaves_them_alone(self, desk: Desk) -> None:
        desk.queue.task(name="t")(lambda: None).enqueue()
        desk.add("a", command=python("pass"))
        with desk.worker() as worker:
            assert worker.run_once() is True
            assert worker.run_once() is False
        assert desk.folder_of("a") == ["done"]
        assert desk.queue.status().counts["pending"] == 1

    def test_one_with_other_tasks_too(self, desk: Desk) -> None:
        mine = desk.queue.task(name="mine")(lambda: None)
        desk.drop("other.json", {"task": "theirs"})
        desk.look()
        job_id = mine.enqueue().id
        with desk.worker(tasks=desk.queue.tasks) as worker:
            assert worker.run_once() is True
            assert worker.run_once() is False
            assert desk.folder_of(job_id) == ["done"]
            problems = desk.queue.status().problems
        told = "a job waits for the task theirs, which no worker here can run: "
        assert problems == [f"{told}queuectl worker start --tasks MODULE"]
        assert desk.queue.status().problems == []

    def test_all_in_one_order(self, desk: Desk) -> None:
        """Whatever they are: by priority, then by age."""
        ran: list[str] = []
        for name in ("t", "u"):
            desk.queue.task(name=name)(ran.append)
        tasks = desk.queue.tasks
        for number, (name, priority) in enumerate([("u", 0), ("t", 5), ("", 0), ("t", 0), ("", 5), ("u", 9)]):
            desk.clock.advance(1)
            if name:
                tasks[name].using(priority=priority).enqueue(f"{number}")
            else:
                desk.add(f"{number}", command=python("pass"), priority=priority)
        listed = [(job["task"] or "", job["created_at"][17:19]) for job in desk.queue.jobs()]
        with desk.worker(tasks=tasks) as worker:
            order: list[str] = []
            while got := worker._next():
                order.append(got.job.name if got.job.task is None else got.job.args[0])
                worker.batch.end()
                worker.recorder.not_started(got, QueueError("only to see the order"))
                desk.queue.hold(got.place.job_id)
        assert order == ["5", "1", "4", "0", "2", "3"]
        assert listed == [("u", "06"), ("t", "02"), ("", "05"), ("u", "01"), ("", "03"), ("t", "04")]

    def test_a_slot_of_a_group_is_not_kept_for_one_that_cannot_run(self, desk: Desk) -> None:
        desk.queue.groups.set("g", {"limit": 1})
        desk.drop("first.json", {"task": "theirs", "group": "g", "priority": 9})
        desk.look()
        desk.add("second", command=python("pass"), group="g")
        with desk.worker() as worker:
            assert worker.run_once() is True
        assert desk.folder_of("second") == ["done"]

    def test_one_that_somebody_has_dragged_out_while_it_runs_is_not_run_beside_itself(
        self, desk: Desk, slow: Callable[..., Slow]
    ) -> None:
        task = slow()
        job_id = desk.queue.task(name="t")(task).enqueue().id
        working = Working(desk)
        assert task.began.wait(30)
        desk.drag(job_id, "processing/host-1-1-abc", "pending")
        desk.look()
        task.began.clear()
        with desk.worker(tasks=desk.queue.tasks, name="host-1-2-abc") as other:
            assert other.run_once() is False
        task.may_end.set()
        working.join()
        assert not task.began.is_set()

    def test_a_hook_that_is_a_task_is_told_what_it_is_for(self, desk: Desk) -> None:
        told: list[Any] = []
        desk.queue.task(name="alarm")(lambda: told.append(current().job.meta))
        desk.add("a", command=python("raise SystemExit(3)"), max_retries=0, on_dead={"task": "alarm"})
        with desk.worker(tasks=desk.queue.tasks) as worker:
            while worker.run_once():
                pass
        ((meta,),) = ([one["ended"] for one in told],)
        assert (meta["id"], meta["event"], meta["exit_code"]) == ("a", "on_dead", 3)


def test_many_run_and_all_are_recorded(desk: Desk) -> None:
    """Also where a thread is interrupted at any moment, which must never reach the worker."""
    ran: list[int] = []
    task = desk.queue.task(name="t")(ran.append)
    desk.queue.enqueue([task.job(number) for number in range(200)])
    stop = threading.Event()
    with desk.worker(tasks=desk.queue.tasks) as worker:

        def pester() -> None:
            while not stop.is_set():
                worker.runner.kill(INTERRUPTED)
                time.sleep(0)

        pest = threading.Thread(target=pester)
        pest.start()
        for _ in range(200):
            worker.run_once()
        stop.set()
        pest.join()
        while worker.run_once():
            pass
    assert desk.queue.status().counts["completed"] == 200
    assert sorted(set(ran)) == list(range(200))
    check(desk.root, [path.stem for path in desk.path("done", "").glob("*.json")])
    assert os.listdir(desk.path("tmp", "")) == []
