"""The log of a job: what its commands have printed, one file a job, kept within `log_max_bytes`."""

from __future__ import annotations

import os
import re
import stat
from typing import IO, NamedTuple, Optional

from queuectl import system
from queuectl.job import Job, next_attempt
from queuectl.moment import format_moment

_CUT = re.compile(rb"--- (\d{1,18}) bytes cut here \(log_max_bytes\) ---\n")
"""What a command prints may look so, too: a number of a thousand digits is none of ours."""
_LONGEST_CUT = 80


class Cut(NamedTuple):
    """Where a log says, from one byte to another, how many bytes have been cut out of it there."""

    start: int
    end: int
    gone: int


class BlankLog:
    """An empty file that a worker lends to its commands as their log, under a second name, one by one.

    To make a file and remove it again can take as long as to run a command (ext4 without a journal, once many
    have been removed), and most commands print nothing.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lends = system.REMOVES_AT_ONCE
        self._file: Optional[IO[bytes]] = None

    def lend(self, path: str) -> bool:
        """Make it the log at `path`, if there is none yet; where that is not done, starting makes one."""
        if not self._lends or os.path.lexists(path):
            return False
        try:
            if not self._is_blank():
                # What has been printed into it, or still may be by what a command has left running, is that
                # job's.
                self._make()
            os.link(self._path, path)
        except FileNotFoundError:
            # Somebody tidies up; who starts the command knows what to make of that.
            return False
        except OSError:
            # A file system that knows no second names, or does not tell who writes.
            self._lends = False
            return False
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _make(self) -> None:
        self.close()
        system.remove(self._path)
        with open(self._path, "xb", opener=system.open_plainly):
            pass
        self._file = open(self._path, "rb", buffering=0, opener=system.open_plainly)  # noqa: SIM115

    def _is_blank(self) -> bool:
        if self._file is None:
            return False
        if system.is_written(self._file.fileno()):
            return False
        # Asked then: whoever had it open may have written just before.
        found = os.fstat(self._file.fileno())
        return found.st_size == 0 and found.st_nlink == 1


def log_mark(path: str, job: Job, now: float) -> None:
    """Set a run's output apart from what an earlier run left in the same log."""
    try:
        if _size(path):
            with open(path, "ab", opener=system.open_plainly) as log:
                log.write(f"\n--- attempt {next_attempt(job)}, {format_moment(now)} ---\n".encode())
    except OSError:
        # No log yet; or one that cannot be written, which starting the command will tell.
        return


def log_note(path: str, text: str) -> None:
    """Add a line of our own to what a command has printed."""
    try:
        with open(path, "ab", opener=system.open_plainly) as log:
            log.write(f"\n--- {text} ---\n".encode("utf-8", "backslashreplace"))
    except OSError:
        # The listener of events is told, too.
        return


def tidy_log(path: str, limit: int) -> None:
    """Remove the log of a command that printed nothing (not on Windows); cut one that is too long."""
    try:
        if _size(path) == 0:
            # Else the next run of this job could open a file that is about to go.
            if system.REMOVES_AT_ONCE:
                system.remove(path)
            return
    except OSError:
        return
    trim_log(path, limit)


def trim_log(path: str, limit: int) -> None:
    """Cut the middle out of a log that is over `limit` bytes, saying so: its head and its end tell most.

    The writer appends, so it goes on behind the cut; a line printed in this very moment may be lost.
    """
    try:
        size = _size(path)
        if size is None or size <= limit:
            return
        with open(path, "r+b", opener=system.open_plainly) as log:
            head, middle, cut = _head(log.read(limit // 4 + _LONGEST_CUT), limit // 4)
            log.seek(size - limit // 2)
            tail = _from_a_line_on(log.read(limit // 2))
            cut += size - len(tail) - middle
            log.seek(len(head))
            log.truncate()
            begin = b"" if head.endswith(b"\n") or not head else b"\n"
            log.write(begin + f"--- {cut} bytes cut here (log_max_bytes) ---\n".encode() + tail)
    except OSError:
        # Held by somebody who does not share it (Windows); the next look trims it.
        return


def _size(path: str) -> Optional[int]:
    """In bytes; None of what is no plain file: a link leads anywhere."""
    found = os.lstat(path)
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def find_cut(log: IO[bytes], limit: int) -> Optional[Cut]:
    """Where the middle was cut out of a log of at most `limit` bytes; None if nothing was."""
    log.seek(0)
    return _cut_in(log.read(limit // 4 + _LONGEST_CUT), limit // 4)


def _cut_in(begin: bytes, most: int) -> Optional[Cut]:
    found = _CUT.search(begin)
    # Behind a head without a line break it begins a line of its own.
    if found is None or found.start() > most + 1:
        return None
    return Cut(found.start(), found.end(), int(found[1]))


def printed_before(cut: Optional[Cut], limit: int, offset: int) -> int:
    """How many bytes the command had printed before what is at `offset` in a log that was cut so."""
    return offset if cut is None else min(cut.start, limit // 4) + cut.gone + offset - cut.end


def _head(begin: bytes, most: int) -> tuple[bytes, int, int]:
    """Of a log's first bytes those that stay, where the middle begins, and how much was cut there before."""
    if before := _cut_in(begin, most):
        return begin[: before.start], before.end, before.gone
    line_end = begin.rfind(b"\n", most // 2, most) + 1
    head = begin[: line_end or most]
    return head, len(head), 0


def _from_a_line_on(tail: bytes) -> bytes:
    """Whole lines, if they are not too long for that."""
    return tail[tail.find(b"\n", 0, len(tail) // 2) + 1 :]
