"""All SQL: the index of the spool behind `status` and `list`, the order of claims, and the config table.

The index is a projection of the files. Its rows are written after the files have moved, so every reader
expects it to be behind (see `reconcile`), and deleting it loses no job.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Optional

from queuectl import system
from queuectl.errors import QueueError
from queuectl.index.rows import (
    STUCK_AFTER,
    Entry,
    Look,
    Oddity,
    Stamp,
    checked_id,
    command_of,
    entry_from,
    look_from,
    stamp_from,
)
from queuectl.index.schema import connect, identity_of, impatient, in_memory, rebuild
from queuectl.index.staging import Staging
from queuectl.index.trouble import is_damage, refusal, trouble, usable_error
from queuectl.state import State

_PUT = (
    f"INSERT OR REPLACE INTO jobs ({', '.join(Entry._fields)}) VALUES ({', '.join('?' * len(Entry._fields))})"
)
_WAITS = "state IN ('pending', 'failed')"
_FIELDS = ", ".join(Entry._fields)
_CHOSEN = "(:state IS NULL OR state = :state) AND (:tag IS NULL OR instr(tags, char(10) || :tag || char(10)))"


def _shown(which: str, order: str) -> str:
    return f"SELECT {_FIELDS} FROM jobs {which} AND {_CHOSEN} ORDER BY {order} LIMIT :most"


_LATEST = "updated_at DESC, id"
_ENDED = [f"SELECT * FROM ({_shown(f'WHERE state = {one!r}', _LATEST)})" for one in ("completed", "dead")]
_SHOWN = (
    _shown("WHERE state = 'processing'", _LATEST),
    _shown(f"INDEXED BY jobs_ready WHERE due IS NULL AND {_WAITS}", "priority DESC, created, id"),
    _shown(f"INDEXED BY jobs_due WHERE due IS NOT NULL AND {_WAITS}", "due, priority DESC, created, id"),
    f"{' UNION ALL '.join(_ENDED)} ORDER BY {_LATEST} LIMIT :most",
)
"""What `list` shows, in this order; each comes in that of an index, so of many only the first are read."""
_ODDITIES = "SELECT path, reason, mtime_ns, size, seen FROM oddities"
_ANY = 2**62
_TRIES = 5
RETURN_AFTER = 30.0
"""Seconds after which one in memory tries the file again."""


__all__ = [
    "STUCK_AFTER",
    "Entry",
    "Index",
    "Look",
    "Oddity",
    "Stamp",
    "command_of",
    "is_damage",
    "trouble",
    "usable_error",
]


def _places(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


class Index:
    """A connection to the index; one a thread."""

    def __init__(self, path: str, lock_path: str) -> None:
        """Open the index at `path`, made or rebuilt where it must be (under the lock at `lock_path`).

        Where that cannot be used (not ours to write, locked all the time, on a full disk, held open by others
        while it is damaged) it is one in memory, for this program alone.
        """
        self._path, self._lock_path = path, lock_path
        self.generation = 0
        """Another one is another index, which knows nothing of what this one was told."""
        self._connect()

    def _connect(self) -> None:
        self.generation += 1
        for tries in range(_TRIES):
            # RACE: somebody may replace it while we connect. What we then have is told from what is there: at
            # last by `follow`, because this was looked at before.
            self._identity = identity_of(self._path)
            self._sql, self.why_in_memory = connect(self._path, self._lock_path)
            if self.in_memory or identity_of(self._path) == self._identity or tries == _TRIES - 1:
                break
            self.close()
        self._return_at = system.monotonic() + RETURN_AFTER

    def close(self) -> None:
        """Let go of the file."""
        self._sql.close()

    def follow(self) -> None:
        """If somebody has deleted or replaced the file, open the one that is there now.

        One in memory looks from time to time whether the file can be used again.
        """
        if self.in_memory:
            stays = system.monotonic() < self._return_at
        else:
            stays = identity_of(self._path) == self._identity
        if not stays:
            self.close()
            self._connect()

    def heal(self) -> None:
        """Set the damaged file aside, and begin a new one with the settings that could be read.

        Where that cannot be done (others hold it open: Windows) this goes on in memory.
        """
        self.close()
        try:
            rebuild(self._path, self._lock_path, self._identity).close()
            self._connect()
        except sqlite3.Error as error:
            self.leave_disk(trouble(error, self._path))
        except (OSError, QueueError) as error:
            self.leave_disk(str(error))

    def leave_disk(self, why: str) -> None:
        """Go on in memory, with the settings as far as they can be read."""
        self.close()
        self.generation += 1
        self._sql, self.why_in_memory = in_memory(self._path), why
        self._return_at = system.monotonic() + RETURN_AFTER

    def is_sound(self) -> bool:
        """Whether SQLite finds nothing wrong in the file; reads all of it."""
        return bool(self._sql.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))

    def refuse_in_memory(self) -> None:
        """Refuse to change what would be gone when this program ends.

        Raises:
            Busy: somebody else has locked the file.
            SpoolUnusable: it cannot be used for another reason.
        """
        if self.why_in_memory is not None:
            raise refusal(self._path, self.why_in_memory)

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

    @contextmanager
    def _durable_transaction(self) -> Iterator[None]:
        """One that outlives a power cut: rows can be read again from the files, settings cannot."""
        self._sql.execute("PRAGMA synchronous = FULL")
        try:
            with self.transaction():
                yield
        finally:
            self._sql.execute("PRAGMA synchronous = NORMAL")

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
            Busy, SpoolUnusable: the index cannot be written.
        """
        self.refuse_in_memory()
        with self.transaction():
            self._sql.execute("DELETE FROM jobs")
            self._sql.execute("DELETE FROM oddities")
            if self.looks():
                self._sql.execute("DELETE FROM looks")

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

    def looks(self) -> list[Look]:
        """The last looks at the folders; none in an index that is older than they are."""
        try:
            rows = self._sql.execute("SELECT folder, inode, changed_ns, owner, at FROM looks").fetchall()
        except sqlite3.OperationalError:
            return []
        return [look for look in map(look_from, rows) if look is not None]

    def put_looks(self, looks: Sequence[Look]) -> None:
        """Remember these; no error if that cannot be done at once."""
        if looks:
            with suppress(sqlite3.OperationalError), impatient(self._sql), self.transaction():
                self._sql.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?)", looks)

    def staging(self) -> Staging:
        """Where many rows of new files are kept until they are all written."""
        return Staging(self._sql, self.transaction)

    def get(self, job_id: str) -> Optional[Entry]:
        """The row of this id."""
        row = self._sql.execute(f"SELECT {_FIELDS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
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

    # What status and list show

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

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """All questions of the block are answered by one state of the index."""
        if self._sql.in_transaction:
            yield
            return
        self._sql.execute("BEGIN")
        try:
            yield
        finally:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")

    # The order of claims

    def promote(self, now: float) -> Optional[float]:
        """Make ready what has become due by `now`; when the next one becomes due."""
        due = self.next_due()
        if due is not None and due <= now:
            with self.transaction():
                self._sql.execute("UPDATE jobs SET due = NULL WHERE due <= ?", (now,))
            due = self.next_due()
        return due

    def has_ready(self, now: float) -> bool:
        """Whether a job may run now, or has become due by `now`."""
        row = self._sql.execute(
            "SELECT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_ready WHERE due IS NULL "
            f"AND {_WAITS}) OR EXISTS (SELECT 1 FROM jobs WHERE due IS NOT NULL AND due <= ?)",
            (now,),
        ).fetchone()
        return bool(row[0])

    def count_ready(self, most: int) -> int:
        """How many jobs may run now, counted up to so many."""
        row = self._sql.execute(
            "SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ready "
            f"WHERE due IS NULL AND {_WAITS} LIMIT ?)",
            (most,),
        ).fetchone()
        return int(row[0])

    def ready(self, limit: int, *, most_crashes: Optional[int] = None) -> Iterator[Entry]:
        """Jobs that may run now and have crashed at most so often, in the order in which they should."""
        rows = self._sql.execute(
            # Left to itself SQLite sorts all that wait, each time.
            f"SELECT {_FIELDS} FROM jobs INDEXED BY jobs_ready WHERE due IS NULL "
            f"AND {_WAITS} AND crashes <= ? ORDER BY priority DESC, created, id LIMIT ?",
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
        return None if row is None else row[0]

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
                self._sql.execute("UPDATE jobs SET due = NULL, stuck_since = NULL WHERE stuck_since NOTNULL")

    def forget_moments(self, now: float) -> None:
        """Begin anew to count short waits, after the clock was set: no job waits because it was held once."""
        with self.transaction():
            self._sql.execute("UPDATE jobs SET due = NULL, stuck_since = NULL WHERE due IS NOT NULL")
            self._sql.execute("UPDATE oddities SET seen = ?", (now,))

    def stuck(self) -> list[Entry]:
        """Waiting jobs whose files could not be moved the last time."""
        rows = self._sql.execute(
            # The plus keeps SQLite from looking for the states, of which there may be a million.
            f"SELECT {_FIELDS} FROM jobs WHERE stuck_since IS NOT NULL AND +{_WAITS}"
        )
        return [entry_from(row) for row in rows]

    # What is no job

    def oddities(self) -> list[Oddity]:
        """What lay in the spool at the last look and was no job."""
        rows = self._sql.execute(f"{_ODDITIES} ORDER BY path")
        return [Oddity(*row) for row in rows]

    def oddity(self, path: str) -> Optional[Oddity]:
        """What lay at this path, if it was no job."""
        row = self._sql.execute(f"{_ODDITIES} WHERE path = ?", (path,)).fetchone()
        return None if row is None else Oddity(*row)

    def has_oddities(self, begin: str) -> bool:
        """Whether there are some whose paths begin so."""
        query = "SELECT 1 FROM oddities WHERE substr(path, 1, length(?)) = ? LIMIT 1"
        return self._sql.execute(query, (begin, begin)).fetchone() is not None

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
        rows = self._sql.execute("SELECT name, value FROM config")
        return {name: value for name, value in rows if isinstance(name, str) and isinstance(value, str)}

    def set_setting(self, name: str, value: str) -> None:
        """Keep this value.

        Raises:
            Busy, SpoolUnusable: the index cannot be written.
        """
        self.refuse_in_memory()
        with self._durable_transaction():
            self._sql.execute("INSERT OR REPLACE INTO config VALUES (?, ?)", (name, value))

    def unset_setting(self, name: str) -> None:
        """Back to the default.

        Raises:
            Busy, SpoolUnusable: the index cannot be written.
        """
        self.refuse_in_memory()
        with self._durable_transaction():
            self._sql.execute("DELETE FROM config WHERE name = ?", (name,))
