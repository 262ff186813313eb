"""What root makes in somebody's folder belongs to them: `sudo queuectl enqueue` leaves nothing there that its
owner's programs cannot use.

Only what is new is given away, by its descriptor: whoever owns the folder may exchange names in it for links.
(SQLite gives the journals of the index away by their names: `layout.refuse_to_lead_root` looks first.)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# This also tells mypy which platforms the module is for.
assert sys.platform != "win32"

_ROOT = 0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_anothers(path: str) -> bool:
    """Whether we are root, and the folder in which ``path`` is to be made is somebody else's."""
    if os.geteuid() != _ROOT:
        return False
    try:
        return os.stat(os.path.dirname(path) or os.curdir).st_uid != _ROOT
    except OSError:
        return False


def create(path: str, flags: int, mode: int) -> int:
    """A descriptor of a new file of the folder's owner. Raises FileExistsError or another OSError."""
    with _folder_of(path) as (folder, name):
        descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder)
        _give(descriptor, folder)
        return descriptor


def make_folder(path: str, mode: int) -> None:
    """Create a folder of its parent's owner. Raises FileExistsError or another OSError."""
    with _folder_of(path) as (folder, name):
        os.mkdir(name, mode, dir_fd=folder)
        descriptor = os.open(name, _FOLDER, dir_fd=folder)
        try:
            # RACE: exchanged for another one of root's, with something in it that was not theirs to see.
            if not os.listdir(descriptor):
                _give(descriptor, folder)
        finally:
            os.close(descriptor)


@contextmanager
def _folder_of(path: str) -> Iterator[tuple[int, str]]:
    parent, name = os.path.split(path)
    descriptor = os.open(parent or os.curdir, _FOLDER & ~os.O_NOFOLLOW)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def _give(descriptor: int, folder: int) -> None:
    owner = os.fstat(folder)
    os.fchown(descriptor, owner.st_uid, owner.st_gid)
