"""Which moments of a schedule are due, and what becomes of each. Pure: no I/O, no clock.

Every moment is settled once: up to `since` of the record they all are. Of those some are to be fired at once
(`firing`), or after the job before them has ended (`queued`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, islice
from typing import NamedTuple, Optional
from zlib import crc32

import msgspec

from queuectl.moment import format_moment, parse_moment
from queuectl.recurrence import Recurrence, latest_moments, moments
from queuectl.schedule import MOST_KEPT, SHORTEST, Record, Schedule, seconds_of

LATE = 60.0
"""Seconds after which a moment counts as missed: no worker ran."""
_ON_TIME = int(LATE / SHORTEST) + 1


class Decision(NamedTuple):
    """What follows at some moment: the record from now on, and whether jobs that go on are to be stopped."""

    record: Record
    stops: bool = False


def fires_at(name: str, moment: float, jitter: float) -> float:
    """When the job of this moment comes: by its jitter later, whoever asks."""
    return moment + jitter * crc32(f"{name} {moment:.3f}".encode()) / 2**32


def due_moments(
    name: str, schedule: Schedule, recurrence: Recurrence, since: float, now: float
) -> list[float]:
    """The latest moments after `since` whose time has come, in order; as many as may matter."""
    jitter, until = seconds_of(schedule.jitter), now
    if jitter:
        # They come in their order: one that has drawn a long wait holds those behind it.
        recent = latest_moments(recurrence, max(since, now - jitter), now, int(jitter) + 2)
        later = [one for one in recent if fires_at(name, one, jitter) > now]
        until = later[0] - 0.001 if later else now
    return latest_moments(recurrence, since, until, _most_due(schedule))


def _most_due(schedule: Schedule) -> int:
    return max(schedule.catch_up_limit, 1) + _ON_TIME


def next_firing(name: str, schedule: Schedule, recurrence: Recurrence, since: float) -> Optional[float]:
    """When the next job comes; None if never."""
    one = next(moments(recurrence, since), None)
    return None if one is None else fires_at(name, one, seconds_of(schedule.jitter))


def settled(
    name: str, schedule: Schedule, record: Record, due: Sequence[float], *, now: float, active: bool
) -> Decision:
    """Settle the moments that are due. `active`: a job of it waits or runs."""
    record = _as_overlap_says(schedule, record)
    wanted = _caught_up(name, schedule, parse_moment(record.since), due, now)
    if due:
        record = msgspec.structs.replace(record, since=format_moment(due[-1]))
    if missed := len(due) - len(wanted):
        # Of very many only the latest were looked at.
        count = "many" if len(due) >= _most_due(schedule) else str(missed - 1)
        record = _noted(record, due[0], f"and {count} more" if missed > 1 else "", "no worker ran")
    for moment in wanted:
        record = _settled_one(schedule, record, moment, busy=active or bool(record.firing))
    # Again at each look until it has ended: it may be about to be retried.
    stops = active and bool(record.queued) and schedule.overlap == "stop"
    return Decision(_released(record, active=active), stops)


def _as_overlap_says(schedule: Schedule, record: Record) -> Record:
    """What waits, where `overlap` was another when it came."""
    if schedule.overlap == "allow" and record.queued:
        return msgspec.structs.replace(record, firing=[*record.firing, *record.queued], queued=[])
    if schedule.overlap == "stop":
        return msgspec.structs.replace(record, queued=record.queued[-1:])
    return record


def _caught_up(name: str, schedule: Schedule, since: float, due: Sequence[float], now: float) -> list[float]:
    jitter = seconds_of(schedule.jitter)
    # One that is held by the wait of another before it comes with that.
    comes = accumulate((fires_at(name, one, jitter) for one in [since, *due]), max)
    late = [one for one, at in zip(due, islice(comes, 1, None)) if now - at > LATE]
    on_time = list(due[len(late) :])
    if schedule.catch_up == "all":
        return late[len(late) - min(len(late), schedule.catch_up_limit) :] + on_time
    if schedule.catch_up == "once" and not on_time:
        return late[-1:]
    return on_time


def _settled_one(schedule: Schedule, record: Record, moment: float, *, busy: bool) -> Record:
    stamp = format_moment(moment)
    if schedule.overlap == "allow" or not (busy or record.queued):
        return msgspec.structs.replace(record, firing=[*record.firing, stamp])
    if schedule.overlap == "skip":
        return _noted(record, moment, "", "the job before it had not ended")
    if schedule.overlap == "stop":
        if record.queued:
            passed = parse_moment(record.queued[-1])
            record = _noted(record, passed, "", "the next one came before the one before it had ended")
        return msgspec.structs.replace(record, queued=[stamp])
    if len(record.queued) >= MOST_KEPT:
        return _noted(record, moment, "", f"{MOST_KEPT} wait already")
    return msgspec.structs.replace(record, queued=[*record.queued, stamp])


def _released(record: Record, *, active: bool) -> Record:
    """The first that waits for the job before it, if that has ended."""
    if active or record.firing or not record.queued:
        return record
    return msgspec.structs.replace(record, firing=record.queued[:1], queued=record.queued[1:])


def _noted(record: Record, moment: float, more: str, why: str) -> Record:
    what = f"{format_moment(moment)} {more}".strip()
    return msgspec.structs.replace(record, note=f"{what}: left out, {why}")


def fired(record: Record, job_ids: Sequence[str], active: Sequence[str], new: int) -> Record:
    """These jobs are there for what was to be fired, so many of them new; before, these were `active`."""
    return msgspec.structs.replace(
        record,
        firing=[],
        jobs=[*active, *job_ids][-MOST_KEPT:],
        fired=record.fired + new,
        last_due=record.firing[-1] if record.firing else record.last_due,
    )
