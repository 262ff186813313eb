"""What is noted of the folders besides jobs: what is no job, and who has looked into them last."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Optional

from queuectl.index.base import Base
from queuectl.index.connection import impatient
from queuectl.index.links import ALL
from queuectl.index.rows import Look, Oddity, look_from

_ODDITIES = "SELECT path, reason, mtime_ns, size, seen FROM oddities"


class Notes(Base):
    """Oddities and looks."""

    def oddities(self) -> list[Oddity]:
        """What lay in the spool at the last look and was no job."""
        rows = self._sql.execute(f"{_ODDITIES} ORDER BY path")
        return [Oddity(*row) for row in rows]

    def oddity(self, path: str) -> Optional[Oddity]:
        """What lay at this path, if it was no job."""
        row = self._sql.execute(f"{_ODDITIES} WHERE path = ?", (path,)).fetchone()
        return None if row is None else Oddity(*row)

    def oddities_at(self, paths: Sequence[str]) -> list[Oddity]:
        """What lay at these few paths and was no job."""
        rows = self._sql.execute(f"{_ODDITIES} WHERE path IN ({', '.join('?' * len(paths))})", paths)
        return [Oddity(*row) for row in rows]

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

    def looks(self) -> list[Look]:
        """The last looks at the folders."""
        rows = self._sql.execute(
            "SELECT folder, inode, changed_ns, owner, at FROM looks WHERE folder <> ?", (ALL,)
        )
        return [look for look in map(look_from, rows) if look is not None]

    def put_looks(self, looks: Sequence[Look]) -> None:
        """Remember these; no error if that cannot be done at once."""
        if looks:
            with suppress(sqlite3.OperationalError), impatient(self._sql), self.transaction():
                self._sql.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?)", looks)
