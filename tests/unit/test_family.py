"""What a parent and its child say to each other; no process is made for it."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from queuectl.system.family import Child, Letter, Parent
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


class Pair:
    """Both ends. The pipes stay open: where a parent's end is closed, its child kills itself."""

    def __init__(self) -> None:
        self.theirs, self.control = os.pipe()
        report, ours = os.pipe()
        shared = memoryview(bytearray(40)).cast("Q")
        self.child = Child(0, self.control, report, shared)
        self.parent = Parent(self.theirs, ours, shared)

    def under_way(self) -> int:
        os.set_blocking(self.theirs, False)
        try:
            return len(os.read(self.theirs, 100))
        except BlockingIOError:
            return 0
        finally:
            os.set_blocking(self.theirs, True)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_child_rests_when_it_says_so(pair: Pair) -> None:
    assert not pair.child.rests
    pair.parent.rest(True)
    assert pair.child.rests
    pair.parent.rest(False)
    assert not pair.child.rests


def test_who_was_woken_does_not_rest_before_it_has_heard_it(pair: Pair) -> None:
    """A drain would end while it goes on to look."""
    heard, go_on = threading.Event(), threading.Event()

    def wake(letter: bytes) -> None:
        assert letter == Letter.WAKE.value
        heard.set()
        assert go_on.wait(30)

    pair.parent.rest(True)
    pair.child.ask(Letter.WAKE)
    assert not pair.child.rests
    pair.parent.listen(wake)
    assert heard.wait(30)
    # It says that it rests, as it did before it was woken: that does not count.
    pair.parent.rest(True)
    assert not pair.child.rests
    go_on.set()
    wait_until(lambda: pair.child.rests, "it has done what it was asked for")


def test_who_is_asked_to_look_after_its_own_may_rest(pair: Pair) -> None:
    pair.parent.rest(True)
    pair.child.ask(Letter.LOOK)
    assert pair.child.rests


def test_a_child_that_does_not_read_keeps_nobody_from_going_on(pair: Pair) -> None:
    """A pipe that is full would."""
    for _ in range(100_000):
        pair.child.ask(Letter.WAKE)
        pair.child.ask(Letter.LOOK)
    assert pair.under_way() == 4


def test_each_wish_is_met_after_it_was_said(pair: Pair) -> None:
    """Of two under way the second says what a third would."""
    heard, gate = [], threading.Semaphore(0)

    def wake(letter: bytes) -> None:
        gate.acquire()
        heard.append(letter)

    pair.parent.listen(wake)
    for _ in range(5):
        pair.child.ask(Letter.WAKE)
    gate.release()
    wait_until(lambda: len(heard) == 1, "the first")
    pair.child.ask(Letter.WAKE)
    gate.release(5)
    wait_until(lambda: pair.child._shared[Letter.WAKE.done] == pair.child._shared[Letter.WAKE.asked], "all")
    assert len(heard) == 3


def test_a_rest_rings_for_a_parent_that_waits_for_it(pair: Pair) -> None:
    os.set_blocking(pair.child._report, False)
    pair.parent.rest(True)
    with pytest.raises(BlockingIOError):
        os.read(pair.child._report, 9)
    pair.parent.waits_for_us = True
    pair.parent.rest(True)
    assert os.read(pair.child._report, 9) == b"."


def test_who_rests_before_its_wake_is_done_with_rings_afterwards(pair: Pair) -> None:
    """The ring before came too early: the parent did not take it for resting."""
    seen: list[bool] = []

    def wake(_: bytes) -> None:
        pair.parent.rest(False)
        pair.parent.rest(True)
        seen.append(pair.child.rests)

    pair.parent.waits_for_us = True
    pair.parent.listen(wake)
    pair.child.ask(Letter.WAKE)
    assert os.read(pair.child._report, 1) == b"."
    assert os.read(pair.child._report, 1) == b"."
    assert (seen, pair.child.rests) == ([False], True)
