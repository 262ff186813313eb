"""What a task may know of the run that it is called by, and tell of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Optional

from queuectl.errors import QueueError
from queuectl.tidings import tell_progress

if TYPE_CHECKING:
    from queuectl.job import Job


class Current:
    """The run that is under way here."""

    def __init__(self, job: Job, spool: str, progress_path: Optional[str]) -> None:
        self.job, self.spool = job, spool
        self._progress_path = progress_path

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
            tell_progress(self._progress_path, percent, text)


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


@contextmanager
def being(one: Current) -> Iterator[None]:
    """Let `current` be this one in the block."""
    token = _current.set(one)
    try:
        yield
    finally:
        _current.reset(token)
