"""Files and names on Windows. `posix` has the same names."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Sequence
from typing import IO, Any, Optional

# This also tells mypy which platforms the module is for.
assert sys.platform == "win32"

# On Windows a blocked main thread never hears Ctrl+C or Ctrl+Break; it has to come up for air.
WAIT_SLICE: Optional[float] = 0.2

# A file that is still open somewhere keeps its name, even removed, until it is closed.
REMOVES_AT_ONCE = False

# A child cannot hold a lock with us; it dies with us instead (its Job Object).
SHARES_LOCKS = False
FOLDERS_TELL = False

_FILE_APPEND_DATA = 0x0004
_OPEN_EXISTING = 3
_OPEN_ALWAYS = 4
_GENERIC_READ = 0x80000000
_SHARE_ALL = 0x1 | 0x2 | 0x4  # read, write, delete
_FILE_ATTRIBUTE_NORMAL = 0x80
_FILE_FLAG_OPEN_REPARSE_POINT = 0x00200000
_NAME_SURROGATE = 0x20000000

_ACCESS_DENIED = 5  # also: the target of a move is open, or a deleted file still has a reader
_SHARING_VIOLATION = 32
_LOCK_VIOLATION = 33
_USER_MAPPED_FILE = 1224
_TRANSIENT = frozenset({_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION, _USER_MAPPED_FILE})


def is_transient(error: OSError) -> bool:
    """True if the same call may well succeed in a moment (somebody has the file open just now)."""
    return error.winerror in _TRANSIENT


def is_link(found: os.stat_result) -> bool:
    """True if this `os.lstat` result is that of a symbolic link, or of anything else that names another file.

    Other reparse points (a file that OneDrive or deduplication keeps elsewhere) are files as any.
    """
    return stat.S_ISLNK(found.st_mode) or bool(found.st_reparse_tag & _NAME_SURROGATE)


def is_there(path: str) -> bool:
    """Whether anything has this name, where a link leads nowhere, too."""
    return os.path.lexists(path)


def make_writable(path: str) -> bool:
    """Take the read-only attribute from a file; False if it has none.

    Windows neither replaces nor deletes a file that has it, as those copied from a CD or a backup do.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return False
    if not found.st_file_attributes & stat.FILE_ATTRIBUTE_READONLY:
        return False
    os.chmod(path, stat.S_IWRITE)
    return True


def make_one_folder(path: str) -> None:
    """Create a folder. Raises FileExistsError or another OSError."""
    # Its permissions are inherited, and a mode would put Python's own in their place.
    os.mkdir(path)


def may_write(path: str) -> bool:
    """Whether this user may write to a file, and nobody keeps it from him."""
    try:
        with open(path, "r+b"):
            return True
    except OSError:
        return False


def open_for_reading(path: str, seen: os.stat_result) -> int:
    """A file descriptor on ``path`` that stops nobody from moving, deleting or writing the file.

    ``seen`` is the `os.lstat` of the file. Raises OSError.
    """
    # A link put here after the look is opened itself, not followed, and reads as empty.
    plain = not seen.st_file_attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT
    return open_shared(
        path, _GENERIC_READ, _OPEN_EXISTING, _FILE_FLAG_OPEN_REPARSE_POINT if plain else 0, os.O_RDONLY
    )


def open_plainly(path: str, flags: int, mode: int = 0o666) -> int:
    """What `open` does anyway: there are no FIFOs here, and a link needs a privilege. Raises OSError."""
    return os.open(path, flags, mode)


def open_to_read(path: str, flags: int) -> int:
    """What `open` may take as its opener to read a plain file that others go on with, and may remove.

    Raises OSError.
    """
    return open_shared(path, _GENERIC_READ, _OPEN_EXISTING, 0, os.O_RDONLY)


def open_to_append(path: str) -> int:
    """A file descriptor that adds to the end of a file, which is made if need be. Raises OSError.

    It has append access and nothing else: every write goes to the end of the file as it is then, so it may be
    truncated meanwhile; and everybody may read, move or delete it.
    """
    return open_shared(path, _FILE_APPEND_DATA, _OPEN_ALWAYS, 0, os.O_WRONLY | os.O_APPEND)


def open_shared(path: str, access: int, disposition: int, flags: int, descriptor_flags: int) -> int:
    """A file descriptor from CreateFile with every share mode, which `os.open` does not offer.

    Raises OSError with its winerror.
    """
    # Not pywin32: its import takes 30 ms, which `status` would pay; click has loaded ctypes already.
    import ctypes
    import msvcrt
    from ctypes import wintypes

    create = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
    create.restype = wintypes.HANDLE
    create.argtypes = (
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.LPVOID,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    )
    attributes = _FILE_ATTRIBUTE_NORMAL | flags
    handle = create(path, access, _SHARE_ALL, None, disposition, attributes, None)
    if handle == wintypes.HANDLE(-1).value:
        code = ctypes.get_last_error()
        raise OSError(0, ctypes.FormatError(code).strip(), path, code)
    return msvcrt.open_osfhandle(handle, descriptor_flags | os.O_NOINHERIT)


def is_unread(error: OSError) -> bool:
    """Whether this, met by who prints, says that whoever has read is gone."""
    # The second is what the C library makes of a pipe that is being closed.
    return error.errno in (errno.EPIPE, errno.EINVAL)


def is_locked(descriptor: int) -> bool:
    """Whether another open file of the same file is locked, by the same call that portalocker makes.

    ``descriptor`` stands at the file's beginning, where every lock begins.
    """
    import msvcrt

    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return True
    msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    return False


def is_written(descriptor: int) -> bool:
    """Not told here. Raises OSError."""
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))


def seal_descriptors() -> bool:
    """Nothing: a command inherits only what it is given."""
    return True


def most_to_hold(path: str) -> int:
    """0: a file that is open cannot be replaced."""
    return 0


def sync_descriptors(descriptors: Sequence[int]) -> None:
    """Bring what was written to these open files to the disk, one by one. Raises OSError."""
    for one in descriptors:
        sync_descriptor(one)


def sync_descriptor(descriptor: int) -> None:
    """Bring what was written to an open file to the disk. Raises OSError."""
    os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Nothing: Windows cannot sync a folder; NTFS journals its entries."""


def exit_status(code: int) -> int:
    """An exit code as Python takes it: 32 bits, the first of which is the sign."""
    return code - 2**32 if code >= 2**31 else code


def machine_name() -> str:
    """The name of this machine, as it calls itself."""
    import socket

    return socket.gethostname()


def is_terminal(stream: IO[Any]) -> bool:
    """True if the stream is a console. Raises OSError or ValueError on a stream that is closed."""
    if not stream.isatty():
        return False
    import ctypes
    import msvcrt
    from ctypes import wintypes

    # isatty is true of the null device too; only a console has a mode.
    get_mode = ctypes.WinDLL("kernel32").GetConsoleMode
    get_mode.argtypes = (wintypes.HANDLE, wintypes.LPDWORD)
    return bool(get_mode(msvcrt.get_osfhandle(stream.fileno()), ctypes.byref(wintypes.DWORD())))
