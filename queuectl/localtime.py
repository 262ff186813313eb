"""A time as a person says it, by the clock on the wall: `2027-01-01 09:00`, `09:00`. Pure.

The clock of a time zone leaves an hour out as summer begins, and has one twice as it ends. A time that is
left out is refused; of one that comes twice the first is meant, and the person is told.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple, Optional

from queuectl.moment import format_moment, in_zone, parse_moment

_WALL = r"(?a)(?:(\d{4}-\d\d-\d\d)(?:[Tt ]+|\Z))?(?:(\d{1,2}):(\d\d)(?::(\d\d))?)?\Z"
_ZONED = r"(?a)(\d{4}-\d\d-\d\d)[Tt ]+(\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)\Z"
_KNOWN = "a time such as '2027-01-01 09:00', 09:00 (the next one) or 2027-01-01T09:00:00Z"


class Told(NamedTuple):
    """A moment in seconds since the epoch; `remark` is set where it may not be the one that was meant."""

    moment: float
    remark: Optional[str] = None


def read_local(text: str, zone: tzinfo, now: float) -> Told:
    """The moment that somebody means whose clock shows the time of `zone`.

    Raises:
        ValueError: it is none, or the clock leaves it out.
    """
    text = text.strip()
    if zoned := re.match(_ZONED, text):
        day, clock, seconds, offset = zoned.groups()
        return Told(parse_moment(f"{day}T{clock}{seconds or ':00'}{offset}"))
    match = re.match(_WALL, text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not {_KNOWN}")
    day, *clock = match.groups()
    today = in_zone(now, zone).replace(tzinfo=None, fold=0, microsecond=0)
    try:
        hour, minute, second = (int(one or 0) for one in clock)
        date = today if day is None else datetime.fromisoformat(day)
        wall = date.replace(hour=hour, minute=minute, second=second)
        tomorrow = wall + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a time that exists: {error}") from None
    if day is not None:
        return _at(wall, zone)
    once_more = wall.replace(tzinfo=zone, fold=1).timestamp()
    if once_more <= now:
        return _at(tomorrow, zone)
    # Where the clock shows it twice today, the first may have passed.
    return _at(wall, zone) if wall.replace(tzinfo=zone).timestamp() > now else Told(once_more)


def _at(wall: datetime, zone: tzinfo) -> Told:
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    try:
        moment = first.timestamp()
        there = in_zone(moment, zone)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{wall:%Y-%m-%d %H:%M} is beyond what a clock can show: {error}") from None
    if there.replace(tzinfo=None, fold=0) != wall:
        raise ValueError(
            f"{wall:%Y-%m-%d %H:%M} does not exist in {_called(zone)}, where the clocks are put forward "
            f"over it: is {there:%H:%M} meant?"
        )
    if first.utcoffset() != second.utcoffset():
        later = second.isoformat(sep="T", timespec="seconds")
        told = f"{wall:%Y-%m-%d %H:%M} comes twice in {_called(zone)}; the first is meant"
        return Told(moment, f"{told}. The second is {later}")
    return Told(moment)


def _called(zone: tzinfo) -> str:
    name = str(zone)
    return name if "/" in name or name == "UTC" else "the time zone of this machine"


def format_local(moment: float, zone: tzinfo) -> str:
    """A moment by the clock of `zone`, with its name there, to the second: `2027-01-01 09:00:00 CET`."""
    try:
        return f"{in_zone(moment, zone):%Y-%m-%d %H:%M:%S %Z}"
    except (OverflowError, ValueError):
        # At an end of the calendar.
        return format_moment(moment)
