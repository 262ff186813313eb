"""Many files are brought to the disk together, where that is known to do what one by one does."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from queuectl import system

if sys.platform == "win32":
    pytest.skip("Windows flushes one by one", allow_module_level=True)

from queuectl.system import linux_sync, posix

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="syncfs is Linux's")
MANY = posix.MANY


class Calls:
    """What was asked of the system, in order."""

    def __init__(self, patch: pytest.MonkeyPatch, *, together: Optional[bool]) -> None:
        self.names: list[str] = []
        self._fsync = os.fsync
        patch.setattr(os, "fsync", self._one)
        if together is not None:
            patch.setattr(linux_sync, "sync_file_system", lambda descriptor: self._all(together))

    def _one(self, descriptor: int) -> None:
        self.names.append("fsync")
        self._fsync(descriptor)

    def _all(self, answer: bool) -> bool:
        self.names.append("syncfs")
        return answer


def write(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.json" for number in range(count)]
    system.write_files((str(path), path.name.encode()) for path in paths)
    assert [path.read_bytes() for path in paths] == [path.name.encode() for path in paths]
    return paths


@ON_LINUX
class TestOnLinux:
    def test_many_take_one_call(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = Calls(monkeypatch, together=True)
        write(tmp_path, MANY)
        assert calls.names == ["syncfs"]

    def test_few_are_synced_one_by_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = Calls(monkeypatch, together=True)
        write(tmp_path, MANY - 1)
        assert calls.names == ["fsync"] * (MANY - 1)

    def test_where_it_cannot_be_told_each_tells_of_itself(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = Calls(monkeypatch, together=False)
        write(tmp_path, MANY)
        assert calls.names == ["syncfs", *["fsync"] * MANY]

    def test_one_that_could_not_be_written_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Calls(monkeypatch, together=False)

        def failing(descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(OSError, match="Input/output error"):
            write(tmp_path, MANY)
        assert list(tmp_path.iterdir()) == []

    def test_files_of_two_file_systems_are_not_synced_by_one(
        self, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls = Calls(monkeypatch, together=True)
        paths = [(tmp_path, memory)[number % 2] / str(number) for number in range(MANY)]
        system.write_files((str(path), b"x") for path in paths)
        assert calls.names == ["fsync"] * MANY

    def test_a_disk_is_known_and_what_is_none_is_not(self, tmp_path: Path, memory: Path) -> None:
        assert not self.synced(memory)
        if kind_of(tmp_path) in ("ext4", "xfs", "btrfs"):
            assert self.synced(tmp_path)

    def test_without_ctypes_none_is_known(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "ctypes", None)
        assert not self.synced(tmp_path)

    @staticmethod
    def synced(folder: Path) -> bool:
        with open(folder / "file", "wb") as file:
            return linux_sync.sync_file_system(file.fileno())

    def test_what_is_refused_is_not_taken_for_done(self, tmp_path: Path) -> None:
        with open(tmp_path / "file", "wb") as file:
            number = file.fileno()
        assert not linux_sync.sync_file_system(number)

    @pytest.mark.parametrize(
        ("release", "does"),
        [
            ("5.8.0-63-generic", True),
            ("6.18.44", True),
            ("10.0", True),
            ("5.7.19", False),
            ("4.18.0-553.el8_10.x86_64", False),
            ("4.4.0-19041-Microsoft", False),
            ("unheard-of", False),
        ],
    )
    def test_a_kernel_that_does_not_tell_of_failures_is_not_asked(
        self, release: str, does: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
        linux_sync._can_sync.cache_clear()
        try:
            assert linux_sync._can_sync() is does
        finally:
            linux_sync._can_sync.cache_clear()


def test_macos_empties_the_cache_of_the_drive_with_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch, together=False)

    def fcntl(descriptor: int, what: int) -> None:
        calls.names.append(f"fcntl {what}")

    monkeypatch.setattr(posix, "_FULL", 51)
    monkeypatch.setattr(posix, "fcntl", SimpleNamespace(fcntl=fcntl))
    monkeypatch.setattr(sys, "platform", "darwin")
    write(tmp_path, MANY)
    assert calls.names == [*["fsync"] * (MANY - 1), "fcntl 51"]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder of another file system, which is none of a disk."""
    where = Path("/dev/shm")
    if not os.access(where, os.W_OK):
        pytest.skip("there is no /dev/shm")
    with tempfile.TemporaryDirectory(prefix="queuectl-", dir=where) as folder:
        yield Path(folder)


def kind_of(folder: Path) -> str:
    """The kind of file system that this is, by the longest mount point above it."""
    mounts: list[Any] = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(point, kind) for point, kind in mounts if os.path.commonpath([point, folder]) == point]
    return str(max(above, key=lambda one: len(one[0]))[1])
