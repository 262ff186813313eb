"""Parts of time by the clock on the wall: minutes, hours, days. Pure.

An hour that the clock shows twice is two; where it is put back or forward by less than an hour, the rest of
that hour is one of its own. A day may be 23 or 25 hours long.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple

from queuectl.moment import in_zone

HOUR, DAY = 3600.0, 86400.0
_QUARTER = 900
"""Seconds: no zone's clock differs from another's by less."""
_LAST_DAY = date.max.toordinal() - 1


class Part(NamedTuple):
    """A part of time, from its begin to before its end, in seconds since the epoch."""

    begin: float
    end: float


def part_of(moment: float, step: float, zone: tzinfo) -> Part:
    """The part of `step` seconds that this moment is in: of less than an hour by itself, of hours or days (a
    whole number of them) by the clock of `zone`. Weeks begin on Mondays.
    """
    if step < HOUR:
        # No clock is put back or forward by so little.
        begin = moment // step * step
        return Part(begin, begin + step)
    if step < DAY:
        return _hours(int(moment // _QUARTER), int(step // HOUR), zone)
    return _days(in_zone(moment, zone).toordinal(), int(step // DAY), zone)


def parts(since: float, until: float, step: float, zone: tzinfo) -> Iterator[Part]:
    """The parts from the one that `since` is in to the one that `until` is in."""
    part = part_of(since, step, zone)
    yield part
    while part.end <= until:
        part = part_of(part.end, step, zone)
        yield part


@lru_cache(4096)
def _hours(quarter: int, hours: int, zone: tzinfo) -> Part:
    label, first, last = _label(quarter, hours, zone), quarter, quarter + 1
    while _label(first - 1, hours, zone) == label:
        first -= 1
    while _label(last, hours, zone) == label:
        last += 1
    return Part(float(first * _QUARTER), float(last * _QUARTER))


@lru_cache(4096)
def _label(quarter: int, hours: int, zone: tzinfo) -> tuple[object, ...]:
    there = in_zone(quarter * _QUARTER, zone)
    # Of several hours, those that the clock shows twice are in one part.
    return there.toordinal(), there.hour // hours, there.utcoffset() if hours == 1 else None


@lru_cache(1024)
def _days(ordinal: int, days: int, zone: tzinfo) -> Part:
    # The first of all days was a Monday.
    first = ordinal - (ordinal - 1) % days
    return Part(_midnight(first, zone), _midnight(first + days, zone))


def _midnight(ordinal: int, zone: tzinfo) -> float:
    # Where the clock is put forward over it, that is when the day begins all the same.
    return datetime.fromordinal(min(ordinal, _LAST_DAY)).replace(tzinfo=zone).timestamp()
