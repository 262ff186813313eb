"""What happens to jobs and workers, told to whoever listens: the log, the progress of `run`, a test."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional


class Event(NamedTuple):
    """Something that happened. `kind` is one of those below; times and delays are in seconds."""

    kind: str
    worker: Optional[str] = None
    job_id: Optional[str] = None
    text: str = ""
    attempt: Optional[int] = None
    exit_code: Optional[int] = None
    seconds: Optional[float] = None
    """How long the run took."""
    delay: Optional[float] = None
    """The wait before the next run."""


WORKER_STARTED = "worker_started"
WORKER_STOPPED = "worker_stopped"
STOPPING = "stopping"
JOB_STARTED = "job_started"
JOB_COMPLETED = "job_completed"
JOB_FAILED = "job_failed"
JOB_DEAD = "job_dead"
JOB_CANCELLED = "job_cancelled"
JOB_INTERRUPTED = "job_interrupted"
JOB_RECOVERED = "job_recovered"
JOB_SCHEDULED = "job_scheduled"
SCHEDULE_LEFT_OUT = "schedule_left_out"
JOB_RENAMED = "job_renamed"
FILE_REFUSED = "file_refused"
TIDIED = "tidied"
NEW_SPOOL = "new_spool"
NOTICE = "notice"

Listener = Callable[[Event], None]


def nobody(event: Event) -> None:
    """A listener that does not listen."""
