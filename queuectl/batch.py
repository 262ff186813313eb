"""Jobs that a worker has claimed and not started yet: quick ones are claimed several at a time.

To claim takes a lock and a commit; of commands that take a millisecond that would be most of the work. Who
waits here too long goes back to `pending`, for others to run (River and GoodJob fetch in batches, too).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Optional

from queuectl import system
from queuectl.index import Entry
from queuectl.queue.claims import Claim

MOST = 16
"""Jobs claimed at once at most."""
HORIZON = 0.05
"""Seconds of work that are claimed at once, by what the last run took; a longer one is claimed alone."""
PATIENCE = 0.05
"""Seconds for which a claimed job waits for the one before it."""


class Batch:
    """One worker's; any thread may call it."""

    def __init__(self, most: int = 1) -> None:
        self.most = most
        self.current: Optional[Claim] = None
        """What runs, or is about to."""
        self._waiting: deque[Claim] = deque()
        self._rows: list[Entry] = []
        self.handing = threading.Lock()
        """Held while those that were taken back are on their way: who finds none here waits for that. Before
        `claim.lock`.
        """
        self._guard = threading.Lock()
        self._began = 0.0
        self._took: Optional[float] = None

    @property
    def room(self) -> int:
        """How many jobs to claim next."""
        if self._took is None:
            return 1
        return max(1, int(HORIZON / max(self._took, HORIZON / self.most)))

    def add(self, claims: Iterable[Claim]) -> None:
        """Let these wait for their turn."""
        with self._guard:
            self._began = system.monotonic()
            self._waiting.extend(claims)

    def start_next(self) -> Optional[Claim]:
        """The next one, which is `current` now."""
        with self._guard:
            self._began = system.monotonic()
            self.current = self._waiting.popleft() if self._waiting else None
            return self.current

    def end(self) -> None:
        """What was `current` has been seen to."""
        with self._guard:
            self._took = system.monotonic() - self._began
            self.current = None

    def holds(self, job_id: str) -> bool:
        """Whether this job waits here."""
        with self._guard:
            return any(one.place.job_id == job_id for one in self._waiting)

    def runs(self, job_id: str) -> bool:
        """Whether it is `current`."""
        current = self.current
        return current is not None and current.place.job_id == job_id

    @property
    def waits(self) -> bool:
        """Whether any job waits here."""
        return bool(self._waiting)

    @property
    def pends(self) -> bool:
        """Whether a job waits here to be run, or a row to be written."""
        return bool(self._waiting or self._rows)

    def keep(self, row: Entry) -> None:
        """Keep the index row of a job that has ended: one commit is to write it with others."""
        with self._guard:
            self._rows.append(row)

    def take_rows(self, *, least: float = 0.0) -> list[Entry]:
        """Those that are kept, if the last run has begun `least` seconds ago: the caller writes them."""
        with self._guard:
            if not self._rows or system.monotonic() - self._began < least:
                return []
            rows, self._rows = self._rows, []
            return rows

    def take_back(self, *, least: float = 0.0) -> list[Claim]:
        """Those that wait, if the run before them has begun `least` seconds ago: the caller's now."""
        with self._guard:
            if system.monotonic() - self._began < least:
                return []
            taken = list(self._waiting)
            self._waiting.clear()
            return taken
