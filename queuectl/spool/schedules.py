"""`schedules/`: a file for each schedule, which a person may write; in `state/`, what is known of its past.

Only queuectl writes the records, so that somebody who has a schedule open in an editor overwrites none; one
that is lost, or not to be read, begins anew: nothing is made up for, and nothing is fired twice (a job's id
tells which moment it is for).
"""

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Optional

from queuectl import system
from queuectl.errors import Conflict, InvalidInput, NoSuchSchedule
from queuectl.names import SUFFIX, is_ignored, stem_of
from queuectl.spool import layout

if TYPE_CHECKING:
    from queuectl.schedule import Record, Schedule
    from queuectl.spool import Spool

LARGEST = 2**20
"""Bytes that are read of a schedule at most."""

Version = tuple[int, int, int]


class ScheduleFile(NamedTuple):
    """A file in `schedules/`, by the name of its schedule."""

    name: str
    path: str
    version: Version
    """Another one whenever somebody has written to it, or put another in its place."""


class ScheduleFiles:
    """Those of one spool."""

    def __init__(self, spool: "Spool") -> None:
        self._spool = spool
        self.folder = os.path.join(spool.root, layout.SCHEDULES)

    def found(self) -> dict[str, ScheduleFile]:
        """Every file that is named like a schedule. Raises OSError."""
        found: dict[str, ScheduleFile] = {}
        for file_name in sorted(system.names_in(self.folder)):
            name = None if is_ignored(file_name) else stem_of(file_name)
            if name is None:
                continue
            path = os.path.join(self.folder, file_name)
            with suppress(FileNotFoundError):
                seen = os.lstat(path)
                # Of `nightly.json` and `nightly.json.txt` the first counts.
                found.setdefault(name, ScheduleFile(name, path, (seen.st_ino, *system.file_stamp(seen))))
        return found

    def read(self, file: ScheduleFile) -> "Schedule":
        """The schedule in this file.

        Raises:
            InvalidInput: it holds none, or somebody else may change it.
            OSError: it cannot be read just now.
        """
        from queuectl.schedule import name_problem
        from queuectl.schedule_codec import decode_schedule

        if problem := name_problem(file.name):
            raise InvalidInput(problem, hint="rename the file")
        try:
            data, found = system.read_file(file.path, LARGEST)
        except system.NotARegularFile as error:
            raise InvalidInput(f"not a plain file but a {error.kind}: never followed") from None
        if len(data) > LARGEST:
            raise InvalidInput(f"larger than {LARGEST} bytes: no schedule")
        if problem := self._spool.trust.objection(file.path, found):
            raise InvalidInput(problem, hint="look at what it does before it runs")
        return decode_schedule(data)

    def get(self, name: str) -> ScheduleFile:
        """The file of this schedule.

        Raises:
            NoSuchSchedule: there is none.
        """
        file = self.found().get(name)
        if file is None:
            raise NoSuchSchedule(name)
        return file

    def write(self, name: str, schedule: "Schedule", *, over: Optional[ScheduleFile] = None) -> None:
        """Write a schedule, a new one or over the one that was read from the file `over`.

        Raises:
            Conflict: there is one of this name, or somebody has changed that one meanwhile.
        """
        from queuectl.schedule_codec import encode_schedule

        now = self.found().get(name)
        if over is None and now is not None:
            raise Conflict(f"there is a schedule {name!r} already", hint="--replace puts this in its place")
        if over is not None and now != over:
            raise Conflict(f"schedule {name!r} has just been changed by somebody", hint="look again")
        path = os.path.join(self.folder, name + SUFFIX) if over is None else over.path
        self._put(path, encode_schedule(schedule))

    def remove(self, file: ScheduleFile) -> None:
        """Delete a schedule, and what is known of its past."""
        system.remove(file.path)
        self.forget(file.name)
        system.sync_folder(self.folder)

    # What is known of their past

    def record(self, name: str) -> "Optional[Record]":
        """What is known of this one's past; None where nothing is.

        Raises:
            OSError: that cannot be read just now.
        """
        from queuectl.schedule_codec import decode_record

        try:
            return decode_record(system.read_file(self._record_path(name), LARGEST)[0])
        except (FileNotFoundError, NotADirectoryError, system.NotARegularFile):
            return None

    def write_record(self, name: str, record: "Record") -> None:
        """Keep this. Raises OSError."""
        from queuectl.schedule_codec import encode_record

        system.make_folder(os.path.join(self.folder, layout.RECORDS))
        self._put(self._record_path(name), encode_record(record))

    def forget(self, name: str) -> None:
        """Drop what is known of one that is gone. No error if that cannot be done just now."""
        with suppress(OSError):
            system.remove(self._record_path(name), patience=0.0)

    def recorded(self) -> list[str]:
        """The schedules of which something is known."""
        names = (stem_of(name) for name in system.names_in(os.path.join(self.folder, layout.RECORDS)))
        return [name for name in names if name is not None]

    def _record_path(self, name: str) -> str:
        return os.path.join(self.folder, layout.RECORDS, name + SUFFIX)

    def _put(self, path: str, data: bytes) -> None:
        prepared = self._spool.tmp.new("schedule")
        system.write_file(prepared, data)
        try:
            system.replace(prepared, path)
        except BaseException:
            system.remove(prepared)
            raise
        system.sync_folder(os.path.dirname(path))
