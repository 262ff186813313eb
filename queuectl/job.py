"""A job and what can happen to it. Pure: no I/O, no clock; every transition returns a new record.

The record never says where the job is, the folder does; `state` in the record is a stamp: it tells a
finished run whose move is still to come (completed, failed, dead) from one that never finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple, Optional, Union

import msgspec

from queuectl.moment import format_microseconds, format_moment, parse_moment, read_moment
from queuectl.names import SHELLS, id_problem
from queuectl.state import FINISHED, State

# msgspec evaluates the annotations below at run time, where Python 3.9 knows neither `X | Y` nor the
# aliases that newer versions have: hence typing's names in this module.
DEEPEST = 200
MOST = 1_000_000_000
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Priority = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
ExitCode = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**32 - 1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
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


def _described(text: str, **limits: Any) -> Any:
    return msgspec.Meta(description=text, **limits)


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A job's record: the user's fields first, then those that queuectl keeps."""

    schema: Annotated[Optional[str], _described("For editors; ignored.")] = msgspec.field(
        default=None, name="$schema"
    )
    id: Annotated[
        Optional[str], _described("The job's name, and its file's name without .json; made up if left out.")
    ] = None
    command: Annotated[
        Union[str, list[str]],
        _described("What to run: a string goes to the shell, an array is run as it is."),
    ]
    shell: Annotated[
        Optional[str],
        _described(
            "Which shell takes a command that is a string.", extra_json_schema={"enum": [*SHELLS, None]}
        ),
    ] = None
    cwd: Annotated[
        Optional[str],
        _described("Folder to run in; a relative one starts at the spool's parent."),
    ] = None
    env: Annotated[dict[str, str], _described("Environment variables, added to the worker's own.")] = {}
    stdin: Annotated[Optional[str], _described("Text that the command reads on standard input.")] = None
    priority: Annotated[Priority, _described("Higher runs first.")] = 0
    run_at: Annotated[
        Optional[str],
        _described("Not before this time (RFC 3339, with time zone); the time of the next retry later on."),
    ] = None
    timeout: Annotated[
        Optional[Seconds],
        _described(
            "Seconds until the command's process tree is killed (not what has left its session: setsid)."
        ),
    ] = None
    max_retries: Annotated[Optional[Count], _described("Runs after the first; else the setting.")] = None
    backoff_base: Annotated[
        Optional[Annotated[float, msgspec.Meta(ge=0, le=1e9)]],
        _described("The n-th failed run is followed by base ** n seconds of waiting; else the setting."),
    ] = None
    success_exit_codes: Annotated[
        Optional[list[ExitCode]], _described("Exit codes that mean success; else 0 alone.")
    ] = None
    no_retry_exit_codes: Annotated[
        list[ExitCode], _described("Exit codes after which the job goes to the dead letter queue at once.")
    ] = []
    tags: Annotated[list[str], _described("Words to find the job by.")] = []
    meta: Annotated[Optional[dict[str, Any]], _described("Your own data; queuectl only keeps it.")] = None

    # Kept by queuectl. A default_factory keeps omit_defaults from leaving these out of the file.
    state: Annotated[State, _described("Kept by queuectl: follows the folder.")] = msgspec.field(
        default_factory=lambda: State.PENDING
    )
    attempts: Annotated[Count, _described("Kept by queuectl: runs that ended.")] = msgspec.field(
        default_factory=lambda: 0
    )
    crashes: Annotated[Count, _described("Kept by queuectl: runs whose worker died.")] = msgspec.field(
        default_factory=lambda: 0
    )
    created_at: Annotated[Optional[str], _described("Kept by queuectl: when it came in.")] = None
    updated_at: Annotated[Optional[str], _described("Kept by queuectl: of the last change.")] = None
    exit_code: Annotated[Optional[ExitCode], _described("Kept by queuectl: of the last run.")] = None
    error: Annotated[Optional[str], _described("Kept by queuectl: why the last run failed.")] = None
    result: Annotated[Any, _described("Kept by queuectl: what the last run left in QUEUECTL_RESULT.")] = None
    history: Annotated[list[Run], _described("Kept by queuectl: the runs so far.")] = []

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


class Problem(NamedTuple):
    """What is wrong with a record: the field, and why."""

    field: str
    text: str


def problem_of(job: Job) -> Optional[Problem]:
    """The first thing wrong with `job` that its types alone do not tell, or None."""
    # Most jobs have few of these fields, and of a million each call counts.
    checks = (
        ("id", None if job.id is None else id_problem(job.id)),
        ("command", _command_problem(job.command)),
        ("shell", None if job.shell is None else _shell_problem(job)),
        ("cwd", None if job.cwd is None else _cwd_problem(job.cwd)),
        ("env", _env_problem(job.env) if job.env else None),
        ("run_at", None if job.run_at is None else _run_at_problem(job.run_at)),
        ("tags", _tags_problem(job.tags) if job.tags else None),
        ("meta", None if job.meta is None else _depth_problem(job.meta)),
        ("result", None if job.result is None else _depth_problem(job.result)),
    )
    for field, text in checks:
        if text:
            return Problem(field, text)
    return None


def _shell_problem(job: Job) -> Optional[str]:
    if job.shell not in SHELLS:
        return f"{job.shell!r} is not one of {', '.join(SHELLS)}"
    if not isinstance(job.command, str):
        return "an array is run without a shell; make the command a string, or leave it out"
    return None


def _cwd_problem(cwd: str) -> Optional[str]:
    if not cwd or "\0" in cwd:
        return "a folder's name cannot be empty or contain NUL"
    return None


def _env_problem(env: dict[str, str]) -> Optional[str]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            return f"{name!r} is no variable: no '=', no NUL, and not empty"
    return None


def _run_at_problem(run_at: str) -> Optional[str]:
    try:
        parse_moment(run_at)
    except ValueError as error:
        return str(error)
    return None


def _depth_problem(value: Any) -> Optional[str]:
    # How deep a decoder goes before it gives up depends on the Python; what is taken in must not.
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return None
    return f"nested too deeply (more than {DEEPEST} levels)"


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _tags_problem(tags: list[str]) -> Optional[str]:
    if any(not tag or "\n" in tag for tag in tags):
        return "a tag cannot be empty or contain a line break"
    return None


def _command_problem(command: Union[str, list[str]]) -> Optional[str]:
    if isinstance(command, str):
        if not command.strip():
            return "a command cannot be empty"
    elif not command or not command[0].strip():
        return "an array must begin with the program to run"
    if "\0" in "".join(command):
        return "a command cannot contain NUL"
    return None


def accepted(job: Job, *, job_id: str, now: float, position: int = 0) -> Job:
    """A job on its way in: named, waiting, never run; `position` is its place among those added with it."""
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


def cancelled(job: Job, *, now: float) -> Job:
    """A waiting job that somebody does not want any more: it rests with the dead letters."""
    return msgspec.structs.replace(
        job, state=State.DEAD, run_at=None, updated_at=format_moment(now), error="cancelled"
    )


def dated(job: Job, created: float) -> Job:
    """The same job, telling when it came in, if it did not."""
    return job if job.created_at else msgspec.structs.replace(job, created_at=format_moment(created))


def renamed(job: Job, job_id: str) -> Job:
    """The same job under another id."""
    return msgspec.structs.replace(job, id=job_id)


def success_codes(job: Job) -> tuple[int, ...]:
    """The exit codes that mean success."""
    return (0,) if job.success_exit_codes is None else tuple(job.success_exit_codes)
