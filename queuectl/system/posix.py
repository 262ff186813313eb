"""Files and names on Linux and macOS. `windows` has the same names."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, Optional

from queuectl.system import posix_owner

# This also tells mypy which platforms the module is for.
assert sys.platform != "win32"

# A signal interrupts a blocking wait here, so the main thread may block for as long as it likes.
WAIT_SLICE: Optional[float] = None

# The name of a file that is still open can be removed, and is free at once.
REMOVES_AT_ONCE = True

# A child that inherits the open file of a lock (flock) holds the lock with us.
SHARES_LOCKS = True
FOLDERS_TELL = True

# Of a new folder: others neither read what jobs hold nor give us jobs.
_PRIVATE = stat.S_IRWXU
_NOT_PLAIN = "not a plain file"
_STREAMS = 2
# Mostly nothing is there, and that raises no error. Not every C library on every kernel can ask so.
_TELLS = os.access in os.supports_follow_symlinks and os.access(os.sep, os.F_OK, follow_symlinks=False)
_TRANSIENT = frozenset({errno.EBUSY, errno.ETXTBSY})
_FULL: Optional[int] = getattr(fcntl, "F_FULLFSYNC", None)
# Of fewer files each is synced by itself: that takes no longer (`benchmarks/run.py flushing`).
MANY = 8
# Four batches: more are not gained by (`benchmarks/run.py tasks --on DIR`).
MOST_HELD = 256
# What network shares, WSL mounts and FUSE answer when a folder cannot be synced at all.
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


def is_transient(error: OSError) -> bool:
    """True if the same call may well succeed in a moment (busy)."""
    return error.errno in _TRANSIENT


def is_link(found: os.stat_result) -> bool:
    """True if this `os.lstat` result is that of a symbolic link."""
    return stat.S_ISLNK(found.st_mode)


def make_writable(path: str) -> bool:
    """Nothing: a file that may not be written can be replaced and deleted here."""
    return False


def is_there(path: str) -> bool:
    """Whether anything has this name, where a link leads nowhere, too."""
    if _TELLS:
        return os.access(path, os.F_OK, follow_symlinks=False)
    return os.path.lexists(path)


def may_write(path: str) -> bool:
    """Whether this user may write to a file.

    It is not opened for that: to close it again would take from SQLite the locks that this process holds on
    it (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    return os.access(path, os.W_OK)


def open_for_reading(path: str, seen: os.stat_result) -> int:
    """A file descriptor on ``path``, following no link and waiting for nobody (a FIFO has no writer).

    ``seen`` is the `os.lstat` of the file; only `windows` needs it. Raises OSError.
    """
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def open_plainly(path: str, flags: int, mode: int = 0o666) -> int:
    """What `open` may take as its opener, for plain files only: no link is followed, no FIFO waited for.

    Raises OSError.
    """
    if flags & os.O_EXCL:
        # What is new is plain.
        return _open(path, flags, mode)
    try:
        descriptor = _open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise OSError(error.errno, _NOT_PLAIN, path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, _NOT_PLAIN, path)
    os.set_blocking(descriptor, True)
    return descriptor


def open_to_read(path: str, flags: int) -> int:
    """What `open` may take as its opener to read a plain file that others go on with. Raises OSError."""
    return open_plainly(path, flags)


def open_to_append(path: str) -> int:
    """A file descriptor that adds to the end of a plain file, which is made if need be. Raises OSError."""
    return open_plainly(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)


def _open(path: str, flags: int, mode: int) -> int:
    if flags & os.O_CREAT and not flags & os.O_EXCL:
        # Mostly it is there, and need not be given to anybody.
        with suppress(FileNotFoundError):
            return os.open(path, flags & ~os.O_CREAT)
    if flags & os.O_CREAT and posix_owner.is_anothers(path):
        try:
            return posix_owner.create(path, flags, mode)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
    return os.open(path, flags, mode)


def make_one_folder(path: str) -> None:
    """Create a folder that is this user's alone, or that of its parent's owner.

    Raises FileExistsError or another OSError.
    """
    if posix_owner.is_anothers(path):
        posix_owner.make_folder(path, _PRIVATE)
    else:
        os.mkdir(path, _PRIVATE)


def is_unread(error: OSError) -> bool:
    """Whether this, met by who prints, says that whoever has read is gone."""
    return error.errno == errno.EPIPE


def is_locked(descriptor: int) -> bool:
    """Whether another open file of the same file is locked, by the same call that portalocker makes."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def is_written(descriptor: int) -> bool:
    """Whether somebody has the file open to write to it; ``descriptor`` is open for reading.

    A lease on reading is given only where nobody has, and is let go again at once. Raises OSError where that
    cannot be told (it is Linux's own).
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    import signal

    # Who opens it in this moment has us told by a signal, and that of a lease would end us.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def seal_descriptors() -> bool:
    """Let no command inherit what is open now but its standard streams; whether it was told what that is."""
    try:
        names = os.listdir("/dev/fd")
    except OSError:
        return False
    for name in names:
        # RACE: what was open to list them is closed by now.
        with suppress(OSError):
            if int(name) > _STREAMS:
                os.set_inheritable(int(name), False)
    return True


def sync_descriptors(descriptors: Sequence[int]) -> None:
    """Bring what was written to these open files to the disk; of many, with one flush of the drive.

    As git does it for many objects (core.fsyncMethod=batch); only where that is known to be as good as one by
    one. Raises OSError.
    """
    if len(descriptors) >= MANY and _are_synced(descriptors):
        return
    *first, last = descriptors
    if _FULL is None:
        for one in first:
            _start_writing(one)
    for one in first:
        # macOS: the drive has it then, and the last one empties the drive's cache.
        os.fsync(one)
    sync_descriptor(last)


def _are_synced(descriptors: Sequence[int]) -> bool:
    if sys.platform != "linux" or len({os.fstat(one).st_dev for one in descriptors}) > 1:
        return False
    from queuectl.system.linux_sync import sync_file_system

    return sync_file_system(descriptors[0])


def most_to_hold(path: str) -> int:
    """How many files on the file system of this one may be kept open by this process when they are replaced.

    0 where that leaves a file of another name behind (NFS, FUSE). Raises OSError.
    """
    if sys.platform != "linux":
        return 0
    import resource

    from queuectl.system.linux_sync import is_on_disk

    descriptor = open_plainly(path, os.O_RDONLY)
    try:
        known = is_on_disk(descriptor)
    finally:
        os.close(descriptor)
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST_HELD, allowed // 4) if known else 0


def _start_writing(descriptor: int) -> None:
    # Only Linux is known to do so when told that the file's pages are not needed any more.
    if sys.platform == "linux":
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_descriptor(descriptor: int) -> None:
    """Bring what was written to an open file to the disk. Raises OSError."""
    if _FULL is not None:
        try:
            # macOS: fsync stops at the drive's own cache.
            fcntl.fcntl(descriptor, _FULL)
            return
        except OSError:
            # A network share does not know it.
            pass
    os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Bring the entries of the folder to the disk: a name is as durable as its folder.

    Quietly does nothing on a file system that cannot do it; raises OSError when the disk fails.
    """
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_descriptor(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(folder)


def exit_status(code: int) -> int:
    """What is left of an exit code where a program ends with it: its last eight bits."""
    return code & 0xFF


def machine_name() -> str:
    """The name of this machine, as it calls itself."""
    return os.uname().nodename


def is_terminal(stream: IO[Any]) -> bool:
    """True if the stream is a terminal. Raises OSError or ValueError on a stream that is closed."""
    return stream.isatty()
