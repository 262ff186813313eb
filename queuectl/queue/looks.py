"""Which folders need not be looked into: nothing has come or gone since all that lies there was looked at.

After Git's index and Mercurial's dirstate, which trust a file's time only when it is older than their look.
"""

from __future__ import annotations

import os
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
HEARSAY = 360.0
"""Seconds for which others rely on a look of a worker's program: it looks again before they are over."""


class Looks:
    """What is known of the last looks at each folder, and what this one adds to it."""

    def __init__(self, store: Store, now: float, *, owner: Optional[str], spare: bool) -> None:
        """`owner` is the supervisor whose events tell what changes from here on, empty if it hears of none;
        `spare` whether to ask.
        """
        self._store, self._now, self._owner = store, now, owner
        self._known = {look.folder: look for look in store.index.looks()} if spare else {}
        self._new: dict[str, Look] = {}

    def spares(self, state: State) -> bool:
        """Whether the rows of this state tell what lies in its folder."""
        known, index = self._known.get(state.folder), self._store.index
        if known is None or state is State.PROCESSING or index.has_few(state, FEW):
            return False
        inode, changed_ns = self._version(state)
        if inode != known.inode or index.has_oddities(f"{state.folder}/"):
            # What is odd may be mended where it lies, which changes no folder.
            return False
        same, age = system.FOLDERS_TELL and changed_ns == known.changed_ns, abs(self._now - known.at)
        if self._owner is None:
            # Whoever hears of what happens there keeps the rows up to date.
            heard = bool(known.owner) and age < HEARSAY and is_alive(self._store.spool, known.owner)
            return same or heard
        if not same or age >= OLDEST:
            return False
        self._new[state.folder] = known._replace(owner=self._owner)
        return True

    def begin(self, state: State) -> None:
        """This folder is about to be looked into."""
        inode, changed_ns = self._version(state)
        settled = self._now - changed_ns / 1e9 > GRAIN
        known = self._known.get(state.folder)
        # Who hears of it goes on hearing of it, whoever looks besides.
        owner = self._owner or (known.owner if known and known.inode == inode else "")
        self._new[state.folder] = Look(state.folder, inode, changed_ns if settled else 0, owner, self._now)

    def keep(self) -> None:
        """All of these were looked into, and their rows are written."""
        large = [state.folder for state in State if not self._store.index.has_few(state, FEW)]
        done = [look for look in self._new.values() if look.folder in large]
        if self._owner is None:
            # What a worker's program has told meanwhile tells more.
            told = {look.folder: look for look in self._store.index.looks()}
            done = [look for look in done if self._tells_more(look, told.get(look.folder))]
        self._store.index.put_looks([look for look in done if look.changed_ns or look.owner])

    @staticmethod
    def _tells_more(look: Look, told: Optional[Look]) -> bool:
        if told is None:
            return True
        if told.owner not in ("", look.owner):
            return False
        # By whose look it was is left as it is: others rely on its age.
        return not look.owner and look._replace(at=told.at) != told

    def _version(self, state: State) -> tuple[str, int]:
        try:
            found = os.stat(os.path.join(self._store.spool.root, state.folder))
        except OSError:
            return "", 0
        # Nobody sets this one back, as `touch` and `rsync -a` do the other.
        return str(found.st_ino), found.st_ctime_ns
