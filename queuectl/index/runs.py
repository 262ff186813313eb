"""How many runs have ended and how, in groups, by how long they waited and took: numbers that only grow.

Records are deleted in time, so that what is counted from them shrinks; these are kept here by whoever
records a run. What is older is kept in longer parts of time: by the minute for two hours, then by half an
hour for a day.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Callable, NamedTuple

from queuectl.measures import BOUNDS, DEAD, TIME, UNKNOWN, WAIT, WAIT_AGAIN, Measured

TABLE = """
CREATE TABLE IF NOT EXISTS runs (
    part INTEGER NOT NULL,
    lane TEXT NOT NULL,
    what TEXT NOT NULL,
    bound INTEGER NOT NULL,
    count INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (part, lane, what, bound)
) WITHOUT ROWID
"""
"""`part` is the minute since the epoch with which a part of time begins; 0 is all time before."""
_ADD = (
    # With its columns: SQLite before 3.35 wants them.
    "ON CONFLICT (part, lane, what, bound) "
    "DO UPDATE SET count = count + excluded.count, seconds = seconds + excluded.seconds"
)
_LONG = 30
"""Minutes of a longer part."""
_BY_MINUTE, _BY_LONG = 120, 25 * 60
"""Minutes for which there are shorter parts, and longer ones."""


class Total(NamedTuple):
    """Of all time: so many of a group (empty: of none) and what they took together."""

    group: str
    what: str
    bound: int
    times: int
    seconds: float


class Part(NamedTuple):
    """What has ended in a part of time that begins `at`, in seconds since the epoch."""

    at: float
    completed: int
    dead: int
    runs: int
    failed: int
    waited: dict[int, int]
    """Of first runs and further ones, by the numbers of bounds."""
    ran: dict[int, int]


class Runs:
    """The numbers of one index, by this connection."""

    def __init__(
        self, connection: sqlite3.Connection, transaction: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self.connection, self._transaction = connection, transaction
        self._rolled = 0

    def count(self, runs: Sequence[Measured], now: float) -> None:
        """Count these. Raises sqlite3.Error: they are not counted."""
        minute = int(now // 60)
        counts: dict[tuple[int, str, str, int], list[float]] = defaultdict(lambda: [0, 0.0])
        for run in runs:
            for what, bound, seconds in run.counted():
                count = counts[minute, run.group or "", what, bound]
                count[0] += 1
                count[1] += seconds
        rows = [(*key, *count) for key, count in counts.items()]
        with self._transaction():
            if self._rolled != minute // _LONG:
                # Older programs make an index without.
                self.connection.execute(TABLE)
                self._roll(minute)
                self._rolled = minute // _LONG
            self.connection.executemany(f"INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?) {_ADD}", rows)

    def _roll(self, minute: int) -> None:
        for into, until, which in (
            (f"part / {_LONG} * {_LONG}", (minute - _BY_MINUTE) // _LONG * _LONG, f"part % {_LONG} <> 0"),
            ("0", (minute - _BY_LONG) // _LONG * _LONG, "1"),
        ):
            where = f"WHERE part > 0 AND part < ? AND {which}"
            self.connection.execute(
                f"INSERT INTO runs SELECT {into}, lane, what, bound, sum(count), sum(seconds) FROM runs "
                f"{where} GROUP BY 1, 2, 3, 4 {_ADD}",
                (until,),
            )
            self.connection.execute(f"DELETE FROM runs {where}", (until,))

    def totals(self) -> list[Total]:
        """The numbers of all time."""
        rows = self._read(
            "SELECT lane, what, bound, sum(count), sum(seconds) FROM runs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        return [Total(*row) for row in rows if tuple(map(type, row)) == (str, str, int, int, float)]

    def parts(self, since: float, until: float, step: float) -> list[Part]:
        """What has ended in each `step` seconds from `since` on: half an hour, where that is long ago."""
        number = max(int((until - since) // step), 1)
        found = [Part(since + step * one, 0, 0, 0, 0, {}, {}) for one in range(number)]
        rows = self._read(
            "SELECT part, what, bound, sum(count) FROM runs WHERE part >= ? AND part < ? GROUP BY 1, 2, 3",
            since / 60,
            until / 60,
        )
        for row in rows:
            if tuple(map(type, row)) == (int, str, int, int):
                at = min(int((row[0] * 60 - since) // step), number - 1)
                found[at] = _with(found[at], *row[1:])
        return found

    def _read(self, query: str, *values: float) -> list[Any]:
        try:
            return self.connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                # Nobody has counted any yet.
                return []
            raise


def _with(part: Part, what: str, bound: int, count: int) -> Part:
    if not UNKNOWN <= bound <= len(BOUNDS):
        return part
    if what == DEAD:
        return part._replace(dead=part.dead + count)
    if what in (WAIT, WAIT_AGAIN):
        part.waited[bound] = part.waited.get(bound, 0) + count
        return part
    if not what.startswith(TIME):
        return part
    part.ran[bound] = part.ran.get(bound, 0) + count
    good = what == f"{TIME}completed"
    # A cancelled one has neither succeeded nor failed.
    bad = not good and what != f"{TIME}cancelled"
    return part._replace(
        runs=part.runs + count, completed=part.completed + count * good, failed=part.failed + count * bad
    )
