"""Numbers of many jobs: how many have ended and how, how long they waited and ran. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Sequence
from datetime import tzinfo
from math import ceil
from typing import Any, Optional

from queuectl.moment import format_moment
from queuectl.parts import DAY, parts

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_STEPS = [60.0 * minutes for minutes in (1, 5, 10, 30, 60, 120, 180, 360, 720, 1440, 7 * 1440, 30 * 1440)]
MOST_BARS = 30
"""As many, and one or two that are cut."""
_OF_A_BAR = ("completed", "dead", "runs", "failed_runs")


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
            "failure_rate": self.failed / self.runs if self.runs else None,
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
    """How many jobs ended in each of some parts of a period, and how their runs went."""

    def __init__(self, since: float, until: float, zone: tzinfo) -> None:
        length = until - since
        longer = ceil(length / MOST_BARS / DAY) * DAY
        self.step = next((step for step in _STEPS if length / step <= MOST_BARS), longer)
        self._begins = [part.begin for part in parts(since, until, self.step, zone)]
        self._numbers = [dict.fromkeys(_OF_A_BAR, 0) for _ in self._begins]

    def note_end(self, at: float, *, dead: bool) -> None:
        """A job has come to its end at this moment of the period."""
        self._at(at)["dead" if dead else "completed"] += 1

    def note_run(self, at: float, *, failed: bool) -> None:
        """A run has ended at this moment of the period."""
        numbers = self._at(at)
        numbers["runs"] += 1
        numbers["failed_runs"] += failed

    def _at(self, moment: float) -> dict[str, int]:
        return self._numbers[max(bisect(self._begins, moment) - 1, 0)]

    def data(self) -> list[dict[str, Any]]:
        """The parts, as plain data."""
        pairs = zip(self._begins, self._numbers)
        return [{"at": format_moment(begin), **numbers} for begin, numbers in pairs]


class Tallies:
    """One of everything, and one for each of what it is told apart by."""

    def __init__(self) -> None:
        self.all = Tally()
        self.each: dict[Optional[str], Tally] = {}

    def of(self, keys: Sequence[Optional[str]]) -> list[Tally]:
        """That of everything, and those of these keys."""
        return [self.all, *(self.each.setdefault(key, Tally()) for key in keys)]
