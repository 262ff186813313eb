"""Wait for whichever comes first: a file event, a ring from inside the program, or a time.

Events wake, scans decide: an event only says where to look. On Linux watchdog holds every `moved_from` back
for half a second to pair it, and everything behind it waits; a recursive watch on the spool's root sees both
ends of a move and pairs them at once, so that is what is watched, filtered so that the index's own writes
make no events.
"""

from __future__ import annotations

import os
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, Optional

from queuectl import layout
from queuectl.names import CANCEL_SUFFIX, STOP_SUFFIX
from queuectl.state import WAITING, State

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers.api import BaseObserver

_ASKED = {state.folder: state for state in WAITING}


class Rings(NamedTuple):
    """What has come in since the last wait."""

    names: frozenset[tuple[State, str]]
    """Files in `pending` and `failed` that somebody touched."""
    asked: bool
    """Somebody may have asked for a stop, a pause or a cancel."""


class Doorbell:
    """Collects what happens in a spool until somebody waits for it."""

    def __init__(self, root: str) -> None:
        self._root = os.path.join(os.path.abspath(root), "")
        # SimpleQueue.put may be called in a signal handler, where taking a lock could wait for itself.
        self._rings: SimpleQueue[None] = SimpleQueue()
        self._guard = threading.Lock()
        self._names: set[tuple[State, str]] = set()
        self._asked = False
        self._observer: Optional[BaseObserver] = None

    def start(self) -> Optional[str]:
        """Begin to watch the folders; what is wrong where that is not possible (scans do it all then)."""
        import logging

        from watchdog.observers import Observer

        # It complains on stderr of nothing worse than being stopped, in the middle of our own lines.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL + 1)
        observer = Observer()
        try:
            observer.schedule(_handler(self), self._root, recursive=True, event_filter=_filter())
            observer.start()
        except OSError as error:
            return f"no file events ({error.strerror or error}): new jobs are found by looking"
        self._observer = observer
        return None

    def close(self) -> None:
        """Watch no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
            self._observer = None

    def ring(self) -> None:
        """Wake the waiter; may be called in a signal handler."""
        self._rings.put(None)

    def wait(self, timeout: float) -> Rings:
        """What came in, waited for at most `timeout` seconds."""
        try:
            self._rings.get(timeout=timeout)
            while True:
                self._rings.get_nowait()
        except Empty:
            pass
        with self._guard:
            rings = Rings(frozenset(self._names), self._asked)
            self._names.clear()
            self._asked = False
        return rings

    def notice(self, source: str, target: str) -> None:
        """Take in one event: a change at `source`, or a move from there to `target`."""
        names = {name for path in (target or source,) if (name := self._waiting_name(path))}
        if target and names and (old := self._waiting_name(source)):
            names.add(old)
        asked = any(self._is_request(path) for path in (source, target) if path)
        if names or asked:
            with self._guard:
                self._names |= names
                self._asked |= asked
            self.ring()

    def _waiting_name(self, path: str) -> Optional[tuple[State, str]]:
        folder, _, name = self._inside(path).partition("/")
        state = _ASKED.get(folder)
        return (state, name) if state is not None and name and "/" not in name else None

    def _is_request(self, path: str) -> bool:
        inside = self._inside(path)
        return inside == layout.PAUSED or inside.endswith((STOP_SUFFIX, CANCEL_SUFFIX))

    def _inside(self, path: str) -> str:
        return path[len(self._root) :].replace(os.sep, "/") if path.startswith(self._root) else ""


def _handler(bell: Doorbell) -> FileSystemEventHandler:
    from watchdog.events import FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def dispatch(self, event: FileSystemEvent) -> None:
            if not event.is_directory:
                bell.notice(os.fsdecode(event.src_path), os.fsdecode(event.dest_path))

    return Handler()


def _filter() -> list[type[FileSystemEvent]]:
    from watchdog import events
    from watchdog.observers import Observer

    kinds: list[type[FileSystemEvent]] = [
        events.FileCreatedEvent,
        events.FileMovedEvent,
        events.FileDeletedEvent,
    ]
    # inotify tells when a writer closes a file; elsewhere only that somebody has written.
    tells_close = "inotify" in Observer.__module__
    kinds.append(events.FileClosedEvent if tells_close else events.FileModifiedEvent)
    return kinds
