"""Who rests: only who has looked since the last wake."""

from __future__ import annotations

import threading

from queuectl.turns import Turns


class Resting:
    """A worker that rests in a thread of its own."""

    def __init__(self, turns: Turns, number: int, name: str = "w") -> None:
        rests = threading.Event()
        self.thread = threading.Thread(target=turns.rest, args=(name, number, rests.set))
        self.thread.start()
        assert rests.wait(30)

    def wakes(self) -> bool:
        self.thread.join(30)
        return not self.thread.is_alive()


def test_who_is_woken_does_not_rest_even_before_it_wakes_up() -> None:
    """A drain would end while it goes on to look."""
    turns = Turns(over=lambda: False)
    worker = Resting(turns, turns.number)
    assert turns.resting() == 1
    with turns._guard:
        turns.wake()
        # It cannot have woken up: that takes the lock which we hold.
        assert turns.resting() == 0
    assert worker.wakes()
    assert turns.resting() == 0


def test_who_has_looked_before_the_last_wake_does_not_rest() -> None:
    turns = Turns(over=lambda: False)
    before = turns.number
    turns.wake()
    turns.rest("w", before, lambda: None)
    assert turns.resting() == 0


def test_nobody_rests_when_it_is_over() -> None:
    over = threading.Event()
    turns = Turns(over=over.is_set)
    worker = Resting(turns, turns.number)
    over.set()
    turns.wake()
    assert worker.wakes()


def test_who_was_woken_since_its_look_is_not_told_of_as_resting() -> None:
    """Another process would take it for having found nothing, and end."""
    told: list[int] = []
    turns = Turns(over=lambda: False, told=told.append)
    number = turns.number
    turns.wake()
    turns.rest("a", number, lambda: None)
    assert told == [0]
    assert turns.resting() == 0


def test_as_many_are_woken_as_there_is_work_for_first_who_rests_longest() -> None:
    told: list[int] = []
    turns = Turns(over=lambda: False, told=told.append)
    first = Resting(turns, turns.number, "first")
    second = Resting(turns, turns.number, "second")
    assert turns.wake(1) == 1
    assert first.wakes()
    assert turns.resting() == 1
    assert second.thread.is_alive()
    assert turns.wake(5) == 1
    assert second.wakes()
    assert told == [1, 2, 1, 0]


def test_who_looks_while_another_is_woken_looks_once_more() -> None:
    """What it was for may have come after that look."""
    turns = Turns(over=lambda: False)
    other = Resting(turns, turns.number)
    number = turns.number
    turns.wake(1)
    turns.rest("busy", number, lambda: None)
    assert turns.resting() == 0
    assert other.wakes()
