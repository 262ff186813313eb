"""The tables of an index, and their version."""

from __future__ import annotations

import sqlite3

from queuectl.index.base import WAITS
from queuectl.index.connection import VERSION
from queuectl.index.links import CHILDREN, KEEP, SET_FREE

_TABLES = f"""
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
    task TEXT,
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
    stuck_why TEXT,
    lane TEXT,
    batch TEXT,
    after TEXT,
    hold INTEGER NOT NULL DEFAULT 0,
    unique_key TEXT
) WITHOUT ROWID;
CREATE INDEX jobs_fold ON jobs (fold);
CREATE INDEX jobs_state ON jobs (state, updated_at);
CREATE INDEX jobs_due ON jobs (due) WHERE due IS NOT NULL;
CREATE INDEX jobs_ready ON jobs (task, priority DESC, created, id)
    WHERE due IS NULL AND state IN ('pending', 'failed');
CREATE INDEX jobs_stuck ON jobs (stuck_since) WHERE stuck_since IS NOT NULL;
CREATE INDEX jobs_lane ON jobs (lane, task, due, priority DESC, created, id)
    WHERE lane IS NOT NULL AND {WAITS};
CREATE INDEX jobs_batch ON jobs (batch, state) WHERE batch IS NOT NULL;
CREATE INDEX jobs_unique ON jobs (unique_key) WHERE unique_key IS NOT NULL;
CREATE TABLE links (
    child TEXT NOT NULL,
    parent TEXT NOT NULL,
    wants TEXT NOT NULL,
    PRIMARY KEY (child, parent, wants)
) WITHOUT ROWID;
CREATE INDEX links_parent ON links (parent);
CREATE TABLE oddities (
    path TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL,
    seen REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS config (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE looks (
    folder TEXT PRIMARY KEY,
    inode TEXT NOT NULL,
    changed_ns INTEGER NOT NULL,
    owner TEXT NOT NULL,
    at REAL NOT NULL
);
"""
_TRIGGERS = (
    f"""CREATE TRIGGER ended AFTER INSERT ON jobs WHEN NEW.state IN ('completed', 'dead')
    AND EXISTS ({CHILDREN}) BEGIN {SET_FREE} AND id IN ({CHILDREN}); END""",
    f"""CREATE TRIGGER gone AFTER DELETE ON jobs WHEN OLD.batch IS NOT NULL BEGIN
    {SET_FREE} AND id IN (SELECT child FROM links WHERE parent = '/' || OLD.batch); END""",
    f"""CREATE TRIGGER again BEFORE INSERT ON jobs WHEN NEW.state IN ('pending', 'processing', 'failed')
    AND EXISTS ({CHILDREN})
    AND EXISTS (SELECT 1 FROM jobs WHERE id = NEW.id AND state IN ('completed', 'dead')) BEGIN
    {KEEP} AND id IN ({CHILDREN}); END""",
)
"""Whoever tells of the end of a job frees those that waited for it, and holds them again if it was none: it
has been retried, or a loss of power has undone the move that the index tells of.
"""


def fill(connection: sqlite3.Connection, settings: dict[str, str]) -> None:
    """Make the tables in a database that has none, with these settings.

    Raises:
        sqlite3.Error: that cannot be done.
    """
    connection.execute("BEGIN IMMEDIATE")
    for statement in (*_TABLES.split(";"), *_TRIGGERS):
        connection.execute(statement)
    connection.executemany("INSERT OR REPLACE INTO config VALUES (?, ?)", settings.items())
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
