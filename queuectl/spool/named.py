"""Files that people write beside the jobs, each by its name: `schedules/nightly.json`, `groups/video.json`.

What queuectl keeps of one lies in the folder `state` beside them, under the same name, so that somebody who
has a file open in an editor overwrites nothing.
"""

import os
from contextlib import suppress
from typing import Callable, NamedTuple, Optional, Protocol

from queuectl import system
from queuectl.errors import Conflict, InvalidInput, QueueError
from queuectl.names import SUFFIX, fold, is_ignored, stem_of
from queuectl.spool import layout
from queuectl.spool.access import Trust
from queuectl.spool.tmp import TmpFolder

LARGEST = 2**20
"""Bytes that are read of one at most."""

Version = tuple[int, int, int, int]


class NamedFile(NamedTuple):
    """A file, by the name of what it describes."""

    name: str
    path: str
    version: Version
    """Another one whenever somebody has written to it, or put another in its place."""

    @property
    def written(self) -> float:
        """When somebody last wrote to it, in seconds since the epoch."""
        return self.version[2] / 1e9


def _version(found: os.stat_result) -> Version:
    # Its last change, too: somebody may have made it ours, who was refused before.
    return (found.st_ino, found.st_ctime_ns, *system.file_stamp(found))


class Home(Protocol):
    """A spool, as far as these need it."""

    root: str
    tmp: TmpFolder

    @property
    def trust(self) -> Trust:
        """Whose files count here."""


class NamedFiles:
    """Those of one folder of a spool."""

    what = "file"
    """What one describes, in messages."""

    def __init__(self, spool: Home, folder: str, missing: Callable[[str], QueueError]) -> None:
        self._spool, self._missing = spool, missing
        self.folder = os.path.join(spool.root, folder)

    def key(self, name: str) -> str:
        """What a file of this name describes: of several for one thing only one counts."""
        return name

    def found(self) -> dict[str, NamedFile]:
        """Every file that counts, by what it describes. Raises OSError."""
        found: dict[str, NamedFile] = {}
        for file in self._files():
            # Of `nightly.json` and `nightly.json.txt` the first.
            found.setdefault(self.key(file.name), file)
        return found

    def left_out(self) -> list[tuple[NamedFile, str]]:
        """Every file that does not count, and why: another one does in its place. Raises OSError."""
        counting: dict[str, NamedFile] = {}
        beside = ((file, counting.setdefault(self.key(file.name), file)) for file in self._files())
        return [
            (file, f"does not count beside {os.path.basename(counts.path)}: delete one of them")
            for file, counts in beside
            if file is not counts
        ]

    def _files(self) -> list[NamedFile]:
        found: list[NamedFile] = []
        for file_name in sorted(system.names_in(self.folder)):
            name = None if is_ignored(file_name) else stem_of(file_name)
            if name is None:
                continue
            path = os.path.join(self.folder, file_name)
            with suppress(FileNotFoundError):
                found.append(NamedFile(name, path, _version(os.lstat(path))))
        return sorted(found, key=lambda file: file.name != self.key(file.name))

    def get(self, name: str) -> NamedFile:
        """The file of this name.

        Raises:
            QueueError: there is none.
        """
        file = self.named(name)
        if file is None:
            raise self._missing(name)
        return file

    def named(self, name: str) -> Optional[NamedFile]:
        """The file of this name, or of one that Windows would call the same; None if there is none."""
        found = self.found()
        return found.get(name) or next((one for one in found.values() if fold(one.name) == fold(name)), None)

    def bytes_of(self, file: NamedFile, *, patience: float = 2.0) -> bytes:
        """What is in it.

        Raises:
            InvalidInput: it is no plain file, too large, or somebody else may change it.
            OSError: it cannot be read just now.
        """
        try:
            data, found = system.read_file(file.path, LARGEST, patience=patience)
        except system.NotARegularFile as error:
            raise InvalidInput(f"not a plain file but a {error.kind}: never followed") from None
        if len(data) > LARGEST:
            raise InvalidInput(f"larger than {LARGEST} bytes: no {self.what}")
        if problem := self._spool.trust.objection(file.path, found):
            raise InvalidInput(problem, hint="look at what it does before it counts")
        return data

    def write(self, name: str, data: bytes, *, over: Optional[NamedFile] = None) -> None:
        """Write one, new or over the one that was read.

        Raises:
            Conflict: there is one of this name, or somebody has changed that one meanwhile.
        """
        now = self.named(name)
        if over is None and now is not None:
            raise Conflict(
                f"there is a {self.what} {name!r} already", hint="--replace puts this in its place"
            )
        if over is not None and now != over:
            raise Conflict(f"{self.what} {name!r} has just been changed by somebody", hint="look again")
        self._put(os.path.join(self.folder, name + SUFFIX) if over is None else over.path, data)

    def remove(self, file: NamedFile) -> None:
        """Delete one, and what is kept of it."""
        system.remove(file.path)
        self.forget(file.name)
        system.sync_folder(self.folder)

    # What is kept of them

    def kept(self, name: str) -> Optional[bytes]:
        """What is kept of this one; None where nothing is. Raises OSError: it cannot be read just now."""
        try:
            return system.read_file(self._kept_path(name), LARGEST)[0]
        except (FileNotFoundError, NotADirectoryError, system.NotARegularFile):
            return None

    def keep(self, name: str, data: bytes) -> None:
        """Keep this. Raises OSError."""
        system.make_folder(os.path.join(self.folder, layout.RECORDS))
        self._put(self._kept_path(name), data)

    def forget(self, name: str) -> None:
        """Drop what is kept of one that is gone. No error if that cannot be done just now."""
        with suppress(OSError):
            system.remove(self._kept_path(name), patience=0.0)

    def kept_names(self) -> list[str]:
        """Those of which something is kept."""
        names = (stem_of(name) for name in system.names_in(os.path.join(self.folder, layout.RECORDS)))
        return [name for name in names if name is not None]

    def _kept_path(self, name: str) -> str:
        return os.path.join(self.folder, layout.RECORDS, name + SUFFIX)

    def _put(self, path: str, data: bytes) -> None:
        self._spool.tmp.put(path, data)
        system.sync_folder(os.path.dirname(path))
