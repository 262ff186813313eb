"""The order of claims: what may run now, what is due when, what is passed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from queuectl.index.base import FIELDS, PARKED, WAITS, Base
from queuectl.index.rows import Entry, entry_from

_ANY = 2**62
_READY = f"CASE WHEN lane IS NULL THEN NULL ELSE {PARKED} END"
"""When something is due that waits for nothing but its group."""


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
        """Whether a job may run now, or has become due by `now`."""
        row = self._sql.execute(
            "SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_ready WHERE due IS NULL "
            f"AND {WAITS}) OR EXISTS (SELECT 1 FROM jobs WHERE due IS NOT NULL AND due <= ?)",
            (now,),
        ).fetchone()
        return bool(row[0])

    def count_ready(self, most: int) -> int:
        """How many jobs may run now, counted up to so many."""
        row = self._sql.execute(
            "SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ready "
            f"WHERE due IS NULL AND {WAITS} LIMIT ?)",
            (most,),
        ).fetchone()
        return int(row[0])

    def ready(self, limit: int, *, most_crashes: Optional[int] = None) -> Iterator[Entry]:
        """Jobs that may run now and have crashed at most so often, in the order in which they should."""
        rows = self._sql.execute(
            # Left to itself SQLite sorts all that wait, each time.
            f"SELECT {FIELDS} FROM jobs INDEXED BY jobs_ready WHERE due IS NULL "
            f"AND {WAITS} AND crashes <= ? ORDER BY priority DESC, created, id LIMIT ?",
            (_ANY if most_crashes is None else most_crashes, limit),
        )
        # Most claims take the first: to make entries of all of them would take longer than to find them.
        return map(entry_from, rows.fetchall())

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
            f"SELECT {FIELDS} FROM jobs INDEXED BY jobs_due WHERE due IS NOT NULL AND {WAITS} "
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
