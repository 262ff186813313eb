"""A spool with jobs in every state, whose index a test then spoils: what must hold of it afterwards."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Optional

from tests.support.hostile.calls import drain, ok
from tests.support.spools import Desk

JOBS = [f"job-{number:03}" for number in range(12)]
COUNTS = {"pending": len(JOBS), "processing": 0, "completed": 1, "failed": 1, "dead": 2}
DEFAULT, SET = 3, 7
"""Of `max_retries`: the default, and what it is set to here."""


def make_original(root: Path) -> Path:
    """Jobs that wait, rest and are dead, a file that is none, and a setting."""
    with Desk(root) as desk:
        desk.add(*JOBS, tags=["t" * 50])
        desk.put_job("failed", "waits", state="failed", run_at="2999-01-01T00:00:00Z", error="exit code 1")
        desk.put_job("done", "ran", state="completed", attempts=1)
        desk.put_job("dead", "given-up", state="dead", attempts=4, error="exit code 1")
        desk.drop("bad.json", b"{", "dead")
        desk.queue.set_config("max_retries", str(SET))
        desk.queue.refresh()
    return root


def index_of(spool: Path) -> Path:
    return spool / "index.sqlite3"


def set_aside(spool: Path) -> list[Path]:
    """What was moved out of the way, without journals."""
    found = [*spool.glob("index.sqlite3.damaged-*"), *spool.glob("index.sqlite3.version-*")]
    return [path for path in found if not path.name.endswith(("-wal", "-shm", "-journal"))]


def rewrite(spool: Path, script: str) -> None:
    """Have another program change the index."""
    with closing(sqlite3.connect(index_of(spool))) as connection:
        connection.executescript(script)


def job_files(spool: Path) -> dict[str, bytes]:
    """Every job's file, by its path in the spool."""
    folders = ("pending", "processing", "done", "failed", "dead")
    paths = (path for folder in folders for path in (spool / folder).rglob("*.json"))
    return {path.relative_to(spool).as_posix(): path.read_bytes() for path in paths}


def expect_as_before(spool: Path, *, max_retries: Optional[int] = None) -> None:
    """Every job is told, new ones are taken, all run; the setting holds or is back at its default."""
    assert ok(spool, "status", "--json").json["counts"] == COUNTS
    retries = int(ok(spool, "config", "get", "max_retries").out)
    assert retries in ((DEFAULT, SET) if max_retries is None else (max_retries,))
    ok(spool, "enqueue", "--id", "new", "--", "x")
    assert {row["id"] for row in ok(spool, "list", "--json").json} >= {*JOBS, "new", "waits", "bad"}
    drain(spool, "--quiet")
    assert {path.stem for path in (spool / "done").glob("*.json")} == {*JOBS, "new", "ran"}
    counts = ok(spool, "status", "--json").json["counts"]
    assert counts == {**COUNTS, "pending": 0, "completed": len(JOBS) + 2}
