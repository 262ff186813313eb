"""What kind of file system a file lies in, and the whole of one brought to the disk at once (Linux)."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import Any

# This also tells mypy which platforms the module is for.
assert sys.platform != "win32"

_TELLS_SINCE = (5, 8)
"""The kernel whose syncfs(2) tells when something could not be written."""
DISKS = frozenset({0xEF53, 0x58465342, 0x9123683E})
"""ext2 to ext4, XFS and btrfs (statfs(2)): what is synced there is on the disk. Over a network or in FUSE the
other side need not have been asked."""


def sync_file_system(descriptor: int) -> bool:
    """Bring what was written to the file system of this open file to the disk.

    False where that is not known to do what an fsync of each file does, or where something could not be
    written, of others perhaps: an fsync then tells of which.
    """
    return is_on_disk(descriptor) and _can_sync() and _library().syncfs(descriptor) == 0


def is_on_disk(descriptor: int) -> bool:
    """Whether this open file lies in one of the `DISKS`."""
    try:
        import ctypes
    except ImportError:
        # A Python that was built without libffi.
        return False
    # Longer than any system's; its first member is a word that names the kind.
    told = (ctypes.c_long * 64)()
    return _library().fstatfs(descriptor, told) == 0 and told[0] in DISKS


@lru_cache(maxsize=1)
def _library() -> Any:
    # Lazily: who writes few files does without.
    import ctypes

    return ctypes.CDLL(None)


@lru_cache(maxsize=1)
def _can_sync() -> bool:
    return _kernel() >= _TELLS_SINCE and hasattr(_library(), "syncfs")


def _kernel() -> tuple[int, ...]:
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(one) if one.isdigit() else 0 for one in numbers)
