"""Writing files that are on the disk then, one or many, and those that are written over again and again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Optional

from queuectl.system.files import remove
from queuectl.system.flushing import sync_descriptors
from queuectl.system.native import REMOVES_AT_ONCE, open_plainly
from queuectl.system.patience import with_patience

__all__ = ["Overwritten", "write_file", "write_files"]

_GROUP = 64
"""Files that are open at once to be written: far fewer than a process may have open, and more gain little."""
_MODE = 0o644
_OVER = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_OVER |= getattr(os, "O_NOINHERIT", 0)
_NEW = _OVER | os.O_EXCL


def write_file(path: str, data: bytes) -> os.stat_result:
    """Create ``path`` with ``data``, on the disk when this returns; sync its folder to make the name last.

    Returns the stat of the file. Raises FileExistsError if there is something of that name, else OSError
    (disk full, …); a partial file is removed.
    """
    return write_files([(path, data)])[0]


def write_files(files: Iterable[tuple[str, bytes]]) -> list[os.stat_result]:
    """Like `write_file`, many: the disk writes a group of them at once (`benchmarks/run.py enqueue`).

    Each is flushed. Where one cannot be written, none is left.
    """
    written: list[os.stat_result] = []
    made: list[str] = []
    left = iter(files)
    try:
        while group := list(islice(left, _GROUP)):
            written += _write_group(group, made)
    except BaseException:
        for path in made:
            with suppress(OSError):
                remove(path)
        raise
    return written


class Overwritten:
    """A file whose beginning is written again and again, by one thread.

    It stays open between two writes where that keeps nobody from deleting it; who does is noticed after
    `close`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: Optional[int] = None

    def write(self, data: bytes) -> None:
        """Write ``data`` at the beginning, made if need be; what lies behind stays. Raises OSError."""
        if self._descriptor is None:
            self._descriptor = open_plainly(self._path, _OVER)
        else:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        kept = False
        try:
            _write_all(self._descriptor, data)
            kept = REMOVES_AT_ONCE
        finally:
            if not kept:
                self.close()

    def close(self) -> None:
        """Let go of the file; it may be written again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _write_group(group: Sequence[tuple[str, bytes]], made: list[str]) -> list[os.stat_result]:
    descriptors: list[int] = []
    try:
        for path, data in group:
            descriptor = with_patience(partial(_create, path))
            descriptors.append(descriptor)
            made.append(path)
            _write_all(descriptor, data)
        sync_descriptors(descriptors)
        return [os.fstat(descriptor) for descriptor in descriptors]
    finally:
        for descriptor in descriptors:
            # What is to be kept is on the disk, or not.
            with suppress(OSError):
                os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def _create(path: str) -> int:
    # Whatever the umask: a job file that others may change is not run.
    return open_plainly(path, _NEW, _MODE)
