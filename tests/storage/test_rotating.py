"""A log that begins a new file when it has grown."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from queuectl import system
from queuectl.rotating import RotatingLog
from tests.support.program import PATIENCE, WINDOWS, environment

LINE = "x" * 19


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "w.log"


@pytest.fixture
def log(path: Path) -> Iterator[RotatingLog]:
    with closing(RotatingLog(str(path), largest=100, kept=2)) as made:
        yield made


def say(log: RotatingLog, text: str) -> None:
    log.handle(logging.makeLogRecord({"msg": text}))


def numbers(path: Path) -> list[int]:
    """The lines of a file, each a number in twenty bytes."""
    return [int(line) for line in path.read_text().splitlines()]


def write(log: RotatingLog, *wanted: int) -> None:
    for number in wanted:
        say(log, f"{number:019d}")


def test_a_file_holds_what_it_may_and_only_so_many_are_kept(path: Path, log: RotatingLog) -> None:
    write(log, *range(5))
    assert numbers(path) == [0, 1, 2, 3, 4]
    assert os.listdir(path.parent) == ["w.log"]
    write(log, *range(5, 18))
    assert numbers(path) == [15, 16, 17]
    assert numbers(path.with_name("w.log.1")) == [10, 11, 12, 13, 14]
    assert numbers(path.with_name("w.log.2")) == [5, 6, 7, 8, 9]
    assert sorted(os.listdir(path.parent)) == ["w.log", "w.log.1", "w.log.2", "w.log.lock"]


def test_it_goes_on_where_it_has_ended(path: Path) -> None:
    for begin in (0, 3):
        with closing(RotatingLog(str(path), largest=100, kept=2)) as log:
            write(log, *range(begin, begin + 3))
    assert numbers(path) == [5]
    assert numbers(path.with_name("w.log.1")) == [0, 1, 2, 3, 4]


def test_a_line_longer_than_a_file_has_one_to_itself(path: Path, log: RotatingLog) -> None:
    for text in ("a", "b" * 300, "c"):
        say(log, text)
    assert path.read_text() == "c\n"
    assert path.with_name("w.log.1").read_text() == "b" * 300 + "\n"
    assert path.with_name("w.log.2").read_text() == "a\n"


@pytest.mark.skipif(not system.REMOVES_AT_ONCE, reason="there a file that is open keeps its name")
def test_one_that_somebody_has_deleted_is_made_anew(path: Path, log: RotatingLog) -> None:
    write(log, 1)
    path.unlink()
    write(log, 2)
    assert numbers(path) == [2]


@pytest.mark.skipif(WINDOWS, reason="there no folder is moved in which a file is open")
def test_one_whose_folder_has_been_moved_is_gone_on_with(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    with closing(RotatingLog(str(before / "w.log"), largest=100, kept=2)) as log:
        write(log, 1)
        before.rename(after)
        write(log, *range(2, 10))
    assert numbers(after / "w.log") == [*range(1, 10)]
    assert os.listdir(tmp_path) == ["after"]


def test_text_that_is_no_unicode_is_no_trouble(path: Path, log: RotatingLog) -> None:
    say(log, "\udcff ä")
    assert path.read_text(encoding="utf-8") == "\\udcff ä\n"


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RotatingLog(str(tmp_path / "nowhere" / "w.log"))
    with pytest.raises(OSError, match=re.escape(tmp_path.name)):
        RotatingLog(str(tmp_path))


def test_a_log_that_cannot_be_renamed_grows_and_costs_no_older_one(path: Path, log: RotatingLog) -> None:
    write(log, *range(15))
    with ExitStack() as held:
        if WINDOWS:
            held.enter_context(open(path, "rb"))
        else:
            held.enter_context(refusing(str(path)))
        write(log, *range(15, 40))
    assert numbers(path) == [*range(10, 40)]
    assert numbers(path.with_name("w.log.1")) == [5, 6, 7, 8, 9]
    assert numbers(path.with_name("w.log.2")) == [0, 1, 2, 3, 4]
    write(log, 40)
    assert numbers(path) == [40]
    assert numbers(path.with_name("w.log.1")) == [*range(10, 40)]


@contextmanager
def refusing(held: str) -> Iterator[None]:
    """As if somebody had this file open on Windows."""
    real = system.replace

    def replace(source: str, target: str, **options: Any) -> None:
        if held in (source, target):
            raise PermissionError(13, "somebody has it open", held)
        real(source, target, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("queuectl.system.replace", replace)
        yield


def test_an_older_one_that_is_held_open_costs_no_line(path: Path, log: RotatingLog) -> None:
    write(log, *range(15))
    with refusing(f"{path}.2"):
        write(log, *range(15, 30))
    write(log, 30)
    names = [name for name in ("w.log.2", "w.log.1", "w.log.0", "w.log") if path.with_name(name).exists()]
    found = [number for name in names for number in numbers(path.with_name(name))]
    assert found[-16:] == [*range(15, 31)]


WRITER = """
import logging, sys
from queuectl import locks
from queuectl.rotating import RotatingLog
path, who, lines, guarded = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if guarded == "careless":
    class Free:
        def release(self): pass
    locks.try_lock = lambda path: Free()
log = logging.getLogger("test")
log.setLevel(logging.INFO)
log.addHandler(RotatingLog(path, largest=2000, kept=100))
print("ready", flush=True)
sys.stdin.readline()
for number in range(lines):
    log.info("%d-%05d-%s", who, number, "x" * 11)
"""
PROCESSES, LINES = 4, 1500


def written_by_many(path: Path, guarded: str) -> list[str]:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(who), str(LINES), guarded],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for who in range(PROCESSES)
    ]
    # They write at the same time, though one starts later than the other.
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        writer.stdout.close()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.wait(PATIENCE * 2) == 0
        assert writer.stdin is not None
        writer.stdin.close()
    files = [one for one in path.parent.glob("w.log*") if one.suffix != ".lock"]
    if guarded == "guarded":
        assert len(files) >= PROCESSES * LINES * 20 // 2000 // 2, "it has begun many"
    return [line for one in files for line in one.read_text().splitlines()]


EVERY = Counter(f"{who}-{number:05d}-{'x' * 11}" for who in range(PROCESSES) for number in range(LINES))


@pytest.mark.skipif(WINDOWS, reason="there the workers of one program are in one process")
def test_several_processes_lose_no_line_as_files_begin(path: Path) -> None:
    assert Counter(written_by_many(path, "guarded")) == EVERY


@pytest.mark.skipif(WINDOWS, reason="as above")
def test_without_the_lock_they_do(path: Path) -> None:
    """The control of the test above."""
    assert Counter(written_by_many(path, "careless")) != EVERY
