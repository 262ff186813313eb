"""What programs that watch the queue measure now and then: how many of what, and for how long they wait."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple, Optional

from queuectl.index.base import READY

_HIGHEST = 2**31
_IN_TURN = "ORDER BY priority DESC, created, id"


class Count(NamedTuple):
    """So many jobs of a group (empty: of none) in a state."""

    group: str
    state: str
    jobs: int


class Gauges:
    """Of one index."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def counts(self) -> list[Count]:
        """How many jobs of each group are in each state; half a second for a million."""
        rows = self._sql.execute("SELECT coalesce(lane, ''), state, count(*) FROM jobs GROUP BY 1, 2")
        return [Count(str(lane), str(state), int(count)) for lane, state, count in rows]

    def oldest_ready(self, tasks: Sequence[str]) -> Optional[float]:
        """When that job came in which has been here longest of those that may run now: commands, and of these
        tasks.
        """
        found = [self._oldest_of(task) for task in (None, *tasks)]
        return min((one for one in found if one is not None), default=None)

    def _oldest_of(self, task: Optional[str]) -> Optional[float]:
        oldest: Optional[float] = None
        # From one priority to the next: of each the index has the oldest first, and there are few.
        query = f"SELECT priority, created FROM {READY} AND task IS ? AND priority < ? {_IN_TURN} LIMIT 1"
        priority: int = _HIGHEST
        while row := self._sql.execute(query, (task, priority)).fetchone():
            priority, created = int(row[0]), float(row[1])
            oldest = created if oldest is None else min(oldest, created)
        return oldest
