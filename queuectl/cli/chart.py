"""A chart of text: a bar a line, by eighths of a character where the encoding has them."""

from __future__ import annotations

from collections.abc import Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_PLAIN = "#"


def bars(rows: Sequence[tuple[str, int]], width: int, encoding: str) -> list[str]:
    """A line for each name with its number; the largest takes at most `width` columns."""
    names = max((len(name) for name, _ in rows), default=0)
    digits = max((len(str(number)) for _, number in rows), default=0)
    most = max((number for _, number in rows), default=0)
    room = max(width - names - digits - 4, 1)
    draw = _fine if _can_show(encoding) else _coarse
    lines = (
        f"{name.ljust(names)}  {str(number).rjust(digits)}  {draw(number / most * room) if number else ''}"
        for name, number in rows
    )
    return [line.rstrip() for line in lines]


def _can_show(encoding: str) -> bool:
    try:
        _EIGHTHS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _fine(length: float) -> str:
    """At least an eighth: something is not nothing."""
    whole, rest = divmod(max(round(length * 8), 1), 8)
    return _EIGHTHS[-1] * whole + (_EIGHTHS[rest] if rest else "")


def _coarse(length: float) -> str:
    return _PLAIN * max(round(length), 1)
