"""Whom a supervisor wakes: whoever can find something to do, and nobody for nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from queuectl.doorbell import Rings
from queuectl.events import nobody
from queuectl.fellows import Fellows
from queuectl.shift import Plan, Shift
from queuectl.state import State
from queuectl.supervisor import Supervisor
from tests.support.spools import Desk

RUNG = Rings(frozenset(), asked=False)
BY_TIME = Rings(frozenset(), asked=False, rung=False)


class Others(Fellows):
    """Processes that count how often they are woken."""

    def __init__(self) -> None:
        self.woken = self.looked = 0

    def wake(self) -> None:
        self.woken += 1

    def look(self) -> None:
        self.looked += 1


class Bed:
    """What a worker rests in."""

    def notify(self) -> None:
        """Wake it."""


class Watched:
    """A supervisor of two workers that rest, and of others."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.others = desk, Others()
        self.shift = Shift(str(desk.root), Plan(workers=2), nobody, self.others)
        self.supervisor = Supervisor(self.shift, desk.store)
        while self.supervisor.look(RUNG):
            pass
        # So that what comes is seen to for its own sake, and not because it is time to look at all.
        self.supervisor._next_mind = self.supervisor.sweep._next_round = float("inf")
        self.supervisor.sweep.full._next = float("inf")
        self.rest()

    def rest(self) -> None:
        for name in ("one", "two"):
            self.shift.turns._resting[name] = Bed()  # type: ignore[assignment]
        self.others.woken = 0

    def looks(self, rings: Rings) -> tuple[int, int]:
        """How many of ours a look wakes, and how often the others."""
        self.supervisor.look(rings)
        return 2 - self.shift.turns.resting(), self.others.woken

    def drops(self, *names: str) -> Rings:
        for name in names:
            self.desk.drop(f"{name}.json")
        return Rings(frozenset((State.PENDING, f"{name}.json") for name in names), asked=False)


@pytest.fixture
def watched(desk: Desk) -> Iterator[Watched]:
    one = Watched(desk)
    yield one
    one.shift.bell.close()


def test_for_one_drop_one_is_woken(watched: Watched) -> None:
    assert watched.looks(watched.drops("a")) == (1, 0)


def test_for_as_many_as_there_are_here_nobody_else_is(watched: Watched) -> None:
    assert watched.looks(watched.drops("a", "b")) == (2, 0)


def test_for_more_than_that_others_are_too(watched: Watched) -> None:
    assert watched.looks(watched.drops("a", "b", "c")) == (2, 1)


def test_where_all_of_ours_are_at_work_others_are(watched: Watched) -> None:
    watched.shift.turns.wake()
    watched.others.woken = 0
    watched.supervisor.look(watched.drops("a"))
    assert watched.others.woken == 1


def test_for_a_ring_of_who_found_nothing_nobody_is_woken_again(watched: Watched) -> None:
    """It would ring again, and so on: there is work that nobody may take just now."""
    watched.looks(watched.drops("a"))
    watched.rest()
    assert watched.looks(RUNG) == (0, 0)


def test_for_a_ring_after_a_change_all_are(watched: Watched) -> None:
    watched.looks(watched.drops("a"))
    watched.rest()
    watched.desk.add("b")
    assert watched.looks(RUNG) == (2, 1)


def test_all_are_from_time_to_time_also_while_drops_come_all_the_time(watched: Watched) -> None:
    """One that was woken for a drop may not be able to take it."""
    watched.supervisor._next_mind = 0.0
    assert watched.looks(watched.drops("a")) == (2, 1)


def test_from_time_to_time_all_are_while_there_is_work(watched: Watched) -> None:
    watched.looks(watched.drops("a"))
    watched.rest()
    assert watched.looks(BY_TIME) == (2, 1)


def test_while_it_is_paused_nobody_is(watched: Watched) -> None:
    watched.desk.queue.pause()
    assert watched.looks(watched.drops("a")) == (0, 0)


def test_others_are_told_to_look_after_theirs_when_somebody_has_asked_and_by_time(watched: Watched) -> None:
    before = watched.others.looked
    watched.supervisor.look(RUNG)
    assert watched.others.looked == before
    watched.supervisor.look(Rings(frozenset(), asked=True))
    assert watched.others.looked == before + 1
    watched.supervisor._next_mind = 0.0
    watched.supervisor.look(RUNG)
    assert watched.others.looked == before + 2


def test_others_are_told_to_look_after_theirs_though_we_stop(watched: Watched) -> None:
    """Each is asked by name."""
    watched.shift.stop()
    before = watched.others.looked
    watched.supervisor.look(Rings(frozenset(), asked=True))
    assert watched.others.looked == before + 1
