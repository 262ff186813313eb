"""An index that is replaced at the very moment in which somebody else opens it: the new one takes no harm."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl import locks
from queuectl.index import Index, making
from queuectl.index.connection import connected
from queuectl.index.trouble import is_damage
from tests.support.program import WINDOWS, Program

opened = pytest.mark.skipif(WINDOWS, reason="Windows replaces no file that is open")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "locks").mkdir()
    return tmp_path / "index.sqlite3"


@pytest.fixture
def lock(path: Path) -> str:
    return str(path.parent / "locks" / "claim.lock")


class Meanwhile:
    """Somebody who sets the index aside just before it is opened, and moves a new one in just after."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.real = sqlite3.connect
        self.acted = False
        self.new: sqlite3.Connection

    def connect(self, *args: Any, **options: Any) -> sqlite3.Connection:
        if self.acted:
            return self.real(*args, **options)
        self.acted = True
        making._prepare(self.path, None)
        making._set_aside(self.path, making.DAMAGED)
        try:
            return self.real(*args, **options)
        finally:
            self.new = making._move_in(self.path)
            self.new.execute("INSERT INTO config VALUES ('max_retries', '7')")


@opened
def test_who_opens_what_is_set_aside_just_then_does_not_delete_the_new_ones_journal(
    path: Path, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would make an empty database there, and delete the journal of what looks new to it: from then
    on all who open the index meet "disk I/O error" until the last who has it open lets go.
    """
    path.write_bytes(os.urandom(5000))
    meanwhile = Meanwhile(path)
    monkeypatch.setattr(sqlite3, "connect", meanwhile.connect)
    with closing(Index(str(path), lock)) as index, closing(Index(str(path), lock)) as later:
        assert meanwhile.acted
        for one in (index, later):
            assert one.why_in_memory is None
            assert one.settings() == {"max_retries": "7"}
        meanwhile.new.execute("UPDATE config SET value = '8'")
        assert later.settings() == {"max_retries": "8"}
        meanwhile.new.close()


def test_an_empty_one_is_opened_by_nobody_but_under_the_lock(
    path: Path, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the same reason; nobody moves another one in meanwhile."""
    path.touch()
    real, outside = sqlite3.connect, []

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        if path.stat().st_size == 0 and not locks.is_held(lock):
            outside.append(args)
        return real(*args, **options)

    monkeypatch.setattr(sqlite3, "connect", connect)
    with closing(Index(str(path), lock)) as index:
        assert index.why_in_memory is None
    assert outside == []


def test_to_ask_whether_it_may_be_written_takes_no_lock_from_those_who_have_it_open(
    path: Path, lock: str
) -> None:
    """Whoever closes it last deletes its journal; another program would take itself for the last."""
    program = Program(path.parent)
    program.spool = path.parent
    with closing(Index(str(path), lock)) as index:
        index.set_setting("max_retries", "7")
        assert is_damage(sqlite3.OperationalError("attempt to write a readonly database"), str(path))
        program.ok("init")
        assert program.json("config", "get", "max_retries")["max_retries"] == 7
        assert Path(f"{path}-wal").exists()
        program.ok("config", "set", "max_retries", "8")
        assert index.settings()["max_retries"] == "8"


@pytest.fixture(params=["plain", "50% off?", "a#b", "ä ü"])
def named(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if WINDOWS and "?" in request.param:
        pytest.skip("no name on Windows")
    (tmp_path / request.param).mkdir()
    return tmp_path / request.param / "index.sqlite3"


def test_any_path_can_be_told_to_sqlite(named: Path, relative: Callable[[Path], str]) -> None:
    named.touch()
    for path in (str(named), relative(named)):
        with closing(connected(path, "mode=rw", 1.0)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS one (a)")
    assert named.stat().st_size > 0
    named.unlink()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        connected(str(named), "mode=rw", 1.0)
    assert not named.exists()


@pytest.fixture
def relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    monkeypatch.chdir(tmp_path)
    return lambda path: os.path.relpath(path, tmp_path)
