"""What lies where, as far as the index knows: rows of jobs, and their versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Optional

from queuectl.index.base import FIELDS
from queuectl.index.links import BATCH, Links
from queuectl.index.rows import Entry, Stamp, checked_id, entry_from, stamp_from
from queuectl.index.staging import Staging
from queuectl.state import State

_PUT = f"INSERT OR REPLACE INTO jobs ({FIELDS}) VALUES ({', '.join('?' * len(Entry._fields))})"
_CHANGED = (
    *("state", "worker", "mtime_ns", "size", "created", "due", "attempts", "crashes", "run_at"),
    *("created_at", "updated_at", "exit_code", "error", "stuck_since", "stuck_why"),
)
"""What a claim changes in a row, or the end of a run."""
_CHANGE = (
    f"UPDATE jobs SET {', '.join(f'{field} = ?' for field in _CHANGED)} "
    "WHERE id = ? AND state = ? AND worker IS ? AND mtime_ns = ? AND size = ?"
)
_changed = attrgetter(*_CHANGED, "id")


def _places(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


class Whereabouts(Links):
    """The rows of jobs."""

    def put(self, entries: Iterable[Entry]) -> None:
        """Write these rows, over older ones of the same ids."""
        entries = list(entries)
        if not entries:
            return
        with self.transaction():
            self._sql.executemany(_PUT, entries)
            self.link(entries)

    def change(self, entries: Sequence[Entry], befores: Sequence[Stamp]) -> None:
        """Write these rows of jobs that have been claimed, or whose runs have ended: `put` for a third of the
        price, where what the index knows of them is what it was (`befores`).
        """
        with self.transaction():
            parents = self._parents_among(entries)
            whole, few = list[Entry](), list[tuple[Any, ...]]()
            for entry, before in zip(entries, befores):
                if entry.after or (parents and not parents.isdisjoint((entry.fold, f"{BATCH}{entry.batch}"))):
                    # The triggers see to those that wait for it.
                    whole.append(entry)
                else:
                    few.append((*_changed(entry), *before))
            done = self._sql.executemany(_CHANGE, few).rowcount if few else 0
            self.put(whole if done == len(few) else entries)

    def _parents_among(self, entries: Sequence[Entry]) -> set[str]:
        """What of these is waited for, or has been: their ids, and batches."""
        keys = {entry.fold for entry in entries}
        keys.update(f"{BATCH}{entry.batch}" for entry in entries if entry.batch is not None)
        query = f"SELECT parent FROM links WHERE parent IN ({_places(list(keys))})"
        return {row[0] for row in self._sql.execute(query, list(keys))}

    def drop(self, job_ids: Iterable[str]) -> None:
        """Forget these ids."""
        with self.transaction():
            ids = [(job_id,) for job_id in job_ids]
            self._sql.executemany("DELETE FROM jobs WHERE id = ?", ids)
            self._sql.executemany("DELETE FROM links WHERE child = ?", ids)

    def is_empty(self) -> bool:
        """Whether it knows of no job."""
        return self._sql.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is None

    def stamps(self) -> dict[str, Stamp]:
        """Of every id, the version that the index knows."""
        rows = self._sql.execute("SELECT id, state, worker, mtime_ns, size FROM jobs")
        return {checked_id(row[0]): stamp_from(row[1:]) for row in rows}

    def stamps_of(self, job_ids: Sequence[str]) -> dict[str, Stamp]:
        """Of those of these few ids that the index knows, the versions."""
        rows = self._sql.execute(
            f"SELECT id, state, worker, mtime_ns, size FROM jobs WHERE id IN ({_places(job_ids)})", job_ids
        )
        return {row[0]: stamp_from(row[1:]) for row in rows}

    def stamps_after(self, job_id: str, state: State, most: int) -> list[tuple[str, Stamp]]:
        """The next so many ids of this state after this one, with the versions that the index knows.

        Raises:
            sqlite3.DatabaseError: the index is damaged.
        """
        rows = self._sql.execute(
            # The plus keeps SQLite from sorting all of that state, each time.
            "SELECT id, state, worker, mtime_ns, size FROM jobs WHERE id > ? AND +state = ? "
            "ORDER BY id LIMIT ?",
            (job_id, state.value, most),
        )
        found = [(checked_id(row[0]), stamp_from(row[1:])) for row in rows]
        ids = [job_id, *(one for one, _ in found)]
        if any(one <= before for before, one in zip(ids, ids[1:])):
            # Who asks on from the last of them would never come to an end.
            raise sqlite3.DatabaseError(f"malformed: the rows after {job_id!r} are in no order")
        return found

    def count(self, state: State) -> int:
        """How many jobs are in this state."""
        return int(
            self._sql.execute("SELECT count(*) FROM jobs WHERE state = ?", (state.value,)).fetchone()[0]
        )

    def has_few(self, state: State, few: int) -> bool:
        """Whether at most so many jobs are in this state."""
        query = "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state = ? LIMIT ?)"
        return int(self._sql.execute(query, (state.value, few + 1)).fetchone()[0]) <= few

    def staging(self) -> Staging:
        """Where many rows of new files are kept until they are all written."""
        return Staging(self._sql, self.transaction, self.link)

    def of_key(self, unique_key: str) -> list[Entry]:
        """The rows of the jobs with this unique key, the latest first."""
        rows = self._sql.execute(
            f"SELECT {FIELDS} FROM jobs WHERE unique_key = ? ORDER BY created DESC, id", (unique_key,)
        )
        return [entry_from(row) for row in rows]

    def get(self, job_id: str) -> Optional[Entry]:
        """The row of this id."""
        row = self._sql.execute(f"SELECT {FIELDS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else entry_from(row)

    def alike(self, fold: str) -> list[str]:
        """Ids that are the same as this one but for case and Unicode form."""
        rows = self._sql.execute("SELECT id FROM jobs WHERE fold = ?", (fold,))
        return [checked_id(row[0]) for row in rows]

    def alike_all(self, folds: Sequence[str]) -> dict[str, list[str]]:
        """`alike` for these few."""
        found: dict[str, list[str]] = {}
        for fold, job_id in self._sql.execute(
            f"SELECT fold, id FROM jobs WHERE fold IN ({_places(folds)})", folds
        ):
            found.setdefault(fold, []).append(checked_id(job_id))
        return found
