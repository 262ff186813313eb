"""A job and what can happen to it. Pure: no I/O, no clock; every transition returns a new record.

The record never says where the job is, the folder does; `state` in the record is a stamp: it tells a
finished run whose move is still to come (completed, failed, dead) from one that never finished.
"""

from __future__ import annotations

from typing import Annotated, Any, Optional, Union

import msgspec

from queuectl.moment import format_microseconds, format_moment, read_moment
from queuectl.names import SHELLS
from queuectl.state import FINISHED, State

# msgspec evaluates the annotations below at run time, where Python 3.9 knows neither `X | Y` nor the
# aliases that newer versions have: hence typing's names in this module.
MOST = 1_000_000_000
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Priority = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
ExitCode = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**32 - 1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
SUCCESS, FAILURE, ANY = "success", "failure", "any"
OUTCOMES = (SUCCESS, FAILURE, ANY)
"""What a job may want of those that it waits for."""
Hook = Union[str, list[str], dict[str, Any]]
"""A command, a job, or the file of one."""
SKIPPED = "skipped"
"""The outcome of a job that was done without a run."""
HOOK_FILE = "file"
"""The only key of a hook that names a job's file."""
HISTORY_LIMIT = 100
"""Runs kept in a record; the oldest go first."""


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One run of a job, as its record's `history` keeps it."""

    outcome: str
    attempt: Optional[Count] = None
    worker: Optional[str] = None
    started_at: Optional[str] = None
    finished_at: Optional[str] = None
    exit_code: Optional[ExitCode] = None
    error: Optional[str] = None


def described(text: str, **limits: Any) -> Any:
    """What the schema of a file says of one of its fields, with `limits` to its values."""
    return msgspec.Meta(description=text, **limits)


