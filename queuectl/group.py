"""A group of jobs: how many of it may run at once, how many may start in a time. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple, Optional

import msgspec

from queuectl.checks import Problem
from queuectl.job import described
from queuectl.moment import format_moment, parse_duration, read_moment

MOST_STARTS = 10_000
"""Starts that are remembered for a rate."""
UNLIMITED = 1_000_000
"""Slots of a group that has no limit: more than there are workers."""
_SLACK = 1.0
"""Seconds by which clocks are corrected all the time."""
_RATE = r"(?a)\s*(\d{1,5})\s*/\s*(.+?)\s*\Z"
_UNITS = {
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86400.0),
}


class Group(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a person says of a group; its file's name is its name. One without a file has no limits."""

    schema: Annotated[Optional[str], described("For editors; ignored.")] = msgspec.field(
        default=None, name="$schema"
    )
    limit: Annotated[
        Optional[Annotated[int, msgspec.Meta(ge=1, le=UNLIMITED)]],
        described("How many of its jobs may run at once, over all workers."),
    ] = None
    rate: Annotated[
        Optional[str], described("How many may start in a time: `10/min`, `2/s`, `500/day`, `1/90s`.")
    ] = None
    paused: Annotated[bool, described("None of its jobs starts while this is true.")] = False
    description: Annotated[Optional[str], described("For people.")] = None


class Rate(NamedTuple):
    """At most so many starts in any so many seconds."""

    most: int
    seconds: float


class Slots(NamedTuple):
    """How many jobs of a group may start now; if none for its rate alone, when one may, since the epoch."""

    free: int
    opens: Optional[float] = None


def parse_rate(text: str) -> Rate:
    """A rate such as `10/min`.

    Raises:
        ValueError: it is none.
    """
    match = re.match(_RATE, text.lower())
    told = ValueError(f"{text!r} is not a rate such as 10/min, 2/s, 500/day or 1/90s")
    if match is None or not 1 <= int(match[1]) <= MOST_STARTS:
        raise told
    try:
        seconds = _UNITS[match[2]] if match[2] in _UNITS else parse_duration(match[2])
    except ValueError:
        raise told from None
    if not 0 < seconds <= 1e9:  # noqa: PLR2004 (30 years, as of any duration)
        raise told
    return Rate(int(match[1]), seconds)


def problem_of_group(group: Group) -> Optional[Problem]:
    """The first thing wrong with it that its types alone do not tell, or None."""
    try:
        if group.rate is not None:
            parse_rate(group.rate)
    except ValueError as error:
        return Problem("rate", str(error))
    return None


def slots(group: Group, running: int, starts: Sequence[float], now: float) -> Slots:
    """How many of its jobs may start now, of which so many run; `starts` are the latest, in their order."""
    if group.paused:
        return Slots(0)
    free = UNLIMITED if group.limit is None else group.limit - running
    if free <= 0 or group.rate is None:
        return Slots(max(free, 0))
    rate = parse_rate(group.rate)
    recent = [one for one in starts if now - rate.seconds < one]
    left = rate.most - len(recent)
    if left > 0:
        return Slots(min(free, left))
    # A clock that was set back must not close a group for years.
    return Slots(0, min(recent[-rate.most], now) + rate.seconds)


def with_starts(starts: Sequence[str], group: Group, now: float, count: int) -> list[str]:
    """What is to be remembered of the starts of this group, of which so many come now."""
    if group.rate is None:
        return []
    stamp = format_moment(now)
    return [*starts, *[stamp] * count][-parse_rate(group.rate).most :]


def moments_of(starts: Sequence[str], now: float) -> list[float]:
    """These starts in seconds since the epoch, in order; none in the future: the clock has been set back."""
    found = (read_moment(one) for one in starts)
    return sorted(one for one in found if one is not None and one <= now + _SLACK)
