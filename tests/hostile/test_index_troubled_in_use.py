"""An index that is damaged while workers run, or that another program keeps locked: nobody hangs."""

from __future__ import annotations

import math
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl.errors import SpoolUnusable
from queuectl.index import connection, making
from queuectl.pool import Pool
from queuectl.shift import Plan
from queuectl.sweep import Sweep
from tests.support.hostile.calls import call, drain, ok
from tests.support.hostile.indexes import COUNTS, JOBS, index_of, job_files, set_aside
from tests.support.program import PATIENCE, Program
from tests.support.spools import Heard
from tests.support.waiting import wait_until

Figure = Callable[[str, int], None]

WINDOWS = sys.platform == "win32"
SEED = 20270115
REAL_RUN = Pool.run
"""Not that of a test in which nothing goes on for ever."""
READERS = (("status",), ("list",), ("show", "ran"), ("config", "get"), ("worker", "list"), ("doctor",))
WRITERS = (
    ("enqueue", "--", "x"),
    ("config", "set", "timeout", "5"),
    ("retry", "given-up"),
    ("cancel", "job-001"),
    ("dlq", "purge", "--yes", "bad"),
    ("reindex",),
)

VERBS = (*READERS, *WRITERS)
OFTEN = (("status",), ("doctor",), ("enqueue", "--", "x"), ("config", "set", "timeout", "5"))


@contextmanager
def locked(spool: Path, mode: str) -> Iterator[None]:
    """Another program has it, for reading and writing (EXCLUSIVE) or for writing alone (NORMAL)."""
    other = sqlite3.connect(str(index_of(spool)), isolation_level=None)
    try:
        other.execute(f"PRAGMA locking_mode = {mode}")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE theirs (a)")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@pytest.mark.parametrize("mode", ["NORMAL", "EXCLUSIVE"])
class TestLocked:
    BUSY = 0.05
    BOUND = 5.0
    """Seconds for one call, which may meet the lock more than once; far more than it takes."""

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "BUSY_SECONDS", self.BUSY)

    @pytest.mark.parametrize(
        "verb",
        [
            pytest.param(verb, id=" ".join(verb), marks=[] if verb in OFTEN else pytest.mark.slow)
            for verb in VERBS
        ],
    )
    def test_everyone_is_told_or_served_and_soon(
        self, spool: Path, mode: str, verb: tuple[str, ...], figure: Figure
    ) -> None:
        before = job_files(spool)
        with locked(spool, mode):
            began = time.monotonic()
            answer = call(spool, *verb)
            assert time.monotonic() - began < self.BOUND
        # Looking works, in memory; what must be kept in the index is refused.
        assert answer.code in ((0, 1) if verb in READERS else (0, 5)), answer
        assert answer.code != 5 or "try again" in answer.err
        assert answer.code == 0 or job_files(spool) == before
        drain(spool, "--quiet")
        cancelled = {"job-001"} if verb[0] == "cancel" and answer.code == 0 else set()
        assert {path.stem for path in (spool / "done").glob("job-*.json")} == {*JOBS} - cancelled
        assert set_aside(spool) == []
        assert ok(spool, "config", "get", "max_retries").out == "7\n", "it was not damaged"
        figure("damaged indexes", 1)

    def test_everything_is_told_all_the_same(self, spool: Path, mode: str) -> None:
        with locked(spool, mode):
            assert ok(spool, "status", "--json").json["counts"] == COUNTS


