"""Groups whose jobs are of several kinds: what our workers cannot run is not gone through, nor moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from queuectl.index.base import PARKED
from queuectl.queue.claims import claim_some, has_work
from tests.support.spools import Desk

WORKER = "host-1-1-abc"
MANY = 20_000


def group(desk: Desk, limit: int) -> None:
    (desk.root / "groups").mkdir(exist_ok=True)
    (desk.root / "groups" / "g.json").write_text(json.dumps({"limit": limit}))


def put(desk: Desk, job_id: str, task: str, priority: int = 0) -> None:
    desk.put_job("pending", job_id, command=None, task=task, group="g", priority=priority)


def claimed(desk: Desk, *tasks: str, most: int = 9) -> list[str]:
    (desk.root / "processing" / WORKER).mkdir(exist_ok=True)
    desk.store.index.tasks = frozenset(tasks)
    return [one.place.job_id for one in claim_some(desk.store, WORKER, desk.clock(), most=most)]


@contextmanager
def steps_of(desk: Desk) -> Iterator[list[int]]:
    """How many hundreds of steps SQLite takes in the block."""
    steps = [0]

    def step() -> int:
        steps[0] += 1
        return 0

    desk.store.index._sql.set_progress_handler(step, 100)
    try:
        yield steps
    finally:
        desk.store.index._sql.set_progress_handler(None, 0)


@pytest.mark.parametrize("grouped", [False, True])
def test_many_that_nobody_here_can_run_cost_a_claim_nothing(desk: Desk, grouped: bool) -> None:
    desk.add("a", "b", group="g")
    group(desk, 1)
    desk.queue.refresh()
    one = next(entry for entry in desk.store.index.entries() if entry.id == "a")
    lane, due = ("g", PARKED) if grouped else (None, None)
    others = one._replace(task="others.task", priority=9, lane=lane, due=due)
    desk.store.index.put([others._replace(id=f"x{number}", fold=f"x{number}") for number in range(MANY)])
    for tasks, taken in ((["ours.task"], ["a"]), ([], [])):
        with steps_of(desk) as steps:
            assert has_work(desk.store, desk.clock()) is bool(taken)
            assert claimed(desk, *tasks) == taken
        assert steps[0] < MANY / 1000, "far fewer steps than there are rows"


def test_slots_go_by_the_turns_of_all_kinds_that_are_ours(desk: Desk) -> None:
    group(desk, 3)
    put(desk, "late", "ours.b", priority=1)
    put(desk, "first", "ours.a", priority=3)
    put(desk, "others", "others.task", priority=9)
    desk.add("command", group="g", priority=2)
    put(desk, "last", "ours.a")
    desk.look()
    assert claimed(desk, "ours.a", "ours.b") == ["first", "command", "late"]


def test_one_with_a_better_turn_goes_before_one_that_was_let_in(desk: Desk) -> None:
    group(desk, 1)
    put(desk, "low", "ours.a")
    desk.look()
    desk.store.index.tasks = frozenset({"ours.a", "ours.b"})
    desk.store.index.let_in("g", 1)
    put(desk, "high", "ours.b", priority=1)
    desk.look()
    assert claimed(desk, "ours.a", "ours.b") == ["high"]


def test_what_others_have_let_in_stays_so(desk: Desk) -> None:
    """Else two programs would undo one another's work with each claim."""
    group(desk, 1)
    put(desk, "theirs", "others.task")
    desk.look()
    index = desk.store.index
    index.tasks = frozenset({"others.task"})
    index.let_in("g", 1)
    assert index.ready_tasks() == ["others.task"]
    index.tasks = frozenset()
    desk.add("low", group="g")
    index.let_in("g", 1)
    desk.add("high", group="g", priority=1)
    index.let_in("g", 1)
    assert index.ready_tasks() == ["others.task"]
