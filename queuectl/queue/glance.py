"""What is seen without looking into the folders: for whoever looks several times a second."""

from __future__ import annotations

from typing import Any, Optional

from queuectl.queue.guard import guarded
from queuectl.queue.notices import problems
from queuectl.queue.report import Status, live_workers
from queuectl.queue.requests import is_paused
from queuectl.queue.store import Store


class Glances:
    """One thread's, at one spool."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._changes: Any = None
        self._counts: Optional[dict[str, int]] = None

    @guarded
    def look(self) -> tuple[Status, Any]:
        """The status as the last look into the folders has it, and what is another one after each write to
        the index. Jobs are counted only then: of a million that takes a twentieth of a second.
        """
        store = self.store
        # Somebody may have deleted the index.
        store.index.follow()
        changes = store.index.changes()
        if self._counts is None or changes != self._changes:
            self._changes, self._counts = changes, store.index.counts()
        status = Status(
            store.spool.root, self._counts, live_workers(store), is_paused(store.spool), problems(store)
        )
        return status, changes
