"""The folders of the spool: every read, write and move of a job's file is here, and nothing else is.

A file enters a state folder whole: written in `tmp/`, flushed, fsynced, then moved in. Nothing is
overwritten: a move whose target exists takes the next free name or is refused.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Optional

from queuectl import system
from queuectl.errors import Conflict, DamagedRecord, InvalidInput
from queuectl.names import SUFFIX
from queuectl.spool.access import Trust
from queuectl.spool.looking import LOOKS, Looking
from queuectl.spool.place import LARGEST, ROOM, FileChanged, Place, Read, too_large
from queuectl.spool.tmp import TmpFolder, move_in
from queuectl.state import WAITING, State

if TYPE_CHECKING:
    from queuectl.job import Job
    from queuectl.spool.groups import GroupFiles
    from queuectl.spool.hooks import HookFiles
    from queuectl.spool.schedules import ScheduleFiles

__all__ = [
    "CLAIM_PATIENCE",
    "LARGEST",
    "LOOKS",
    "SETTLE_PATIENCE",
    "FileChanged",
    "Place",
    "Read",
    "Spool",
    "too_large",
]

CLAIM_PATIENCE = 0.05
"""Seconds that a claim waits for a file somebody is reading, before it takes the next one."""
SETTLE_PATIENCE = 5.0
"""Seconds that a finished run waits for its file to become movable."""


class Spool(Looking):
    """One spool folder."""

    def __init__(self, root: str, *, trust_writers: bool = False, to_run: bool = False) -> None:
        super().__init__(root)
        self.tmp = TmpFolder(self.root)
        self.trust_writers = trust_writers
        """Whether a job may be run that somebody else has put here, or may change."""
        self.to_run = to_run
        """Whether this program runs what lies here: then that it is the spool's owner's is not enough."""

    # Reading

    def read_bytes(self, place: Place, limit: int, *, patience: float = 2.0) -> tuple[bytes, os.stat_result]:
        """The bytes of the file at `place`, and its stat.

        Raises:
            InvalidInput: it is far too large to be a job of at most `limit` bytes.
            FileNotFoundError: it is not there (any more).
            NotARegularFile: it is a link, a folder or a device.
        """
        # Written out for people, with what we keep in it, a record is larger than the job that was given.
        most = limit * 8 + ROOM if place.state is State.PENDING else max(limit * 8 + ROOM, LARGEST)
        data, found = system.read_file(self.path(place), most, patience=patience)
        if len(data) > most:
            raise too_large(limit)
        return data, found

    def read(self, place: Place, limit: int, *, patience: float = 2.0, to_stamp: bool = False) -> Read:
        """The job at `place`; its file's name is its id, whatever the record says.

        With `to_stamp` it is to be written anew, and so to become ours.

        Raises:
            InvalidInput: the file holds no job, or in `pending` one of more than `limit` bytes; or it waits
                or is `to_stamp`, and somebody else owns it or may change it.
            FileNotFoundError, NotARegularFile: as `read_bytes`.
        """
        # Lazily: msgspec takes as long to import as click, and `status` reads no job that has not changed.
        from queuectl.codec import decode_job, job_size, named_as

        data, found = self.read_bytes(place, limit, patience=patience)
        asked = to_stamp or place.state in WAITING
        if asked and (problem := self.trust.objection(self.path(place), found)):
            raise InvalidInput(problem, hint="look at what it does before you run it")
        large = place.state is State.PENDING and len(data) > limit
        try:
            job = decode_job(data)
        except InvalidInput:
            if large:
                raise too_large(limit) from None
            raise
        if large and job_size(job) > limit:
            raise too_large(limit)
        return Read(named_as(job, place.job_id), system.file_stamp(found), job.id in (None, place.job_id))

    @cached_property
    def schedules(self) -> ScheduleFiles:
        """The files of what recurs."""
        from queuectl.spool.schedules import ScheduleFiles

        return ScheduleFiles(self)

    @cached_property
    def groups(self) -> GroupFiles:
        """The files of groups that have limits."""
        from queuectl.spool.groups import GroupFiles

        return GroupFiles(self)

    @cached_property
    def hooks(self) -> HookFiles:
        """The files of what is run for every job's end."""
        from queuectl.spool.hooks import HookFiles

        return HookFiles(self)

    @cached_property
    def trust(self) -> Trust:
        """Whose files count here."""
        return Trust(self.root, everyone=self.trust_writers, to_run=self.to_run)

    def version(self, place: Place) -> tuple[int, int]:
        """The (mtime_ns, size) of the file at `place`.

        Raises:
            FileNotFoundError: it is not there (any more).
        """
        return system.file_stamp(os.lstat(self.path(place)))

    def find(self, job_id: str, limit: int) -> Optional[tuple[Place, Read]]:
        """The job of this id, wherever it lies now; None when nowhere.

        Raises:
            DamagedRecord: its file holds no job.
        """
        for _ in range(LOOKS):
            place = self.locate(job_id)
            if place is None:
                return None
            try:
                return place, self.read_sound(place, limit)
            except FileNotFoundError:
                # RACE: it has moved on.
                continue
        return None

    def read_sound(self, place: Place, limit: int) -> Read:
        """Like `read`, for a job that was one when last seen.

        Raises:
            DamagedRecord: the file holds no job now.
        """
        try:
            return self.read(place, limit)
        except InvalidInput as error:
            raise DamagedRecord(f"{self.in_spool(self.path(place))} holds no job: {error}") from error

    # Writing and moving

    def make_worker_folder(self, worker: str) -> None:
        """Make it if it is not there. Raises OSError, FileNotFoundError where `processing` is not there."""
        system.make_folder(self.worker_folder(worker))

    def prepare(self, jobs: Sequence[Job]) -> list[tuple[str, tuple[int, int]]]:
        """Write these records to `tmp/`, flushed and fsynced; of each, the path to move in from, and its
        version.
        """
        from queuectl.codec import encode_job

        paths = [self.tmp.new(f"{job.name[:60]}{SUFFIX}") for job in jobs]
        written = system.write_files((path, encode_job(job)) for path, job in zip(paths, jobs))
        return [(path, system.file_stamp(found)) for path, found in zip(paths, written)]

    def admit(self, prepared: str, place: Place) -> None:
        """Move a prepared record in as a new job. The caller holds `claim.lock`.

        Raises:
            Conflict: the place is taken.
        """
        system.replace(prepared, self.path(place), guard=lambda: self.refuse_taken(place))

    def stamp(
        self, place: Place, job: Job, *, read: tuple[int, int], patience: float = SETTLE_PATIENCE
    ) -> tuple[int, int]:
        """Replace the record at `place`, read in version `read`, in one step; the new version.

        Raises:
            FileNotFoundError: somebody has taken the file away; it is not made anew.
            FileChanged: somebody has written to it since.
        """
        ((prepared, version),) = self.prepare([job])
        self.put_over(prepared, place, read=read, patience=patience)
        return version

    def put_over(
        self, prepared: str, place: Place, *, read: tuple[int, int], patience: float = SETTLE_PATIENCE
    ) -> None:
        """The second half of `stamp`: put a prepared record in the place of the one that was read.

        It is removed where that is not done; raises as `stamp`.
        """

        def guard() -> None:
            # RACE: a file that was moved by hand meanwhile must not come to lie in two places, and what was
            # saved to it meanwhile must not be lost.
            if self.version(place) != read:
                raise FileChanged(errno.EAGAIN, "somebody has just changed it", self.path(place))

        move_in(prepared, self.path(place), patience=patience, guard=guard)

    def move(self, place: Place, target: Place, *, patience: float = SETTLE_PATIENCE) -> None:
        """Change of state: one atomic move.

        Raises:
            Conflict: the target is taken.
            OSError: the file could not be moved within `patience` seconds.
        """

        def guard() -> None:
            # X.JSON and X.json are one file where case does not count: that move is over nobody.
            if place.state is not target.state or not self.is_same_file(place, target):
                self.refuse_taken(target)

        system.replace(self.path(place), self.path(target), patience=patience, guard=guard)

    def refuse_taken(self, place: Place) -> None:
        """Raise Conflict if something lies at `place`."""
        if system.is_there(self.path(place)):
            raise Conflict(f"{self.in_spool(self.path(place))} exists already")

    def delete(self, place: Place, *, patience: float = 2.0) -> bool:
        """Delete the job's file and what it has in `logs/` for good; False if the file was not there.

        A log that a viewer holds open (Windows), or that a person has made a folder, stays. A folder that the
        command has left in place of its result goes with all that is in it.
        """
        was_there = system.remove(self.path(place), patience=patience)
        log, *refused = self.beside(place.job_id) if was_there else ("",)
        if was_there:
            with suppress(OSError):
                system.remove(log, patience=min(patience, 0.1))
        for path in refused:
            with suppress(OSError):
                system.remove_all(path, patience=min(patience, 0.1))
        return was_there

    def sync_claim(self, place: Place) -> None:
        """Make a record in a worker's folder outlive a power cut. Raises OSError."""
        system.sync_folder(os.path.join(self.root, State.PROCESSING.folder))
        system.sync_folder(os.path.dirname(self.path(place)))

    def sync(self, *states: State) -> None:
        """Make the names in these states' folders outlive a power cut."""
        for state in states:
            system.sync_folder(os.path.join(self.root, state.folder))
