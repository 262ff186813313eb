"""The stores of one `Queue`: each thread has its own, made when it first needs one.

A program keeps one queue for all of its threads, as web servers do, and may be forked after it has used it.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from typing import Callable, Optional

from queuectl.queue.store import Store
from queuectl.uncut import uncut

_of_parents: list[Store] = []
"""Of the process that this one was forked from: SQLite must not be told of them, not even to let go of them
(sqlite.org/howtocorrupt.html, 2.6).
"""


class _Held:
    """One thread's; it goes with the thread."""

    def __init__(self, store: Store) -> None:
        self.store: Optional[Store] = store
        self.process = os.getpid()

    def close(self) -> None:
        """Let go of it."""
        store, self.store = self.store, None
        if store is None:
            return
        if self.process == os.getpid():
            store.close()
        else:
            _of_parents.append(store)

    def __del__(self) -> None:
        # At the end of Python what it needs may be gone.
        with suppress(Exception):
            self.close()


class Home:
    """Opens stores with `make`."""

    def __init__(self, make: Callable[[], Store]) -> None:
        self._make = make
        self._local = threading.local()
        self._all: weakref.WeakSet[_Held] = weakref.WeakSet()

    @property
    def store(self) -> Store:
        """This thread's. Raises as what makes it."""
        held: Optional[_Held] = getattr(self._local, "held", None)
        if held is not None and held.store is not None and held.process == os.getpid():
            return held.store
        with uncut():
            if held is not None:
                held.close()
            store = self._make()
            self._local.held = held = _Held(store)
            self._all.add(held)
        return store

    def close(self) -> None:
        """Let go of those of all threads; whoever needs one again gets a new one."""
        for held in list(self._all):
            held.close()
