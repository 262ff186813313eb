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
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from shutil import copyfileobj
from typing import IO, NamedTuple, Optional

from queuectl import locks, system
from queuectl.errors import Conflict, DamagedRecord, SpoolUnusable, system_error
from queuectl.moment import format_moment
from queuectl.names import SUFFIX, fold, next_free
from queuectl.spool import Spool, layout
from queuectl.state import State

LOCK = "queuectl.lock"
"""In the folder: held by who writes to it. Spools may share one, and a lock of their own would not tell."""
LOCK_PATIENCE = 10.0
"""Seconds that a person waits for another spool's archive."""

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


class Added(NamedTuple):
    """The path of a zip file; the ids of jobs that are not in there, since their logs cannot be read now."""

    path: str
    left: set[str]


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

    def add(self, name: str, members: Iterable[Member]) -> Added:
        """Put these into the zip file of this name, with what lies beside them in `logs/`; those that are in
        it already are not put there twice. Once this returns it outlives a power cut.

        Raises:
            DamagedRecord: the file of this name is no zip file.
            Busy: the archive of another spool is being written there all the time.
            Conflict: a stranger has just written to it.
            SpoolUnusable: the disk is full, or the folder cannot be written.
        """
        path = os.path.join(self.folder, name)
        try:
            with locks.exclusive(os.path.join(self.folder, LOCK), LOCK_PATIENCE):
                self._remove_abandoned()
                left = self._add(path, members)
                system.sync_folder(self.folder)
        except OSError as error:
            why = system_error(error).message
            raise SpoolUnusable(f"cannot add to {path}: {why}", hint="no job was deleted for it") from error
        return Added(path, left)

    def _add(self, path: str, members: Iterable[Member]) -> set[str]:
        new = f"{path}.{os.urandom(6).hex()}.tmp"
        before = _version(path)

        def guard() -> None:
            if _version(path) != before:
                raise Conflict(f"{path} has just been changed by somebody", hint="try again")

        try:
            are_in, left = self._write_anew(path, new, members)
            if are_in:
                system.replace(new, path, guard=guard)
            else:
                system.remove(new)
        except BaseException:
            system.remove(new)
            raise
        return left

    def _write_anew(self, path: str, new: str, members: Iterable[Member]) -> tuple[int, set[str]]:
        with _copied(path, new) as (file, count):
            with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
                if len(archive.namelist()) != count:
                    raise OSError(errno.EIO, os.strerror(errno.EIO), new)
                done = self._write(archive, members)
            file.flush()
            system.sync_descriptor(file.fileno())
        return done

    def _write(self, archive: zipfile.ZipFile, members: Iterable[Member]) -> tuple[int, set[str]]:
        """How many of these are in there now, and the ids of those that are not."""
        known = {fold(name): name for name in archive.namelist()}
        are_in, left = 0, set[str]()
        for member in members:
            with ExitStack() as opened:
                try:
                    beside = self._open_beside(member.job_id, opened)
                except OSError:
                    left.add(member.job_id)
                    continue
                _put(archive, known, member, beside)
                are_in += 1
        return are_in, left

    def _open_beside(self, job_id: str, opened: ExitStack) -> list[tuple[str, BufferedReader]]:
        """What lies in `logs/` under this id, by the ends of the names. Raises OSError."""
        found: list[tuple[str, BufferedReader]] = []
        for path in self._spool.beside(job_id):
            file = _open_to_copy(path)
            if file is not None:
                opened.push(file)
                # What can be opened may still not be read: another program has locked its bytes (Windows).
                file.peek(1)
                found.append((os.path.basename(path)[len(job_id) :], file))
        return found

    def _remove_abandoned(self) -> None:
        """What was left by somebody who was killed: the others hold the lock while they write."""
        for name in system.names_in(self.folder):
            if re.fullmatch(_OURS, name):
                system.remove(os.path.join(self.folder, name))


def _put(
    archive: zipfile.ZipFile, known: dict[str, str], member: Member, beside: list[tuple[str, BufferedReader]]
) -> None:
    name = _name_for(archive, known, member)
    if name is None:
        return
    record = f"{member.state.folder}/{name}{SUFFIX}"
    archive.writestr(_info(record, member.ended), member.data)
    known[fold(record)] = record
    for suffix, source in beside:
        info = _info(f"{layout.LOGS}/{name}{suffix}", member.ended)
        is_large = os.fstat(source.fileno()).st_size > _LARGE
        with archive.open(info, "w", force_zip64=is_large) as target:
            copyfileobj(source, target)


def _name_for(archive: zipfile.ZipFile, known: dict[str, str], member: Member) -> Optional[str]:
    """The name under which it can be in there; None if it is already."""
    found = False

    def taken(name: str) -> bool:
        nonlocal found
        records = [f"{state.folder}/{name}{SUFFIX}" for state in (State.COMPLETED, State.DEAD)]
        there = [known[fold(one)] for one in records if fold(one) in known]
        found = found or any(_is_in(archive, one, member.data) for one in there)
        return bool(there)

    name = next_free(member.job_id, taken)
    return None if found else name


def _is_in(archive: zipfile.ZipFile, name: str, data: bytes) -> bool:
    try:
        return archive.read(name) == data
    except Exception:  # noqa: BLE001 - damaged, encrypted or packed otherwise: zipfile raises a dozen kinds
        # What cannot be read is another one's: twice in there loses nothing.
        return False


def _info(name: str, ended: float) -> zipfile.ZipInfo:
    moment = format_moment(ended)
    year = min(max(int(moment[:4]), _FIRST_YEAR), _LAST_YEAR)
    rest = [int(moment[begin : begin + 2]) for begin in (5, 8, 11, 14, 17)]
    info = zipfile.ZipInfo(name, (year, rest[0], rest[1], rest[2], rest[3], rest[4]))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (stat.S_IFREG | _PRIVATE) << 16
    return info


def _open_to_copy(path: str) -> Optional[BufferedReader]:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        return open(path, "rb", opener=system.open_plainly)
    except FileNotFoundError:
        return None


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
                        if any(one.header_offset < 0 for one in archive.infolist()):
                            raise zipfile.BadZipFile("entries before its beginning")
                    old.seek(0)
                    copyfileobj(old, file)
                    # Here, not while `zipfile` looks: it takes what it cannot read for no zip file as well.
                    file.flush()
            except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
                raise DamagedRecord(f"{path} is no sound zip file: {error}", hint="move it away") from error
        yield file, count


def _version(path: str) -> Optional[tuple[int, int]]:
    try:
        return system.file_stamp(os.lstat(path))
    except FileNotFoundError:
        return None
