"""What is replaced is kept open for a moment, and freed by another thread."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuectl import system
from queuectl.system import freeing, native
from queuectl.system.freeing import Freeing

if sys.platform != "linux":
    pytest.skip("only Linux is known to gain by it", allow_module_level=True)

from queuectl.system import linux_sync, posix


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Freeing]:
    """On a disk, whatever the tests lie in."""
    monkeypatch.setattr(linux_sync, "is_on_disk", lambda descriptor: True)
    one = Freeing()
    yield one
    one.close()


def open_files(folder: Path) -> list[str]:
    """What this process has open there, with what was deleted since."""
    paths = []
    for number in os.listdir("/proc/self/fd"):
        try:
            paths.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return sorted(os.path.basename(path) for path in paths if path.startswith(str(folder)))


def make(folder: Path, count: int) -> list[str]:
    paths = [folder / f"{number}.json" for number in range(count)]
    for path in paths:
        path.write_text("old")
    return [str(path) for path in paths]


def replace(path: str) -> None:
    Path(f"{path}.new").write_text("new")
    system.replace(f"{path}.new", path)


def test_what_was_replaced_lasts_until_it_is_let_go_and_no_longer(free: Freeing, tmp_path: Path) -> None:
    for path in make(tmp_path, 3):
        free.hold(path)
        replace(path)
        assert Path(path).read_text() == "new"
    gone = [f"{number}.json (deleted)" for number in range(3)]
    assert open_files(tmp_path) == gone
    free.let_go()
    free.close()
    assert open_files(tmp_path) == []


def test_another_thread_frees(free: Freeing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by: list[str] = []
    close = os.closerange
    monkeypatch.setattr(
        os, "closerange", lambda *found: (by.append(threading.current_thread().name), close(*found))
    )
    for path in make(tmp_path, 2):
        free.hold(path)
        free.let_go()
    free.close()
    assert by == ["queuectl-free"] * 2
    assert "queuectl-free" not in [one.name for one in threading.enumerate()]


def test_what_is_open_between_them_stays_open(free: Freeing, tmp_path: Path) -> None:
    """One call closes a stretch of numbers: none that is another's."""
    paths = make(tmp_path, 6)
    others = []
    for path in paths:
        free.hold(path)
        others.append(open(path, "rb"))  # noqa: SIM115
    free.let_go()
    free.close()
    for other in others:
        with other:
            assert other.read() == b"old"


@pytest.mark.parametrize(
    ("numbers", "stretches"),
    [
        ([], []),
        ([7], [(7, 8)]),
        ([0, 1, 2], [(0, 3)]),
        ([3, 4, 6, 9, 10], [(3, 5), (6, 7), (9, 11)]),
    ],
)
def test_stretches(numbers: list[int], stretches: list[tuple[int, int]]) -> None:
    assert list(freeing._stretches(numbers)) == stretches


def test_a_process_holds_so_many_whoever_asks(
    free: Freeing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix, "MOST_HELD", 5)
    other = Freeing()
    paths = make(tmp_path, 4)
    for path in paths:
        free.hold(path)
        other.hold(path)
    assert len(open_files(tmp_path)) == 5
    other.close()
    for path in paths:
        free.hold(path)
    assert len(open_files(tmp_path)) == 5
    free.close()
    assert open_files(tmp_path) == []


def test_few_are_held_where_few_may_be_open(
    free: Freeing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda which: (12, 4096))
    for path in make(tmp_path, 9):
        free.hold(path)
    assert len(open_files(tmp_path)) == 3


def test_what_is_missing_or_no_file_is_not_held(free: Freeing, tmp_path: Path) -> None:
    (here,) = make(tmp_path, 1)
    (tmp_path / "link").symlink_to(here)
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "link"):
        free.hold(str(tmp_path / name))
    free.hold(here)
    for name in ("missing", "link"):
        free.hold(str(tmp_path / name))
    assert open_files(tmp_path) == ["0.json"]


def test_without_room_for_a_thread_it_frees_by_itself(
    free: Freeing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    (path,) = make(tmp_path, 1)
    free.hold(path)
    free.let_go()
    assert open_files(tmp_path) == []


def test_where_it_is_not_known_to_help_nothing_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS and in FUSE a file that is open when it is replaced leaves one of another name."""
    monkeypatch.setattr(linux_sync, "is_on_disk", lambda descriptor: False)
    (path,) = make(tmp_path, 1)
    assert native.most_to_hold(path) == 0
    one = Freeing()
    one.hold(path)
    assert open_files(tmp_path) == []
    one.close()
