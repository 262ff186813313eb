"""The supervisor's looks at the folders: take drops in, free the jobs of the dead, promote what is due.

An event tells of a few names; every `poll_interval` everything is looked at, since events wake and scans
decide. Where that takes long it goes on step by step, and what comes meanwhile does not wait for it.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Optional

from queuectl import events, system
from queuectl.doorbell import watched_folders
from queuectl.errors import QueueError, SpoolUnusable
from queuectl.events import Event, Listener
from queuectl.queue.intake import ripe_at, settle_drops
from queuectl.queue.looks import Looks
from queuectl.queue.reconcile import Unsettled, reconcile_some
from queuectl.queue.recovery import lost, ownerless_locks, recover
from queuectl.queue.store import Store
from queuectl.queue.survey import Survey
from queuectl.quiet import Quiet
from queuectl.spool import layout
from queuectl.state import State

SLICE = 500
"""Names of which events told that are looked at in one go."""
FLOOD, SHARE = 2000, 5
"""Names from which on a full look is taken instead, where no more than so many times as many jobs wait: a new
file costs half as much in a full look, but one that is known costs something, too.
"""
LONGEST_PAUSE = 300.0
"""Seconds after which everything is looked at anyway, however long a look takes."""
SCAN_SHARE = 20
"""A full look is followed by a pause of at least this many times what it took, or the one before it if that
took less: one may have waited for somebody."""
STEP = 0.05
"""Seconds of a full look that are done in one go."""
CLOCK_JUMP = 3.0
"""Seconds by which a clock has been set if it has gone so far beside the other one between two looks."""
FIRST_INTERVAL = 0.5
"""Seconds between full looks until the setting could be read."""


class Sweep:
    """Looks at one spool for the workers of this process."""

    def __init__(self, store: Store, emit: Listener) -> None:
        self.store, self.emit = store, emit
        self.next_due: Optional[float] = None
        """When the next waiting job is due, in seconds since the epoch."""
        self.next_ripe: Optional[float] = None
        """When the next drop that is no job yet has lain still for long enough."""
        self.hears = False
        """Whether events tell of what happens in the folders."""
        self.remade = False
        """A watched folder is another one than before: the watch must be renewed."""
        self.lost = False
        """There are workers of which it cannot be told yet whether they live."""
        self._watched: Optional[list[tuple[int, int]]] = None
        self._names: list[tuple[State, str]] = []
        self._drops: dict[str, Unsettled] = {}
        self._next_round = self._next_scan = 0.0
        self._survey: Optional[Survey] = None
        """The full look that goes on."""
        self._steps: Iterator[None] = iter(())
        self._again = False
        """The full look that goes on, if there is one, is to be followed by another one at once."""
        self._took, self._takes = 0.0, 0.0
        self._interval = FIRST_INTERVAL
        self._scanned: Optional[int] = None
        """The generation of the index that was told of everything."""
        self._quiet = Quiet(store)
        self._random = random.Random()
        self._offset: Optional[float] = None
        """Of the clock from the one that only goes on."""

    @property
    def pause(self) -> float:
        """Seconds until something is to be looked at without an event."""
        if self._survey is not None or self._again:
            return 0.0
        return min(self._next_round, self._next_scan) - system.monotonic()

    def hasten(self) -> None:
        """Make the next look a full one, from its beginning."""
        self._next_round = self._next_scan = 0.0
        self._survey = None

    def is_quiet(self) -> bool:
        """Whether a look would find nothing new, as far as that can be told without one."""
        now = system.now()
        if self._survey is not None or self._again or self._names or self._drops or self.lost:
            return False
        if self.next_due is not None and self.next_due <= now:
            return False
        return self._quiet.holds()

    def put_off(self) -> None:
        """All is quiet: that was the look which was due."""
        self._next_round = max(self._next_round, system.monotonic() + self._interval)
        self._next_scan = max(self._next_scan, self._next_round)

    def look(
        self, names: Collection[tuple[State, str]], own: Collection[str], fellows: Collection[str] = ()
    ) -> bool:
        """Look at these names, and at everything when its time has come; whether it should go on at once.

        `own` are the workers of this process, `fellows` others that live.

        Raises:
            SpoolUnusable: the spool has gone.
            OSError, sqlite3.Error, QueueError: something cannot be looked at just now.
        """
        now = system.now()
        self.store.index.follow()
        if self.store.index.generation != self._scanned:
            # Somebody has replaced it, in the middle of the last full look perhaps.
            self.hasten()
        self._mind_the_clock(now)
        self._names += names
        if len(self._names) > FLOOD and self.store.index.has_few(State.PENDING, len(self._names) * SHARE):
            self._names, self._again = [], True
        if self._names:
            # In slices: the good ones among ten thousand bad ones are not to wait for all of them.
            some, self._names = self._names[:SLICE], self._names[SLICE:]
            self._take(reconcile_some(self.store, some, now))
        living = [*own, *fellows]
        problem = self._go_round(own, living, now) if self._next_round <= system.monotonic() else None
        self._go_on(living, now)
        # First everything that may run.
        more = self._survey is not None or self._again or bool(self._names)
        more |= bool(self._drops) and self._settle_drops(now)
        self.next_due = self.store.index.promote(now)
        if problem is not None:
            raise problem
        return more

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
            self.hasten()

    def _take(self, drops: Iterable[Unsettled]) -> None:
        for drop in drops:
            known = self._drops.get(drop.oddity.path)
            # A look that took long may tell of what it was before.
            if known is None or known.oddity.seen <= drop.oddity.seen:
                self._drops[drop.oddity.path] = drop

    def _go_round(self, own: Collection[str], living: Collection[str], now: float) -> Optional[Exception]:
        """See to what costs little however many jobs there are; what kept us from it, which keeps us from
        nothing else.
        """
        try:
            self._remake_folders(own)
            self._interval = self.store.config.poll_interval
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
        ownerless_locks(self.store, clear=True)
        for path in self.store.spool.tmp.abandoned(now):
            # Somebody has it open (Windows), for example: it is ours to remove another time.
            with suppress(OSError):
                system.remove(path, patience=0.0)

    def _go_on(self, living: Collection[str], now: float) -> None:
        """Begin a full look if it is time for one, and go on with it for a moment."""
        began = system.monotonic()
        if self._survey is None and self._next_scan > began and not self._again:
            return
        if self._survey is not None:
            # With one in memory that goes back to its file it would begin anew.
            self.store.index.stay()
        over = True
        try:
            if self._survey is None:
                self._begin(living, now)
            over = self._step(began + STEP)
        finally:
            self._takes += system.monotonic() - began
            if over:
                self._end()

    def _begin(self, living: Collection[str], now: float) -> None:
        self._quiet.begin(living)
        self._scanned, self._takes = self.store.index.generation, 0.0
        owner = self.store.spool.tmp.owner if self.hears else ""
        looks = Looks(self.store, now, owner=owner, spare=not self._names and not self._again)
        self._again = False
        self._survey = Survey(self.store, now, looks=looks)
        self._steps = self._survey.steps()

    def _step(self, until: float) -> bool:
        """Go on with the full look until then; whether it is over."""
        for _ in self._steps:
            if system.monotonic() >= until:
                return False
        self._take(self._survey.drops if self._survey else [])
        self._quiet.keep()
        return True

    def _end(self) -> None:
        self._survey, before, self._took = None, self._took, self._takes
        pause = max(self._interval, min(before, self._took) * SCAN_SHARE)
        self._next_scan = system.monotonic() + min(pause, max(self._interval, LONGEST_PAUSE))

    def _remake_folders(self, own: Collection[str]) -> None:
        root = self.store.spool.root
        if not os.path.isdir(root):
            raise SpoolUnusable(f"{root} has gone: the workers stop")
        # Somebody tidies up, or a tool takes empty folders for rubbish.
        made = not layout.is_whole(root)
        if made:
            self._complete(root)
            self.emit(Event(events.NOTICE, text="a folder of the spool was missing: made again"))
        for worker in own:
            self.store.spool.make_worker_folder(worker)
        # One that somebody else has replaced between two looks has the same name, but nobody watches it.
        found = [os.stat(path) for path in watched_folders(root)]
        identities = [(one.st_dev, one.st_ino) for one in found]
        self.remade = made or self._watched not in (None, identities)
        self._watched = identities

    def _complete(self, root: str) -> None:
        try:
            layout.complete(root)
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
