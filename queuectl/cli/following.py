"""Following the log of a job while it is written, cut and made anew, through all of its attempts."""

from __future__ import annotations

import os
from typing import IO, Callable, Optional

from queuectl import system
from queuectl.cli.common import say
from queuectl.cli.terminal import cell
from queuectl.errors import DamagedRecord
from queuectl.job import Job, Run
from queuectl.joblog import Cut, find_cut, printed_before
from queuectl.queue import Queue
from queuectl.queue.waiting import outcome_of
from queuectl.spool import Place
from queuectl.state import State

_PAUSE = 0.1
"""Seconds in which a log is cut."""
_PIECE = 2**20
_KNOWN = 64
"""Bytes by which it is told whether what lies before is what was printed."""
_TRIES = 3
_ENDS = {State.COMPLETED: "has completed", State.DEAD: "is dead"}


class FollowedLog:
    """Prints what is new in a log, each byte once; `limit` is the size over which it is cut."""

    def __init__(self, path: str, write: Callable[[bytes], object], limit: int) -> None:
        self._path, self._write, self._limit = path, write, limit
        self._file: Optional[tuple[int, int]] = None
        self._at = 0
        self._last = b""
        self._cut: Optional[Cut] = None
        self.printed = False

    def print_more(self) -> None:
        """Print what has come since the last call. Raises OSError: it cannot be read, for some seconds."""
        try:
            with system.with_patience(lambda: open(self._path, "rb", opener=system.open_to_read)) as log:
                self._find_place(log)
                self._print(log)
        except FileNotFoundError:
            # It prints nothing, or somebody tidies up.
            return

    def print_rest(self) -> None:
        """As `print_more`, for the last time: what ends in the middle of a character is shown, too."""
        self.print_more()
        self._write(b"")

    def print_if_free(self) -> None:
        """The same, but where somebody keeps it to himself (Windows) that is left for the next call."""
        try:
            self.print_more()
        except OSError as error:
            if not system.is_transient(error):
                raise

    def _print(self, log: IO[bytes]) -> None:
        log.seek(self._at)
        while data := log.read(_PIECE):
            self._write(data)
            self._at += len(data)
            self._last = (self._last + data)[-_KNOWN:]
            self.printed = True

    def _find_place(self, log: IO[bytes]) -> None:
        found = os.fstat(log.fileno())
        if self._file != (found.st_dev, found.st_ino):
            # The first look; or somebody has removed it, and a further attempt has made it anew.
            self._file, self._at, self._last = (found.st_dev, found.st_ino), 0, b""
        if not self._is_where_it_was(log):
            self._go_on_behind(self._new_cut(log), log)
        elif self._at <= self._limit // 4 < found.st_size != self._at:
            # What it says of a cut is still to come, and is shown as it stands there.
            self._cut = find_cut(log, self._limit)

    def _is_where_it_was(self, log: IO[bytes]) -> bool:
        log.seek(self._at - len(self._last))
        return log.read(len(self._last)) == self._last

    def _new_cut(self, log: IO[bytes]) -> Optional[Cut]:
        for _ in range(_TRIES):
            cut = find_cut(log, self._limit)
            if cut is not None and cut != self._cut:
                return cut
            # It may be in the middle of being cut.
            system.sleep(_PAUSE)
        return None

    def _go_on_behind(self, cut: Optional[Cut], log: IO[bytes]) -> None:
        if cut is None:
            # Somebody has written something else into it.
            self._at, self._last, self._cut = 0, b"", None
            return
        missed = printed_before(cut, self._limit, cut.end) - printed_before(self._cut, self._limit, self._at)
        if missed > 0:
            say(f"--- {missed} bytes were cut before they could be shown (log_max_bytes) ---")
        self._at, self._cut = cut.end + max(-missed, 0), cut
        log.seek(max(self._at - _KNOWN, 0))
        self._last = log.read(min(_KNOWN, self._at))


class Attempts:
    """Tells on stderr how each attempt has ended, and when the next one comes."""

    def __init__(self, queue: Queue, job_id: str) -> None:
        self._queue, self._job_id = queue, job_id
        self._seen: Optional[tuple[Place, tuple[int, int]]] = None
        self._told: Optional[Run] = None
        self._begun = False

    def tell(self, place: Place) -> None:
        """It has been seen there, and what it had printed before has been shown."""
        spool = self._queue.store.spool
        try:
            seen = (place, spool.version(place))
            if seen == self._seen:
                return
            found = spool.find(self._job_id, self._queue.store.config.max_job_bytes)
        except (OSError, DamagedRecord):
            # It has moved on, or somebody edits it: the next look tells.
            return
        if found is not None and (found[0], found[1].version) == seen:
            self._seen = seen
            self._tell_of(found[1].job, place.state)

    def tell_end(self, place: Place) -> None:
        """The same, of where it rests, and what has become of it."""
        self.tell(place)
        if self._seen is None or self._seen[0] != place:
            # Its file cannot be read, or holds no job.
            say(f"{self._job_id} {_ENDS[place.state]}")

    def _tell_of(self, job: Job, state: State) -> None:
        for run in self._new(job):
            if run.outcome not in ("completed", "skipped"):
                waits = run is job.history[-1] and state is State.FAILED
                say(cell(_sentence(run) + (f"; next {_when(job)}" if waits else "")))
        if state in _ENDS:
            say(cell(f"{job.name} {_end(job, state)}"))
        self._told = job.history[-1] if job.history else None
        self._begun = True

    def _new(self, job: Job) -> list[Run]:
        if not self._begun:
            # What was before we came is told of only where it is what is waited for now.
            return job.history[-1:] if job.state is State.FAILED else []
        new: list[Run] = []
        for run in reversed(job.history):
            if run == self._told:
                break
            new.insert(0, run)
        return new


def _sentence(run: Run) -> str:
    verb = run.outcome if run.outcome in ("cancelled", "crashed") else "failed"
    why = f" ({run.error})" if run.error and run.error != verb else ""
    return f"attempt {run.attempt} {verb}{why}"


def _when(job: Job) -> str:
    return f"at {job.run_at}" if job.run_at else "at once"


def _end(job: Job, state: State) -> str:
    outcome = outcome_of(job, state)
    if outcome == "skipped":
        return f"was skipped: {job.history[-1].error}"
    if outcome is None:
        return f"{_ENDS[state]}: put there by hand"
    return f"{_ENDS[state]}: {job.error}" if state is State.DEAD else _ENDS[state]
