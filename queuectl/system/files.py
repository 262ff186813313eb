"""File operations that mean the same on every system, and wait for whoever has the file open just now."""

from __future__ import annotations

import errno
import os
import stat
from typing import Callable

from queuectl.system.native import is_link, make_one_folder, make_writable, open_for_reading
from queuectl.system.patience import with_patience

__all__ = [
    "NotARegularFile",
    "file_stamp",
    "make_folder",
    "names_in",
    "read_end",
    "read_file",
    "remove",
    "remove_all",
    "remove_folder",
    "replace",
]

_LARGEST = 2**63 - 1
_KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "FIFO"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


class NotARegularFile(OSError):
    """A path that was to be read is no regular file; ``kind`` says what it is ("folder", "FIFO", …)."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(errno.EINVAL, f"not a regular file but a {kind}", path)
        self.kind = kind


def replace(
    source: str, target: str, *, patience: float = 2.0, guard: Callable[[], object] = lambda: None
) -> None:
    """Move ``source`` to ``target`` in one step, over whatever file is there.

    It is not an exclusive claim: on Windows two movers of one file can both succeed. Each try is preceded by
    ``guard``, which raises what speaks against it: who holds a file now may have saved to it when he lets go.
    Raises OSError, a transient one after ``patience`` seconds.
    """

    def once() -> None:
        try:
            guard()
            os.replace(source, target)
        except PermissionError:
            if not make_writable(target):
                raise
            guard()
            os.replace(source, target)

    with_patience(once, patience=patience)


def remove(path: str, *, patience: float = 2.0) -> bool:
    """Delete a file; False if it was not there.

    Raises OSError, a transient one after ``patience`` seconds.
    """
    try:
        with_patience(lambda: _unlink(path), patience=patience)
    except FileNotFoundError:
        return False
    return True


def remove_all(path: str, *, patience: float = 2.0) -> bool:
    """Delete what lies there whatever it is, a folder with all that is in it; False if nothing was there.

    Nothing behind a link is touched. Raises OSError, a transient one after ``patience`` seconds: something is
    left.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(found.st_mode) or is_link(found):
        return remove(path, patience=patience)
    from shutil import rmtree

    try:
        with_patience(lambda: rmtree(path), patience=patience)
    except RecursionError as error:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path) from error
    return True


def read_end(path: str, most: int, *, patience: float = 2.0) -> bytes:
    """The end of a regular file, from a multiple of ``most`` bytes on, two at most. Raises as `read_file`."""

    def once() -> bytes:
        descriptor, found = _open_regular(path)
        try:
            begin = max(found.st_size // most - 1, 0) * most
            os.lseek(descriptor, begin, os.SEEK_SET)
            return _read_up_to(descriptor, 2 * most, found.st_size - begin)
        finally:
            os.close(descriptor)

    return with_patience(once, patience=patience)


def read_file(path: str, limit: int, *, patience: float = 2.0) -> tuple[bytes, os.stat_result]:
    """The content of a regular file and the stat of exactly the file that was read.

    Reads at most ``limit + 1`` bytes, so that ``len(data) > limit`` tells a file that is too large. Follows
    no link, never blocks on a FIFO or device, and stops nobody from moving the file. Raises NotARegularFile,
    FileNotFoundError or another OSError, a transient one after ``patience`` seconds.
    """
    return with_patience(lambda: _read_once(path, limit), patience=patience)


def make_folder(path: str) -> bool:
    """Create a folder in one that is there; True if it is new, False if it was there, too.

    It is this user's alone on POSIX, or if root makes it, the owner's of the folder that it lies in; on
    Windows it has the permissions of that. Raises FileExistsError if a file has the name, else OSError.
    """
    # Asked first because Windows answers "access denied" to the creation of a drive's root.
    if os.path.isdir(path):
        return False
    try:
        with_patience(lambda: make_one_folder(path))
    except FileExistsError:
        if os.path.isdir(path):
            return False
        raise
    return True


def remove_folder(path: str, *, patience: float = 2.0) -> bool:
    """Delete a folder if it is empty; False if it is not, or not there. Raises OSError."""
    try:
        with_patience(lambda: os.rmdir(path), patience=patience)
    except FileNotFoundError:
        return False
    except OSError as error:
        # POSIX leaves open which of the two means "not empty".
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def names_in(path: str) -> list[str]:
    """The names in a folder, in any order; none where it is not there. Raises another OSError."""
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def file_stamp(found: os.stat_result) -> tuple[int, int]:
    """Modification time in ns and size in bytes: equal stamps mean that nobody wrote in between.

    Both fit into 64 bits, even for a file whose time is nonsense.
    """
    mtime_ns = found.st_mtime_ns
    if not -_LARGEST <= mtime_ns <= _LARGEST:
        mtime_ns = _LARGEST if mtime_ns > 0 else -_LARGEST
    return (mtime_ns, found.st_size)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except PermissionError:
        if not make_writable(path):
            raise
        os.unlink(path)


def _read_once(path: str, limit: int) -> tuple[bytes, os.stat_result]:
    descriptor, found = _open_regular(path)
    try:
        return _read_up_to(descriptor, limit + 1, found.st_size), found
    finally:
        os.close(descriptor)


def _open_regular(path: str) -> tuple[int, os.stat_result]:
    # Looked at before it is opened: opening a device can already do something.
    seen = os.lstat(path)
    _refuse_irregular(path, seen)
    descriptor = open_for_reading(path, seen)
    try:
        found = os.fstat(descriptor)
        # And again afterwards: it may have been exchanged in between.
        _refuse_irregular(path, found)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found


def _read_up_to(descriptor: int, most: int, expected: int) -> bytes:
    # In pieces of what is expected: to make room for the most that there may be costs more than to read.
    first = os.read(descriptor, min(most, expected + 1))
    if len(first) == expected > 0:
        # Where it ended a moment ago: what has come since is another version.
        return first
    pieces, left = [first], most - len(first) if first else 0
    while left > 0 and (piece := os.read(descriptor, min(left, expected + 1))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _refuse_irregular(path: str, found: os.stat_result) -> None:
    if is_link(found):
        raise NotARegularFile(path, "symbolic link")
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for matches, name in _KINDS if matches(found.st_mode)), "special file")
        raise NotARegularFile(path, kind)
