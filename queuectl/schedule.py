"""A schedule, which a person writes, and the record that is kept beside it. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Annotated, Optional, Union

import msgspec

from queuectl.checks import Problem, problem_of
from queuectl.job import Job, described
from queuectl.moment import format_moment, parse_duration, parse_moment, read_moment
from queuectl.names import CATCH_UP, MAX_ID_BYTES, OVERLAP, id_problem
from queuectl.recurrence import Recurrence, expression_problem, zone_of

MOST_KEPT = 100
"""Moments that may wait for the job before them, and jobs that are remembered."""
SHORTEST, LONGEST = 1.0, 1e9
_STAMP_BYTES = len("-20270101T090000Z-9999")

Duration = Union[float, str]


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a person says of a recurring job; its file's name is its name."""

    schema: Annotated[Optional[str], described("For editors; ignored.")] = msgspec.field(
        default=None, name="$schema"
    )
    cron: Annotated[
        Optional[str],
        described(
            "When, as cron has it: minute hour day-of-month month day-of-week; or @daily and the like."
        ),
    ] = None
    every: Annotated[
        Optional[Duration],
        described(
            "Or how often: seconds, or text such as 10m; counted from start_at, else from its beginning."
        ),
    ] = None
    timezone: Annotated[
        Optional[str],
        described("The time zone that cron is meant in (Europe/Berlin); else that of the workers' machine."),
    ] = None
    start_at: Annotated[Optional[str], described("Not before this time (RFC 3339, with time zone).")] = None
    end_at: Annotated[Optional[str], described("Not after this time.")] = None
    jitter: Annotated[
        Duration, described("Each comes later by a part of so long, always the same for the same moment.")
    ] = 0.0
    catch_up: Annotated[
        str,
        described(
            "Of moments that passed while no worker ran: `skip` them, run `once`, or `all` of the latest.",
            extra_json_schema={"enum": list(CATCH_UP)},
        ),
    ] = "once"
    catch_up_limit: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=MOST_KEPT)], described("How many of the latest `all` means.")
    ] = 10
    overlap: Annotated[
        str,
        described(
            "While its last job waits or runs: `skip` the next, `queue` it until that has ended, `stop` that "
            "one, or `allow` both.",
            extra_json_schema={"enum": list(OVERLAP)},
        ),
    ] = "skip"
    paused: Annotated[bool, described("Nothing is fired while this is true, nor made up for later.")] = False
    description: Annotated[Optional[str], described("For people.")] = None
    job: Annotated[Job, described("The job, as in a job file, without id and run_at.")]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What queuectl keeps of a schedule; times are RFC 3339 in UTC."""

    timing: str
    """What its moments were computed from."""
    begun: str
    """When it was first seen, or seen with other times: an interval counts from then."""
    since: str
    """All moments up to this one are settled."""
    paused: bool = False
    queued: list[str] = []
    firing: list[str] = []
    jobs: list[str] = []
    """Its latest jobs: those that may not have ended yet, and the last."""
    fired: int = 0
    last_due: Optional[str] = None
    note: Optional[str] = None
    """Why the latest moment that made no job did not."""


def name_problem(name: str) -> Optional[str]:
    """What is wrong with the name of a schedule, which its jobs' ids begin with, or None."""
    if problem := id_problem(name):
        return problem.replace("an id", "a schedule's name")
    room = MAX_ID_BYTES - _STAMP_BYTES
    size = len(name.encode())
    return None if size <= room else f"a schedule's name has at most {room} bytes, this one {size}"


def problem_of_schedule(schedule: Schedule) -> Optional[Problem]:
    """The first thing wrong with it that its types alone do not tell, its job aside, or None."""
    checks = (
        ("cron", _when_problem(schedule)),
        ("every", _duration_problem(schedule.every, SHORTEST) if schedule.every is not None else None),
        ("timezone", _zone_problem(schedule.timezone)),
        ("start_at", _moment_problem(schedule.start_at)),
        ("end_at", _moment_problem(schedule.end_at) or _end_problem(schedule)),
        ("jitter", _duration_problem(schedule.jitter, 0.0) or _jitter_problem(schedule)),
        ("catch_up", _choice_problem(schedule.catch_up, CATCH_UP) or _catch_up_problem(schedule)),
        ("overlap", _choice_problem(schedule.overlap, OVERLAP)),
    )
    return next((Problem(field, text) for field, text in checks if text), None)