class After(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Something that a job waits for: one other job, or all those of a batch."""

    id: Optional[str] = None
    batch: Optional[str] = None
    on: Annotated[
        str,
        msgspec.Meta(
            description="What it must have come to: `success`, `failure` (it is dead), or `any` end.",
            extra_json_schema={"enum": list(OUTCOMES)},
        ),
    ] = SUCCESS


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A job's record: the user's fields first, then those that queuectl keeps."""

    schema: Annotated[Optional[str], described("For editors; ignored.")] = msgspec.field(
        default=None, name="$schema"
    )
    id: Annotated[
        Optional[str], described("The job's name, and its file's name without .json; made up if left out.")
    ] = None
    command: Annotated[
        Union[str, list[str], None],
        described("What to run: a string goes to the shell, an array is run as it is."),
    ] = None
    task: Annotated[
        Optional[str],
        described("In place of a command: the Python function to call, by the name it is registered under."),
    ] = None
    args: Annotated[list[Any], described("What the task is called with, in their order.")] = []
    kwargs: Annotated[dict[str, Any], described("What the task is called with by name.")] = {}
    shell: Annotated[
        Optional[str],
        described(
            "Which shell takes a command that is a string.", extra_json_schema={"enum": [*SHELLS, None]}
        ),
    ] = None
    cwd: Annotated[
        Optional[str],
        described("Folder to run in; a relative one starts at the spool's parent."),
    ] = None
    env: Annotated[dict[str, str], described("Environment variables, added to the worker's own.")] = {}
    stdin: Annotated[Optional[str], described("Text that the command reads on standard input.")] = None
    priority: Annotated[Priority, described("Higher runs first.")] = 0
    run_at: Annotated[
        Optional[str],
        described("Not before this time (RFC 3339, with time zone); the time of the next retry later on."),
    ] = None
    timeout: Annotated[
        Optional[Seconds],
        described(
            "Seconds until the command's process tree is killed (not what has left its session: setsid)."
        ),
    ] = None
    max_retries: Annotated[Optional[Count], described("Runs after the first; else the setting.")] = None
    backoff_base: Annotated[
        Optional[Annotated[float, msgspec.Meta(ge=0, le=1e9)]],
        described("The n-th failed run is followed by base ** n seconds of waiting; else the setting."),
    ] = None
    success_exit_codes: Annotated[
        Optional[list[ExitCode]], described("Exit codes that mean success; else 0 alone.")
    ] = None
    no_retry_exit_codes: Annotated[
        list[ExitCode], described("Exit codes after which the job goes to the dead letter queue at once.")
    ] = []
    group: Annotated[
        Optional[str], described("The group whose limits it is under; any name, also of one that has none.")
    ] = None
    batch: Annotated[Optional[str], described("What it belongs to: others may wait for all of it.")] = None
    after: Annotated[
        list[Union[str, After]],
        described(
            "Jobs that must have ended first: ids, or objects that also say what they must have come to."
        ),
    ] = []
    hold: Annotated[bool, described("It waits until somebody releases it.")] = False
    unique_key: Annotated[
        Optional[str], described("Of jobs with one key enqueue adds no second while the first is to be done.")
    ] = None
    on_success: Annotated[
        Optional[Hook], described("What to run when it has completed: a command, a job, or the file of one.")
    ] = None
    on_failure: Annotated[Optional[Hook], described("What to run after each run of it that failed.")] = None
    on_dead: Annotated[Optional[Hook], described("What to run when it has failed for good.")] = None
    tags: Annotated[list[str], described("Words to find the job by.")] = []
    meta: Annotated[Optional[dict[str, Any]], described("Your own data; queuectl only keeps it.")] = None

    # Kept by queuectl. A default_factory keeps omit_defaults from leaving these out of the file.
    state: Annotated[State, described("Kept by queuectl: follows the folder.")] = msgspec.field(
        default_factory=lambda: State.PENDING
    )
    attempts: Annotated[Count, described("Kept by queuectl: runs that ended.")] = msgspec.field(
        default_factory=lambda: 0
    )
    crashes: Annotated[Count, described("Kept by queuectl: runs whose worker died.")] = msgspec.field(
        default_factory=lambda: 0
    )
    created_at: Annotated[Optional[str], described("Kept by queuectl: when it came in.")] = None
    updated_at: Annotated[Optional[str], described("Kept by queuectl: of the last change.")] = None
    schedule: Annotated[Optional[str], described("Kept by queuectl: the schedule that it was made by.")] = (
        None
    )
    scheduled_at: Annotated[
        Optional[str], described("Kept by queuectl: the moment of that schedule that it is for.")
    ] = None
    hook_of: Annotated[Optional[str], described("Kept by queuectl: the job whose hook it is.")] = None
    exit_code: Annotated[Optional[ExitCode], described("Kept by queuectl: of the last run.")] = None
    error: Annotated[Optional[str], described("Kept by queuectl: why the last run failed.")] = None
    result: Annotated[
        Any, described("Kept by queuectl: what the last run left in QUEUECTL_RESULT, or its task returned.")
    ] = None
    history: Annotated[list[Run], described("Kept by queuectl: the runs so far.")] = []

    @property
    def name(self) -> str:
        """The id of a job that is in the spool and therefore has one."""
        assert self.id is not None, "a job in the spool has an id"
        return self.id

    @property
    def due(self) -> Optional[float]:
        """The earliest moment at which it may run, in seconds since the epoch; None is at once."""
        return read_moment(self.run_at)


USER_FIELDS = Job.__struct_encode_fields__[: Job.__struct_fields__.index("state")]
KEPT_FIELDS = Job.__struct_encode_fields__[Job.__struct_fields__.index("state") :]


def accepted(job: Job, *, job_id: str, now: float, position: int = 0) -> Job:
    """A job on its way in: named, waiting, never run, nobody's hook; `position` is its place among those that
    are added with it.
    """
    # Microseconds, so that jobs that are added together keep their order; whole ones, since floats of today
    # are a quarter of a microsecond apart.
    stamp = format_microseconds(round(now * 1e6) + position)
    return msgspec.structs.replace(
        job,
        id=job_id,
        state=State.PENDING,
        attempts=0,
        crashes=0,
        created_at=job.created_at or stamp,
        updated_at=stamp,
        exit_code=None,
        hook_of=None,
        error=None,
        result=None,
        history=[],
    )


def retried(job: Job, *, now: float) -> Job:
    """A job that somebody wants to run again, as if it never had."""
    return msgspec.structs.replace(
        job,
        state=State.PENDING,
        attempts=0,
        crashes=0,
        run_at=None,
        updated_at=format_moment(now),
        exit_code=None,
        error=None,
        result=None,
    )


def wants_retry(job: Job) -> bool:
    """Whether a record found in `pending` was dragged there from where finished runs rest."""
    return job.state in FINISHED


def claimed(job: Job, *, now: float) -> Job:
    """A job that leaves `failed` for a worker: its stamp must not look like a finished run's."""
    return msgspec.structs.replace(job, state=State.PROCESSING, updated_at=format_moment(now))


def next_attempt(job: Job) -> int:
    """Which attempt the next run of this job is, from 1."""
    return min(job.attempts + 1, MOST)


def finished(
    job: Job, run: Run, *, state: State, run_at: Optional[float], now: float, result: Any = None
) -> Job:
    """A run that ended, with what follows from it and what it has left."""
    return _ended(job, run, state, run_at, now, attempts=next_attempt(job), result=result)


def crashed(job: Job, run: Run, *, state: State, run_at: Optional[float], now: float) -> Job:
    """A run whose worker died in it: counted apart from the attempts."""
    return _ended(job, run, state, run_at, now, crashes=min(job.crashes + 1, MOST))


def _ended(job: Job, run: Run, state: State, run_at: Optional[float], now: float, **changes: Any) -> Job:
    return msgspec.structs.replace(
        job,
        state=state,
        run_at=None if run_at is None else format_moment(run_at),
        updated_at=format_moment(now),
        exit_code=run.exit_code,
        error=run.error,
        history=[*job.history, run][-HISTORY_LIMIT:],
        **{"result": None, **changes},
    )


def cancelled(job: Job, *, now: float, why: str = "cancelled") -> Job:
    """A waiting job that somebody does not want any more: it rests with the dead letters."""
    return msgspec.structs.replace(
        job, state=State.DEAD, run_at=None, updated_at=format_moment(now), error=why
    )


def dated(job: Job, created: float) -> Job:
    """The same job, telling when it came in, if it did not."""
    return job if job.created_at else msgspec.structs.replace(job, created_at=format_moment(created))


def renamed(job: Job, job_id: str) -> Job:
    """The same job under another id."""
    return msgspec.structs.replace(job, id=job_id)


def parents(job: Job) -> list[After]:
    """What it waits for before its first run."""
    return [After(id=one) if isinstance(one, str) else one for one in job.after]


def is_first(job: Job) -> bool:
    """Whether it has never been begun, as far as its record tells: what it waits for counts only then."""
    return job.attempts == 0 and job.crashes == 0 and job.state is not State.FAILED


def has_begun(job: Job) -> bool:
    """Whether it has ever run: then what it waits for was there once, and may be gone for good reasons."""
    return any(run.started_at is not None for run in job.history)


def skipped(job: Job, *, now: float, why: str) -> Job:
    """A job that was only for something that has not come: it is done without a run."""
    stamp = format_moment(now)
    run = Run(outcome=SKIPPED, finished_at=stamp, error=why)
    return msgspec.structs.replace(
        job,
        state=State.COMPLETED,
        run_at=None,
        updated_at=stamp,
        history=[*job.history, run][-HISTORY_LIMIT:],
    )


def success_codes(job: Job) -> tuple[int, ...]:
    """The exit codes that mean success."""
    return (0,) if job.success_exit_codes is None else tuple(job.success_exit_codes)
