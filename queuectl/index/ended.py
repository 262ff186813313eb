"""Jobs that have ended, in the order in which they did: what is kept, and what may go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Optional

from queuectl.index.base import Base
from queuectl.index.links import NEEDED
from queuectl.index.rows import EndedRow, Position, ended_from
from queuectl.state import State

_FIELDS = "id, updated_at, mtime_ns, size, command <> '\"\"'"
_ROWS = (
    f"SELECT {_FIELDS} FROM jobs INDEXED BY jobs_state WHERE state = :state AND NOT EXISTS ({NEEDED}) AND "
)
_UPWARDS = (
    f"{_ROWS} updated_at IS NULL AND id > :id ORDER BY id LIMIT :most",
    f"{_ROWS} (updated_at, id) > (:at, :id) ORDER BY updated_at, id LIMIT :most",
)
_DOWNWARDS = (
    f"{_ROWS} updated_at IS NULL AND id < :id ORDER BY id DESC LIMIT :most",
    f"{_ROWS} (updated_at, id) < (:at, :id) ORDER BY updated_at DESC, id DESC LIMIT :most",
)
"""First those that do not say when, which come before all others."""
_NTH = (
    "SELECT updated_at, id FROM jobs INDEXED BY jobs_state WHERE state = ? AND coalesce(updated_at, '') <= ? "
    "ORDER BY updated_at DESC, id DESC LIMIT 1 OFFSET ?"
)
_LAST = "\U0010ffff"

OLDEST = Position(None, "")
"""Before all of them."""


def latest_at(moment: str) -> Position:
    """Behind those that ended then or before."""
    return Position(moment, _LAST)


class Ended(Base):
    """The rows of one state, from one end or from the other."""

    def ended_after(self, state: State, after: Position, most: int) -> list[EndedRow]:
        """The next so many, the oldest first.

        Raises:
            sqlite3.DatabaseError: the index is damaged.
        """
        found: list[EndedRow] = []
        if after.updated_at is None:
            found = self._page(_UPWARDS[0], state, after, most)
            after = Position("", "")
        if len(found) < most:
            found += self._page(_UPWARDS[1], state, after, most - len(found))
        return found

    def ended_before(self, state: State, before: Position, most: int) -> list[EndedRow]:
        """The next so many, the latest first. Raises as `ended_after`."""
        found: list[EndedRow] = []
        if before.updated_at is not None:
            found = self._page(_DOWNWARDS[1], state, before, most)
            before = Position(None, _LAST)
        if len(found) < most:
            found += self._page(_DOWNWARDS[0], state, before, most - len(found))
        return found

    def ended_nth(self, state: State, number: int, latest: str) -> Optional[Position]:
        """Where the latest one lies that so many are later than; None if there are not so many.

        Those that say a time after `latest` are none of them: a clock was wrong, or it is no time.
        """
        row = self._sql.execute(_NTH, (state.value, latest, number)).fetchone()
        return None if row is None else Position(*row)

    def drop_ended(self, state: State, job_ids: Iterable[str]) -> None:
        """Forget these, unless their ids are another job's by now, in another state."""
        with self.transaction():
            self._sql.executemany(
                "DELETE FROM jobs WHERE id = ? AND state = ?", ((one, state.value) for one in job_ids)
            )

    def _page(self, query: str, state: State, edge: Position, most: int) -> list[EndedRow]:
        values = {"state": state.value, "at": edge.updated_at, "id": edge.id, "most": most}
        found = [ended_from(row) for row in self._sql.execute(query, values)]
        places = [edge, *(row.position for row in found)]
        if query in _DOWNWARDS:
            places.reverse()
        if not all(following.is_after(one) for one, following in zip(places, places[1:])):
            # Who asks on from the last of them would never come to an end.
            raise sqlite3.DatabaseError(f"malformed: the rows after {edge.id!r} are in no order")
        return found
