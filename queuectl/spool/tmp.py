"""`tmp/`: files on their way into the spool. Nobody reads them; what a killed program leaves is removed."""

from __future__ import annotations

import os
import re
from typing import Callable

from queuectl import system
from queuectl.names import LIFE_SUFFIX
from queuectl.spool import layout

ABANDONED_AGE = 86400.0
"""Seconds after which a file in `tmp/` belongs to nobody: clocks jump, and a long `enqueue` takes time."""

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
        self._locks = os.path.join(root, layout.LOCKS)
        self.owner = "-"
        """In front of the names of our files: a worker's are removed once it has died."""

    def new(self, name: str) -> str:
        """A path for a file on its way to a place of this name."""
        return os.path.join(self._path, f"{self.owner}~{os.urandom(6).hex()}~{name}")

    def put(self, path: str, data: bytes) -> None:
        """Write a file that appears at `path` whole, over what is there. Raises OSError: nothing is left."""
        prepared = self.new(os.path.basename(path)[:60])
        system.write_file(prepared, data)
        move_in(prepared, path)

    def tidings(self, number: int, job_id: str) -> tuple[str, str]:
        """The paths at which our owner's `number`-th run, of this job, may leave a result and tell how far
        it is.
        """
        begin = os.path.join(self._path, f"{self.owner}~{number}-{_mark(job_id)}.")
        return begin + RESULT, begin + PROGRESS

    def told(self) -> dict[tuple[str, str], str]:
        """Of each worker and job whose run tells of its progress, the path at which it does."""
        found: dict[tuple[str, str], tuple[int, str]] = {}
        for name in system.names_in(self._path):
            if (match := re.fullmatch(_TIDINGS, name)) and match[4] == PROGRESS:
                key = (match[1], match[3])
                found[key] = max(found.get(key, (0, "")), (int(match[2]), name))
        return {key: os.path.join(self._path, name) for key, (_, name) in found.items()}

    def abandoned(self, now: float) -> list[str]:
        """The paths of files that are older than `ABANDONED_AGE`: whoever wrote them was killed."""
        ours = (one for one in self._files() if re.search(_OURS, one.name) or self._is_ownerless(one.name))
        return [one.path for one in ours if now - _written(one, now) > ABANDONED_AGE]

    def _is_ownerless(self, name: str) -> bool:
        # A command may run for days, and tell of itself once.
        match = re.fullmatch(_TIDINGS, name)
        return match is not None and not os.path.lexists(os.path.join(self._locks, match[1] + LIFE_SUFFIX))

    def remove_of(self, owner: str) -> None:
        """Remove the files of a worker that has gone."""
        for one in self._files():
            if one.name.startswith(f"{owner}~"):
                system.remove(one.path)

    def _files(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._path) as entries:
                return [entry for entry in entries if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return []


def _mark(job_id: str) -> str:
    # Lazily: `status` needs it only while something runs.
    from binascii import crc32

    return f"{crc32(job_id.encode()):08x}"


def told_key(worker: str, job_id: str) -> tuple[str, str]:
    """Under which `TmpFolder.told` tells of this run."""
    return worker, _mark(job_id)


def _written(file: os.DirEntry[str], now: float) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        # RACE: it has just been moved in.
        return now
