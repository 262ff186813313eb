"""What is kept of the jobs that have ended, and what goes: chosen by the index, decided by the files.

A job goes only if its file lies in `done` or `dead` unchanged, holds a record that says that the job has
ended, and has no note beside it: what a person has set aside before it ended, and what is no job, is theirs.
That is asked again under `claim.lock`, so that nothing goes which is being retried.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import NamedTuple, Optional

from queuectl import locks, system
from queuectl.codec import decode_job
from queuectl.config import Config
from queuectl.errors import InvalidInput
from queuectl.index import OLDEST, EndedRow, Position, latest_at
from queuectl.moment import format_moment, read_moment
from queuectl.queue.store import Store
from queuectl.spool import Place, quarantine
from queuectl.state import State

ENDED = (State.COMPLETED, State.DEAD)
"""States in which jobs rest for good."""
LOCK = "house.lock"
"""Held by who deletes or archives: of several programs one at a time."""
LOCK_PATIENCE = 10.0
"""Seconds that a person waits for somebody else who does."""
HOLD = 0.002
"""Seconds for which `claim.lock` is held to delete some, and then left to others: claims wait for it."""
_PAGE = 500
"""Rows that are asked for at once."""


class Limits(NamedTuple):
    """What is kept of one state; None is everything."""

    age: Optional[float] = None
    """Seconds since they ended."""
    most: Optional[int] = None
    """Jobs."""
    size: Optional[int] = None
    """Bytes, with their logs."""

    @property
    def are_set(self) -> bool:
        """Whether anything may go."""
        return self != Limits()


def limits_of(config: Config, state: State) -> Limits:
    """What the settings say of this state."""
    if state is State.COMPLETED:
        return Limits(config.keep_done, config.keep_done_count, config.keep_done_bytes)
    return Limits(config.keep_dead, config.keep_dead_count, config.keep_dead_bytes)


class Edge(NamedTuple):
    """What may go: jobs that ended at this moment or before it, and those up to this position; or only those
    that are `both`.
    """

    ended_by: Optional[float] = None
    position: Optional[Position] = None
    both: bool = False

    def takes(self, row: EndedRow) -> bool:
        """Whether this job may go, as far as its row tells."""
        by_place = self.position is not None and not row.position.is_after(self.position)
        if by_place is not self.both:
            return by_place
        return self.ended_by is not None and ended_at(row) <= self.ended_by


def ended_at(row: EndedRow) -> float:
    """When the job ended: as its record says, else when its file was written."""
    told = read_moment(row.updated_at)
    return row.mtime_ns / 1e9 if told is None else told


def says_when(row: EndedRow) -> bool:
    """Whether those behind it ended later: one that tells no time lies where its text puts it."""
    return read_moment(row.updated_at) is not None


class SizeWalk:
    """From the latest job of a state to older ones, until they take more than they may; in steps."""

    def __init__(self, store: Store, state: State, limit: int, now: float) -> None:
        self._store, self._state, self._left = store, state, limit
        # What says that it ends later takes no other's room: a clock was wrong.
        self._before = latest_at(format_moment(now))
        self.position: Optional[Position] = None
        """The latest one for which there is no room."""

    def go_on(self, until: float = float("inf")) -> bool:
        """Walk until then, on the monotonic clock; whether it is over."""
        while True:
            rows = self._store.index.ended_before(self._state, self._before, _PAGE)
            for row in rows:
                self._left -= row.size + size_beside(self._store, row.id) if row.is_job else 0
                if self._left < 0:
                    self.position = row.position
                    return True
            if len(rows) < _PAGE:
                return True
            self._before = rows[-1].position
            if system.monotonic() >= until:
                return False


def edge_of(store: Store, state: State, limits: Limits, now: float) -> Edge:
    """What may go of this state now."""
    if limits.size is None:
        return edge_with(store, state, limits, now, None)
    walk = SizeWalk(store, state, limits.size, now)
    walk.go_on()
    return edge_with(store, state, limits, now, walk.position)


def edge_with(store: Store, state: State, limits: Limits, now: float, oversize: Optional[Position]) -> Edge:
    """`edge_of`, where it is known for which jobs there is no room."""
    latest = format_moment(now)
    position = None if limits.most is None else store.index.ended_nth(state, limits.most, latest)
    if position is None or (oversize is not None and oversize.is_after(position)):
        position = oversize
    return Edge(None if limits.age is None else now - limits.age, position)


def taken(store: Store, state: State, edge: Edge) -> Iterator[EndedRow]:
    """The rows of jobs that may go, the oldest first. They may be deleted meanwhile."""
    after = OLDEST
    while rows := store.index.ended_after(state, after, _PAGE):
        for row in rows:
            if edge.takes(row):
                if row.is_job:
                    yield row
            elif says_when(row):
                return
        after = rows[-1].position


class Picked(NamedTuple):
    """A job that may go, in this version; `size` counts what lies in `logs/` under its id, too."""

    place: Place
    version: tuple[int, int]
    ended: float
    size: int


def pick(store: Store, state: State, row: EndedRow, limit: int) -> Optional[Picked]:
    """The job of this row, if it may go by what its file says; `limit` is `max_job_bytes`.

    Raises:
        OSError: that cannot be told just now: somebody holds it, perhaps.
    """
    place, version = Place(state, row.id), (row.mtime_ns, row.size)
    try:
        if _is_noted(store, place):
            return None
        data, found = store.spool.read_bytes(place, limit, patience=0.0)
        job = decode_job(data)
    except (InvalidInput, FileNotFoundError, system.NotARegularFile):
        # No job, or it has moved on.
        return None
    if system.file_stamp(found) != version or job.state not in ENDED:
        return None
    return Picked(place, version, ended_at(row), row.size + size_beside(store, row.id))


def chosen_of(store: Store, state: State, edge: Edge, held: list[EndedRow]) -> Iterator[Picked]:
    """The jobs of this state that may go, the oldest first; what cannot be read just now goes to `held`."""
    limit = store.config.max_job_bytes
    for row in taken(store, state, edge):
        try:
            if picked := pick(store, state, row, limit):
                yield picked
        except OSError:
            held.append(row)


def _is_noted(store: Store, place: Place) -> bool:
    return place.state is State.DEAD and os.path.lexists(quarantine.note_path(store.spool, place.job_id))


def size_beside(store: Store, job_id: str) -> int:
    """The bytes of what lies in `logs/` under this id."""
    size = 0
    for path in store.spool.beside(job_id):
        with suppress(OSError):
            size += os.lstat(path).st_size
    return size


def delete(store: Store, picked: Sequence[Picked]) -> list[Picked]:
    """Delete these jobs of one state, and what lies beside them; those that were not deleted have been
    changed, moved or taken hold of meanwhile.

    Raises:
        Busy: somebody else holds `claim.lock` all the time.
        sqlite3.Error: the index cannot be used just now.
    """
    gone: list[Picked] = []
    left = deque(picked)
    while left:
        with store.claiming():
            until = system.monotonic() + HOLD
            while left and system.monotonic() < until:
                one = left.popleft()
                gone += [one] if _delete(store, one) else []
        if left:
            # Who waits for the lock asks now and then.
            system.sleep(HOLD)
    return gone


def forget(store: Store, state: State, gone: Sequence[Picked]) -> None:
    """Drop the rows of jobs that were deleted; no error if that cannot be done, as the next look does it."""
    if gone:
        with suppress(sqlite3.Error):
            # Behind the lock, where an id may be another job's by now.
            store.index.drop_ended(state, [one.place.job_id for one in gone])


def is_there(store: Store, one: Picked) -> bool:
    """Whether it lies where it lay, unchanged."""
    try:
        return store.spool.version(one.place) == one.version
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _delete(store: Store, one: Picked) -> bool:
    if store.index.is_needed(one.place.job_id):
        # RACE: whoever needs it has come since, or is to be done again.
        return False
    try:
        if store.spool.version(one.place) != one.version or _is_noted(store, one.place):
            return False
        # Nobody is waited for while all claims wait.
        return store.spool.delete(one.place, patience=0.0)
    except OSError:
        return False


def house_lock(store: Store) -> str:
    """The path of the lock that whoever deletes or archives holds."""
    return store.spool.lock_path(LOCK)


def keeping_house(store: Store) -> AbstractContextManager[None]:
    """Hold that lock.

    Raises:
        Busy: somebody else deletes or archives all the time.
    """
    return locks.exclusive(house_lock(store), LOCK_PATIENCE)
