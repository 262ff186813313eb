"""A schedule's file and the record beside it, in and out of bytes, as `codec` does with a job's."""

from __future__ import annotations

from typing import NoReturn, Optional

import msgspec

from queuectl.codec import decode_one, schema_of, source_of
from queuectl.complaints import Kind, complaint, complaint_of
from queuectl.errors import InvalidInput
from queuectl.job import KEPT_FIELDS, USER_FIELDS
from queuectl.moment import parse_moment
from queuectl.names import id_problem
from queuectl.schedule import Record, Schedule, problem_of_schedule, problem_of_template
from queuectl.source import Source

_SMALLEST = 'the smallest schedule is {"every": "1h", "job": {"command": "echo hi"}}'
_MEANT = {
    "interval": "every",
    "when": "cron",
    "at": "cron",
    "crontab": "cron",
    "tz": "timezone",
    "zone": "timezone",
    "time_zone": "timezone",
    "command": "job",
    "run": "job",
    "enabled": "paused",
    "misfire": "catch_up",
    "missed": "catch_up",
    "from": "start_at",
    "until": "end_at",
    **dict.fromkeys((name for name in USER_FIELDS if name not in Schedule.__struct_fields__), "job"),
}
SCHEDULE = Kind(
    "schedule",
    tuple(Schedule.__struct_encode_fields__),
    _MEANT,
    "what the job is to know goes into 'job'",
    {"job": _SMALLEST},
)
_DECODER = msgspec.json.Decoder(Schedule)
_RECORDS = msgspec.json.Decoder(Record)


class _Outside(msgspec.Struct):
    """Only the job of a schedule, unread."""

    job: msgspec.Raw = msgspec.Raw()


def decode_schedule(data: bytes, *, placeless: bool = False) -> Schedule:
    """The schedule that a file of these bytes holds; `placeless` where a line's number tells nobody anything.

    Raises:
        InvalidInput: it holds none; says what is wrong and where.
    """
    whole = source_of(data, smallest=_SMALLEST, placeless=placeless)
    try:
        schedule = _DECODER.decode(whole.text.encode())
        problem, its_jobs = problem_of_schedule(schedule), problem_of_template(schedule.job)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        _refuse(whole, error)
    if problem:
        where = whole.place_of_field(problem.field)
        raise InvalidInput(f"{problem.field}: {problem.text}{where}")
    if its_jobs:
        raise complaint_of(_job_in(whole) or whole, its_jobs, "job: ")
    return schedule


def checked_schedule(schedule: Schedule) -> Schedule:
    """`schedule`, put together by a program, through the same checks as a file.

    Raises:
        InvalidInput: one of its fields cannot be.
    """
    return decode_schedule(msgspec.json.encode(schedule), placeless=True)


def _refuse(whole: Source, error: Exception) -> NoReturn:
    try:
        # That it is no JSON further on is to be told first.
        msgspec.json.decode(whole.text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeError) as syntax:
        raise complaint(whole, syntax, SCHEDULE) from None
    if (inner := _job_in(whole)) is not None:
        try:
            decode_one(inner)
        except InvalidInput as mistake:
            raise InvalidInput(f"job: {mistake.message}", hint=mistake.hint) from None
    raise complaint(whole, error, SCHEDULE) from None


def _job_in(whole: Source) -> Optional[Source]:
    """The text of a schedule's job, if that can be told."""
    text = whole.text
    try:
        one = bytes(msgspec.json.decode(text.encode(), type=_Outside).job).decode()
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return Source(one, whole.whole, text.index(one)) if one else None


def encode_schedule(schedule: Schedule) -> bytes:
    """The schedule as a person can open it in Notepad, its job without what only one in the spool has."""
    plain = msgspec.to_builtins(schedule)
    plain["job"] = {name: value for name, value in plain["job"].items() if name not in KEPT_FIELDS}
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"


def decode_record(data: bytes) -> Optional[Record]:
    """The record in these bytes; None where that is none (any more)."""
    try:
        record = _RECORDS.decode(data)
        for moment in (record.begun, record.since, *record.queued, *record.firing):
            parse_moment(moment)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    # Places in the spool are looked at by them.
    return None if any(id_problem(job_id) for job_id in record.jobs) else record


def encode_record(record: Record) -> bytes:
    """The record as it is stored."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def schedule_schema() -> bytes:
    """JSON Schema of a schedule's file, for editors."""
    return schema_of(Schedule, "A queuectl schedule")
