"""An index that is damaged, foreign or of another version is built anew from the files: no job is lost.

Settings are in the index alone. They are kept where SQLite can still read the table that holds them.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from tests.support.hostile.calls import call, ok
from tests.support.hostile.indexes import (
    COUNTS,
    DEFAULT,
    SET,
    expect_as_before,
    index_of,
    job_files,
    make_original,
    rewrite,
    set_aside,
)

Figure = Callable[[str, int], None]

WINDOWS = sys.platform == "win32"
SEED = 20270115
PAGE = 4096


def rarely(*values: Any) -> list[Any]:
    """Values that only a slow run tries."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


class TestTheFile:
    @pytest.mark.parametrize(
        "length", [100, PAGE, *rarely(0.5, 15, 1, 16, 18, 99, 101, 511, PAGE - 1, PAGE + 1, 0.25, 0.75, -1)]
    )
    def test_that_ends_too_early(self, spool: Path, length: float, figure: Figure) -> None:
        data = index_of(spool).read_bytes()
        end = int(len(data) * length) if 0 < length < 1 else int(length)
        index_of(spool).write_bytes(data[:end])
        expect_as_before(spool)
        assert [path.read_bytes() for path in set_aside(spool)] in ([data[:end]], [])
        figure("damaged indexes", 1)

    @pytest.mark.parametrize("length", [PAGE, *rarely(1, 100, 512, 50_000, 2_000_000)])
    def test_of_random_bytes(self, spool: Path, length: int, figure: Figure) -> None:
        data = bytes(random.Random(SEED).choices(range(256), k=length))
        index_of(spool).write_bytes(data)
        expect_as_before(spool, max_retries=DEFAULT)
        assert [path.read_bytes() for path in set_aside(spool)] == [data]
        figure("damaged indexes", 1)

    @pytest.mark.parametrize("kept", [0, 1, *rarely(2, 3, 4, 5, 6, 7)])
    def test_with_a_sound_beginning_and_random_pages(self, spool: Path, kept: int, figure: Figure) -> None:
        data = index_of(spool).read_bytes()
        # Of the first page at least the header, which tells that it is a database.
        start = kept * PAGE or 100
        rubbish = random.Random(SEED).choices(range(256), k=len(data) - start)
        index_of(spool).write_bytes(data[:start] + bytes(rubbish))
        expect_as_before(spool)
        figure("damaged indexes", 1)

    def test_of_no_bytes_at_all(self, spool: Path, figure: Figure) -> None:
        index_of(spool).write_bytes(b"")
        expect_as_before(spool, max_retries=DEFAULT)
        figure("damaged indexes", 1)

    @pytest.mark.parametrize("suffix", ["-wal", *rarely("-shm", "-journal")])
    @pytest.mark.parametrize("length", [5000, *rarely(0, 1, 31, 32, 33, 100_000)])
    def test_beside_a_journal_of_rubbish(self, spool: Path, suffix: str, length: int, figure: Figure) -> None:
        rubbish = bytes(random.Random(SEED).choices(range(256), k=length))
        Path(f"{index_of(spool)}{suffix}").write_bytes(rubbish)
        expect_as_before(spool, max_retries=SET)
        figure("damaged indexes", 1)

    @pytest.mark.parametrize("suffix", ["-wal", *rarely("-shm", "-journal")])
    def test_beside_a_folder_that_is_called_like_its_journal(
        self, spool: Path, suffix: str, figure: Figure
    ) -> None:
        before = job_files(spool)
        Path(f"{index_of(spool)}{suffix}").mkdir()
        for verb in (("status",), ("list",), ("doctor",), ("reindex",), ("config", "set", "timeout", "1")):
            assert call(spool, *verb).code in (0, 1, 7)
        assert job_files(spool) == before
        figure("damaged indexes", 1)

    def test_beside_the_journal_of_another(self, spool: Path, tmp_path: Path, figure: Figure) -> None:
        other = tmp_path / "other.sqlite3"
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE photos (name TEXT)")
            connection.commit()
            shutil.copy(f"{other}-wal", f"{index_of(spool)}-wal")
        expect_as_before(spool)
        figure("damaged indexes", 1)


