"""The tables of an index, and their version."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from queuectl.index.connection import ADDED, VERSION

_STUCK = "CREATE INDEX IF NOT EXISTS jobs_stuck ON jobs (stuck_since) WHERE stuck_since IS NOT NULL"
"""Not in the first ones of this version: a look does without it, and takes longer then."""
_LOOKS = """CREATE TABLE IF NOT EXISTS looks (
    folder TEXT PRIMARY KEY,
    inode TEXT NOT NULL,
    changed_ns INTEGER NOT NULL,
    owner TEXT NOT NULL,
    at REAL NOT NULL
)"""
"""Not in the first ones either: without it everything is looked at."""
_STATEMENTS = {"jobs_stuck": _STUCK, "looks": _LOOKS}
_SCHEMA = f"""
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    fold TEXT NOT NULL,
    state TEXT NOT NULL,
    worker TEXT,
    mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    due REAL,
    created REAL NOT NULL,
    command TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    max_retries INTEGER,
    run_at TEXT,
    created_at TEXT,
    updated_at TEXT,
    exit_code INTEGER,
    error TEXT,
    tags TEXT NOT NULL,
    stuck_since REAL,
    stuck_why TEXT
) WITHOUT ROWID;
CREATE INDEX jobs_fold ON jobs (fold);
CREATE INDEX jobs_state ON jobs (state, updated_at);
CREATE INDEX jobs_due ON jobs (due) WHERE due IS NOT NULL;
CREATE INDEX jobs_ready ON jobs (priority DESC, created, id)
    WHERE due IS NULL AND state IN ('pending', 'failed');
{_STUCK};
CREATE TABLE oddities (
    path TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL,
    seen REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS config (name TEXT PRIMARY KEY, value TEXT NOT NULL);
{_LOOKS};
"""


def fill(connection: sqlite3.Connection, settings: dict[str, str]) -> None:
    """Make the tables in a database that has none, with these settings.

    Raises:
        sqlite3.Error: that cannot be done.
    """
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.executemany("INSERT OR REPLACE INTO config VALUES (?, ?)", settings.items())
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def complete(connection: sqlite3.Connection) -> None:
    """Add what the first indexes of this version lack; where one may not be written it serves as it is."""
    with suppress(sqlite3.OperationalError):
        for name in ADDED:
            connection.execute(_STATEMENTS[name])
