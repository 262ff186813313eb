"""Locks: what they answer on odd file systems and to users who may only look, and how long one waits."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import portalocker
import pytest

from queuectl import locks
from queuectl.errors import SpoolUnusable
from tests.support.program import environment

posix = pytest.mark.skipif(sys.platform == "win32", reason="FIFOs")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "one.lock")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_from_one_where_somebody_holds_it(
    path: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: object) -> None:
        raise portalocker.LockException(OSError(number, "no locks here"))

    monkeypatch.setattr(portalocker, "lock", refused)
    with pytest.raises(SpoolUnusable, match="knows no locks"):
        locks.try_lock(path)
    with pytest.raises(SpoolUnusable, match="local disk"), locks.exclusive(path):
        pass


class TestWhetherItIsHeld:
    def test_is_asked_by_reading_only(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        modes: list[str] = []

        def watching(name: str, mode: str, **how: Any) -> Any:
            modes.append(mode)
            return open(name, mode, **how)

        Path(path).touch()
        monkeypatch.setattr(locks, "open", watching, raising=False)
        assert locks.is_held(path) is False
        assert modes == ["rb"]

    def test_is_yes_to_who_may_not_even_read(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A worker that is taken for dead would lose its job."""

        def denied(*_: object, **how: object) -> Any:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(locks, "open", denied, raising=False)
        monkeypatch.setattr(locks.system, "with_patience", lambda action: action())
        assert locks.is_held(path) is True

    def test_is_seen_by_either_kind_of_lock(self, path: str) -> None:
        held = locks.try_lock(path)
        assert held is not None
        assert locks.is_held(path) is True
        assert locks.try_lock(path) is None
        held.release()
        assert locks.is_held(path) is False

    @posix
    def test_waits_for_nobody_at_the_end_of_a_fifo(self, path: str) -> None:
        os.mkfifo(path)
        for ask in (locks.is_held, locks.try_lock):
            with pytest.raises(OSError, match="not a plain file"):
                ask(path)

    def test_takes_no_import_that_is_slow(self, path: str) -> None:
        code = (
            "import sys; from queuectl import locks; assert locks.is_held(sys.argv[1]) is False\n"
            "assert 'portalocker' not in sys.modules"
        )
        Path(path).touch()
        subprocess.run([sys.executable, "-c", code, path], env=environment(), check=True)


def test_the_deadline_is_for_the_threads_and_the_programs_together(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, deadlines = iter([100.0, 104.0]), []

    def waiting(path: str, deadline: float) -> Any:
        deadlines.append(deadline)
        return locks.HeldLock(path, open(path, "ab"))

    monkeypatch.setattr(locks.system, "monotonic", lambda: next(clock))
    monkeypatch.setattr(locks, "wait_lock", waiting)
    with locks.exclusive(path, 10):
        pass
    assert deadlines == [6.0], "four of the ten seconds went by in the queue of our threads"
