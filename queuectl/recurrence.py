"""The moments at which something recurs: a cron expression in a time zone, or an interval. Pure.

cronsim reads the expressions and knows what becomes of them as clocks change, as Debian's cron has it: what
is due at a time of day that is left out runs as soon as that hour is over, what is due at one that comes
twice runs the first time only, and an expression with a `*` in its hour or minute goes by elapsed time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone, tzinfo
from functools import lru_cache
from itertools import islice, takewhile
from typing import NamedTuple, Optional

from queuectl.moment import in_zone

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_CRON_FIELDS = 5
_GRAIN = 0.001
"""Seconds to which moments are told apart."""
_FIRST_SPAN, _WIDENING = 3600.0, 8.0
_LAST = 253_370_764_800.0
"""9999-01-01: beyond the year that follows no calendar goes."""


class Recurrence(NamedTuple):
    """When something recurs: by `cron`, or each `every` seconds, counted from `begin`."""

    cron: Optional[str]
    every: Optional[float]
    zone: tzinfo = timezone.utc
    """That `cron` is meant in."""
    begin: float = 0.0
    """No moment is before this one, in seconds since the epoch; with `every` it is the first."""
    end: Optional[float] = None
    """Nor after this one."""


def expression_problem(text: str) -> Optional[str]:
    """What is wrong with a cron expression, or None."""
    from cronsim import CronSim, CronSimError

    written = NICKNAMES.get(text.strip().lower(), text)
    if len(written.split()) != _CRON_FIELDS:
        names = "minute hour day-of-month month day-of-week"
        return f"{text!r} has not the five fields '{names}', nor is it one of {', '.join(NICKNAMES)}"
    try:
        simulated = CronSim(written, datetime(2000, 1, 1, tzinfo=timezone.utc))
    except (CronSimError, ValueError, AssertionError) as error:
        return f"{text!r} is no cron expression: {str(error)[:1].lower()}{str(error)[1:]}"
    return None if next(simulated, None) else f"{text!r} never comes"


@lru_cache(64)
def zone_of(name: str) -> tzinfo:
    """The time zone of this IANA name.

    Raises:
        ValueError: there is none.
    """
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        # A folder of zones, `Europe`, is one of these as well.
        raise ValueError(f"no time zone {name!r}; they are called as in Europe/Berlin") from error


def moments(recurrence: Recurrence, after: float) -> Iterator[float]:
    """The moments after this one, in seconds since the epoch, each later than the one before."""
    found = _of_cron(recurrence, after) if recurrence.cron else _of_interval(recurrence, after)
    return takewhile(lambda one: one <= (_LAST if recurrence.end is None else recurrence.end), found)


def _of_cron(recurrence: Recurrence, after: float) -> Iterator[float]:
    from cronsim import CronSim

    # The moment at which it begins is one itself, if it fits.
    last = min(max(after, recurrence.begin - _GRAIN), _LAST)
    written = NICKNAMES.get((recurrence.cron or "").strip().lower(), recurrence.cron or "")
    # Where the calendar ends, it fails.
    with suppress(OverflowError):
        for one in CronSim(written, in_zone(last, recurrence.zone)):
            seconds = one.timestamp()
            # In the second of two equal hours it goes on from the first.
            if seconds > last:
                last = seconds
                yield seconds


def _of_interval(recurrence: Recurrence, after: float) -> Iterator[float]:
    every, begin = recurrence.every or 1.0, recurrence.begin
    number = max(0, math.floor((after - begin) / every) - 1)
    while True:
        one = round(begin + number * every, 3)
        if one > after:
            yield one
        number += 1


def next_moment(recurrence: Recurrence, after: float) -> Optional[float]:
    """The first moment after this one; None if there is none."""
    return next(moments(recurrence, after), None)


def next_moments(recurrence: Recurrence, after: float, count: int) -> list[float]:
    """The first so many moments after this one."""
    return list(islice(moments(recurrence, after), count))


def latest_moments(recurrence: Recurrence, after: float, until: float, most: int) -> list[float]:
    """The last of the moments after the one and not after the other, so many at most, in order.

    It looks no further back than it must: a schedule of each minute may have rested for a year.
    """
    span, until = _FIRST_SPAN, until if recurrence.end is None else min(until, recurrence.end)
    while after < until:
        begin = max(after, until - span)
        # Of an interval the first is found at once, and many would have to be passed over.
        if recurrence.every is not None:
            begin = max(after, until - recurrence.every * (most + 1))
        found = deque(takewhile(lambda one: one <= until, moments(recurrence, begin)), maxlen=most)
        if len(found) == most or begin <= after or recurrence.every is not None:
            return list(found)
        span *= _WIDENING
    return []
