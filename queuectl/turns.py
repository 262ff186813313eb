"""Workers at rest: they sleep until somebody says that something may have become ready."""

from __future__ import annotations

import threading
from itertools import islice
from typing import Callable, Optional


class Turns:
    """Wakes threads up in turns: who has looked since the last `wake` rests until the next."""

    def __init__(self, over: Callable[[], bool], told: Callable[[int], None] = lambda count: None) -> None:
        """`told` is called with how many rest, when that changes, before anybody can act on it."""
        self._over, self._told = over, told
        self._guard = threading.RLock()
        self._resting: dict[str, threading.Condition] = {}
        """Who has rested longest comes first."""
        self.number = 0
        """Goes up with each wake; taken before a look, it tells `rest` whether that look is out of date."""

    def rest(self, name: str, number: int, told: Callable[[], None]) -> None:
        """Sleep until a wake after `number`, or until it is over; `told` is called when one rests."""
        with self._guard:
            if self.number != number:
                # Woken since that look: it must not count as having found nothing.
                return
            bed = self._resting[name] = threading.Condition(self._guard)
            self._told(len(self._resting))
            told()
            while self._resting.get(name) is bed and not self._over():
                bed.wait()
            self._resting.pop(name, None)

    def wake(self, most: Optional[int] = None) -> int:
        """Something may have become ready, or it is over: so many who rest go on, or all; how many they are.

        Who looks just now looks once more.
        """
        with self._guard:
            self.number += 1
            woken = list(islice(self._resting, most))
            for name in woken:
                # Not when it wakes up: until then it would be taken for having found nothing.
                self._resting.pop(name).notify()
            self._told(len(self._resting))
            return len(woken)

    def resting(self) -> int:
        """How many rest: they have looked since they were woken last, and found nothing."""
        with self._guard:
            return len(self._resting)
