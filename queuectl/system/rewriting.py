"""Putting other content into a file of a person: whole or not at all, and nothing else about it changes."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress

from queuectl.system.files import make_folder, read_file, remove, replace
from queuectl.system.writing import write_file

_LARGEST = 16 << 20


def read_through(path: str) -> bytes:
    """The content of a file, or of the one that a link leads to; nothing where there is none.

    Raises OSError, also for what is no regular file or has more than 16 MiB.
    """
    try:
        data, _ = read_file(os.path.realpath(path), _LARGEST)
    except FileNotFoundError:
        return b""
    if len(data) > _LARGEST:
        raise OSError(f"{path} is too large to be read")
    return data


def rewrite(path: str, data: bytes) -> None:
    """Let the file hold ``data``; it, and its folders, are made where they are not there.

    A link stays and what it leads to is written; who may read the file, and whose it is, stays as well.
    Raises OSError, also for a file that is read-only: it could be replaced, and is not meant to be.
    """
    path = os.path.realpath(path)
    with suppress(FileNotFoundError):
        if not os.stat(path).st_mode & 0o222:
            raise PermissionError(errno.EACCES, "it is read-only", path)
    _make_folders(os.path.dirname(path))
    new = f"{path}.queuectl-{os.getpid()}"
    write_file(new, data)
    try:
        with suppress(FileNotFoundError):
            found = os.stat(path)
            shutil.copymode(path, new)
            if hasattr(os, "chown"):
                # Only root may, and only root need.
                with suppress(PermissionError):
                    os.chown(new, found.st_uid, found.st_gid)
        replace(new, path)
    except BaseException:
        remove(new)
        raise


def _make_folders(path: str) -> None:
    if not os.path.isdir(path):
        _make_folders(os.path.dirname(path))
        make_folder(path)
