"""A worker's life: it lasts as long as its lock is held, and the system frees that on any death."""

from __future__ import annotations

import os
import threading
from typing import Optional

from queuectl import locks
from queuectl.errors import QueueError
from queuectl.names import LIFE_SUFFIX, STOP_SUFFIX
from queuectl.queue.store import Store

_lasting: list[locks.HeldLock] = []
"""To the end of this process: not even as what nobody refers to any more are they to be let go of."""


def lasts() -> bool:
    """Whether a worker has left a task behind that only the end of this process can end."""
    return bool(_lasting)


class Life:
    """One worker's; any thread may call it once it has begun."""

    def __init__(self, store: Store, worker: str) -> None:
        self._store, self._worker = store, worker
        self._held: Optional[locks.HeldLock] = None
        self._guard = threading.Lock()

    def begin(self) -> None:
        """Take the lock, then make the folder: a folder without a held lock is a dead worker's.

        Raises:
            QueueError: somebody else holds a lock of this name.
        """
        spool = self._store.spool
        with self._store.claiming():
            self._held = locks.try_lock(spool.lock_path(self._worker + LIFE_SUFFIX))
            if self._held is None:
                raise QueueError(f"there is a worker {self._worker} already")
            spool.make_worker_folder(self._worker)

    def end(self) -> bool:
        """Free the lock; False if it had ended before, or never begun."""
        with self._guard:
            held, self._held = self._held, None
        if held is not None:
            held.release()
        return held is not None

    def last(self) -> bool:
        """Go on until this process ends; always False, as that of `end` where nothing has ended."""
        with self._guard:
            if self._held is not None:
                _lasting.append(self._held)
        return False

    def keep(self) -> None:
        """Take the lock anew if somebody has deleted its file: others would take us for dead.

        Raises:
            Busy, OSError: not just now.
        """
        with self._guard:
            if self._held is None or self._held.is_current():
                return
        with self._store.claiming():
            self._goes_on()

    def may_claim(self) -> bool:
        """Whether we live for the others, and nobody has asked us to stop; asked under `claim.lock`."""
        # Our supervisor hears it a moment later.
        stop = self._store.spool.lock_path(self._worker + STOP_SUFFIX)
        return self._goes_on() and not os.path.isfile(stop)

    def _goes_on(self) -> bool:
        """Whether we hold our lock, taken anew if need be; asked under `claim.lock`."""
        with self._guard:
            held = self._held
            if held is None or held.is_current():
                return held is not None
            new = locks.try_lock(held.path)
            if new is not None:
                held.close()
                self._held = new
            return new is not None
