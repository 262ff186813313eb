"""What goes wrong while workers run, and may last: it is told once; an index that is damaged is mended."""

from __future__ import annotations

import os
import sqlite3
from typing import Callable, Optional

from queuectl import events, system
from queuectl.errors import QueueError
from queuectl.events import Event, Listener
from queuectl.index import STUCK_AFTER, usable_error
from queuectl.queue.store import Store
from queuectl.spool import layout

INDEX_PATIENCE = 60.0
"""Seconds after which an index that cannot be used is given up, by who does not want to wait for ever."""
RETRY_PAUSE = 0.5
"""Seconds before a worker goes on after an error that may pass."""


class Troubles:
    """Of one pool; any of its threads may call it."""

    def __init__(
        self, root: str, emit: Listener, gives_up: Callable[[Exception], bool], mended: Callable[[], object]
    ) -> None:
        """`gives_up` is asked whether the pool ends for an index that cannot be used for long; `mended` is
        called when those who rest should look again.
        """
        self._root, self._emit, self._gives_up, self._mended = root, emit, gives_up, mended
        self._noticed: set[str] = set()
        self._index_failed: Optional[float] = None

    def notice(self, text: str) -> None:
        """Tell what may last, once."""
        if text not in self._noticed:
            self._noticed.add(text)
            self._emit(Event(events.NOTICE, text=text))

    def tell_stuck(self, store: Store) -> bool:
        """Tell of jobs that cannot be moved or started for long; whether some cannot only for a moment."""
        now, briefly = system.now(), False
        for entry in store.index.stuck():
            if now - (entry.stuck_since or now) < STUCK_AFTER:
                briefly = True
            else:
                self.notice(f"{entry.id} {entry.stuck_why}")
        return briefly

    def mend(self, store: Store, error: sqlite3.Error) -> None:
        """See to an index that cannot be used; the jobs are in the files, so nothing is lost meanwhile."""
        try:
            healed = store.heal(error)
        except (QueueError, OSError, sqlite3.Error):
            healed = False
        if healed and store.index.in_memory:
            self.notice(f"the index is damaged and held open: going on in memory ({error})")
        elif healed:
            self.notice(f"the index was damaged and is built anew ({error})")
        elif not (self._lasts_long() and self._gives_up(usable_error(error, self._index))):
            self.notice(f"the index cannot be used just now: {error}")
            system.sleep(RETRY_PAUSE)
        self._mended()

    def index_works(self) -> None:
        """It could be used just now."""
        self._index_failed = None

    @property
    def _index(self) -> str:
        return os.path.join(self._root, layout.INDEX)

    def _lasts_long(self) -> bool:
        self._index_failed = self._index_failed or system.monotonic()
        return system.monotonic() - self._index_failed > INDEX_PATIENCE
