"""Wait for whichever comes first: a file event, a ring from inside the program, or a time.

Events wake, scans decide: an event only says where to look.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Callable, NamedTuple, Optional

from queuectl.names import CANCEL_SUFFIX, STOP_SUFFIX
from queuectl.spool import layout
from queuectl.state import WAITING, State

_OTHERS = (layout.SCHEDULES, layout.GROUPS)
_WAITING_FOLDERS = {state.folder: state for state in WAITING}


def watched_folders(root: str) -> list[str]:
    """The folders of the spool at `root` whose events matter."""
    return [*_where_work_waits(root), *_where_asked(root)]


def _where_work_waits(root: str) -> list[str]:
    return [os.path.join(root, name) for name in (*_WAITING_FOLDERS, *_OTHERS)]


def _where_asked(root: str) -> list[str]:
    # Here the index and the locks are written to all the time.
    return [root, os.path.join(root, layout.LOCKS)]


class Rings(NamedTuple):
    """What has come in since the last wait."""

    names: frozenset[tuple[State, str]]
    """Files in `pending` and `failed` that somebody touched."""
    asked: bool
    """Somebody may have asked for a stop, a pause or a cancel, or touched a schedule or a group."""
    rung: bool = True
    """Whether anything has come in, and not only the time."""


class Doorbell:
    """Collects what happens in a spool until somebody waits for it."""

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        # Held until it rings: a release may be made in a signal handler, where taking a lock could wait for
        # itself. Not a SimpleQueue, whose wait for a few microseconds may never end (Python 3.9 and 3.10).
        self._still = threading.Lock()
        self._still.acquire()
        self._guard = threading.Lock()
        self._names: set[tuple[State, str]] = set()
        self._asked = False
        self._unwatch: Optional[Callable[[], None]] = None

    def start(self) -> Optional[str]:
        """Begin to watch the folders; what is wrong where that is not possible (scans do it all then)."""
        from queuectl.system.watch import watch

        try:
            self._unwatch = watch(
                _where_work_waits(self._root), self.notice, names_only=_where_asked(self._root)
            )
        except (OSError, RuntimeError) as error:
            # RuntimeError: there is no room for another thread.
            why = getattr(error, "strerror", None) or error
            return f"no file events ({why}): new jobs are found by looking"
        return None

    @property
    def hears(self) -> bool:
        """Whether the folders are watched."""
        return self._unwatch is not None

    def close(self) -> None:
        """Watch no more."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def ring(self) -> None:
        """Wake the waiter; may be called in a signal handler."""
        # It is ringing already, where this is refused.
        with suppress(RuntimeError):
            self._still.release()

    def ask(self) -> None:
        """Wake the waiter: somebody may have asked for something."""
        with self._guard:
            self._asked = True
        self.ring()

    def wait(self, timeout: float) -> Rings:
        """What came in, waited for at most `timeout` seconds."""
        rung = self._still.acquire(timeout=max(timeout, 0.0))
        with self._guard:
            rings = Rings(frozenset(self._names), self._asked, rung)
            self._names.clear()
            self._asked = False
        return rings

    def notice(self, path: str) -> None:
        """Take in one event: something happened to the file at `path`."""
        folder, name = os.path.split(path)
        state = _WAITING_FOLDERS.get(os.path.basename(folder))
        asked = name in layout.PAUSED or name.endswith((STOP_SUFFIX, CANCEL_SUFFIX))
        asked |= os.path.basename(folder) in _OTHERS
        if state is None and not asked:
            return
        with self._guard:
            if state is not None:
                self._names.add((state, name))
            self._asked |= asked
        self.ring()
