"""One look at the queue for all pages that are open, again and again while there are any.

A page is told that something has changed, and fetches what it shows. Nobody looks where nobody watches.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from secrets import randbits
from typing import Any, NamedTuple, Optional

from queuectl import system
from queuectl.errors import Busy
from queuectl.queue import Queue
from queuectl.queue.report import Status
from queuectl.spool import layout

PAUSE = 0.3
"""Seconds between two looks, at least."""
_TIMES_A_LOOK = 5
"""Times as long as a look takes it rests, if that is longer: of a million jobs one takes a while."""
_LONGEST_PAUSE = 0.7
"""Seconds; a change is to be seen within one."""
_FRESH = 1.0
"""Seconds for which a look is good enough for a page that is asked for."""
_DEADLINE = 120.0
"""Seconds that whoever asks waits for a look: the first one at a million files takes a minute."""
_BITS = 48
"""Of the first version: a page that an earlier server has made shows another one."""
_MINUTE = 60.0
"""Seconds after which pages are told anyway: charts move on."""


class Look(NamedTuple):
    """The queue as it was; `version` is another one after each change."""

    version: int
    status: Status
    at: float
    """By the monotonic clock."""


class Watcher:
    """Looks, in a thread of its own, and wakes whoever waits for a change."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._look: Optional[Look] = None
        self._error: Optional[Exception] = None
        self._seen: Any = None
        self._first = randbits(_BITS)
        self._looks = 0
        """How many have begun."""
        self._done = 0
        """How many have ended."""
        self._news = threading.Condition()
        self._poke = threading.Event()
        self._ended = False
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._bells: set[asyncio.Event] = set()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, for those who wait in this loop."""
        self._loop = loop
        self._thread.start()

    def end(self) -> None:
        """Wake everybody for the last time."""
        self._ended = True
        self._poke.set()
        self._ring()

    @property
    def has_ended(self) -> bool:
        """Whether nobody looks any more."""
        return self._ended

    def subscribe(self) -> asyncio.Event:
        """What is set after each change, until `unsubscribe`. Called in the loop."""
        bell = asyncio.Event()
        self._bells.add(bell)
        self._poke.set()
        return bell

    def unsubscribe(self, bell: asyncio.Event) -> None:
        """Wake this one no more. Called in the loop."""
        self._bells.discard(bell)

    @property
    def version(self) -> Optional[str]:
        """That of the last look; None before the first."""
        look = self._look
        return None if look is None else str(look.version)

    def latest(self) -> Look:
        """The queue as it was a moment ago. Raises as `look_again`."""
        look = self._look
        return look if look is not None and system.monotonic() - look.at < _FRESH else self.look_again()

    def look_again(self) -> Look:
        """The queue as it is now, at least: after somebody has changed it here.

        Raises:
            QueueError, Exception: what the look has met.
            Busy: it takes too long.
        """
        with self._news:
            wanted = self._looks + 1
            self._poke.set()
            if not self._news.wait_for(lambda: self._done >= wanted or self._ended, _DEADLINE):
                raise Busy("the queue is being looked at, which takes long", hint="try again in a minute")
            if self._error is not None:
                raise self._error
            assert self._look is not None
            return self._look

    def _run(self) -> None:
        pause: Optional[float] = None
        while not self._ended:
            self._poke.wait(pause)
            self._poke.clear()
            if self._ended:
                return
            began = system.monotonic()
            self._take_look()
            took = system.monotonic() - began
            pause = min(max(PAUSE, _TIMES_A_LOOK * took), max(_LONGEST_PAUSE, took)) if self._bells else None

    def _take_look(self) -> None:
        with self._news:
            self._looks += 1
        error: Optional[Exception] = None
        changed = False
        try:
            # Somebody may have deleted the index; pages follow it, too.
            self._queue.store.index.follow()
            status = self._queue.status()
            seen = self._fingerprint(status)
            changed, self._seen = seen != self._seen, seen
            version = self._first if self._look is None else self._look.version
            self._look = Look(version + changed, status, system.monotonic())
        except Exception as met:  # noqa: BLE001 - told to whoever asks for a page, and the next look goes on
            error = met
        with self._news:
            self._done, self._error = self._looks, error
            self._news.notify_all()
        if changed:
            self._ring()

    def _fingerprint(self, status: Status) -> Any:
        """Another one after each change that a page may show."""
        root = self._queue.root
        times: list[Optional[int]] = []
        for folder in (layout.SCHEDULES, layout.GROUPS, layout.HOOKS):
            for path in (folder, os.path.join(folder, layout.RECORDS)):
                try:
                    times.append(os.stat(os.path.join(root, path)).st_mtime_ns)
                except OSError:
                    times.append(None)
        # What the index tells of changes, it tells of this thread's connection.
        return status, times, self._queue.store.index.changes(), int(self._queue.moment() // _MINUTE)

    def _ring(self) -> None:
        if self._loop is not None:
            # It may be closing.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ring_all)

    def _ring_all(self) -> None:
        for bell in self._bells:
            bell.set()
