"""Numbers of many jobs: how many have ended and how, how long they waited and ran. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import ceil
from typing import Any, Callable, Optional

from queuectl.moment import format_moment

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_STEPS = [60.0 * minutes for minutes in (1, 5, 10, 30, 60, 120, 180, 360, 720, 1440, 7 * 1440, 30 * 1440)]
MOST_BARS = 30


class Tally:
    """What has ended among some jobs, and how their runs went; of each run two numbers are kept."""

    def __init__(self) -> None:
        self.completed = self.dead = 0
        self.runs = self.failed = self.retries = 0
        self.waited, self.ran = array("d"), array("d")

    def note_end(self, *, dead: bool) -> None:
        """A job has come to its end."""
        self.dead += dead
        self.completed += not dead

    def note_run(self, *, failed: bool, again: bool, waited: Optional[float], ran: Optional[float]) -> None:
        """A run has ended; `again` is one that was not its job's first. Seconds, where they are known."""
        self.runs += 1
        self.failed += failed
        self.retries += again
        for seconds, kept in ((waited, self.waited), (ran, self.ran)):
            if seconds is not None:
                # A clock may have been put back in between.
                kept.append(max(seconds, 0.0))

    def data(self, hours: float) -> dict[str, Any]:
        """The numbers, as plain data, of what ended within so many hours."""
        ended = self.completed + self.dead
        return {
            "ended": ended,
            "completed": self.completed,
            "dead": self.dead,
            "per_hour": round(ended / hours, 3),
            "runs": self.runs,
            "failed_runs": self.failed,
            "failure_rate": round(self.failed / self.runs, 4) if self.runs else None,
            "retries": self.retries,
            "waiting": percentiles(self.waited),
            "running": percentiles(self.ran),
        }


def percentiles(numbers: Sequence[float]) -> dict[str, Optional[float]]:
    """Of some numbers those that so many are at most as large as, and the largest; all None if of none."""
    if not numbers:
        return dict.fromkeys([*PERCENTILES, "max"])
    ranked = sorted(numbers)
    found = {name: ranked[ceil(share * len(ranked)) - 1] for name, share in PERCENTILES.items()}
    return {name: round(number, 3) for name, number in [*found.items(), ("max", ranked[-1])]}


class Bars:
    """How many jobs ended in each of some equal parts of a period."""

    def __init__(self, since: float, until: float) -> None:
        length = until - since
        longer = ceil(length / MOST_BARS)
        self.step = next((step for step in _STEPS if length / step <= MOST_BARS), float(longer))
        self._first = since // self.step
        # The last part may only just have begun.
        count = int(until // self.step - self._first) + 1
        self._completed, self._dead = [0] * count, [0] * count

    def note_end(self, at: float, *, dead: bool) -> None:
        """A job has come to its end at this moment of the period."""
        place = min(max(int(at // self.step - self._first), 0), len(self._dead) - 1)
        (self._dead if dead else self._completed)[place] += 1

    def data(self) -> list[dict[str, Any]]:
        """The parts, as plain data."""
        pairs = zip(self._completed, self._dead)
        return [
            {"at": format_moment((self._first + number) * self.step), "completed": completed, "dead": dead}
            for number, (completed, dead) in enumerate(pairs)
        ]


Keys = Callable[[float], Sequence[Optional[str]]]
"""What something that happened at a moment counts for."""


class Tallies:
    """One of everything, and one for each of what it is told apart by."""

    def __init__(self) -> None:
        self.all = Tally()
        self.each: dict[Optional[str], Tally] = {}

    def of(self, keys: Sequence[Optional[str]]) -> list[Tally]:
        """That of everything, and those of these keys."""
        return [self.all, *(self.each.setdefault(key, Tally()) for key in keys)]
