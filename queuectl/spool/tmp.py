"""`tmp/`: files on their way into the spool. Nobody reads them; what a killed program leaves is removed."""

from __future__ import annotations

import os
import re

from queuectl import system
from queuectl.spool import layout

ABANDONED_AGE = 86400.0
"""Seconds after which a file in `tmp/` belongs to nobody: clocks jump, and a long `enqueue` takes time."""

_OURS = r"~[0-9a-f]{12}~"
"""In the names that we give: what a person has put there is theirs, however old."""


class TmpFolder:
    """The `tmp/` of one spool."""

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, layout.TMP)
        self.owner = "-"
        """In front of the names of our files: a worker's are removed once it has died."""

    def new(self, name: str) -> str:
        """A path for a file on its way to a place of this name."""
        return os.path.join(self._path, f"{self.owner}~{os.urandom(6).hex()}~{name}")

    def abandoned(self, now: float) -> list[str]:
        """The paths of files that are older than `ABANDONED_AGE`: whoever wrote them was killed."""
        ours = (one for one in self._files() if re.search(_OURS, one.name))
        return [one.path for one in ours if now - _written(one, now) > ABANDONED_AGE]

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


def _written(file: os.DirEntry[str], now: float) -> float:
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        # RACE: it has just been moved in.
        return now
