"""Jobs a page at a time, however many there are: each page goes on behind the last row of the one before.

By the values of that row, and not by its number (use-the-index-luke.com/no-offset): the thousandth page takes
as long as the first. Rows that a filter means are looked for in the order of the list; where they are rare,
all rows are gone through as they lie, which takes a tenth of that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Callable, NamedTuple, Optional, Union

from queuectl.errors import InvalidInput
from queuectl.index.base import FIELDS, WAITS
from queuectl.index.filters import Filter, condition, prepare, values
from queuectl.index.rows import Entry, entry_from
from queuectl.state import WAITING, State

_IN_ORDER = 5000
"""Rows that are looked at in the order of the list before all are gone through as they lie."""
_READY = "ready"
_RARE = 10_000
"""Rows that a filter means, up to which all of them are fetched and parted and sorted here."""
_MANY_TASKS = 300
"""More than these SQLite does not ask for in one question."""

Key = tuple[Union[str, int, float], ...]


class Mark(NamedTuple):
    """Where a page ends: in which part of the list, and the values of its last row that this is sorted by.

    Without values it is where the part begins.
    """

    part: str
    key: Key


class Page(NamedTuple):
    """Some rows; `following` is where the next ones begin, None if there are none."""

    entries: list[Entry]
    following: Optional[Mark]


class _Part(NamedTuple):
    """A part of the list: conditions of rows that an index has in its order, each by itself."""

    name: str
    indexed_by: str
    sources: Sequence[str]
    columns: Sequence[str]
    order: str
    behind: Sequence[str]
    """What is true of rows that come behind a key, whose values are :k0, :k1 ...; ranges of the index."""
    holds: Callable[[Entry], bool]
    downwards: bool = False

    def in_order(self, *, first: bool) -> str:
        """The `:chunk` rows that come first, or next."""
        ranges = ["1"] if first else self.behind
        each = [
            f"SELECT {FIELDS} FROM jobs INDEXED BY {self.indexed_by} WHERE {source} AND {one} "
            f"ORDER BY {self.order} LIMIT :chunk"
            for source in self.sources
            for one in ranges
        ]
        if len(each) == 1:
            return each[0]
        union = " UNION ALL ".join(f"SELECT * FROM ({one})" for one in each)
        return f"SELECT * FROM ({union}) ORDER BY {self.order} LIMIT :chunk"

    def as_they_lie(self, meant: str, *, first: bool) -> str:
        """The `:left` rows of which `meant` is true that come first, or next: of all rows, in no order."""
        behind = "1" if first else " OR ".join(f"({one})" for one in self.behind)
        sources = " OR ".join(f"({one})" for one in self.sources)
        return f"{_of_all(f'({sources}) AND ({behind}) AND {meant}')} ORDER BY {self.order} LIMIT :left"

    def sorted(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of these that are of this part, in its order."""
        return sorted(filter(self.holds, entries), key=self.turn, reverse=self.downwards)

    def turn(self, entry: Entry) -> Any:
        """By what they are sorted."""
        return self._turn_of(self.key(entry))

    def key(self, entry: Entry) -> Key:
        """The values of this row that they are sorted by."""
        return tuple(getattr(entry, column) for column in self.columns)

    def is_behind(self, entry: Entry, key: Key) -> bool:
        """Whether it comes behind this key; without values that is where the part begins."""
        if not key:
            return True
        turn, edge = self.turn(entry), self._turn_of(key)
        return bool(turn < edge if self.downwards else turn > edge)

    def _turn_of(self, key: Key) -> Any:
        # Of `ready` alone the order goes both ways.
        return (-key[0], *key[1:]) if self.name == _READY else key  # type: ignore[operator]


def _of_all(condition: str) -> str:
    # In a CASE SQLite sees nothing that an index could serve: rows as they lie are read ten times as fast.
    return f"SELECT {FIELDS} FROM jobs WHERE CASE WHEN {condition} THEN 1 END"


def _latest(name: str, states: Sequence[State]) -> Iterator[_Part]:
    """Those that changed last come first, and those that do not say when, last."""
    each = [f"state = {state.value!r}" for state in states]
    timed = [f"{one} AND updated_at IS NOT NULL" for one in each]
    timeless = [f"{one} AND updated_at IS NULL" for one in each]
    names = {state.value for state in states}
    yield _Part(
        name,
        "jobs_state",
        timed,
        ("updated_at", "id"),
        "updated_at DESC, id DESC",
        ["(updated_at, id) < (:k0, :k1)"],
        lambda row: row.state in names and row.updated_at is not None,
        downwards=True,
    )
    yield _Part(
        f"{name}, timeless",
        "jobs_state",
        timeless,
        ("id",),
        "id DESC",
        ["id < :k0"],
        lambda row: row.state in names and row.updated_at is None,
        downwards=True,
    )