def problem_of_template(job: Job) -> Optional[Problem]:
    """The first thing wrong with the job of a schedule that its types alone do not tell, or None."""
    for field in ("id", "run_at"):
        if getattr(job, field) is not None:
            return Problem(field, "each of its jobs gets its own from the schedule: leave it out")
    return problem_of(job)


def _when_problem(schedule: Schedule) -> Optional[str]:
    if (schedule.cron is None) == (schedule.every is None):
        return "give one of 'cron' and 'every'"
    return None if schedule.cron is None else expression_problem(schedule.cron)


def _duration_problem(duration: Duration, least: float) -> Optional[str]:
    try:
        seconds = parse_duration(duration) if isinstance(duration, str) else duration
    except ValueError as error:
        return str(error)
    if not least <= seconds <= LONGEST:
        return f"must be from {least:g} to {LONGEST:g} seconds"
    return None


def _zone_problem(name: Optional[str]) -> Optional[str]:
    try:
        if name is not None:
            zone_of(name)
    except ValueError as error:
        return str(error)
    return None


def _moment_problem(text: Optional[str]) -> Optional[str]:
    try:
        if text is not None:
            parse_moment(text)
    except ValueError as error:
        return str(error)
    return None


def _end_problem(schedule: Schedule) -> Optional[str]:
    start, end = read_moment(schedule.start_at), read_moment(schedule.end_at)
    return "it is before start_at" if start is not None and end is not None and end < start else None


def _jitter_problem(schedule: Schedule) -> Optional[str]:
    every = schedule.every
    if every is None or _duration_problem(every, SHORTEST):
        return None
    return "cannot be more than 'every'" if seconds_of(schedule.jitter) > seconds_of(every) else None


def _choice_problem(word: str, words: Sequence[str]) -> Optional[str]:
    return None if word in words else f"{word!r} is not one of {', '.join(words)}"


def _catch_up_problem(schedule: Schedule) -> Optional[str]:
    if schedule.catch_up == "all" and schedule.overlap not in ("queue", "allow"):
        return '\'all\' needs "overlap": "queue" (one after the other) or "allow" (side by side)'
    return None


def seconds_of(duration: Duration) -> float:
    """A duration that was checked, in seconds."""
    return parse_duration(duration) if isinstance(duration, str) else float(duration)


def recurrence_of(schedule: Schedule, zone: tzinfo, begun: float) -> Recurrence:
    """Its moments, with this time zone where it names none."""
    start = read_moment(schedule.start_at)
    every = None if schedule.every is None else seconds_of(schedule.every)
    begin = start if start is not None else (0.0 if every is None else float(int(begun)))
    if schedule.timezone is not None:
        zone = zone_of(schedule.timezone)
    return Recurrence(schedule.cron, every, zone, begin, read_moment(schedule.end_at))


def timing_of(schedule: Schedule) -> str:
    """What its moments are computed from: where that is another, what is past is settled."""
    every = None if schedule.every is None else seconds_of(schedule.every)
    parts = (schedule.cron, every, schedule.timezone, schedule.start_at, schedule.end_at)
    return " | ".join("-" if part is None else str(part) for part in parts)


def begun(schedule: Schedule, now: float) -> Record:
    """The record of a schedule that is new, or has other times than before."""
    stamp = format_moment(now)
    return Record(timing=timing_of(schedule), begun=stamp, since=stamp, paused=schedule.paused)


def job_id(name: str, moment: float) -> str:
    """The id of the job of this moment, by which it is made once: the time in UTC."""
    text = format_moment(moment)
    return f"{name}-{text[:19].replace('-', '').replace(':', '')}Z"


def job_of(name: str, schedule: Schedule, moment: float) -> Job:
    """The job of this moment."""
    return msgspec.structs.replace(
        schedule.job, id=job_id(name, moment), schedule=name, scheduled_at=format_moment(moment)
    )
