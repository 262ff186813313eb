"""How somebody watches who looks now and then: how often, and how many jobs end by what is counted. Pure."""

from __future__ import annotations

from collections import deque
from typing import Optional

_SECONDS = 1.0
_TIMES_A_LOOK = 5
"""Times as long as a look takes it rests, if that is longer: of a million jobs each look takes a while."""
_MINUTE = 60.0
_LEAST = 5.0
"""Seconds of watching before a rate says anything."""


def rest(took: float) -> float:
    """Seconds until the next look, after one that took so many."""
    return max(_SECONDS, _TIMES_A_LOOK * took)


class Pace:
    """Told how many have ended at a time; that this grows smaller (a purge, a retry) is no end of a job.

    What is deleted between two looks hides as many that have ended: there is no telling them apart.
    """

    def __init__(self, now: float, there: int) -> None:
        self.ended = 0
        self._began, self._there = now, there
        self._seen = deque([(now, 0)])

    def note(self, now: float, there: int) -> None:
        """So many lie where ended ones lie."""
        self.ended += max(there - self._there, 0)
        self._there = there
        self._seen.append((now, self.ended))
        # The first one kept is the last from before the minute.
        while len(self._seen) > 1 and self._seen[1][0] <= now - _MINUTE:
            self._seen.popleft()

    @property
    def seconds(self) -> float:
        """How long it has been watched."""
        return self._seen[-1][0] - self._began

    @property
    def a_minute(self) -> Optional[float]:
        """How many have ended a minute, in the last one; None before that can be told."""
        (since, before), (now, ended) = self._seen[0], self._seen[-1]
        return (ended - before) * _MINUTE / (now - since) if now - since >= _LEAST else None