FOREIGN = {
    "other tables": "CREATE TABLE photos (name TEXT); INSERT INTO photos VALUES ('cat.jpg');",
    "other tables, our version": "CREATE TABLE photos (name TEXT); PRAGMA user_version = 2;",
    "jobs of another shape": "CREATE TABLE jobs (id INTEGER, what TEXT); PRAGMA user_version = 2;",
    "settings of another shape": "CREATE TABLE config (key, setting); PRAGMA user_version = 2;",
    "all tables, other columns": "CREATE TABLE jobs (id); CREATE TABLE oddities (path);"
    "CREATE TABLE config (name, value); PRAGMA user_version = 2;",
    "nothing": "PRAGMA user_version = 2;",
    "nothing, and no version": "CREATE TABLE a (b); DROP TABLE a;",
}


class TestADatabaseOfSomebodyElse:
    @pytest.mark.parametrize("what", ["other tables", "all tables, other columns", *rarely(*FOREIGN)])
    def test_is_set_aside_byte_for_byte(self, spool: Path, what: str, figure: Figure) -> None:
        index_of(spool).unlink()
        rewrite(spool, FOREIGN[what])
        data = index_of(spool).read_bytes()
        expect_as_before(spool, max_retries=DEFAULT)
        assert [path.read_bytes() for path in set_aside(spool)] == [data]
        figure("damaged indexes", 1)

    @pytest.mark.parametrize("version", [0, 1, *rarely(-1, 99, 2**31 - 1)])
    def test_of_another_version_leaves_its_settings(self, spool: Path, version: int, figure: Figure) -> None:
        rewrite(spool, f"PRAGMA user_version = {version}")
        expect_as_before(spool, max_retries=SET)
        (aside,) = set_aside(spool)
        assert f".version-{version}-" in aside.name
        figure("damaged indexes", 1)

    def test_of_a_newer_version_leaves_settings_of_another_shape(self, spool: Path, figure: Figure) -> None:
        rewrite(
            spool,
            "DROP TABLE config; CREATE TABLE config (name, value, since); PRAGMA user_version = 99;"
            "INSERT INTO config VALUES ('max_retries', 7, 0), ('timeout', NULL, 0), ('shell', x'ff', 0),"
            "  (NULL, 'x', 0), ('settle_time', 1.5, 0), ('from_the_future', '{}', 0);",
        )
        expect_as_before(spool, max_retries=SET)
        figure("damaged indexes", 1)

    def test_of_our_version_may_have_settings_that_nobody_could_set(
        self, spool: Path, figure: Figure
    ) -> None:
        rewrite(
            spool,
            "INSERT INTO config VALUES ('timeout', 'soon'), ('poll_interval', '-1'), ('colour', 'red'),"
            " ('shell', 'zsh'), ('backoff_max', '1e999'), ('settle_time', ''), ('max_job_bytes', '٣');",
        )
        expect_as_before(spool, max_retries=SET)
        assert ok(spool, "config", "get", "poll_interval").out == "1\n"
        figure("damaged indexes", 1)

    def test_of_our_version_may_have_a_setting_that_is_no_text(self, spool: Path, figure: Figure) -> None:
        rewrite(spool, "INSERT INTO config VALUES ('timeout', x'00ff')")
        expect_as_before(spool)
        figure("damaged indexes", 1)


LEADING_OUT = [
    "../../victim",
    "x/../../../victim",
    "/victim",
    "a\0b",
    *rarely("..", "a/b", "\\..\\..\\victim"),
]
"""Ids of which no path may be made. (A backslash is a letter on POSIX.)"""


