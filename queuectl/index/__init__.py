"""All SQL: the index of the spool behind `status` and `list`, the order of claims, and the config table.

The index is a projection of the files. Its rows are written after the files have moved, so every reader
expects it to be behind (see `reconcile`), and deleting it loses no job.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Optional

from queuectl.errors import SpoolUnusable
from queuectl.index.rows import STUCK_AFTER, Entry, Oddity, Stamp
from queuectl.index.schema import connect, identity_of, in_memory, is_damage, rebuild, usable_error
from queuectl.state import State

_PUT = (
    f"INSERT OR REPLACE INTO jobs ({', '.join(Entry._fields)}) VALUES ({', '.join('?' * len(Entry._fields))})"
)
_WAITS = "state IN ('pending', 'failed')"
_SHOWN_ORDER = (
    f"CASE state WHEN 'processing' THEN 0 WHEN 'pending' THEN 1 WHEN 'failed' THEN 1 ELSE 2 END, "
    f"CASE WHEN {_WAITS} THEN coalesce(due, 0) END, CASE WHEN {_WAITS} THEN -priority END, "
    f"CASE WHEN {_WAITS} THEN created END, updated_at DESC, id"
)
_FIELDS = ", ".join(Entry._fields)


class Index:
    """A connection to the index; one a thread."""

    def __init__(self, path: str, lock_path: str) -> None:
        """Open the index at `path`, made or rebuilt where it must be (under the lock at `lock_path`).

        On a spool that cannot be written it is one in memory, for this program alone, and so it is where a
        damaged one is held open by somebody else.

        Raises:
            sqlite3.OperationalError: somebody else has locked it all the time.
        """
        self._path, self._lock_path = path, lock_path
        self._sql, self.why_in_memory = connect(path, lock_path)
        self._identity = identity_of(path)

    def close(self) -> None:
        """Let go of the file."""
        self._sql.close()

    def follow(self) -> None:
        """If somebody has deleted or replaced the file, open the one that is there now."""
        if not self.in_memory and identity_of(self._path) != self._identity:
            self.close()
            self._sql, self.why_in_memory = connect(self._path, self._lock_path)
            self._identity = identity_of(self._path)

    def heal(self) -> None:
        """Set the damaged file aside, and begin a new one with the settings that could be read.

        Where others hold it open (Windows) this goes on in memory, until the next start.
        """
        self.close()
        try:
            self._sql = rebuild(self._path, self._lock_path, self._identity)
        except SpoolUnusable as error:
            self.leave_disk(error.message)
        self._identity = identity_of(self._path)

    def leave_disk(self, why: str) -> None:
        """Go on in memory, with the settings as far as they can be read."""
        self.close()
        self._sql, self.why_in_memory = in_memory(self._path), why

    @property
    def in_memory(self) -> bool:
        """Whether this index is this program's alone, and gone when it ends."""
        return self.why_in_memory is not None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One commit for all writes of the block, none if it raises; nests into an outer one."""
        if self._sql.in_transaction:
            yield
            return
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._sql.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself where the disk is full.
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise

    # What lies where

    def put(self, entries: Iterable[Entry]) -> None:
        """Write these rows, over older ones of the same ids."""
        with self.transaction():
            self._sql.executemany(_PUT, entries)

    def drop(self, job_ids: Iterable[str]) -> None:
        """Forget these ids."""
        with self.transaction():
            self._sql.executemany("DELETE FROM jobs WHERE id = ?", ((job_id,) for job_id in job_ids))

    def clear(self) -> None:
        """Forget every job, but no setting.

        Raises:
            SpoolUnusable: the spool cannot be written.
        """
        self._refuse_in_memory()
        with self.transaction():
            self._sql.execute("DELETE FROM jobs")
            self._sql.execute("DELETE FROM oddities")

    def is_empty(self) -> bool:
        """Whether it knows of no job."""
        return self._sql.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is None

    def stamps(self) -> dict[str, Stamp]:
        """Of every id, the version that the index knows."""
        rows = self._sql.execute("SELECT id, state, worker, mtime_ns, size FROM jobs")
        stamps = {row[0]: Stamp(*row[1:]) for row in rows}
        if not all(isinstance(job_id, str) for job_id in stamps):
            raise sqlite3.DatabaseError("malformed: a row has no id")
        return stamps

    def get(self, job_id: str) -> Optional[Entry]:
        """The row of this id."""
        row = self._sql.execute(f"SELECT {_FIELDS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else Entry(*row)

    def alike(self, fold: str) -> list[str]:
        """Ids that are the same as this one but for case and Unicode form."""
        return [row[0] for row in self._sql.execute("SELECT id FROM jobs WHERE fold = ?", (fold,))]

    # What status and list show

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        found = dict(self._sql.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state.value: found.get(state.value, 0) for state in State}

    def entries(
        self, *, state: Optional[State] = None, tag: Optional[str] = None, limit: Optional[int] = None
    ) -> list[Entry]:
        """Rows for `list`: what runs, what waits in order of running, then the latest to end first."""
        where: list[str] = []
        values: list[Any] = []
        if state is not None:
            where.append("state = ?")
            values.append(state.value)
        if tag is not None:
            where.append("instr(tags, char(10) || ? || char(10))")
            values.append(tag)
        query = (
            f"SELECT {_FIELDS} FROM jobs {'WHERE ' + ' AND '.join(where) if where else ''} "
            f"ORDER BY {_SHOWN_ORDER} LIMIT ?"
        )
        rows = self._sql.execute(query, (*values, -1 if limit is None else limit))
        return [Entry(*row) for row in rows]

    # The order of claims

    def promote(self, now: float) -> Optional[float]:
        """Make ready what has become due by `now`; when the next one becomes due."""
        due = self.next_due()
        if due is not None and due <= now:
            with self.transaction():
                self._sql.execute("UPDATE jobs SET due = NULL WHERE due <= ?", (now,))
            due = self.next_due()
        return due

    def ready(self, limit: int) -> list[Entry]:
        """Jobs that may run now, in the order in which they should."""
        rows = self._sql.execute(
            f"SELECT {_FIELDS} FROM jobs WHERE due IS NULL AND state IN ('pending', 'failed') "
            "ORDER BY priority DESC, created, id LIMIT ?",
            (limit,),
        )
        return [Entry(*row) for row in rows]

    def next_due(self) -> Optional[float]:
        """When the next waiting job becomes due, in seconds since the epoch."""
        row = self._sql.execute("SELECT min(due) FROM jobs WHERE due IS NOT NULL").fetchone()
        return None if row is None else row[0]

    def postpone(self, job_id: str, now: float, delay: float, why: str) -> None:
        """Pass this job over for `delay` seconds, because its file cannot be moved, for the reason `why`."""
        with self.transaction():
            self._sql.execute(
                "UPDATE jobs SET due = ?, stuck_since = coalesce(stuck_since, ?), stuck_why = ? WHERE id = ?",
                (now + delay, now, why, job_id),
            )

    def stuck(self) -> list[Entry]:
        """Waiting jobs whose files could not be moved the last time."""
        rows = self._sql.execute(f"SELECT {_FIELDS} FROM jobs WHERE stuck_since IS NOT NULL AND {_WAITS}")
        return [Entry(*row) for row in rows]

    # What is no job

    def oddities(self) -> list[Oddity]:
        """What lay in the spool at the last look and was no job."""
        rows = self._sql.execute("SELECT path, reason, mtime_ns, size, seen FROM oddities ORDER BY path")
        return [Oddity(*row) for row in rows]

    def put_oddities(self, found: Iterable[Oddity]) -> None:
        """Remember these."""
        with self.transaction():
            self._sql.executemany("INSERT OR REPLACE INTO oddities VALUES (?, ?, ?, ?, ?)", found)

    def drop_oddities(self, paths: Iterable[str]) -> None:
        """Forget these."""
        with self.transaction():
            self._sql.executemany("DELETE FROM oddities WHERE path = ?", ((path,) for path in paths))

    # Settings

    def settings(self) -> dict[str, str]:
        """The settings that were set, as text."""
        rows: list[tuple[str, str]] = self._sql.execute("SELECT name, value FROM config").fetchall()
        return dict(rows)

    def _refuse_in_memory(self) -> None:
        if self.in_memory:
            raise SpoolUnusable(f"{self._path} cannot be changed: {self.why_in_memory}")

    def set_setting(self, name: str, value: str) -> None:
        """Keep this value.

        Raises:
            SpoolUnusable: the spool cannot be written.
        """
        self._refuse_in_memory()
        with self.transaction():
            self._sql.execute("INSERT OR REPLACE INTO config VALUES (?, ?)", (name, value))

    def unset_setting(self, name: str) -> None:
        """Back to the default.

        Raises:
            SpoolUnusable: the spool cannot be written.
        """
        self._refuse_in_memory()
        with self.transaction():
            self._sql.execute("DELETE FROM config WHERE name = ?", (name,))


__all__ = ["STUCK_AFTER", "Entry", "Index", "Oddity", "Stamp", "is_damage", "usable_error"]
