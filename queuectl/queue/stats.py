"""Numbers for a period, from the records of the jobs that have changed in it: the files are the truth."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timezone, tzinfo
from math import isfinite
from typing import Any, Callable, NamedTuple, Optional, Union

import msgspec

from queuectl.codec import decode_job
from queuectl.errors import InvalidInput
from queuectl.index.lately import Changed
from queuectl.job import HISTORY_LIMIT, SKIPPED, Job, Run
from queuectl.moment import format_moment, read_moment
from queuectl.parts import DAY, HOUR, Part, part_of, parts
from queuectl.queue.store import Store
from queuectl.runner import CANCELLED, COMPLETED
from queuectl.spool import Place
from queuectl.state import State
from queuectl.tally import Bars, Tallies

BY = ("group", "tag", "state", "hour", "day")
TOLD_EVERY = 500
MOST_FILLED = 10_000
"""Hours or days up to which those are told, too, in which nothing has happened."""
_STEPS = {"hour": HOUR, "day": DAY}
_NO_FAILURES = (COMPLETED, CANCELLED)
_EARLIEST = -62e9
"""The year 5: any zone's calendar goes so far."""


class _Run(msgspec.Struct):
    outcome: str = ""
    started_at: Optional[str] = None
    finished_at: Optional[str] = None


class _Brief(msgspec.Struct):
    """What of a record is counted: to read only this takes a third of the time."""

    created_at: Optional[str] = None
    history: list[_Run] = []


_DECODER = msgspec.json.Decoder(_Brief)


class Period(NamedTuple):
    """From when until when, in seconds since the epoch, what by, by which clock hours and days begin, and of
    which jobs: those of a group, with a tag, or all.
    """

    since: float
    until: float
    by: Optional[str] = None
    zone: tzinfo = timezone.utc
    group: Optional[str] = None
    tag: Optional[str] = None

    def takes(self, row: Changed) -> bool:
        """Whether this job is one of those."""
        return self.group in (None, row.group) and (self.tag is None or self.tag in row.tags)


def stats(store: Store, period: Period, told: Callable[[int, int], object]) -> dict[str, Any]:
    """See `Queue.stats`."""
    if period.by not in (None, *BY):
        raise InvalidInput(f"there are no numbers by {period.by!r}", hint=f"there are {', '.join(BY)}")
    if not (isfinite(period.since) and period.since < period.until):
        raise InvalidInput("a period is longer than no time at all, and has a begin")
    period = period._replace(since=max(period.since, _EARLIEST))
    count = _Count(store, period)
    ended = store.index.lately()
    total = ended.count_changed(period.since)
    for number, row in enumerate(ended.changed(period.since)):
        if number % TOLD_EVERY == 0:
            told(number, total)
        if period.takes(row):
            count.take(row)
    return count.data()


class _Count:
    def __init__(self, store: Store, period: Period) -> None:
        self._store, self._period = store, period
        self._limit = store.config.max_job_bytes
        self._tallies, self._bars = Tallies(), Bars(period.since, period.until, period.zone)
        self._moving: set[str] = set()
        self._unread = 0
        self._hours: dict[Optional[str], float] = {}
        """Of each hour or day how many hours it has."""

    def take(self, row: Changed) -> None:
        """Count what has happened to this job in the period."""
        if row.id in self._moving:
            return
        if not row.is_job:
            self._unread += self._is_in(row.at)
            return
        if row.state not in (State.COMPLETED, State.DEAD):
            # RACE: it may end while we read, and be met again there.
            self._moving.add(row.id)
        else:
            self._take_end(row)
        try:
            record = self._read(Place(row.state, row.id, row.worker))
        except FileNotFoundError:
            return
        except (InvalidInput, OSError):
            self._unread += 1
            return
        first = 1 if len(record.history) >= HISTORY_LIMIT else 0
        runs: list[Union[_Run, Run]] = [run for run in record.history if run.outcome != SKIPPED]
        for number, run in enumerate(runs, first):
            self._take_run(row, run, read_moment(record.created_at), number)

    def _take_end(self, row: Changed) -> None:
        if not self._is_in(row.at):
            return
        dead = row.state is State.DEAD
        self._bars.note_end(row.at, dead=dead)
        for tally in self._tallies.of(self._keys(row, row.at)):
            tally.note_end(dead=dead)

    def _take_run(self, row: Changed, run: Union[_Run, Run], created: Optional[float], number: int) -> None:
        """Count a run, the one of this number; where the history is cut nobody knows which was the first."""
        ended, began = read_moment(run.finished_at), read_moment(run.started_at)
        if ended is None or not self._is_in(ended):
            return
        failed = run.outcome not in _NO_FAILURES
        self._bars.note_run(ended, failed=failed)
        for tally in self._tallies.of(self._keys(row, ended)):
            tally.note_run(
                failed=failed,
                again=number > 0,
                waited=None if number or began is None or created is None else began - created,
                ran=None if began is None else ended - began,
            )

    def _is_in(self, moment: float) -> bool:
        return self._period.since <= moment <= self._period.until

    def _keys(self, row: Changed, at: float) -> Sequence[Optional[str]]:
        by = self._period.by
        if by is None:
            return ()
        if by == "tag":
            return list(dict.fromkeys(row.tags)) or (None,)
        if by == "group":
            return (row.group,)
        if by == "state":
            return (row.state.value,)
        return (self._noted(part_of(at, _STEPS[by], self._period.zone)),)

    def _noted(self, part: Part) -> str:
        key = format_moment(part.begin)
        self._hours[key] = (part.end - part.begin) / 3600
        return key

    def _read(self, place: Place) -> Union[_Brief, Job]:
        data, _ = self._store.spool.read_bytes(place, self._limit)
        try:
            return _DECODER.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # Written by another program, perhaps in UTF-16.
            return decode_job(data)

    def data(self) -> dict[str, Any]:
        """The numbers, as plain data."""
        period = self._period
        hours = (period.until - period.since) / 3600
        self._fill()
        each = sorted(self._tallies.each.items(), key=lambda pair: (pair[0] is None, pair[0] or ""))
        return {
            "since": format_moment(period.since),
            "until": format_moment(period.until),
            **self._tallies.all.data(hours),
            "unread": self._unread,
            "by": period.by,
            "each": [{"key": key, **tally.data(self._hours.get(key, hours))} for key, tally in each],
            "step": self._bars.step,
            "bars": self._bars.data(),
        }

    def _fill(self) -> None:
        """Have numbers of the hours or days in which nothing has happened, too."""
        period, step = self._period, _STEPS.get(self._period.by or "")
        if step is not None and (period.until - period.since) / step <= MOST_FILLED:
            for part in parts(period.since, period.until, step, period.zone):
                self._tallies.of([self._noted(part)])
