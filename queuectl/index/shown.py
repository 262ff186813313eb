"""What `status` and `list` show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Optional

from queuectl.index.base import FIELDS, HELD, WAITS
from queuectl.index.filters import ALL, Filter, condition, prepare, values
from queuectl.index.links import BATCH
from queuectl.index.order import Order
from queuectl.index.rows import Entry, Match, checked_id, entry_from
from queuectl.state import WAITING, State

if TYPE_CHECKING:
    from queuectl.index.lately import Lately
    from queuectl.index.paging import Mark, Page

_ANY = 2**62
_FEW = 400
"""Ids that are asked for at once: older SQLites take 999 values in one question."""
_LATEST = "updated_at DESC, id"
_ORDER = "priority DESC, created, id"
_DUE, _DUE_ORDER = f"INDEXED BY jobs_due WHERE due IS NOT NULL AND {WAITS}", f"due, {_ORDER}"
_MANY_TASKS = 300
"""More than these SQLite does not ask for in one question: then all that is ready is sorted."""


def _shown(where: Filter, tasks: Sequence[str]) -> Iterator[str]:
    """What `list` shows, in this order; each comes in that of an index: of many only the first are read.

    `tasks` are those of which jobs may run now.
    """
    chosen = where.states or tuple(State)
    rest = condition(where._replace(states=()))
    if State.PROCESSING in chosen:
        yield _select(f"WHERE state = 'processing' AND {rest}", _LATEST)
    waiting = [state.value for state in WAITING if state in chosen]
    if waiting:
        # The plus keeps SQLite from looking these states up, and sorting what it finds.
        chosen_ones = f"+state IN ({', '.join(map(repr, waiting))}) AND {rest}"
        yield _merged([_ready(which, chosen_ones) for which in _each(tasks)], _ORDER)
        yield _select(f"{_DUE} AND {chosen_ones}", _DUE_ORDER)
    ended = [state.value for state in (State.COMPLETED, State.DEAD) if state in chosen]
    each = [_select(f"WHERE state = {state!r} AND {rest}", _LATEST) for state in ended]
    if each:
        yield _merged(each, _LATEST)


def _each(tasks: Sequence[str]) -> list[str]:
    """What is true of the rows of commands, and of those of each task, which the index has in order."""
    if len(tasks) > _MANY_TASKS:
        return ["1"]
    return ["task IS NULL", *("task = '" + task.replace("'", "''") + "'" for task in tasks)]


def _ready(which: str, rest: str) -> str:
    return _select(f"INDEXED BY jobs_ready WHERE due IS NULL AND {WAITS} AND {which} AND {rest}", _ORDER)


def _merged(each: Sequence[str], order: str) -> str:
    """One question for what several ask, in this order."""
    if len(each) == 1:
        return each[0]
    parts = " UNION ALL ".join(f"SELECT * FROM ({one})" for one in each)
    return f"{parts} ORDER BY {order} LIMIT :most"


def _select(which: str, order: str) -> str:
    return f"SELECT {FIELDS} FROM jobs {which} ORDER BY {order} LIMIT :most"


class Shown(Order):
    """Numbers and rows for people."""

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        found = dict(self._sql.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state.value: found.get(state.value, 0) for state in State}

    def entries(
        self,
        *,
        state: Optional[State] = None,
        tag: Optional[str] = None,
        limit: Optional[int] = None,
        where: Filter = ALL,
    ) -> list[Entry]:
        """Rows for `list`: what runs, what waits in order of running, then the latest to end first.

        `state` and `tag` take the place of those of `where`.
        """
        where = where if state is None else where._replace(states=(state,))
        where = where if tag is None else where._replace(tag=tag)
        found: list[Entry] = []
        with self._snapshot():
            prepare(self._sql, where)
            for query in _shown(where, self.ready_tasks()):
                left = _ANY if limit is None else limit - len(found)
                if left <= 0:
                    break
                rows = self._sql.execute(query, {**values(where), "most": left}).fetchall()
                found += map(entry_from, rows)
        return found

    def page(self, where: Filter, limit: int, behind: Optional[Mark] = None) -> Page:
        """At most so many of `entries`, from the first on or `behind` a page; see `paging`.

        Raises:
            InvalidInput: there is no such page.
        """
        from queuectl.index.paging import Pages

        with self._snapshot():
            return Pages(self._sql, self.ready_tasks()).page(where, limit, behind)

    def matches(self, where: Filter) -> dict[str, Match]:
        """The jobs that it means, by their ids, the first to come in first."""
        prepare(self._sql, where)
        rows = self._sql.execute(
            f"SELECT id, state, created, mtime_ns, size FROM jobs WHERE {condition(where)} "
            "ORDER BY created, id",
            values(where),
        )
        return {checked_id(one): Match(State(state), *rest) for one, state, *rest in rows}

    def waiting_for(self, ids: Sequence[str]) -> set[str]:
        """Those that wait for one of these jobs, or for a batch of one of them."""
        found: set[str] = set()
        for first in range(0, len(ids), _FEW):
            some = ids[first : first + _FEW]
            places = ", ".join("?" * len(some))
            parents = (
                f"SELECT fold FROM jobs WHERE id IN ({places}) UNION "
                f"SELECT '{BATCH}' || batch FROM jobs WHERE id IN ({places}) AND batch IS NOT NULL"
            )
            rows = self._sql.execute(
                "SELECT DISTINCT child FROM links JOIN jobs ON jobs.id = child "
                f"WHERE due = {HELD} AND parent IN ({parents})",
                [*some, *some],
            )
            found.update(str(row[0]) for row in rows)
        return found - set(ids)

    def lately(self) -> Lately:
        """Who has changed lately."""
        # Lazily: `status` does not ask.
        from queuectl.index.lately import Lately

        return Lately(self._sql)
