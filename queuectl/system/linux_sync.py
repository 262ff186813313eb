"""All that was written to a file system, brought to the disk at once (Linux)."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import Callable, Optional

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
    call = _syncfs()
    return call is not None and call(descriptor)


@lru_cache(maxsize=1)
def _syncfs() -> Optional[Callable[[int], bool]]:
    if _kernel() < _TELLS_SINCE:
        return None
    # Lazily: who writes few files does without.
    import ctypes

    library = ctypes.CDLL(None)
    # Longer than any system's; its first member is a word that names the kind.
    told = ctypes.c_long * 64

    def sync(descriptor: int) -> bool:
        found = told()
        known = library.fstatfs(descriptor, found) == 0 and found[0] in DISKS
        return known and library.syncfs(descriptor) == 0

    return sync if hasattr(library, "syncfs") else None


def _kernel() -> tuple[int, ...]:
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(one) if one.isdigit() else 0 for one in numbers)
