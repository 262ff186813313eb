"""What `queuectl.testing` promises to those who test with it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl import GiveUp, JobFailed, Queue, current, system
from queuectl.errors import TimedOut
from queuectl.testing import START, Stage, rehearse
from tests.support.commands import python


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """Of a program: on a spool that no test may touch."""
    return Queue(tmp_path / "of-the-program")


def test_what_is_enqueued_runs_in_another_spool(queue: Queue, tmp_path: Path) -> None:
    task = queue.task(name="t")(lambda a: a * 2)
    with rehearse(queue) as stage:
        made = task.enqueue(21)
        (job,) = stage.run_until_idle()
        assert (job.name, job.result, made.wait()) == (made.id, 42, 42)
        assert stage.run_until_idle() == []
        there = queue.root
    assert not (tmp_path / "of-the-program").exists()
    assert not os.path.exists(there)
    assert queue.root == str(tmp_path / "of-the-program")


def test_it_runs_in_the_tests_own_thread(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    task = queue.task(name="t")(threading.get_ident)
    with rehearse(queue) as stage:
        task.enqueue()
        (job,) = stage.run_until_idle()
    assert job.result == threading.get_ident()


def test_the_clock_stands_still_until_it_is_moved(queue: Queue) -> None:
    task = queue.task(name="t", delay="1h")(lambda: None)
    with rehearse(queue) as stage:
        assert stage.clock() == START
        task.enqueue()
        assert stage.run_until_idle() == []
        stage.clock.advance(3599)
        assert stage.run_until_idle() == []
        stage.clock.advance(1)
        assert len(stage.run_until_idle()) == 1


def test_retries_come_when_their_time_does(queue: Queue) -> None:
    def fail() -> None:
        raise ValueError(f"{current().attempt}")

    task = queue.task(name="t", max_retries=2)(fail)
    with rehearse(queue) as stage:
        made = task.enqueue()
        (job,) = stage.run_until_idle()
        assert (job.state.value, job.error) == ("failed", "ValueError: 1")
        stage.clock.advance(2)
        (job,) = stage.run_until_idle()
        assert (job.state.value, job.error) == ("failed", "ValueError: 2")
        assert [one.state.value for one in stage.run_until_done()] == ["dead"]
        assert made.job().attempts == 3


def test_waiting_runs_what_there_is(queue: Queue) -> None:
    def twice() -> str:
        if current().attempt == 1:
            raise ValueError
        return "made"

    task = queue.task(name="t")(twice)
    with rehearse(queue):
        assert task.enqueue().wait() == "made"
        assert queue.wait(task.enqueue().id)[0]["result"] == "made"

        async def main() -> Any:
            return await (await task.enqueue_async())

        assert asyncio.run(main()) == "made"


def test_waiting_for_what_will_not_come_ends(queue: Queue) -> None:
    task = queue.task(name="t", hold=True)(lambda: None)
    with rehearse(queue), pytest.raises(TimedOut):
        task.enqueue().wait()


def test_what_a_task_raises_can_be_raised(queue: Queue) -> None:
    def fail() -> None:
        raise GiveUp("no")

    task = queue.task(name="t")(fail)
    with rehearse(queue) as stage:
        made = task.enqueue()
        with pytest.raises(GiveUp):
            stage.run_until_idle(raising=True)
        with pytest.raises(JobFailed, match="no"):
            made.wait()


def test_tasks_that_enqueue_tasks(queue: Queue) -> None:
    second = queue.task(name="second")(lambda: 2)
    first = queue.task(name="first")(lambda: second.enqueue().id)
    with rehearse(queue) as stage:
        first.enqueue()
        assert [job.task for job in stage.run_until_idle()] == ["first", "second"]


def test_tasks_without_end_are_told_of(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queuectl.testing._MOST", 20)
    task = queue.task(name="t")(lambda: task.enqueue().id)
    with rehearse(queue) as stage:
        task.enqueue()
        with pytest.raises(TimedOut, match="there is no end to it"):
            stage.run_until_idle()


def test_commands_and_dropped_files_run_too() -> None:
    with rehearse() as stage:
        stage.queue.enqueue({"id": "a", "command": python("print('hi')")})
        path = Path(stage.queue.root, "pending", "b.json")
        path.write_text('{"command": ["no-such-program-anywhere"], "max_retries": 0}')
        ended = {job.name: job.state.value for job in stage.run_until_idle()}
        assert ended == {"a": "completed", "b": "dead"}


def test_what_is_printed_goes_to_the_log(queue: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    task = queue.task(name="t")(lambda: print("said"))
    with rehearse(queue) as stage:
        made = task.enqueue()
        stage.run_until_idle()
        assert Path(stage.queue.root, "logs", f"{made.id}.log").read_text() == "said\n"
        print("of the test")
    assert capsys.readouterr().out == "of the test\n"


def test_nothing_is_flushed_and_everything_is_afterwards(
    queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr("queuectl.system.native.sync_descriptors", flushed.extend)
    monkeypatch.setattr("queuectl.system.native.sync_folder", lambda path: flushed.append(0))
    task = queue.task(name="t")(lambda: None)
    with rehearse(queue) as stage:
        task.enqueue()
        stage.run_until_idle()
    assert flushed == []
    system.write_file(str(tmp_path / "file"), b"x")
    system.sync_folder(str(tmp_path))
    assert len(flushed) == 2


def test_one_within_another(queue: Queue) -> None:
    with rehearse(queue) as outer:
        queue.enqueue({"id": "outer", "command": "x"})
        with rehearse(queue) as inner:
            assert len(queue) == 0
            assert inner.queue is outer.queue
        assert [job.name for job in queue] == ["outer"]


def test_within_an_event_loop_coroutines_run_too(queue: Queue) -> None:
    async def made() -> str:
        await asyncio.sleep(0)
        return "made"

    task = queue.task(name="t")(made)

    async def main() -> list[Any]:
        await task.enqueue_async()
        return [job.result for job in stage.run_until_idle()]

    with rehearse(queue) as stage:
        assert asyncio.run(main()) == ["made"]


def test_ctrl_c_in_a_task_ends_the_tests(queue: Queue) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    task = queue.task(name="t")(interrupted)
    with rehearse(queue) as stage:
        made = task.enqueue()
        with pytest.raises(KeyboardInterrupt):
            stage.run_until_idle()
        assert (made.state.value, made.job().attempts) == ("pending", 0)


class TestFixture:
    def test_is_found_by_pytest(self, queuectl_stage: Callable[..., Stage], queue: Queue) -> None:
        task = queue.task(name="t")(lambda: 1)
        stage = queuectl_stage(queue)
        task.enqueue()
        assert [job.result for job in stage.run_until_idle()] == [1]

    def test_gives_as_many_as_are_asked_for(self, queuectl_stage: Callable[..., Stage]) -> None:
        first, second = queuectl_stage(), queuectl_stage()
        first.queue.enqueue({"command": "x"})
        assert (len(first.queue), len(second.queue)) == (1, 0)
