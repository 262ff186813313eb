"""Workers keep house: who looks at the folders for them deletes, in small steps, what the settings let go.

Between two steps nothing is asked: it is known when the next job has been there for long enough, and whether
anything has come that could be too much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Optional, Union

from queuectl import events, locks, system
from queuectl.config import Config
from queuectl.errors import QueueError
from queuectl.events import Event, Listener
from queuectl.index import OLDEST, EndedRow
from queuectl.queue.ended import (
    ENDED,
    Edge,
    Limits,
    Picked,
    SizeWalk,
    delete,
    edge_with,
    ended_at,
    forget,
    house_lock,
    limits_of,
    pick,
    says_when,
)
from queuectl.queue.store import Store
from queuectl.queue.stray_logs import Log, delete_logs, old_logs
from queuectl.state import State

AT_ONCE = 10
"""Jobs that are looked at, and deleted, at once."""
_PAGE = 100
"""Rows that are asked for at once: of files that are no jobs there may be many."""
STEP = 0.02
"""Seconds of work that are done in one go."""
SHARE = 5
"""A step is followed by a pause that makes it this part of the time, at most; so is a count."""
PAUSE = 0.1
"""The shortest such pause, in seconds."""
BEGIN_ANEW = 600.0
"""Seconds after which everything is looked at again: what could not be deleted, what came by hand."""
SOON = 5.0
"""Seconds after which it is looked at the earliest whether the next job has been there for long enough, where
none is known.
"""
GRACE = 5.0
"""Seconds for which a job stays after its end, whatever the settings say: whoever waits for it has seen it by
then.
"""
AGAIN = 1.0
"""Seconds until another look where somebody else keeps house, or something is in the way."""


class Keeping:
    """Of one spool, for the workers of this process."""

    def __init__(self, store: Store, emit: Listener) -> None:
        self.store, self.emit = store, emit
        self.next_due: Optional[float] = None
        """When something is to be done next, in seconds since the epoch."""
        self._shelves: list[Union[_Shelf, _Logs]] = []
        self._limits: object = ()
        self._said: Optional[str] = None

    def follow(self, config: Config, now: float) -> None:
        """These settings hold now; and jobs may have come in."""
        limits = {state: limits_of(config, state) for state in ENDED}
        if self._limits != (limits, config.keep_logs):
            self._limits = (limits, config.keep_logs)
            self._shelves = [_Shelf(self.store, state, its) for state, its in limits.items() if its.are_set]
            if config.keep_logs is not None:
                self._shelves.append(_Logs(self.store, config.keep_logs))
            self.next_due = now if self._shelves else None
        elif any(shelf.may_be_full() for shelf in self._shelves):
            self.next_due = now

    def begin_anew(self) -> None:
        """The clock was set, perhaps: what was known of moments is worth nothing."""
        self._limits = ()

    def look(self, now: float) -> None:
        """Delete for a moment, if it is time for it. What is in the way of that is told, and of nothing else.

        Raises:
            sqlite3.Error: the index cannot be used just now.
        """
        if self.next_due is None or now < self.next_due:
            return
        self.next_due = now + AGAIN
        if self.store.index.in_memory or not self.store.index.is_whole():
            # It may lack settings, or jobs that wait for others.
            return
        try:
            held = locks.try_lock(house_lock(self.store))
            if held is None:
                return
            try:
                self.next_due = self._step(now)
            finally:
                held.release()
            self._said = None
        except (QueueError, OSError) as error:
            if self._said != str(error):
                self._said = str(error)
                self.emit(Event(events.NOTICE, text=f"cannot delete what is kept no longer: {error}"))

    def _step(self, now: float) -> float:
        began = system.monotonic()
        until, due = began + STEP, now + BEGIN_ANEW
        for shelf in self._shelves:
            due = min(due, shelf.step(now, until))
            if shelf.is_done and shelf.count:
                self.emit(Event(events.TIDIED, text=f"{shelf.told} deleted"))
                shelf.count = 0
        # Each comes first in its turn: one may have much to do for long.
        self._shelves = [*self._shelves[1:], *self._shelves[:1]]
        return max(due, now + max(PAUSE, (system.monotonic() - began) * (SHARE - 1)))


class _Shelf:
    """The jobs of one state, gone through from the oldest on."""

    def __init__(self, store: Store, state: State, limits: Limits) -> None:
        self._store, self._state, self._limits = store, state, limits
        self.is_done = False
        self.count = 0
        """How many were deleted since that was told."""
        self._after = OLDEST
        self._anew = 0.0
        """When to begin with the oldest again, on the monotonic clock."""
        self._walk: Optional[SizeWalk] = None
        self._edge: Optional[Edge] = None
        self._seen: object = None
        """What the index was like when it was last asked what is too much."""
        self._rest, self._began = 0.0, 0.0

    @property
    def told(self) -> str:
        """What was deleted, for people."""
        return f"{self.count} {self._state.value} job{'' if self.count == 1 else 's'}"

    def may_be_full(self) -> bool:
        """Whether something has changed since it was asked last what is too much; not at once."""
        if self._limits.most is None and self._limits.size is None:
            return False
        return system.monotonic() >= self._rest and self._seen != self._store.index.changes()

    def step(self, now: float, until: float) -> float:
        """Go on until then, on the monotonic clock; when to go on again, in seconds since the epoch."""
        self.is_done = False
        if self._edge is None or self._walk is not None or self.may_be_full():
            edge = self._measured(now, until)
            if edge is None:
                return now
            self._edge = edge
        if self._limits.age is not None:
            self._edge = self._edge._replace(ended_by=now - self._limits.age)
        if system.monotonic() >= self._anew:
            self._after, self._anew = OLDEST, system.monotonic() + BEGIN_ANEW
        due, gone = now, list[Picked]()
        while due <= now and system.monotonic() < until:
            due = self._delete_some(self._edge, now, gone)
        # All in one: whoever else writes to the index waits for each commit.
        forget(self._store, self._state, gone)
        self.count += len(gone)
        self.is_done = due > now
        return due

    def _measured(self, now: float, until: float) -> Optional[Edge]:
        """What may go now; None while that is not known yet."""
        if self._walk is None:
            self._seen, self._began = self._store.index.changes(), system.monotonic()
        oversize = None
        if self._limits.size is not None:
            self._walk = self._walk or SizeWalk(self._store, self._state, self._limits.size, now)
            if not self._walk.go_on(until):
                return None
            oversize, self._walk = self._walk.position, None
        edge = edge_with(self._store, self._state, self._limits, now, oversize)
        ended = system.monotonic()
        self._rest = ended + (ended - self._began) * SHARE
        return edge

    def _delete_some(self, edge: Edge, now: float, gone: list[Picked]) -> float:
        """Delete the next few that may go, which are added to `gone`; when to go on."""
        rows = self._store.index.ended_after(self._state, self._after, _PAGE)
        chosen: list[EndedRow] = []
        due, more = now + BEGIN_ANEW, len(rows) == _PAGE
        for row in rows:
            if edge.takes(row) and ended_at(row) <= now - GRACE:
                chosen += [row] if row.is_job else []
            else:
                due = min(due, self._due_of(row, edge, due))
                if says_when(row):
                    more = False
                    break
            self._after = row.position
            if len(chosen) == AT_ONCE:
                more = True
                break
        gone += delete(self._store, self._picked(chosen))
        if more:
            return now
        # The next one to end will be there for long enough no sooner.
        return due if self._limits.age is None else min(due, now + max(SOON, self._limits.age))

    def _picked(self, rows: Sequence[EndedRow]) -> list[Picked]:
        limit, picked = self._store.config.max_job_bytes, list[Picked]()
        for row in rows:
            # Whoever holds it: it is met again when all is looked at.
            with suppress(OSError):
                picked += filter(None, [pick(self._store, self._state, row, limit)])
        return picked

    def _due_of(self, row: EndedRow, edge: Edge, else_at: float) -> float:
        if not row.is_job:
            return else_at
        if edge.takes(row):
            return ended_at(row) + GRACE
        return else_at if self._limits.age is None else ended_at(row) + max(self._limits.age, GRACE)


class _Logs:
    """What lies in `logs/` of jobs that are gone."""

    def __init__(self, store: Store, age: float) -> None:
        self._store, self._age = store, age
        self.is_done = False
        self.count = 0
        """How many were deleted since that was told."""
        self._pieces: Optional[Iterator[list[Log]]] = None
        self._next = 0.0
        self._before = 0.0

    @property
    def told(self) -> str:
        """What was deleted, for people."""
        return f"{self.count} log{'' if self.count == 1 else 's'} of jobs that are gone"

    def may_be_full(self) -> bool:
        """Never: only their age counts."""
        return False

    def step(self, now: float, until: float) -> float:
        """As that of the others."""
        self.is_done = False
        if self._pieces is None:
            if now < self._next:
                return self._next
            self._before = now - self._age
            self._pieces = old_logs(self._store, self._before)
        for piece in self._pieces:
            self.count += len(delete_logs(self._store, piece, self._before))
            if system.monotonic() >= until:
                return now
        self._pieces, self.is_done, self._next = None, True, now + BEGIN_ANEW
        return self._next
