"""Quick jobs go in batches: what a worker has claimed and not started yet, and what has ended unrecorded.

To claim takes a lock and a commit, to record a flush of the disk; of commands that take a millisecond that
would be most of the work. Where one takes long, those that wait for it go back to `pending`, for others to
run, and those that have ended are recorded (River and GoodJob fetch in batches, too).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Optional

from queuectl import system
from queuectl.queue.claims import Claim
from queuectl.queue.settling import End

MOST = 64
"""Jobs claimed at once at most."""
HORIZON = 0.05
"""Seconds of work that are claimed at once, by what the last run took; a longer one is claimed alone."""
PATIENCE = 0.05
"""Seconds for which a claimed job waits for the run before it, and one that has ended to be recorded: one may
come after the other.
"""
OVERDUE = 4
"""Times as long as `HORIZON`, after which what was claimed at once is not kept: each of them takes longer
than the last one did, and less than `PATIENCE`.
"""
STALLED = 1.0
"""Seconds after which others see to those that wait: to start the one before them takes so long, perhaps."""


class Batch:
    """One worker's; any thread may look at it."""

    def __init__(self, most: int = 1) -> None:
        self.most = most
        self.current: Optional[Claim] = None
        """What runs, or is about to."""
        self.ended: list[End] = []
        """Runs that have not been recorded yet."""
        self._ended_ids: list[str] = []
        self._waiting: deque[Claim] = deque()
        self.handing = threading.Lock()
        """Held while those that were taken back are on their way: who finds none here waits for that. Before
        `claim.lock`.
        """
        self._guard = threading.Lock()
        self._began = self._since = self._added = 0.0
        self._took: Optional[float] = None
        self._to_record = 0.0
        """Seconds that it took to record one, the last time: of slow disks it may be longer than the run."""

    @property
    def room(self) -> int:
        """How many jobs to claim next."""
        if self._took is None:
            return 1
        return max(1, int(HORIZON / max(self._took, self._to_record, HORIZON / self.most)))

    def add(self, claims: Iterable[Claim]) -> None:
        """Let these wait for their turn."""
        with self._guard:
            self._added = system.monotonic()
            self._waiting.extend(claims)

    def start_next(self) -> Optional[Claim]:
        """The next one, which is `current` now."""
        with self._guard:
            self._began = system.monotonic()
            self.current = self._waiting.popleft() if self._waiting else None
            return self.current

    def end(self) -> None:
        """What was `current` has come to its end."""
        with self._guard:
            self._took = system.monotonic() - self._began
            self.current = None

    def keep(self, end: End) -> None:
        """Keep how a run ended, to be recorded with others."""
        if not self.ended:
            self._since = system.monotonic()
        self.ended.append(end)
        self._ended_ids.append(end.claim.place.job_id)

    def recorded(self, count: int, seconds: float) -> None:
        """So many were recorded in so many seconds, in which a death would have counted a crash of each."""
        if count:
            self._to_record = seconds / count

    def keep_still(self, ends: list[End]) -> None:
        """These could not be recorded just now."""
        self.ended, self._since = ends, system.monotonic()
        self._ended_ids = [end.claim.place.job_id for end in ends]

    @property
    def is_late(self) -> bool:
        """Whether what has ended waits for long to be recorded."""
        return bool(self.ended) and system.monotonic() - self._since >= PATIENCE

    @property
    def is_overdue(self) -> bool:
        """Whether those that wait have done so for much longer than was thought when they were claimed."""
        return self.waits and system.monotonic() - self._added >= OVERDUE * HORIZON

    @property
    def patience(self) -> float:
        """Seconds for which the others still wait for what runs."""
        return PATIENCE - (system.monotonic() - self._began)

    @property
    def next_is_task(self) -> bool:
        """Whether the next one of those that wait is a Python function."""
        with self._guard:
            return bool(self._waiting) and self._waiting[0].job.task is not None

    @property
    def stalls(self) -> bool:
        """Whether those that wait do so for very long."""
        return self.waits and system.monotonic() - self._began >= STALLED

    def take_back(self) -> list[Claim]:
        """Those that wait: the caller's now."""
        with self._guard:
            taken = list(self._waiting)
            self._waiting.clear()
            return taken

    def put_back(self, claims: Iterable[Claim]) -> None:
        """These could not be given away: they wait here again, first."""
        with self._guard:
            self._waiting.extendleft(reversed(list(claims)))

    def holds(self, job_id: str) -> bool:
        """Whether this job waits here."""
        with self._guard:
            return any(one.place.job_id == job_id for one in self._waiting)

    def runs(self, job_id: str) -> bool:
        """Whether it is `current`."""
        current = self.current
        return current is not None and current.place.job_id == job_id

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing at all."""
        return self.current is None and not self.ended and not self._waiting

    @property
    def waits(self) -> bool:
        """Whether any job waits here."""
        return bool(self._waiting)

    @property
    def begun(self) -> list[str]:
        """The jobs that a death of their worker now would leave without an outcome: first what runs, empty if
        nothing does.
        """
        current = self.current
        runs = "" if current is None else current.place.job_id
        return [runs, *self._ended_ids]
