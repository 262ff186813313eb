"""Jobs that have changed within a time, read piece by piece: what numbers are made of."""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple, Optional

from queuectl.index.rows import checked_id, stamp_from
from queuectl.moment import format_moment
from queuectl.state import State

_PIECE = 1000
_ONWARD = (State.PENDING, State.FAILED, State.PROCESSING, State.COMPLETED, State.DEAD)
"""As jobs move: one that moves on meanwhile is rather met twice than not at all."""
_HAS_RUN = "NOT (state = 'pending' AND attempts = 0 AND crashes = 0 AND updated_at IS created_at)"
"""Of one that has only been added the file tells nothing."""


class Changed(NamedTuple):
    """A job that has changed, as the index has it."""

    id: str
    state: State
    worker: Optional[str]
    group: Optional[str]
    tags: list[str]
    updated_at: str


class Lately:
    """Who has changed lately."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def count_changed(self, since: float) -> int:
        """How many jobs have changed since this moment."""
        query = f"SELECT count(*) FROM jobs WHERE state = ? AND updated_at >= ? AND {_HAS_RUN}"
        each = (self._sql.execute(query, (state.value, format_moment(since))) for state in State)
        return sum(int(one.fetchone()[0]) for one in each)

    def changed(self, since: float) -> Iterator[Changed]:
        """Those that have, but for such as have never been begun."""
        for state in _ONWARD:
            last = (format_moment(since), "")
            while found := self._changed_after(state, *last):
                yield from found
                last = found[-1].updated_at, found[-1].id

    def _changed_after(self, state: State, updated_at: str, job_id: str) -> list[Changed]:
        # A piece at a time: a question that stays open would keep the log of writes from being cut.
        rows = self._sql.execute(
            "SELECT id, worker, mtime_ns, size, lane, tags, updated_at FROM jobs "
            f"WHERE state = ? AND (updated_at, id) > (?, ?) AND {_HAS_RUN} ORDER BY updated_at, id LIMIT ?",
            (state.value, updated_at, job_id, _PIECE),
        ).fetchall()
        return [_changed(state, row) for row in rows]


def _changed(state: State, row: tuple[str, Optional[str], int, int, Optional[str], str, str]) -> Changed:
    job_id, worker, mtime_ns, size, lane, tags, updated_at = row
    stamp = stamp_from((state.value, worker, mtime_ns, size))
    return Changed(checked_id(job_id), state, stamp.worker, lane, str(tags).split("\n")[1:-1], updated_at)
