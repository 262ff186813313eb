"""The order of claims: what may run now, what is due when, what is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from queuectl.index.base import FIELDS, PARKED, READY, WAITS, Base
from queuectl.index.rows import Entry, entry_from

_ANY = 2**62
_PRIORITY, _CREATED, _ID = (Entry._fields.index(name) for name in ("priority", "created", "id"))
_READY = f"CASE WHEN lane IS NULL THEN NULL ELSE {PARKED} END"
"""When something is due that waits for nothing but its group."""


def _turn(row: Any) -> tuple[int, float, str]:
    """By what rows are sorted that several questions have found."""
    return -row[_PRIORITY], row[_CREATED], row[_ID]


class Order(Base):
    """Of the jobs that wait."""

    def promote(self, now: float) -> Optional[float]:
        """Make ready what has become due by `now`; when the next one becomes due."""
        due = self.next_due()
        if due is not None and due <= now:
            with self.transaction():
                self._sql.execute(f"UPDATE jobs SET due = {_READY} WHERE due <= ?", (now,))
            due = self.next_due()
        return due

    def has_ready(self, now: float) -> bool:
        """Whether a job of ours may run now, or any has become due by `now`."""
        row = self._sql.execute(
            f"SELECT EXISTS (SELECT 1 FROM {READY} AND task IS NULL) "
            "OR EXISTS (SELECT 1 FROM jobs WHERE due IS NOT NULL AND due <= ?)",
            (now,),
        ).fetchone()
        return bool(row[0]) or (bool(self.tasks) and not self.tasks.isdisjoint(self.ready_tasks()))

    def count_ready(self, most: int) -> int:
        """How many jobs of ours may run now, counted up to so many."""
        count = 0
        for task in self._ours():
            query = f"SELECT count(*) FROM (SELECT 1 FROM {READY} AND task IS ? LIMIT ?)"
            count += int(self._sql.execute(query, (task, most - count)).fetchone()[0])
        return count

    def ready(self, limit: int, *, most_crashes: Optional[int] = None) -> Iterator[Entry]:
        """Jobs of ours that may run now and have crashed at most so often, in the order of their turns."""
        most = _ANY if most_crashes is None else most_crashes
        ours = self._ours()
        rows = [row for task in ours for row in self._ready_of(task, most, limit)]
        if len(ours) > 1:
            rows = sorted(rows, key=_turn)[:limit]
        # Most claims take the first: to make entries of all of them would take longer than to find them.
        return map(entry_from, rows)

    def _ready_of(self, task: Optional[str], most_crashes: int, limit: int) -> list[Any]:
        return self._sql.execute(
            # Left to itself SQLite sorts all that wait, each time.
            f"SELECT {FIELDS} FROM {READY} AND task IS ? AND crashes <= ? "
            "ORDER BY priority DESC, created, id LIMIT ?",
            (task, most_crashes, limit),
        ).fetchall()

    def ready_tasks(self) -> list[str]:
        """The tasks, ours or not, of the jobs that may run now."""
        found: list[str] = []
        # From one to the next: of each there may be a hundred thousand rows.
        query = f"SELECT task FROM {READY} AND task > ? ORDER BY task LIMIT 1"
        while row := self._sql.execute(query, (found[-1] if found else "",)).fetchone():
            found.append(str(row[0]))
        return found

    def count_ready_of(self, task: str) -> int:
        """How many jobs of this task may run now."""
        row = self._sql.execute(f"SELECT count(*) FROM {READY} AND task = ?", (task,)).fetchone()
        return int(row[0])

    def _ours(self) -> list[Optional[str]]:
        """What the jobs are of that may run now and are ours: None is commands."""
        return [None, *(task for task in self.ready_tasks() if task in self.tasks)] if self.tasks else [None]

    def runs_crashed(self, begin: str, end: str) -> bool:
        """Whether a worker whose name begins or ends so runs a job that has crashed before."""
        row = self._sql.execute(
            "SELECT 1 FROM jobs WHERE state = 'processing' AND crashes > 0 "
            "AND (substr(worker, 1, length(?)) = ? OR substr(worker, -length(?)) = ?) LIMIT 1",
            (begin, begin, end, end),
        ).fetchone()
        return row is not None

    def next_due(self) -> Optional[float]:
        """When the next waiting job becomes due, in seconds since the epoch."""
        row = self._sql.execute("SELECT min(due) FROM jobs WHERE due IS NOT NULL").fetchone()
        return None if row[0] is None or row[0] >= PARKED else float(row[0])

    def coming(self, limit: int) -> list[Entry]:
        """The waiting jobs that are to run at a later moment, the soonest first."""
        rows = self._sql.execute(
            # Those of whose time nobody knows anything come behind.
            f"SELECT {FIELDS} FROM jobs INDEXED BY jobs_due WHERE due < {PARKED} AND {WAITS} "
            "ORDER BY due, id LIMIT ?",
            (limit,),
        )
        return [entry_from(row) for row in rows.fetchall()]

    def postpone(self, job_id: str, now: float, delay: float, why: str, since: float) -> None:
        """Pass this job over for `delay` seconds; `why` says what it cannot be, and has not been `since`."""
        with self.transaction():
            self._sql.execute(
                "UPDATE jobs SET due = ?, stuck_since = coalesce(stuck_since, ?), stuck_why = ? WHERE id = ?",
                (now + delay, since, why, job_id),
            )

    def try_again(self) -> None:
        """Pass over no job any more because it could not be moved or started."""
        if self.stuck():
            with self.transaction():
                self._sql.execute(
                    f"UPDATE jobs SET due = {_READY}, stuck_since = NULL "
                    f"WHERE stuck_since NOTNULL AND coalesce(due, 0) < {PARKED}"
                )

    def forget_moments(self, now: float) -> None:
        """Begin anew to count short waits, after the clock was set: no job waits because it was held once."""
        with self.transaction():
            self._sql.execute(f"UPDATE jobs SET due = {_READY}, stuck_since = NULL WHERE due < {PARKED}")
            self._sql.execute("UPDATE oddities SET seen = ?", (now,))

    def stuck(self) -> list[Entry]:
        """Waiting jobs whose files could not be moved the last time."""
        rows = self._sql.execute(
            # The plus keeps SQLite from looking for the states, of which there may be a million.
            f"SELECT {FIELDS} FROM jobs WHERE stuck_since IS NOT NULL AND +{WAITS}"
        )
        return [entry_from(row) for row in rows]
