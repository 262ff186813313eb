"""What a shell may complete, from the index as it is: nothing is made, mended or waited for."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from typing import Any

from queuectl import system
from queuectl.index.base import WAITS
from queuectl.index.connection import VERSION, connected, is_empty, version_of

SECONDS = 0.3
"""After which a person has typed on: what was found by then is all."""
_STEPS = 10_000
"""Of SQLite's machine between looks at the clock."""
_LAST = "\U0010ffff"


def ids(path: str, begin: str, states: Sequence[str], most: int) -> list[tuple[str, str]]:
    """Ids of jobs in these states that begin so, with the state of each; none where the index cannot tell."""
    marks = ", ".join("?" * len(states))
    return [
        (str(job_id), str(state))
        for job_id, state in _rows(
            path,
            f"SELECT id, state FROM jobs WHERE id >= ? AND id < ? AND state IN ({marks}) ORDER BY id LIMIT ?",
            (begin, begin + _LAST, *states, most),
        )
    ]


def groups(path: str, most: int) -> list[str]:
    """The groups of jobs that wait. As `ids`."""
    query = f"SELECT DISTINCT lane FROM jobs WHERE lane IS NOT NULL AND {WAITS} LIMIT ?"
    return [str(lane) for (lane,) in _rows(path, query, (most,))]


def batches(path: str, most: int) -> list[str]:
    """The batches that jobs belong to. As `ids`."""
    query = "SELECT DISTINCT batch FROM jobs WHERE batch IS NOT NULL LIMIT ?"
    return [str(batch) for (batch,) in _rows(path, query, (most,))]


def _rows(path: str, query: str, values: tuple[Any, ...]) -> list[Any]:
    found: list[Any] = []
    if not os.path.isfile(path) or is_empty(path):
        return found
    try:
        connection = connected(path, "mode=rw", SECONDS)
    except sqlite3.Error:
        return found
    end = system.monotonic() + SECONDS
    try:
        connection.set_progress_handler(lambda: int(system.monotonic() > end), _STEPS)
        if version_of(connection) == VERSION:
            for row in connection.execute(query, values):
                found.append(row)  # noqa: PERF402 (what was found before an error counts)
    except sqlite3.Error:
        pass
    finally:
        connection.close()
    return found
