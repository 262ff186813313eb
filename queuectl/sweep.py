"""The supervisor's looks at the folders: take drops in, free the jobs of the dead, promote what is due.

An event tells of a few names; every `poll_interval` everything is looked at, since events wake and scans
decide.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection
from typing import Optional

from queuectl import events, system
from queuectl.doorbell import watched_folders
from queuectl.errors import SpoolUnusable
from queuectl.events import Event, Listener
from queuectl.queue.intake import settle_drops
from queuectl.queue.reconcile import Unsettled, reconcile_all, reconcile_some
from queuectl.queue.recovery import ownerless_locks, recover
from queuectl.queue.store import Store
from queuectl.spool import layout
from queuectl.state import State

SCAN_SHARE = 20
"""A full look is followed by a pause of at least this many times what it took."""
FIRST_INTERVAL = 0.5
"""Seconds between full looks until the setting could be read."""


class Sweep:
    """Looks at one spool for the workers of this process."""

    def __init__(self, store: Store, emit: Listener) -> None:
        self.store, self.emit = store, emit
        self.next_due: Optional[float] = None
        """When the next waiting job is due, in seconds since the epoch."""
        self.remade = False
        """A watched folder is another one than before: the watch must be renewed."""
        self._watched: Optional[list[tuple[int, int]]] = None
        self._unsettled: list[Unsettled] = []
        self._next_scan = 0.0
        self._interval = FIRST_INTERVAL
        self._random = random.Random()

    @property
    def pause(self) -> float:
        """Seconds until the next full look."""
        return self._next_scan - system.monotonic()

    def hasten(self) -> None:
        """Make the next look a full one."""
        self._next_scan = 0.0

    def look(self, names: Collection[tuple[State, str]], living: Collection[str]) -> bool:
        """Look at these names, and at everything when its time has come; whether drops are left to settle.

        `living` are the workers of this process.

        Raises:
            SpoolUnusable: the spool has gone.
            OSError, sqlite3.Error, QueueError: something cannot be looked at just now.
        """
        now = system.now()
        if names:
            self._unsettled += reconcile_some(self.store, names, now)
        if self.pause <= 0:
            self._timed_scan(living, now)
        if self._unsettled:
            self._settle_drops(now)
        self.next_due = self.store.index.promote(now)
        return bool(self._unsettled)

    def _timed_scan(self, living: Collection[str], now: float) -> None:
        began = system.monotonic()
        try:
            self._scan(living, now)
        finally:
            took = system.monotonic() - began
            self._next_scan = system.monotonic() + max(self._interval, took * SCAN_SHARE)

    def _scan(self, living: Collection[str], now: float) -> None:
        self._remake_folders(living)
        self.store.index.follow()
        self._interval = self.store.config.poll_interval
        self._unsettled = reconcile_all(self.store, now)
        for job in recover(self.store, now, self._random.random(), living=living):
            text = f"{job.reason}: {job.state.value}"
            self.emit(Event(events.JOB_RECOVERED, job.worker, job.job_id, text, delay=job.delay))
        ownerless_locks(self.store, clear=True)
        for path in self.store.spool.tmp.abandoned(now):
            system.remove(path)

    def _remake_folders(self, living: Collection[str]) -> None:
        root = self.store.spool.root
        if not os.path.isdir(root):
            raise SpoolUnusable(f"{root} has gone: the workers stop")
        # Somebody tidies up, or a tool takes empty folders for rubbish.
        made = not layout.is_whole(root)
        if made:
            layout.make_spool(root, force=True)
            self.emit(Event(events.NOTICE, text="a folder of the spool was missing: made again"))
        for worker in living:
            system.make_folder(self.store.spool.worker_folder(worker))
        # One that somebody else has replaced between two looks has the same name, but nobody watches it.
        found = [os.stat(path) for path in watched_folders(root)]
        identities = [(one.st_dev, one.st_ino) for one in found]
        self.remade = made or self._watched not in (None, identities)
        self._watched = identities

    def _settle_drops(self, now: float) -> None:
        settled, self._unsettled = settle_drops(self.store, self._unsettled, now)
        for drop in settled:
            kind = events.JOB_RENAMED if drop.reason is None else events.FILE_REFUSED
            self.emit(Event(kind, job_id=drop.job_id, text=drop.reason or f"was {drop.old_name}"))
