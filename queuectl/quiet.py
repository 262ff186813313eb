"""Whether anything can have changed in a spool since the last look at all of it, told by its folders' times.

After `Looks`, which spares folders; here nothing at all is asked but those times, for workers that idle.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from queuectl import system
from queuectl.queue.looks import GRAIN
from queuectl.queue.store import Store
from queuectl.spool import layout
from queuectl.state import WAITING, State

LONGEST = 10.0
"""Seconds for which nothing else is asked: an edit of a file in its place, of which no event told, changes no
folder, and a dead worker's file may lie in `tmp` until it is old.
"""
_FOLDERS = ("", *(state.folder for state in State), layout.SCHEDULES, layout.GROUPS, layout.LOCKS)

_Version = tuple[int, int, int]


class Quiet:
    """What a spool's folders were like as a look at all of it began."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._begun: dict[str, _Version] = {}
        self._kept: dict[str, _Version] = {}
        self._index: object = None
        self._until = 0.0

    def begin(self, living: Collection[str]) -> None:
        """A look at all of it begins; these workers are known to live."""
        self._begun, self._kept, self._index = {}, {}, self._store.index.version()
        if not system.FOLDERS_TELL:
            return
        spool = self._store.spool
        paths = [os.path.join(spool.root, name) for name in _FOLDERS]
        try:
            found = {path: os.stat(path) for path in [*paths, *map(spool.worker_folder, living)]}
            strangers = set(spool.workers()).difference(living)
        except OSError:
            return
        # Two changes may bear one time.
        settled = system.now() - max(one.st_ctime_ns for one in found.values()) / 1e9 > GRAIN
        # Of a worker of another program it must be asked whether it lives.
        if settled and not strangers:
            self._begun = {path: _version(one) for path, one in found.items()}

    def keep(self) -> None:
        """It has come to its end."""
        index, self._until = self._store.index, system.monotonic() + LONGEST
        # What cannot be read just now may be mended where it lies.
        is_odd = any(index.has_oddities(f"{state.folder}/") for state in WAITING)
        self._kept = {} if is_odd else self._begun

    def holds(self) -> bool:
        """Whether everything is as it was then, as far as that can be told."""
        if not self._kept or system.monotonic() >= self._until:
            return False
        try:
            same = all(_version(os.stat(path)) == before for path, before in self._kept.items())
        except OSError:
            return False
        return same and self._store.index.version() == self._index


def _version(found: os.stat_result) -> _Version:
    return found.st_dev, found.st_ino, found.st_ctime_ns
