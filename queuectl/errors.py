"""Every error that queuectl raises on purpose: its message says what is wrong, where, and what to do.

`exit_code` is what the command line returns for it; `kind` is its name in JSON errors.
"""

from __future__ import annotations

from typing import Any, Optional, Union

_HEAD, _TAIL = 240, 80
"""Characters that are kept of a message that is too long."""


class QueueError(Exception):
    """Something went wrong that the user can act on."""

    exit_code = 1
    kind = "error"

    def __init__(self, message: str, *, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def data(self) -> dict[str, Union[str, int, None]]:
        """It as the JSON contract has it."""
        return {
            "error": self.kind,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class InvalidInput(QueueError):
    """A job, an option or a value that cannot be accepted."""

    exit_code = 2
    kind = "invalid_input"

    def __init__(self, message: str, *, hint: Optional[str] = None, blank: bool = False) -> None:
        self.blank = blank
        """It is of a file that holds nothing yet: somebody may be about to write into it."""
        if len(message) > _HEAD + _TAIL:
            # It quotes the input, which may be a megabyte; its end says where in the file.
            message = f"{message[:_HEAD]} ... {message[-_TAIL:]}"
        super().__init__(message, hint=hint)


class NoSuchJob(QueueError):
    """No job of this id is in the spool."""

    exit_code = 3
    kind = "no_such_job"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id!r} in this spool", hint="queuectl list shows the ids")


class NoSuchSchedule(QueueError):
    """No schedule of this name is in the spool."""

    exit_code = 3
    kind = "no_such_schedule"

    def __init__(self, name: str) -> None:
        super().__init__(f"no schedule {name!r} in this spool", hint="queuectl schedule list shows the names")


class NoSuchGroup(QueueError):
    """No group of this name has a file in the spool."""

    exit_code = 3
    kind = "no_such_group"

    def __init__(self, name: str) -> None:
        super().__init__(f"no limits are set for group {name!r}", hint="queuectl group list shows the groups")


class NoSuchHook(QueueError):
    """For this event there is no hook for all jobs."""

    exit_code = 3
    kind = "no_such_hook"

    def __init__(self, name: str) -> None:
        super().__init__(f"no hook {name!r} for all jobs", hint="queuectl hook list shows them")


class Conflict(QueueError):
    """The id is taken, or the job's state does not allow what was asked."""

    exit_code = 4
    kind = "conflict"


class Busy(QueueError):
    """Somebody else holds what is needed; trying again later will do."""

    exit_code = 5
    kind = "busy"


class DamagedRecord(QueueError):
    """A file that should hold a job does not."""

    exit_code = 6
    kind = "damaged_record"


class SpoolUnusable(QueueError):
    """The spool folder is missing, not ours, not writable, or its disk is full."""

    exit_code = 7
    kind = "spool_unusable"


class TimedOut(QueueError):
    """What was waited for has not come about in the time that was given for it."""

    exit_code = 125
    kind = "timed_out"


class JobFailed(QueueError):
    """The job whose result was waited for is dead, or gone."""

    kind = "job_failed"

    def __init__(self, row: dict[str, Any]) -> None:
        """`row` is that of the job, as `Queue.wait` returns it."""
        self.row = row
        why = row["error"] or "it was put into the dead letter queue"
        hint = None if row["state"] is None else f"queuectl logs {row['id']}"
        super().__init__(f"job {row['id']} has no result: {why}", hint=hint)


def system_error(error: OSError) -> SpoolUnusable:
    """What is told of something that the system refuses."""
    where = f": {error.filename}" if error.filename else ""
    return SpoolUnusable(f"{error.strerror or error}{where}")


class Interrupted(QueueError):
    """Stopped by the user before it was finished."""

    exit_code = 130
    kind = "interrupted"