class TestARowThatLies:
    """Paths are made of ids and of workers' names: no row leads out of the spool."""

    def forge(self, spool: Path, job_id: str, state: str, worker: Optional[str] = None) -> None:
        ok(spool, "status")
        with closing(sqlite3.connect(index_of(spool))) as connection:
            columns = (
                "id, fold, state, worker, mtime_ns, size, created, command, priority, attempts, crashes, tags"
            )
            row = (job_id, job_id, state, worker, 1, 30, 1.0, '"x"', 0, 0, 0, "")
            connection.execute(f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
            connection.commit()

    @pytest.mark.parametrize("state", ["pending", "dead"])
    @pytest.mark.parametrize("job_id", LEADING_OUT)
    def test_about_its_id(self, spool: Path, job_id: str, state: str, figure: Figure) -> None:
        (spool / "pending" / "x").mkdir()
        victims = [spool / "victim.json", spool.parent / "victim.json"]
        for victim in victims:
            victim.write_text('{"command": "x"}')
        self.forge(spool, job_id, state)
        expect_as_before(spool, max_retries=SET)
        ok(spool, "dlq", "purge", "--yes")
        assert [victim.read_text() for victim in victims] == ['{"command": "x"}'] * 2
        figure("damaged indexes", 1)

    @pytest.mark.parametrize("state", ["pending", "processing"])
    def test_about_its_worker(self, spool: Path, state: str, figure: Figure) -> None:
        self.forge(spool, "victim", state, "../..")
        victim = spool.parent / "victim.json"
        victim.write_text('{"command": "x"}')
        expect_as_before(spool, max_retries=SET)
        assert victim.exists()
        figure("damaged indexes", 1)


class TestSomethingElseOfItsName:
    """Told, got round or refused with the code for that; once it is gone, all is as before."""

    def look(self, spool: Path) -> None:
        before = job_files(spool)
        for verb in (("status",), ("list",), ("show", "given-up"), ("doctor",), ("config", "get")):
            assert call(spool, *verb).code in (0, 1, 7), verb
        for verb in (("config", "set", "timeout", "5"), ("reindex",), ("worker", "start", "--drain")):
            assert call(spool, *verb).code in (0, 7), verb
        after = job_files(spool)
        assert len(after) == len(before)
        # A worker that could work has worked.
        assert all(after.get(name, data) == data for name, data in before.items())

    def test_a_folder(self, spool: Path, figure: Figure) -> None:
        index_of(spool).unlink()
        index_of(spool).mkdir()
        assert ok(spool, "status", "--json").json["counts"] == COUNTS
        self.look(spool)
        assert "index.sqlite3" in call(spool, "doctor").out
        index_of(spool).rmdir()
        expect_as_before(spool, max_retries=DEFAULT)
        figure("damaged indexes", 1)

    @pytest.mark.skipif(WINDOWS, reason="links need a privilege there")
    @pytest.mark.parametrize("damaged", [False, True])
    def test_a_link(self, spool: Path, tmp_path: Path, damaged: bool, figure: Figure) -> None:
        elsewhere = tmp_path / "elsewhere.sqlite3"
        os.replace(index_of(spool), elsewhere)
        if damaged:
            elsewhere.write_bytes(b"rubbish")
        index_of(spool).symlink_to(elsewhere)
        expect_as_before(spool, max_retries=DEFAULT if damaged else SET)
        assert not damaged or elsewhere.read_bytes() == b"rubbish"
        figure("damaged indexes", 1)

    @pytest.mark.skipif(WINDOWS, reason="links need a privilege there")
    @pytest.mark.parametrize("target", ["nowhere/at/all", *rarely("index.sqlite3", "pending", "/dev/null")])
    def test_a_link_to_what_is_no_file(self, spool: Path, target: str, figure: Figure) -> None:
        index_of(spool).unlink()
        index_of(spool).symlink_to(target)
        self.look(spool)
        figure("damaged indexes", 1)

    @pytest.mark.skipif(WINDOWS, reason="there are no FIFOs")
    def test_a_fifo(self, spool: Path, figure: Figure) -> None:
        index_of(spool).unlink()
        os.mkfifo(index_of(spool))
        self.look(spool)
        figure("damaged indexes", 1)


def test_an_index_that_is_believed_whatever_it_says_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the look at the files, a foreign index hides the jobs."""
    from queuectl.queue import Queue

    spool = make_original(tmp_path / "spool")
    rewrite(spool, "DELETE FROM jobs")
    monkeypatch.setattr(Queue, "refresh", lambda queue: None)
    with pytest.raises(AssertionError):
        expect_as_before(spool)
