"""The supervisor's looks at the folders: take drops in, free the jobs of the dead, promote what is due.

An event tells of a few names; every `poll_interval` everything is looked at (see `full_look`).
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Optional

from queuectl import events, system
from queuectl.doorbell import watched_folders
from queuectl.errors import QueueError, SpoolUnusable
from queuectl.events import Event, Listener
from queuectl.full_look import FullLook
from queuectl.queue.firing import Firing
from queuectl.queue.gates import Groups
from queuectl.queue.intake import ripe_at, settle_drops
from queuectl.queue.keeping import Keeping
from queuectl.queue.reconcile import Unsettled, reconcile_some
from queuectl.queue.recovery import lost, ownerless_locks, recover
from queuectl.queue.store import Store
from queuectl.spool import layout, making
from queuectl.state import State

if TYPE_CHECKING:
    from queuectl.tracing import Tracer

SLICE = 500
"""Names of which events told that are looked at in one go."""
FLOOD, SHARE = 2000, 5
"""Names from which on their folders are looked into, where no more than so many times as many jobs wait: a
new file costs half as much so, but one that is known costs something, too.
"""
CLOCK_JUMP = 3.0
"""Seconds by which a clock has been set if it has gone so far beside the other one between two looks."""
FIRST_INTERVAL = 0.5
"""Seconds between full looks until the setting could be read."""


class Sweep:
    """Looks at one spool for the workers of this process."""

    def __init__(self, store: Store, emit: Listener, tracer: Optional[Tracer] = None) -> None:
        self.store, self.emit, self.tracer = store, emit, tracer
        self.next_due: Optional[float] = None
        """When the next waiting job is due, in seconds since the epoch."""
        self.next_ripe: Optional[float] = None
        """When the next drop that is no job yet has lain still for long enough."""
        self.remade = False
        """A watched folder is another one than before: the watch must be renewed."""
        self.lost = False
        """There are workers of which it cannot be told yet whether they live."""
        self._watched: Optional[list[tuple[int, int]]] = None
        self._names: list[tuple[State, str]] = []
        self._drops: dict[str, Unsettled] = {}
        self._next_round = 0.0
        self.full = FullLook(store)
        """The look at everything."""
        self.firing = Firing(store, emit)
        """The schedules."""
        self.keeping = Keeping(store, emit)
        """What is kept of jobs that have ended."""
        self._interval = FIRST_INTERVAL
        self._ended_well = False
        """Whether the last look did all that it was to do."""
        self._random = random.Random()
        self._offset: Optional[float] = None
        """Of the clock from the one that only goes on."""

    @property
    def pause(self) -> float:
        """Seconds until something is to be looked at without an event."""
        return min(self._next_round - system.monotonic(), self.full.pause)

    @property
    def keeping_due(self) -> Optional[float]:
        """When more is to be deleted, in seconds since the epoch; while something is in the way of looks that
        waits for the next of them.
        """
        return self.keeping.next_due if self._ended_well else None

    def hasten(self) -> None:
        """Make the next look a full one, from its beginning."""
        self._next_round = 0.0
        self.full.hasten()

    def is_quiet(self) -> bool:
        """Whether a look would find nothing to do, as far as that can be told without one."""
        now = system.now()
        if self._names or self._drops or self.lost or not self._ended_well:
            return False
        dues = (self.next_due, self.firing.next_due, self.keeping.next_due)
        return all(due is None or due > now for due in dues) and self.full.is_quiet()

    def put_off(self) -> None:
        """All is quiet: a look that is due would find nothing."""
        self._next_round = max(self._next_round, system.monotonic() + self._interval)
        self.full.put_off(self._interval)

    def look(self, names: Collection[tuple[State, str]], living: Collection[str]) -> bool:
        """Look at these names, and at everything when its time has come; whether it should go on at once.

        `living` are workers that are known to live.

        Raises:
            SpoolUnusable: the spool has gone.
            OSError, sqlite3.Error, QueueError: something cannot be looked at just now.
        """
        now, self._ended_well = system.now(), False
        self.store.index.follow()
        self.full.hasten_in_another_index()
        self._mind_the_clock(now)
        self._names += names
        self._look_at_names(now)
        problem = self._go_round(living, now) if self._next_round <= system.monotonic() else None
        self._take(self.full.go_on(living, now, self._interval, spare=not self._names))
        # First everything that may run.
        more = self.full.goes_on or bool(self._names)
        more |= bool(self._drops) and self._settle_drops(now)
        dues = (self.store.index.promote(now), Groups(self.store, now).next_opening())
        self.next_due = min((due for due in dues if due is not None), default=None)
        try:
            more |= self.firing.look(now)
        except OSError as error:
            problem = problem or error
        self.keeping.look(now)
        if problem is not None:
            raise problem
        self._ended_well = True
        return more

    def _look_at_names(self, now: float) -> None:
        many = len(self._names)
        if many > FLOOD and not self.full.goes_on and self.store.index.has_few(State.PENDING, many * SHARE):
            self.full.owe({state for state, _ in self._names})
            self._names = []
        if self._names and not self.full.follows_flood:
            # In slices: the good ones among ten thousand bad ones are not to wait for all of them.
            some, self._names = self._names[:SLICE], self._names[SLICE:]
            self._take(reconcile_some(self.store, some, now))

    def _mind_the_clock(self, now: float) -> None:
        offset, before = now - system.monotonic(), self._offset
        self._offset = offset
        if before is None:
            # Who starts workers has seen to what was lacking, perhaps.
            self.store.index.try_again()
        elif abs(offset - before) > CLOCK_JUMP:
            # Set by hand, or the machine has slept.
            self.store.index.forget_moments(now)
            self._drops.clear()
            self.next_ripe = None
            self.keeping.begin_anew()
            self.hasten()

    def _take(self, drops: Iterable[Unsettled]) -> None:
        for drop in drops:
            known = self._drops.get(drop.oddity.path)
            # A look that took long may tell of what it was before.
            if known is None or known.oddity.seen <= drop.oddity.seen:
                self._drops[drop.oddity.path] = drop

    def _go_round(self, living: Collection[str], now: float) -> Optional[Exception]:
        """See to what costs little however many jobs there are; what kept us from it, which keeps us from
        nothing else.
        """
        try:
            self._remake_folders()
            config = self.store.config
            self._interval = config.poll_interval
            self.keeping.follow(config, now)
            self.store.index.tidy(now)
            self._tidy_up(living, now)
        except SpoolUnusable:
            raise
        except (OSError, sqlite3.Error, QueueError) as error:
            return error
        finally:
            self._next_round = system.monotonic() + self._interval
        return None

    def _tidy_up(self, living: Collection[str], now: float) -> None:
        """After the dead."""
        self.lost = bool(lost(self.store, living=living))
        for job in recover(self.store, now, self._random.random(), living=living):
            text = f"{job.reason}: {job.state.value}"
            self.emit(Event(events.JOB_RECOVERED, job.worker, job.job_id, text, delay=job.delay))
            if self.tracer is not None and job.job is not None:
                self.tracer.recovered(job.job, job.created)
        for text in self.store.taken_troubles():
            self.emit(Event(events.NOTICE, text=text))
        ownerless_locks(self.store, clear=True)
        for path in self.store.spool.tmp.abandoned(now):
            # Somebody has it open (Windows), for example: it is ours to remove another time.
            with suppress(OSError):
                self.store.spool.tmp.remove(path, patience=0.0)

    def _remake_folders(self) -> None:
        root = self.store.spool.root
        if not os.path.isdir(root):
            raise SpoolUnusable(f"{root} has gone: the workers stop")
        # Somebody tidies up, or a tool takes empty folders for rubbish.
        made = not layout.is_whole(root)
        if made:
            self._complete(root)
            self.emit(Event(events.NOTICE, text="a folder of the spool was missing: made again"))
        # One that somebody else has replaced between two looks has the same name, but nobody watches it.
        found = [os.stat(path) for path in watched_folders(root)]
        identities = [(one.st_dev, one.st_ino) for one in found]
        self.remade = made or self._watched not in (None, identities)
        self._watched = identities

    def _complete(self, root: str) -> None:
        try:
            making.complete(root)
        except SpoolUnusable as error:
            if os.path.isdir(root):
                raise
            # RACE: just now. Nothing is made in its place.
            raise SpoolUnusable(f"{root} has gone: the workers stop") from error

    def _settle_drops(self, now: float) -> bool:
        """See to what has lain still for long enough; whether some of that is left."""
        settle_time = self.store.config.settle_time
        ripe = [drop for drop in self._drops.values() if ripe_at(drop, settle_time) <= now]
        settled, left = settle_drops(self.store, ripe, now)
        for drop in ripe:
            del self._drops[drop.oddity.path]
        self._take(left)
        self.next_ripe = min((ripe_at(drop, settle_time) for drop in self._drops.values()), default=None)
        for done in settled:
            kind = events.JOB_RENAMED if done.reason is None else events.FILE_REFUSED
            self.emit(Event(kind, job_id=done.job_id, text=done.reason or f"was {done.old_name}"))
        return bool(left)
