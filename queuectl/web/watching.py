"""One look at the queue for all pages that are open, again and again while there are any.

A page is told that something has changed, and fetches what it shows. Nobody looks where nobody watches. What
workers and commands do is in the index at once, and seen by a glance at that; what hands do in the folders is
seen when these have been looked into, which of a million files may take a while.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from secrets import randbits
from typing import Any, Callable, NamedTuple, Optional

from queuectl import system
from queuectl.errors import Busy
from queuectl.queue import Queue
from queuectl.queue.glance import Glances
from queuectl.queue.report import Status
from queuectl.spool import layout

PAUSE = 0.25
"""Seconds between two looks, at least."""
_TIMES_A_LOOK = 5
"""Times as long as a look takes it rests, if that is longer: of a million jobs one takes a while."""
_FRESH = 1.0
"""Seconds for which a look is good enough for a page that is asked for."""
_DEADLINE = 30.0
"""Seconds that whoever asks waits for a look."""
_FIRST_LOOK = 1.0
"""Seconds that whoever asks where nobody watches waits for the folders to be looked into."""
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
    """Looks, in threads of its own, and wakes whoever waits for a change."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._folders = _Pacer("folders", self._look_into_folders)
        self._glances = _Pacer("glances", self._glance)
        self._look: Optional[Look] = None
        self._seen: Any = None
        self._first = randbits(_BITS)
        self._eyes: Optional[Glances] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._bells: set[asyncio.Event] = set()
        self._ended = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, for those who wait in this loop."""
        self._loop = loop
        for pacer in (self._folders, self._glances):
            pacer.start()

    def end(self) -> None:
        """Wake everybody for the last time."""
        self._ended = True
        for pacer in (self._folders, self._glances):
            pacer.end()
        self._ring()

    def join(self, seconds: float) -> None:
        """Wait, once it is to end, until nobody looks any more."""
        for pacer in (self._folders, self._glances):
            pacer.join(seconds)

    @property
    def has_ended(self) -> bool:
        """Whether nobody looks any more."""
        return self._ended

    def subscribe(self) -> asyncio.Event:
        """What is set after each change, until `unsubscribe`. Called in the loop."""
        bell = asyncio.Event()
        self._bells.add(bell)
        self._go_on()
        return bell

    def unsubscribe(self, bell: asyncio.Event) -> None:
        """Wake this one no more. Called in the loop."""
        self._bells.discard(bell)
        self._go_on()

    def _go_on(self) -> None:
        for pacer in (self._folders, self._glances):
            pacer.go_on(bool(self._bells))

    @property
    def version(self) -> Optional[str]:
        """That of the last look; None before the first."""
        look = self._look
        return None if look is None else str(look.version)

    def latest(self) -> Look:
        """The queue as it was a moment ago. Raises as `look_again`."""
        look = self._look
        if look is not None and system.monotonic() - look.at < _FRESH:
            return look
        # Nobody watches, so nobody has looked into the folders for a while.
        with suppress(Busy):
            self._folders.once_more(_FIRST_LOOK)
        return self.look_again()

    def look_again(self) -> Look:
        """The queue as it is now, at least: after somebody has changed it here.

        Raises:
            QueueError, Exception: what the look has met.
            Busy: it takes too long.
        """
        self._glances.once_more(_DEADLINE)
        assert self._look is not None
        return self._look

    def _look_into_folders(self) -> None:
        self._queue.refresh()

    def _glance(self) -> None:
        if self._eyes is None:
            self._eyes = Glances(self._queue.store)
        status, changes = self._eyes.look()
        seen = (status, changes, self._times(), int(self._queue.moment() // _MINUTE))
        changed, self._seen = seen != self._seen, seen
        version = self._first if self._look is None else self._look.version
        self._look = Look(version + changed, status, system.monotonic())
        if changed:
            self._ring()

    def _times(self) -> list[Optional[int]]:
        """When what the index does not have was changed."""
        times: list[Optional[int]] = []
        for folder in (layout.SCHEDULES, layout.GROUPS, layout.HOOKS):
            for path in (folder, os.path.join(folder, layout.RECORDS)):
                try:
                    times.append(os.stat(os.path.join(self._queue.root, path)).st_mtime_ns)
                except OSError:
                    times.append(None)
        return times

    def _ring(self) -> None:
        if self._loop is not None:
            # It may be closing.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ring_all)

    def _ring_all(self) -> None:
        for bell in self._bells:
            bell.set()


class _Pacer:
    """A thread that does one thing again and again while it is to go on, and once more for whoever asks."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self._action = action
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._poke = threading.Event()
        self._news = threading.Condition()
        self._begun = self._done = 0
        self._error: Optional[Exception] = None
        self._goes_on = self._ended = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Do it no more."""
        self._ended = True
        self._poke.set()
        with self._news:
            self._news.notify_all()

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def go_on(self, wanted: bool) -> None:
        """Whether it is to be done again and again."""
        self._goes_on = wanted
        self._poke.set()

    def once_more(self, deadline: float) -> None:
        """Have it done, from now on, and wait for that so many seconds.

        Raises:
            Busy: it takes longer.
            Exception: what it has raised.
        """
        with self._news:
            wanted = self._begun + 1
            self._poke.set()
            if not self._news.wait_for(lambda: self._done >= wanted or self._ended, deadline):
                raise Busy("the queue is being looked at, which takes long", hint="try again in a minute")
            if self._error is not None:
                raise self._error

    def _run(self) -> None:
        pause: Optional[float] = None
        while True:
            self._poke.wait(pause)
            self._poke.clear()
            if self._ended:
                return
            with self._news:
                self._begun += 1
            began, error = system.monotonic(), None
            try:
                self._action()
            except Exception as met:  # noqa: BLE001 - told to whoever asks for a page; the next time may do
                error = met
            with self._news:
                self._done, self._error = self._begun, error
                self._news.notify_all()
            took = system.monotonic() - began
            pause = max(PAUSE, _TIMES_A_LOOK * took) if self._goes_on else None