def test_workers_that_find_it_locked_say_so_and_go_on_when_it_is_free(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    heard = Heard()
    pool = Pool(str(spool), Plan(2, drain=True), heard)
    thread = threading.Thread(target=pool.run)
    with locked(spool, "NORMAL"):
        thread.start()
        told = "the index cannot be used just now: database is locked"
        wait_until(lambda: told in [event.text for event in heard.events], "they tell", PATIENCE)
    thread.join(PATIENCE)
    assert {path.stem for path in (spool / "done").glob("*.json")} == {*JOBS, "ran"}
    assert [event.text for event in heard.events].count(told) == 1
    assert ok(spool, "status", "--json").json["counts"] == {
        **COUNTS,
        "pending": 0,
        "completed": len(JOBS) + 1,
    }


def test_workers_go_on_though_a_damaged_index_cannot_be_set_aside(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows their own connections hold it."""

    def held(path: str, why: str) -> None:
        raise SpoolUnusable("held by somebody")

    def look(sweep: Sweep, *args: Any) -> Any:
        if damaged.is_set():
            damaged.clear()
            raise sqlite3.DatabaseError("database disk image is malformed")
        return real(sweep, *args)

    ok(spool, "config", "set", "poll_interval", "0.05")
    real, damaged = Sweep.look, threading.Event()
    monkeypatch.setattr(making, "_set_aside", held)
    monkeypatch.setattr(Sweep, "look", look)
    # The file that they would go back to is sound here, whatever they have met.
    monkeypatch.setattr("queuectl.index.base.RETURN_AFTER", math.inf)
    pool = Pool(str(spool), Plan(2), Heard())
    thread = threading.Thread(target=REAL_RUN, args=(pool,))
    thread.start()
    try:
        wait_until(lambda: len(list((spool / "done").iterdir())) == len(JOBS) + 1, "they work", PATIENCE)
        # Only the supervisor meets it: the pages that its workers know are sound.
        damaged.set()
        wait_until(lambda: not damaged.is_set(), "it has met the damage", PATIENCE)
        (spool / "pending" / "late.json").write_bytes(b'{"command": "x"}')
        wait_until((spool / "done" / "late.json").exists, "a new job runs all the same", PATIENCE)
    finally:
        pool.stop()
        thread.join(PATIENCE)


def overwrite(path: Path, chance: random.Random) -> None:
    size = max(path.stat().st_size, 5000)
    with open(path, "r+b") as file:
        file.write(bytes(chance.choices(range(256), k=size)))


def truncate(path: Path, chance: random.Random) -> None:
    with open(path, "r+b") as file:
        file.truncate(0)


def halve(path: Path, chance: random.Random) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def spoil_a_page(path: Path, chance: random.Random) -> None:
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(bytes(chance.choices(range(256), k=4096)))


def delete(path: Path, chance: random.Random) -> None:
    path.unlink()


def replace_by_rubbish(path: Path, chance: random.Random) -> None:
    rubbish = path.with_name("rubbish")
    rubbish.write_bytes(bytes(chance.choices(range(256), k=5000)))
    rubbish.replace(path)


def delete_journals(path: Path, chance: random.Random) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def overwrite_journal(path: Path, chance: random.Random) -> None:
    journal = path.with_name(path.name + "-wal")
    if journal.exists():
        overwrite(journal, chance)


IN_PLACE = [overwrite, truncate, halve, spoil_a_page, overwrite_journal]
BY_NAME = [delete, replace_by_rubbish, delete_journals]
"""What Windows refuses of a file that is open."""


class Working:
    """Workers in a process of their own, on a spool whose index is spoilt now and then."""

    def __init__(self, here: Path) -> None:
        self.program = Program(here)
        self.program.ok("init")
        self.program.ok("config", "set", "max_retries", "7")
        self.program.ok("config", "set", "poll_interval", "0.1")
        self.dropped: list[str] = []

    def drop(self, count: int) -> list[str]:
        names = [f"job-{len(self.dropped) + number:03}" for number in range(count)]
        for name in names:
            self.program.drop(name, {"command": [sys.executable, "-I", "-S", "-c", ""]})
        self.dropped += names
        return names

    def expect_all_done(self) -> None:
        self.program.wait_in("done", *self.dropped)
        wait_until(
            lambda: self.program.json("status")["counts"]["completed"] == len(self.dropped),
            "status tells of each",
            PATIENCE,
        )
        assert {row["id"] for row in self.program.json("list")} == {*self.dropped}


def spoil_while_they_work(here: Path, ways: list[Callable[[Path, random.Random], None]]) -> None:
    working, chance = Working(here), random.Random(SEED)
    with working.program.workers(2) as running:
        for way in ways:
            working.drop(3)
            way(index_of(working.program.spool), chance)
            working.drop(3)
            working.expect_all_done()
        working.program.ok("worker", "stop")
        ended = running.end()
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert working.program.json("config", "get", "max_retries")["max_retries"] in (3, 7)
    assert working.program.left_behind() == []


def test_damage_while_workers_run_stops_nobody(tmp_path: Path, figure: Figure) -> None:
    spoil_while_they_work(tmp_path, [overwrite])
    figure("damaged indexes", 1)


@pytest.mark.slow
@pytest.mark.parametrize("way", [*IN_PLACE, *BY_NAME], ids=lambda way: way.__name__)
def test_each_damage_again_and_again_stops_nobody(
    tmp_path: Path, way: Callable[[Path, random.Random], None], figure: Figure
) -> None:
    if WINDOWS and way in BY_NAME:
        pytest.skip("Windows refuses that while workers have it open")
    spoil_while_they_work(tmp_path, [way] * 3)
    figure("damaged indexes", 3)


A_CALL = 50.0
"""Seconds that a call may take where the index is locked all the time: it waits for half a minute, once."""
_HOLD = (
    "import sqlite3, sys, time\n"
    "other = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    "other.execute('BEGIN EXCLUSIVE')\n"
    "print('held', flush=True)\n"
    "time.sleep(float(sys.argv[2]))\n"
    "other.execute('ROLLBACK')\n"
)


@pytest.mark.slow
def test_a_lock_of_a_minute_is_outlasted(tmp_path: Path, figure: Figure) -> None:
    """Longer than the half minute that a call waits: workers are told, wait, and then go on."""
    working = Working(tmp_path)
    with working.program.workers(2) as running:
        working.drop(2)
        working.expect_all_done()
        index = str(index_of(working.program.spool))
        with subprocess.Popen([sys.executable, "-c", _HOLD, index, "60"], stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline().strip() == b"held"
            working.drop(3)
            command = ("--", sys.executable, "-c", "")
            with working.program.start("enqueue", "--id", "added", *command) as adding:
                with working.program.start("status") as looking:
                    assert adding.process.wait(A_CALL) in (0, 5)
                    assert looking.process.wait(A_CALL) in (0, 5)
                working.dropped += ["added"] * (adding.process.returncode == 0)
            assert holder.poll() is None, "it is still locked"
            assert holder.wait(90) == 0
        working.expect_all_done()
        working.program.ok("worker", "stop")
        ended = running.end()
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert set_aside(working.program.spool) == []
    assert working.program.json("config", "get", "max_retries") == {"max_retries": 7}
    figure("damaged indexes", 1)
