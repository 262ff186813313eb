"""What a task may know of the run that it is called by, and tell of itself."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Optional

from queuectl.errors import QueueError
from queuectl.tidings import forget_progress, tell_progress

if TYPE_CHECKING:
    from queuectl.job import Job


class Current:
    """The run that is under way here."""

    def __init__(self, job: Job, spool: str, progress_path: Optional[str]) -> None:
        self.job, self.spool = job, spool
        self._progress_path = progress_path
        self._told = False

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.name

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        from queuectl.job import next_attempt

        return next_attempt(self.job)

    def progress(self, percent: float, text: str = "") -> None:
        """Tell how far it is, for `status`, `worker list` and `run`: a command's `QUEUECTL_PROGRESS`.

        No error where that cannot be told: the work goes on.
        """
        if self._progress_path is not None:
            self._told = True
            tell_progress(self._progress_path, percent, text)

    def end(self) -> None:
        """Take back what was told."""
        path, self._progress_path = self._progress_path, None
        if self._told and path is not None:
            forget_progress(path)


_current: ContextVar[Optional[Current]] = ContextVar("queuectl_current", default=None)


def current() -> Current:
    """The run that has called the task in which this is called.

    Raises:
        QueueError: none has: the function was called by hand, or this is another thread than the task's.
    """
    found = _current.get()
    if found is None:
        raise QueueError("no job runs here", hint="current() is for functions that a worker calls")
    return found


def be(one: Current) -> None:
    """From here on let `current` be this one in this context."""
    _current.set(one)
