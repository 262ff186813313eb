"""`tmp/`: files on their way into the spool. Nobody reads them; what a killed program leaves is removed."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from itertools import count
from typing import Callable

from queuectl import system
from queuectl.names import LIFE_SUFFIX
from queuectl.spool import layout

ABANDONED_AGE = 86400.0
"""Seconds after which a file in `tmp/` belongs to nobody: clocks jump, and a long `enqueue` takes time."""

_MOST = 2**48 - 1
_OURS = r"~[0-9a-f]{12}~"
"""In the names that we give: what a person has put there is theirs, however old."""
RESULT, PROGRESS = "result", "progress"
_TIDINGS = rf"([^~]+)~([0-9]+)-([0-9a-f]{{8}})\.({RESULT}|{PROGRESS})"
"""What a run may write: a job's id may hold what a shell obeys, so that a path of it would need quotes."""


def move_in(
    prepared: str, target: str, *, patience: float = 2.0, guard: Callable[[], object] = lambda: None
) -> None:
    """Put what was prepared in `tmp/` in its place; it is removed where that cannot be done.

    Raises:
        OSError: as `system.replace`, or what `guard` raises.
    """
    try:
        system.replace(prepared, target, patience=patience, guard=guard)
    except BaseException:
        system.remove(prepared)
        raise


class TmpFolder:
    """The `tmp/` of one spool."""

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, layout.TMP)
        self._begin = os.path.join(self._path, "")
        self._locks = os.path.join(root, layout.LOCKS)
        self.owner = "-"
        """In front of the names of our files: a worker's are removed once it has died."""
        self._numbers = count(int.from_bytes(os.urandom(6), "big"))
        """Of files: by chance where they begin, so that no two programs have the same."""

    def new(self, name: str) -> str:
        """A path for a file on its way to a place of this name."""
        return f"{self._begin}{self.owner}~{next(self._numbers) & _MOST:012x}~{name}"

    def put(self, path: str, data: bytes) -> None:
        """Write a file that appears at `path` whole, over what is there. Raises OSError: nothing is left."""
        prepared = self.new(os.path.basename(path)[:60])
        system.write_file(prepared, data)
        move_in(prepared, path)

    def tidings(self, number: int, job_id: str) -> tuple[str, str]:
        """The paths at which our owner's `number`-th run, of this job, may leave a result and tell how far
        it is.
        """
        begin = self._tidings_of(self.owner, number, job_id)
        return begin + RESULT, begin + PROGRESS

    def progress_path(self, worker: str, number: int, job_id: str) -> str:
        """The path at which this worker's `number`-th run, of this job, may tell how far it is."""
        return self._tidings_of(worker, number, job_id) + PROGRESS

    def _tidings_of(self, worker: str, number: int, job_id: str) -> str:
        # Lazily: `status` needs it only while something runs.
        from binascii import crc32

        return f"{self._begin}{worker}~{number}-{crc32(job_id.encode()):08x}."

    def abandoned(self, now: float) -> list[str]:
        """The paths of what is older than `ABANDONED_AGE`: whoever made it was killed."""
        ours = (one for one in self._entries() if re.search(_OURS, one.name) or self._is_ownerless(one.name))
        return [one.path for one in ours if now - _written(one, now) > ABANDONED_AGE]

    def _is_ownerless(self, name: str) -> bool:
        # A command may run for days, and tell of itself once.
        match = re.fullmatch(_TIDINGS, name)
        return match is not None and not os.path.lexists(os.path.join(self._locks, match[1] + LIFE_SUFFIX))

    def remove_of(self, owner: str) -> None:
        """Remove what a worker that has gone has left there, as far as that can be done just now."""
        for one in self._entries():
            if one.name.startswith(f"{owner}~"):
                with suppress(OSError):
                    self.remove(one.path)

    def remove(self, path: str, *, patience: float = 2.0) -> None:
        """Remove something of ours.

        Raises:
            OSError: it cannot be removed, or is a folder that is not in place of what a command may write.
        """
        if re.fullmatch(_TIDINGS, os.path.basename(path)):
            system.remove_all(path, patience=patience)
        else:
            system.remove(path, patience=patience)

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._path) as entries:
                return list(entries)
        except FileNotFoundError:
            return []


def _written(one: os.DirEntry[str], now: float) -> float:
    try:
        return one.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        # RACE: it has just been moved in.
        return now
