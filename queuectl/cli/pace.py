"""How many jobs end, as somebody sees who counts them now and then. Pure."""

from __future__ import annotations

from collections import deque
from typing import Optional

_MINUTE = 60.0
_LEAST = 5.0
"""Seconds of watching before a rate says anything."""


class Pace:
    """Told how many have ended at a time; that this grows smaller (a purge, a retry) is no end of a job."""

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
