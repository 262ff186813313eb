"""Which folders need not be looked into: nothing has come or gone since all that lies there was looked at.

After Git's index and Mercurial's dirstate, which trust a file's time only when it is older than their look.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Optional

from queuectl import system
from queuectl.index import Look
from queuectl.queue.liveness import is_alive
from queuectl.queue.store import Store
from queuectl.state import State

FEW = 1000
"""Jobs in a folder up to which it is looked into anyway: an edit of a file in its place changes no folder."""
GRAIN = 2.0
"""Seconds between two changes of a folder that may bear one time, on the coarsest file systems."""
OLDEST = 600.0
"""Seconds after which a worker's program looks at all again, whatever the folder tells."""


class Looks:
    """What is known of the last looks at each folder, and what this one adds to it."""

    def __init__(self, store: Store, now: float, *, owner: Optional[str], spare: bool) -> None:
        """`owner` is the supervisor whose events tell what changes from here on; `spare` whether to ask."""
        self._store, self._now, self._owner = store, now, owner
        self._known = {look.folder: look for look in store.index.looks()} if spare else {}
        self._new: dict[str, Look] = {}

    def spares(self, state: State) -> bool:
        """Whether the rows of this state tell what lies in its folder."""
        known = self._known.get(state.folder)
        if known is None or state is State.PROCESSING or self._store.index.has_few(state, FEW):
            return False
        inode, mtime_ns = self._version(state)
        if inode != known.inode:
            return False
        same = system.FOLDERS_TELL and mtime_ns == known.mtime_ns
        if self._owner is None:
            # Whoever hears of all that happens there keeps the rows up to date.
            return same or (bool(known.owner) and is_alive(self._store.spool, known.owner))
        if not same or abs(self._now - known.at) >= OLDEST:
            return False
        self._new[state.folder] = known._replace(owner=self._owner)
        return True

    def begin(self, state: State) -> None:
        """This folder is about to be looked into."""
        inode, mtime_ns = self._version(state)
        settled = self._now - mtime_ns / 1e9 > GRAIN
        known = self._known.get(state.folder)
        # Who hears of it goes on hearing of it, whoever looks besides.
        owner = self._owner or (known.owner if known and known.inode == inode else "")
        self._new[state.folder] = Look(state.folder, inode, mtime_ns if settled else 0, owner, self._now)

    def keep(self, *, besides: Collection[str]) -> None:
        """All of these were looked into, and their rows are written; there is more to see to in some."""
        done = [look for look in self._new.values() if look.folder not in besides]
        if self._owner is None:
            # What a worker's program has told meanwhile tells more.
            told = {look.folder: look.owner for look in self._store.index.looks()}
            done = [look for look in done if told.get(look.folder, "") in ("", look.owner)]
        self._store.index.put_looks([look for look in done if look.mtime_ns or look.owner])

    def _version(self, state: State) -> tuple[str, int]:
        try:
            found = os.stat(os.path.join(self._store.spool.root, state.folder))
        except OSError:
            return "", 0
        return str(found.st_ino), found.st_mtime_ns
