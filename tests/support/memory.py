"""A place in memory for the spools of tests: they sync so often that they mostly waited for the disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Optional

import pytest

_SHARED = "/dev/shm"
_ENOUGH = 1 << 30


def memory() -> Optional[str]:
    """A folder whose files are in memory, for `dir=`; None where there is none, or little room in it."""
    if os.name == "nt" or not os.access(_SHARED, os.W_OK) or shutil.disk_usage(_SHARED).free < _ENOUGH:
        return None
    return _SHARED


@contextmanager
def in_memory(request: pytest.FixtureRequest, disk: Path) -> Iterator[Path]:
    """A folder for one test, in memory if there is any; of a test that fails it is copied to the disk.

    As `disk` it lies in one that is the test's own, too. One that starts the program, and a
    long sweep, have the disk.
    """
    on_disk = any(request.node.get_closest_marker(name) for name in ("e2e", "slow"))
    where, failed = memory(), request.session.testsfailed
    if where is None or on_disk:
        yield disk
        return
    holder = tempfile.TemporaryDirectory(prefix="tests-", dir=where)
    folder = Path(holder.name, disk.name)
    folder.mkdir()
    yield folder
    with suppress(shutil.Error, OSError):
        # Not a pipe or a socket in it, nor what somebody is still busy with.
        if request.session.testsfailed > failed:
            shutil.copytree(folder, disk, symlinks=True, dirs_exist_ok=True)
            print(f"what was in {folder} is in {disk}")
    with suppress(OSError):
        holder.cleanup()