def _waits(row: Entry) -> bool:
    return row.state in WAITING


def _ready(tasks: Sequence[str]) -> _Part:
    """Those that may run now, in the order of their turns."""
    each = ["task IS NULL", *("task = '" + task.replace("'", "''") + "'" for task in tasks)]
    return _Part(
        _READY,
        "jobs_ready",
        [f"due IS NULL AND {WAITS} AND {one}" for one in (each if len(tasks) <= _MANY_TASKS else ["1"])],
        ("priority", "created", "id"),
        "priority DESC, created, id",
        ["priority = :k0 AND (created, id) > (:k1, :k2)", "priority < :k0"],
        lambda row: _waits(row) and row.due is None,
    )


_DUE = _Part(
    "due",
    "jobs_due",
    [f"due IS NOT NULL AND {WAITS}"],
    ("due", "id"),
    "due, id",
    ["(due, id) > (:k0, :k1)"],
    lambda row: _waits(row) and row.due is not None,
)


def _parts(states: Sequence[State], tasks: Sequence[str]) -> Iterator[_Part]:
    chosen = states or tuple(State)
    if State.PROCESSING in chosen:
        yield from _latest("processing", [State.PROCESSING])
    waiting = [state for state in WAITING if state in chosen]
    if waiting == [State.FAILED]:
        # By themselves an index has them, among a million others.
        yield from _latest("failed", waiting)
    elif waiting:
        yield _ready(tasks)
        yield _DUE
    ended = [state for state in (State.COMPLETED, State.DEAD) if state in chosen]
    if ended:
        yield from _latest("ended", ended)


class Pages:
    """Of a list of jobs: what runs, what waits in the order of its running, then the latest to end first."""

    def __init__(self, connection: sqlite3.Connection, tasks: Sequence[str]) -> None:
        """`tasks` are those of which jobs may run now."""
        self._sql, self._tasks = connection, tasks

    def page(self, where: Filter, limit: int, behind: Optional[Mark] = None) -> Page:
        """At most so many that the filter means, behind the end of another page or from the first on.

        Raises:
            InvalidInput: there is no such mark.
        """
        prepare(self._sql, where)
        parts = list(_parts(where.states, self._tasks))
        key: Key = ()
        if behind is not None:
            parts, key = _from(behind, parts), behind.key
        search, found = _Search(self._sql, where), list[Entry]()
        for part in parts:
            rows = search.through(part, key, limit - len(found) + 1)
            found += rows
            if len(found) > limit:
                return Page(found[:limit], Mark(part.name, part.key(rows[-2]) if len(rows) > 1 else key))
            key = ()
        return Page(found, None)


class _Search:
    """For what a filter means, part by part."""

    def __init__(self, connection: sqlite3.Connection, where: Filter) -> None:
        self._sql, self._meant, self._values = connection, condition(where), values(where)
        self._chooses = bool(self._values)
        self._all: Optional[list[Entry]] = None

    def through(self, part: _Part, key: Key, most: int) -> list[Entry]:
        """The first so many of this part behind this key."""
        given = {**self._values, **{f"k{number}": value for number, value in enumerate(key)}, "left": most}
        given["chunk"] = max(most, _IN_ORDER) if self._chooses else most
        chunk = part.in_order(first=not key)
        found = self._rows(f"SELECT * FROM ({chunk}) WHERE {self._meant} LIMIT :left", given)
        if len(found) == most or not self._rows(f"SELECT * FROM ({chunk}) LIMIT 1 OFFSET :chunk - 1", given):
            return found
        if self._all is None:
            self._all = self._rows(f"{_of_all(self._meant)} LIMIT {_RARE + 1}", given)
        if len(self._all) <= _RARE:
            return [row for row in part.sorted(self._all) if part.is_behind(row, key)][:most]
        return self._rows(part.as_they_lie(self._meant, first=not key), given)

    def _rows(self, query: str, given: dict[str, Any]) -> list[Entry]:
        return [entry_from(row) for row in self._sql.execute(query, given).fetchall()]


def _from(behind: Mark, parts: Sequence[_Part]) -> list[_Part]:
    for number, part in enumerate(parts):
        if part.name == behind.part and len(behind.key) in (0, len(part.columns)):
            return list(parts[number:])
    raise InvalidInput("there is no such page of this list")
