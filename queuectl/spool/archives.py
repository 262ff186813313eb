"""Zip files of jobs that have ended, one a month. Unpacked over a spool each file is back in its place.

A zip file is never written to: a new one is made of it, flushed, and put in its place in one step. So whoever
dies leaves the old one or the new one, and what lies in it may be deleted once the new one is there.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from shutil import copyfileobj
from typing import IO, NamedTuple, Optional

from queuectl import system
from queuectl.errors import Conflict, DamagedRecord
from queuectl.moment import format_moment
from queuectl.names import BESIDE, SUFFIX, fold, next_free
from queuectl.spool import Spool, layout
from queuectl.spool.tmp import ABANDONED_AGE
from queuectl.state import State

_OURS = r"\d{4}-\d\d\.zip\.[0-9a-f]{12}\.tmp"
_PRIVATE = 0o600
"""Jobs hold secrets, and their folder may be open to others."""
_FIRST_YEAR, _LAST_YEAR = 1980, 2107
_LARGE = 2**30


class Member(NamedTuple):
    """A job to be put away, as its file is."""

    state: State
    job_id: str
    data: bytes
    ended: float


def month_of(ended: float) -> str:
    """The name of the zip file for jobs that ended then (UTC)."""
    return f"{format_moment(ended)[:7]}.zip"


class Archives:
    """The zip files in one folder."""

    def __init__(self, spool: Spool, folder: Optional[str]) -> None:
        """Those in the spool itself, unless a `folder` is given.

        Raises:
            OSError: it cannot be made.
        """
        self._spool = spool
        self.folder = os.path.abspath(folder or os.path.join(spool.root, layout.ARCHIVE))
        system.make_folder(self.folder)
        # Its name lasts before anything is deleted for what lies in it; who has made it may have been killed.
        system.sync_folder(os.path.dirname(self.folder))

    def add(self, name: str, members: Iterable[Member]) -> str:
        """Put these into the zip file of this name, with what lies beside them in `logs/`; those that are in
        it already are not put there twice. Once this returns it outlives a power cut.

        Raises:
            DamagedRecord: the file of this name is no zip file.
            Conflict: somebody else has just written to it.
            OSError: the disk is full, or the folder cannot be written.
        """
        self._remove_abandoned()
        path = os.path.join(self.folder, name)
        new = f"{path}.{os.urandom(6).hex()}.tmp"
        before = _version(path)

        def guard() -> None:
            if _version(path) != before:
                raise Conflict(f"{path} has just been changed by somebody", hint="try again")

        try:
            self._write_anew(path, new, members)
            system.replace(new, path, guard=guard)
        except BaseException:
            system.remove(new)
            raise
        system.sync_folder(self.folder)
        return path

    def _write_anew(self, path: str, new: str, members: Iterable[Member]) -> None:
        with _copied(path, new) as (file, count):
            with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
                if len(archive.namelist()) != count:
                    raise OSError(errno.EIO, os.strerror(errno.EIO), new)
                self._write(archive, members)
            file.flush()
            system.sync_descriptor(file.fileno())

    def _write(self, archive: zipfile.ZipFile, members: Iterable[Member]) -> None:
        known = {fold(name): name for name in archive.namelist()}
        for member in members:
            name = _name_for(archive, known, member)
            if name is None:
                continue
            record = f"{member.state.folder}/{name}{SUFFIX}"
            archive.writestr(_info(record, member.ended), member.data)
            known[fold(record)] = record
            for suffix, path in zip(BESIDE, self._spool.beside(member.job_id)):
                _write_beside(archive, _info(f"{layout.LOGS}/{name}{suffix}", member.ended), path)

    def _remove_abandoned(self) -> None:
        """What was left by somebody who was killed; of another spool's archives, in time."""
        is_ours = self.folder == os.path.join(self._spool.root, layout.ARCHIVE)
        for name in system.names_in(self.folder):
            path = os.path.join(self.folder, name)
            if re.fullmatch(_OURS, name) and (is_ours or _age(path) > ABANDONED_AGE):
                system.remove(path)


def _name_for(archive: zipfile.ZipFile, known: dict[str, str], member: Member) -> Optional[str]:
    """The name under which it can be in there; None if it is already."""
    found = False

    def taken(name: str) -> bool:
        nonlocal found
        records = [f"{state.folder}/{name}{SUFFIX}" for state in (State.COMPLETED, State.DEAD)]
        there = [known[fold(one)] for one in records if fold(one) in known]
        found = found or any(archive.read(one) == member.data for one in there)
        return bool(there)

    name = next_free(member.job_id, taken)
    return None if found else name


def _info(name: str, ended: float) -> zipfile.ZipInfo:
    moment = format_moment(ended)
    year = min(max(int(moment[:4]), _FIRST_YEAR), _LAST_YEAR)
    rest = [int(moment[begin : begin + 2]) for begin in (5, 8, 11, 14, 17)]
    info = zipfile.ZipInfo(name, (year, rest[0], rest[1], rest[2], rest[3], rest[4]))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (stat.S_IFREG | _PRIVATE) << 16
    return info


def _write_beside(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> None:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return
        source = open(path, "rb", opener=system.open_plainly)  # noqa: SIM115
    except FileNotFoundError:
        return
    with source, archive.open(info, "w", force_zip64=os.fstat(source.fileno()).st_size > _LARGE) as target:
        copyfileobj(source, target)


@contextmanager
def _copied(path: str, new: str) -> Iterator[tuple[IO[bytes], int]]:
    """A copy of the zip file at `path`, open, and how many files are in it; a new one where there is none.

    Raises:
        DamagedRecord: it is none.
    """
    with open(new, "x+b", opener=lambda name, flags: system.open_plainly(name, flags, _PRIVATE)) as file:
        count = 0
        if os.path.lexists(path):
            try:
                with open(path, "rb", opener=system.open_plainly) as old:
                    # To `zipfile` anything else is something that a zip file may be put behind.
                    with zipfile.ZipFile(old) as archive:
                        count = len(archive.namelist())
                    old.seek(0)
                    copyfileobj(old, file)
                    # Here, not while `zipfile` looks: it takes what it cannot read for no zip file as well.
                    file.flush()
            except zipfile.BadZipFile as error:
                raise DamagedRecord(f"{path} is no sound zip file: {error}", hint="move it away") from error
        yield file, count


def _version(path: str) -> Optional[tuple[int, int]]:
    try:
        return system.file_stamp(os.lstat(path))
    except FileNotFoundError:
        return None


def _age(path: str) -> float:
    try:
        return system.now() - os.lstat(path).st_mtime
    except FileNotFoundError:
        return 0.0
