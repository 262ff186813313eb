"""Rows of files that the index does not know yet, kept aside by SQLite until many are read.

Written one by one in the order in which a folder gives its names, a million rows would write each page of the
index again and again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from queuectl.index.rows import Entry, entry_from

_PIECE = 20_000
"""Rows that are moved in with one commit: others write between two of them."""
_FIELDS = ", ".join(Entry._fields)


class Staging:
    """The rows that one connection keeps aside, in a table of its own."""

    def __init__(
        self,
        sql: sqlite3.Connection,
        transaction: Callable[[], AbstractContextManager[None]],
        link: Callable[[Sequence[Entry]], None],
    ) -> None:
        """`link` remembers what rows wait for, and is called when they are moved in."""
        self._sql, self._transaction, self._link = sql, transaction, link
        self.size = 0
        """How many they are."""
        self.bytes = 0
        """What is long in them takes so much, about."""
        sql.execute("PRAGMA temp_store = MEMORY")
        sql.execute("DROP TABLE IF EXISTS temp.staged")
        sql.execute("CREATE TEMP TABLE staged AS SELECT * FROM jobs LIMIT 0")

    def add(self, rows: Sequence[Entry]) -> None:
        """Keep these."""
        places = ", ".join("?" * len(Entry._fields))
        # No transaction of the index: others go on writing to it.
        self._sql.execute("BEGIN")
        try:
            self._sql.executemany(f"INSERT INTO temp.staged ({_FIELDS}) VALUES ({places})", rows)
            self._sql.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself where there is no room.
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise
        self.size += len(rows)
        self.bytes += sum(len(row.command) + len(row.error or "") for row in rows)

    def twins(self) -> list[Entry]:
        """Those whose ids are the same, or differ in case and Unicode form only, side by side."""
        rows = self._sql.execute(
            f"SELECT {_FIELDS} FROM temp.staged WHERE fold IN "
            "(SELECT fold FROM temp.staged GROUP BY fold HAVING count(*) > 1) ORDER BY fold, id"
        )
        return [entry_from(row) for row in rows]

    def remove(self, row: Entry) -> None:
        """Let one go."""
        self._sql.execute(
            "DELETE FROM temp.staged WHERE id = ? AND state = ? AND worker IS ?",
            (row.id, row.state, row.worker),
        )

    def merge(self) -> Iterator[list[Entry]]:
        """Move all into the index, but for those of which somebody else has told it meanwhile; in steps.

        Of each step, the drops that are left out because their ids are not the same as another's that came
        into the index meanwhile, and differ in case and Unicode form only.
        """
        self._sql.execute("DROP TABLE IF EXISTS temp.sorted")
        self._sql.execute("CREATE TEMP TABLE sorted AS SELECT * FROM temp.staged ORDER BY id")
        self._sql.execute("DROP TABLE temp.staged")
        last = self._sql.execute("SELECT coalesce(max(rowid), 0) FROM temp.sorted").fetchone()[0]
        for begin in range(0, last, _PIECE):
            with self._transaction():
                left = self._leave_out(begin, begin + _PIECE)
                self._sql.execute(
                    f"INSERT OR IGNORE INTO jobs ({_FIELDS}) SELECT {_FIELDS} FROM temp.sorted "
                    "WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
                    (begin, begin + _PIECE),
                )
                self._link(self._linked(begin, begin + _PIECE))
            yield left
        self._sql.execute("DROP TABLE temp.sorted")

    def _linked(self, after: int, last: int) -> list[Entry]:
        query = f"SELECT {_FIELDS} FROM temp.sorted WHERE rowid > ? AND rowid <= ? AND after IS NOT NULL"
        return [entry_from(row) for row in self._sql.execute(query, (after, last)).fetchall()]

    def _leave_out(self, after: int, last: int) -> list[Entry]:
        fields = ", ".join(f"new.{field}" for field in Entry._fields)
        rows = self._sql.execute(
            f"SELECT new.rowid, {fields} FROM temp.sorted AS new JOIN jobs AS old ON old.fold = new.fold "
            "WHERE new.rowid > ? AND new.rowid <= ? AND new.state = 'pending' AND old.id <> new.id",
            (after, last),
        ).fetchall()
        self._sql.executemany("DELETE FROM temp.sorted WHERE rowid = ?", {(row[0],) for row in rows})
        return list({row[0]: entry_from(row[1:]) for row in rows}.values())
