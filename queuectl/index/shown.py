"""What `status` and `list` show."""

from __future__ import annotations

from typing import Optional

from queuectl.index.base import FIELDS, WAITS, Base
from queuectl.index.rows import Entry, entry_from
from queuectl.state import State

_ANY = 2**62
_CHOSEN = "(:state IS NULL OR state = :state) AND (:tag IS NULL OR instr(tags, char(10) || :tag || char(10)))"


def _shown(which: str, order: str) -> str:
    return f"SELECT {FIELDS} FROM jobs {which} AND {_CHOSEN} ORDER BY {order} LIMIT :most"


_LATEST = "updated_at DESC, id"
_ENDED = [f"SELECT * FROM ({_shown(f'WHERE state = {one!r}', _LATEST)})" for one in ("completed", "dead")]
_SHOWN = (
    _shown("WHERE state = 'processing'", _LATEST),
    _shown(f"INDEXED BY jobs_ready WHERE due IS NULL AND {WAITS}", "priority DESC, created, id"),
    _shown(f"INDEXED BY jobs_due WHERE due IS NOT NULL AND {WAITS}", "due, priority DESC, created, id"),
    f"{' UNION ALL '.join(_ENDED)} ORDER BY {_LATEST} LIMIT :most",
)
"""What `list` shows, in this order; each comes in that of an index, so of many only the first are read."""


class Shown(Base):
    """Numbers and rows for people."""

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        found = dict(self._sql.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state.value: found.get(state.value, 0) for state in State}

    def entries(
        self, *, state: Optional[State] = None, tag: Optional[str] = None, limit: Optional[int] = None
    ) -> list[Entry]:
        """Rows for `list`: what runs, what waits in order of running, then the latest to end first."""
        found: list[Entry] = []
        with self._snapshot():
            for query in _SHOWN:
                left = _ANY if limit is None else limit - len(found)
                if left <= 0:
                    break
                values = {"state": state and state.value, "tag": tag, "most": left}
                found += map(entry_from, self._sql.execute(query, values).fetchall())
        return found
