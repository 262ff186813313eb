"""File events of a few folders, by watchdog: what appeared, was written or was deleted directly in them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable

from queuectl.system.native import seal_descriptors

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler


JOIN_SECONDS = 2.0
"""Seconds to wait for the end of the watching threads."""


def watch(
    folders: Iterable[str], told: Callable[[str], None], *, names_only: Iterable[str] = ()
) -> Callable[[], None]:
    """Call ``told(path)`` for each file that something happened to; the result stops that.

    In ``names_only`` it is told what comes and goes, not what is written to. ``told`` is called in another
    thread. A file that is moved away may go untold, and so may anything on a network share. Raises OSError
    where the system gives no events (no watches left).
    """
    from watchdog.observers import Observer

    # It complains on stderr of nothing worse than being stopped, in the middle of our own lines.
    logging.getLogger("watchdog").setLevel(logging.CRITICAL + 1)
    observer = Observer()
    if sys.platform.startswith("linux"):
        _without_departures(observer)
    for folder in folders:
        observer.schedule(_handler(told), folder, recursive=False, event_filter=[*_comings(), _writing()])
    for folder in names_only:
        observer.schedule(_handler(told), folder, recursive=False, event_filter=_comings())
    observer.start()
    # watchdog opens inotify's so that a command would inherit it, and read our events.
    seal_descriptors()

    def stop() -> None:
        observer.stop()
        # Its threads are daemons: one that the system does not wake (seen on Windows) must not keep us.
        observer.join(JOIN_SECONDS)

    return stop


def _handler(told: Callable[[str], None]) -> FileSystemEventHandler:
    from watchdog.events import FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def dispatch(self, event: FileSystemEvent) -> None:
            if not event.is_directory:
                for path in (event.src_path, event.dest_path):
                    if path:
                        told(os.fsdecode(path))

    return Handler()


def _comings() -> list[type[FileSystemEvent]]:
    from watchdog import events

    return [events.FileCreatedEvent, events.FileMovedEvent, events.FileDeletedEvent]


def _writing() -> type[FileSystemEvent]:
    from watchdog import events

    # inotify tells when a writer closes a file; elsewhere only that somebody has written.
    closes = sys.platform.startswith("linux")
    return events.FileClosedEvent if closes else events.FileModifiedEvent


def _without_departures(observer: Any) -> None:
    """Ask inotify for no IN_MOVED_FROM.

    watchdog holds each of those back for 0.5 s to pair it with the other end of the move, and all events
    behind it wait. Every claim out of `pending` makes one. Watching both ends does not help: its queue can
    take the first event for an unpaired one before the second is read (seen in 2 of 100 claims).
    """
    from watchdog.observers.inotify_c import InotifyConstants

    plain: Any = observer._emitter_class

    class Arrivals(plain):  # type: ignore[misc]
        def get_event_mask_from_filter(self) -> int:
            mask: int = super().get_event_mask_from_filter()
            return mask & ~InotifyConstants.IN_MOVED_FROM

    observer._emitter_class = Arrivals
