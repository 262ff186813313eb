"""Groups: rows of jobs with a group are parked, and so many are let in as may start.

Where a group has a limit, others are not looked at in vain: of a hundred thousand that wait for one slot a
claim meets one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from queuectl.index.base import PARKED, WAITS, Base


class Lanes(Base):
    """The rows of jobs that have a group, which SQL calls something else: hence `lane`."""

    @property
    def _is_ours(self) -> str:
        """What is true of the rows of jobs that our workers can run: others must not take their slots."""
        if not self.tasks:
            return "task IS NULL"
        names = ", ".join("'" + task.replace("'", "''") + "'" for task in sorted(self.tasks))
        return f"(task IS NULL OR task IN ({names}))"

    def has_parked(self) -> bool:
        """Whether any job waits for its group."""
        row = self._sql.execute("SELECT 1 FROM jobs WHERE due = ? LIMIT 1", (PARKED,)).fetchone()
        return row is not None

    def lanes(self) -> list[str]:
        """The groups that jobs which wait belong to."""
        found: list[str] = []
        # From one to the next: of each there may be a hundred thousand rows.
        query = f"SELECT lane FROM jobs INDEXED BY jobs_lane WHERE lane > ? AND {WAITS} ORDER BY lane LIMIT 1"
        while row := self._sql.execute(query, (found[-1] if found else "",)).fetchone():
            found.append(str(row[0]))
        return found

    def is_parked(self, lane: str) -> bool:
        """Whether a job of ours waits for this group."""
        query = f"SELECT 1 FROM jobs WHERE lane = ? AND due = ? AND {WAITS} AND {self._is_ours} LIMIT 1"
        return self._sql.execute(query, (lane, PARKED)).fetchone() is not None

    def let_in(self, lane: str, slots: int) -> None:
        """Have so many jobs of ours of this group be ready, and no more."""
        # One that has crashed before may have to wait for another such: it takes no slot of the others.
        count = (
            f"SELECT 1 FROM jobs WHERE lane = ? AND due IS NULL AND {WAITS} AND {self._is_ours} "
            "AND crashes = 0 LIMIT ?"
        )
        ready = len(self._sql.execute(count, (lane, slots + 1)).fetchall())
        if ready > slots or (ready and self._is_out_of_order(lane)):
            self._park(lane)
            ready = 0
        if ready < slots and self.is_parked(lane):
            self._let_in(lane, slots - ready)

    def _is_out_of_order(self, lane: str) -> bool:
        """Whether one that waits for this group goes before one that was let in."""
        query = (
            f"SELECT priority, created FROM jobs WHERE lane = ? AND due IS ? AND {WAITS} "
            f"AND {self._is_ours} ORDER BY "
        )
        first = self._sql.execute(f"{query} priority DESC, created LIMIT 1", (lane, PARKED)).fetchone()
        last = self._sql.execute(f"{query} priority, created DESC LIMIT 1", (lane, None)).fetchone()
        return first is not None and last is not None and (-first[0], first[1]) < (-last[0], last[1])

    def _park(self, lane: str) -> None:
        with self.transaction():
            self._sql.execute(
                f"UPDATE jobs SET due = ? WHERE lane = ? AND due IS NULL AND {WAITS}", (PARKED, lane)
            )

    def _let_in(self, lane: str, count: int) -> None:
        with self.transaction():
            self._sql.execute(
                "UPDATE jobs SET due = NULL WHERE id IN (SELECT id FROM jobs "
                f"WHERE lane = ? AND due = ? AND {WAITS} AND {self._is_ours} "
                "ORDER BY priority DESC, created, id LIMIT ?)",
                (lane, PARKED, count),
            )

    def lanes_of(self, ids: Sequence[str]) -> dict[str, Optional[str]]:
        """The groups of those of these few jobs that the index knows."""
        places = ", ".join("?" * len(ids))
        return dict(self._sql.execute(f"SELECT id, lane FROM jobs WHERE id IN ({places})", ids).fetchall())

    def has_lanes(self) -> bool:
        """Whether a job that waits belongs to a group."""
        # Left to itself SQLite goes through all that wait, each time.
        query = f"SELECT 1 FROM jobs INDEXED BY jobs_lane WHERE lane IS NOT NULL AND {WAITS} LIMIT 1"
        row = self._sql.execute(query).fetchone()
        return row is not None

    def lane_counts(self) -> dict[str, dict[str, int]]:
        """Of each group that jobs belong to, how many are in each state."""
        counts: dict[str, dict[str, int]] = {}
        rows = self._sql.execute(
            "SELECT lane, state, count(*) FROM jobs WHERE lane IS NOT NULL GROUP BY lane, state"
        )
        for lane, state, count in rows:
            counts.setdefault(str(lane), {})[str(state)] = int(count)
        return counts
