"""Groups: rows of jobs with a group are parked, and so many are let in as may start.

Where a group has a limit, others are not looked at in vain: of a hundred thousand that wait for one slot a
claim meets one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Optional

from queuectl.index.base import PARKED, WAITS, Base

_OF_LANE = f"jobs INDEXED BY jobs_lane WHERE lane = ? AND {WAITS}"


class Lanes(Base):
    """The rows of jobs that have a group, which SQL calls something else: hence `lane`."""

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

    def _kinds(self, lane: str) -> list[Optional[str]]:
        """Of which tasks the jobs are that wait for this group, as far as they are ours: None is commands.

        The others take no slots, and there may be a million of them: they are not gone through.
        """
        found: list[Optional[str]] = [None]
        if not self.tasks:
            return found
        last, query = "", f"SELECT task FROM {_OF_LANE} AND task > ? ORDER BY task LIMIT 1"
        while row := self._sql.execute(query, (lane, last)).fetchone():
            last = str(row[0])
            if last in self.tasks:
                found.append(last)
        return found

    def is_parked(self, lane: str) -> bool:
        """Whether a job of ours waits for this group."""
        query = f"SELECT 1 FROM {_OF_LANE} AND task IS ? AND due = ? LIMIT 1"
        return any(self._sql.execute(query, (lane, kind, PARKED)).fetchone() for kind in self._kinds(lane))

    def let_in(self, lane: str, slots: int) -> None:
        """Have so many jobs of ours of this group be ready, and no more."""
        kinds = self._kinds(lane)
        # One that has crashed before may have to wait for another such: it takes no slot of the others.
        count = f"SELECT 1 FROM {_OF_LANE} AND task IS ? AND due IS NULL AND crashes = 0 LIMIT ?"
        ready = sum(len(self._sql.execute(count, (lane, kind, slots + 1)).fetchall()) for kind in kinds)
        if ready > slots or (ready and self._is_out_of_order(lane, kinds)):
            self._park(lane, kinds)
            ready = 0
        if ready < slots and self.is_parked(lane):
            self._let_in(lane, kinds, slots - ready)

    def _is_out_of_order(self, lane: str, kinds: Sequence[Optional[str]]) -> bool:
        """Whether one that waits for this group goes before one that was let in."""
        first = self._turns(lane, kinds, PARKED, "priority DESC, created, id", 1)
        last = self._turns(lane, kinds, None, "priority, created DESC, id DESC", 1)
        return bool(first and last) and first[0][:2] < last[-1][:2]

    def _turns(
        self, lane: str, kinds: Sequence[Optional[str]], due: Optional[float], order: str, most: int
    ) -> list[Any]:
        """Of each kind so many at most, and of all the ids and what they are sorted by."""
        what = f"SELECT -priority, created, id FROM {_OF_LANE} AND task IS ? AND due IS ?"
        query = f"{what} ORDER BY {order} LIMIT ?"
        return sorted(
            row for kind in kinds for row in self._sql.execute(query, (lane, kind, due, most)).fetchall()
        )

    def _park(self, lane: str, kinds: Sequence[Optional[str]]) -> None:
        with self.transaction():
            self._sql.executemany(
                f"UPDATE jobs SET due = ? WHERE lane = ? AND {WAITS} AND task IS ? AND due IS NULL",
                [(PARKED, lane, kind) for kind in kinds],
            )

    def _let_in(self, lane: str, kinds: Sequence[Optional[str]], count: int) -> None:
        with self.transaction():
            rows = self._turns(lane, kinds, PARKED, "priority DESC, created, id", count)
            self._sql.executemany(
                "UPDATE jobs SET due = NULL WHERE id = ?", [(row[2],) for row in islice(rows, count)]
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
