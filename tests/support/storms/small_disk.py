"""A disk of a few KiB and inodes, to be filled up: a tmpfs that this process and its children see alone.

Needs Linux and root: `small_disk` skips the test elsewhere. The mount lives in a mount namespace of the test
process, so nothing is left mounted however the test ends.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Callable, Optional

import pytest

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 1, 32, 16384, 1 << 18
_MNT_DETACH = 2
_apart = False


class SmallDisk:
    """A file system at ``path`` with so much room and no more."""

    def __init__(self, path: Path, kib: int, inodes: int) -> None:
        self.path = path
        self._options = f"size={kib}k,nr_inodes={inodes}"

    def fill(self, spare_kib: int = 0) -> None:
        """Take all the room that is left, but for so much."""
        with open(self.path / "ballast", "ab", buffering=0) as ballast:
            while _has_room(lambda: ballast.write(b"x" * 4096)):
                pass
            ballast.truncate(max(0, ballast.tell() - spare_kib * 1024))

    def use_up_names(self) -> None:
        """Take all the inodes that are left."""
        names = (self.path / f"ballast-{number}" for number in count())
        while _has_room(lambda: next(names).touch()):
            pass

    def make_room(self) -> None:
        """Give back what was taken."""
        for ballast in self.path.glob("ballast*"):
            ballast.unlink()

    def resize(self, kib: int, inodes: int) -> None:
        """Have so much room from now on."""
        self._options = f"size={kib}k,nr_inodes={inodes}"
        _mount(self.path, _MS_REMOUNT, self._options)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Nobody can write, root included."""
        _mount(self.path, _MS_REMOUNT | _MS_RDONLY, self._options)
        try:
            yield
        finally:
            _mount(self.path, _MS_REMOUNT, self._options)


@contextmanager
def small_disk(path: Path, kib: int, inodes: int = 100_000) -> Iterator[SmallDisk]:
    """Such a disk at ``path`` for the block."""
    path.mkdir(exist_ok=True)
    _stand_apart()
    disk = SmallDisk(path, kib, inodes)
    _mount(path, 0, disk._options)
    try:
        yield disk
    finally:
        _libc().umount2(os.fsencode(path), _MNT_DETACH)


def _has_room(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


def _stand_apart() -> None:
    """Have a mount namespace of our own from now on, or skip."""
    global _apart  # noqa: PLW0603  once a process
    if _apart:
        return
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux lets a process have mounts of its own")
    if _libc().unshare(_CLONE_NEWNS) != 0:
        pytest.skip(f"cannot have mounts of our own: {os.strerror(ctypes.get_errno())} (root can)")
    _mount(Path("/"), _MS_REC | _MS_PRIVATE, None, kind=None)
    _apart = True


def _mount(path: Path, flags: int, options: Optional[str], kind: Optional[str] = "tmpfs") -> None:
    data = None if options is None else options.encode()
    source = None if kind is None else kind.encode()
    if _libc().mount(source, os.fsencode(path), source, ctypes.c_ulong(flags), data) != 0:
        number = ctypes.get_errno()
        if number == errno.EPERM:
            pytest.skip("mounting is not allowed here")
        raise OSError(number, os.strerror(number), str(path))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
