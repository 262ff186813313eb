"""Workers at rest: they sleep until somebody says that something may have become ready."""

from __future__ import annotations

import threading
from typing import Callable


class Turns:
    """Wakes threads up in turns: who has looked since the last `wake` rests until the next."""

    def __init__(self, over: Callable[[], bool], told: Callable[[int], None] = lambda count: None) -> None:
        """`told` is called with how many rest, when that changes, before anybody can act on it."""
        self._over, self._told = over, told
        self._condition = threading.Condition()
        self._resting: set[str] = set()
        self.number = 0
        """Goes up with each wake; taken before a look, it tells `rest` whether that look is out of date."""

    def rest(self, name: str, number: int, told: Callable[[], None]) -> None:
        """Sleep until a wake after `number`, or until it is over; `told` is called when one rests."""
        with self._condition:
            if self.number != number:
                # Woken since that look: it must not count as having found nothing.
                return
            self._resting.add(name)
            self._told(len(self._resting))
            told()
            while self.number == number and not self._over():
                self._condition.wait()
            self._resting.discard(name)

    def wake(self) -> None:
        """Something may have become ready, or it is over."""
        with self._condition:
            self.number += 1
            # Not when they wake up: until then they would be taken for having found nothing.
            self._resting.clear()
            self._told(0)
            self._condition.notify_all()

    def resting(self) -> int:
        """How many rest: they have looked since the last wake, and found nothing."""
        with self._condition:
            return len(self._resting)
