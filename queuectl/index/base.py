"""An open index: it follows its file where that is replaced, and leaves one that cannot be used."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from queuectl import system
from queuectl.errors import QueueError
from queuectl.index.connection import MUCH_LOGGED, identity_of, impatient
from queuectl.index.opening import connect
from queuectl.index.rows import Entry
from queuectl.index.trouble import refusal, trouble
from queuectl.uncut import uncut

FIELDS = ", ".join(Entry._fields)
WAITS = "state IN ('pending', 'failed')"
"""As the indexes of the table have it, which serve only what says so word for word."""
READY = f"jobs INDEXED BY jobs_ready WHERE due IS NULL AND {WAITS}"
"""The jobs that may run now, each task's by themselves, and commands' as those of no task."""
PARKED, HELD = 9e17, 1e18
"""In place of the moment at which a job is due: it waits for its group; for other jobs, or a person."""
RETURN_AFTER = 30.0
"""Seconds after which one in memory tries the file again."""
_TRIES = 5


def _logged(path: str) -> int:
    """The size in bytes of the log of writes (WAL) of the index at `path`; 0 if there is none."""
    # Never opened, nor its -shm: to close it would free the locks that SQLite holds there for all our threads
    # (sqlite.org/howtocorrupt.html, 2.2).
    try:
        return os.stat(f"{path}-wal").st_size
    except OSError:
        return 0


class Base:
    """The connection to an index file, whatever becomes of that meanwhile."""

    def __init__(self, path: str, lock_path: str) -> None:
        """Open the index at `path`, made or rebuilt where it must be (under the lock at `lock_path`).

        Where that cannot be used (not ours to write, locked all the time, on a full disk, held open by others
        while it is damaged) it is one in memory, for this program alone.
        """
        self._path, self._lock_path = path, lock_path
        self.tasks: frozenset[str] = frozenset()
        """The Python functions that the workers of this program run: others' it does not see as ready."""
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
            with uncut():
                self.close()
                self._connect()

    def stay(self) -> None:
        """Do not follow the file back from memory just now."""
        self._return_at = system.monotonic() + RETURN_AFTER

    def heal(self) -> None:
        """Set the damaged file aside, and begin a new one with the settings that could be read.

        Where that cannot be done (others hold it open: Windows) this goes on in memory.
        """
        from queuectl.index.making import rebuild

        with uncut():
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
        from queuectl.index.making import in_memory

        with uncut():
            self.close()
            self.generation += 1
            self._sql, self.why_in_memory = in_memory(self._path), why
        self._return_at = system.monotonic() + RETURN_AFTER

    def version(self) -> tuple[int, int]:
        """Another one whenever others than we have written to it, or it is another index."""
        return self.generation, int(self._sql.execute("PRAGMA data_version").fetchone()[0])

    def changes(self) -> tuple[int, int, int]:
        """Another one whenever anybody has written to it, or it is another index."""
        return (*self.version(), self._sql.total_changes)

    def tidy(self, now: float) -> None:
        """Move what was written lately from the log into the index file, if that is much: else somebody who
        commits would have to, and wait for the disk. No error if it cannot be done.
        """
        if _logged(self._path) < MUCH_LOGGED:
            return
        with suppress(sqlite3.OperationalError), impatient(self._sql):
            self._sql.execute("PRAGMA journal_size_limit = 0")
            self._sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            # The first commit in a log that begins anew cuts it, and waits for the disk: let it be this one.
            self._sql.execute("INSERT OR REPLACE INTO looks VALUES ('', '', 0, '', ?)", (now,))

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
        with uncut():
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
        with uncut():
            self._sql.execute("PRAGMA synchronous = FULL")
            try:
                with self.transaction():
                    yield
            finally:
                self._sql.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """All questions of the block are answered by one state of the index."""
        if self._sql.in_transaction:
            yield
            return
        with uncut():
            self._sql.execute("BEGIN")
            try:
                yield
            finally:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
