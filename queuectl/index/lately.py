"""Jobs that have changed within a time, read piece by piece: what numbers are made of."""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple, Optional

from queuectl.index.rows import checked_id, stamp_from
from queuectl.moment import format_moment, read_moment
from queuectl.state import State

_PIECE = 1000
_ONWARD = (State.PENDING, State.FAILED, State.PROCESSING, State.COMPLETED, State.DEAD)
"""As jobs move: one that moves on meanwhile is rather met twice than not at all."""
_HAS_RUN = "NOT (state = 'pending' AND attempts = 0 AND crashes = 0 AND updated_at IS created_at)"
"""Of one that has only been added the file tells nothing."""
_TIMELESS = "state = ? AND updated_at IS NULL AND mtime_ns >= ?"
_Row = tuple[str, Optional[str], int, int, Optional[str], str, Optional[str], int]


_FIELDS = "id, worker, mtime_ns, size, lane, tags, updated_at, command <> '\"\"'"


class Changed(NamedTuple):
    """A job that has changed, as the index has it; `at` is when, in seconds since the epoch."""

    id: str
    state: State
    worker: Optional[str]
    group: Optional[str]
    tags: list[str]
    at: float
    is_job: bool
    """Whether its file held one when it was read last."""


class Lately:
    """Who has changed lately; of a file that does not say when, its own time counts."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def count_changed(self, since: float) -> int:
        """How many jobs have changed since this moment."""
        query = f"SELECT count(*) FROM jobs WHERE state = ? AND updated_at >= ? AND {_HAS_RUN}"
        each = [self._sql.execute(query, (state.value, format_moment(since))) for state in State]
        query = f"SELECT count(*) FROM jobs WHERE {_TIMELESS} AND {_HAS_RUN}"
        each += [self._sql.execute(query, (state.value, _ns(since))) for state in State]
        return sum(int(one.fetchone()[0]) for one in each)

    def changed(self, since: float) -> Iterator[Changed]:
        """Those that have, but for such as have never been begun."""
        for state in _ONWARD:
            last = (format_moment(since), "")
            while rows := self._changed_after(state, *last):
                yield from (_changed(state, row) for row in rows)
                last = str(rows[-1][6]), rows[-1][0]
            timeless = ""
            while rows := self._timeless_after(state, since, timeless):
                yield from (_changed(state, row) for row in rows)
                timeless = rows[-1][0]

    def _changed_after(self, state: State, updated_at: str, job_id: str) -> list[_Row]:
        # A piece at a time: a question that stays open would keep the log of writes from being cut.
        return self._sql.execute(
            f"SELECT {_FIELDS} FROM jobs "
            f"WHERE state = ? AND (updated_at, id) > (?, ?) AND {_HAS_RUN} ORDER BY updated_at, id LIMIT ?",
            (state.value, updated_at, job_id, _PIECE),
        ).fetchall()

    def _timeless_after(self, state: State, since: float, job_id: str) -> list[_Row]:
        return self._sql.execute(
            f"SELECT {_FIELDS} FROM jobs WHERE {_TIMELESS} AND id > ? AND {_HAS_RUN} ORDER BY id LIMIT ?",
            (state.value, _ns(since), job_id, _PIECE),
        ).fetchall()


def _ns(moment: float) -> int:
    return int(max(moment, 0.0) * 1e9)


def _changed(state: State, row: _Row) -> Changed:
    job_id, worker, mtime_ns, size, lane, tags, updated_at, is_job = row
    stamp = stamp_from((state.value, worker, mtime_ns, size))
    told = read_moment(updated_at)
    at = mtime_ns / 1e9 if told is None else told
    named = str(tags).split("\n")[1:-1]
    return Changed(checked_id(job_id), state, stamp.worker, lane, named, at, bool(is_job))
