"""Moments and durations as text: RFC 3339 in UTC on disk, seconds since the epoch in the program. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Optional

# Compiled by `re` when they are first needed.
_RFC3339 = r"(?a)(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)?\Z"
_SORTABLE = r"(?a)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{3})?Z\Z"
_DURATION = r"(?a)(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
_FLOAT_ERROR = 0.002
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def format_moment(seconds: float) -> str:
    """`seconds` since the epoch as RFC 3339 in UTC with milliseconds, e.g. `2026-11-24T09:00:00.000Z`."""
    # A file's time can be anything; what no calendar has becomes the nearest that it has.
    seconds = min(max(seconds, _FIRST), _LAST)
    # Down: a job whose retry is due now must not become due half a millisecond later.
    second, rest = divmod(int((seconds * 1000 + _FLOAT_ERROR) // 1), 1000)
    return f"{_second(second)}.{rest:03}Z"


def in_zone(seconds: float, zone: tzinfo) -> datetime:
    """`seconds` since the epoch by the clock of `zone`.

    Not by `datetime.fromtimestamp`, which on Windows knows neither distant nor early years.

    Raises:
        OverflowError: no calendar goes so far.
    """
    return (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)


def format_microseconds(microseconds: int) -> str:
    """Microseconds since the epoch as RFC 3339 in UTC, to the last of them."""
    second, rest = divmod(microseconds, 1_000_000)
    return f"{_second(second)}.{rest:06}Z"


@lru_cache(16)
def _second(since_epoch: int) -> str:
    return (_EPOCH + timedelta(seconds=since_epoch)).isoformat()[: -len("+00:00")]


def parse_moment(text: str) -> float:
    """RFC 3339 text as seconds since the epoch.

    Raises:
        ValueError: not RFC 3339, or without a time zone.
    """
    match = re.match(_RFC3339, text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time such as 2027-01-01T09:00:00Z")
    day, clock, fraction, zone = match.groups()
    if zone is None:
        raise ValueError(f"{text!r} has no time zone; end it with Z (UTC) or an offset such as +01:00")
    offset = "+00:00" if zone in "Zz" else zone
    try:
        whole = (datetime.fromisoformat(f"{day}T{clock}{offset}") - _EPOCH).total_seconds()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a time that exists: {error}") from None
    return whole + (float(f"0.{fraction}") if fraction else 0.0)


@lru_cache(64)
def read_moment(text: Optional[str]) -> Optional[float]:
    """Like `parse_moment`, for times that other tools wrote: None where there is none to understand."""
    if not text:
        return None
    for candidate in (text, f"{text}Z"):
        try:
            return parse_moment(candidate)
        except ValueError:
            continue
    return None


@lru_cache(16)
def sortable_moment(text: Optional[str]) -> Optional[str]:
    """A time that other tools may have written, in the form in which texts sort as times do (to the
    millisecond); None where there is none to understand.
    """
    moment = read_moment(text)
    if text is None or moment is None:
        return None
    # What we have written stays as it is, to the microsecond.
    return text if re.match(_SORTABLE, text) else format_moment(moment)


def parse_duration(text: str) -> float:
    """A duration such as `90`, `1.5s`, `10m`, `2h30m` or `1d` in seconds.

    Raises:
        ValueError: not a duration.
    """
    compact = text.strip().lower()
    total, position = 0.0, 0
    while position < len(compact):
        match = re.compile(_DURATION).match(compact, position)
        if match is None or (match[2] is None and match.end() != len(compact)):
            break
        total += float(match[1]) * _UNIT_SECONDS[match[2] or "s"]
        position = match.end()
    if not compact or position != len(compact):
        raise ValueError(f"{text!r} is not a duration such as 90, 1.5s, 10m, 2h30m or 1d")
    return total


def format_duration(seconds: float) -> str:
    """A duration for people: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
