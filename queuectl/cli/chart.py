"""A chart of text: a bar a line, by eighths of a character where the encoding has them."""

from collections.abc import Sequence
from typing import NamedTuple

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_BAD = "▒"
_PLAIN, _PLAIN_BAD = "#", "x"
_GAP = 2


class Bar(NamedTuple):
    """A line: its name, the two numbers that it is drawn of, and what is told beside their sum."""

    name: str
    good: int
    bad: int = 0
    note: str = ""


def legend(encoding: str) -> tuple[str, str]:
    """What the two parts of a bar are drawn with."""
    return (_EIGHTHS[-1], _BAD) if _can_show(encoding) else (_PLAIN, _PLAIN_BAD)


def bars(rows: Sequence[Bar], width: int, encoding: str) -> list[str]:
    """A line for each; the largest takes at most `width` columns."""
    sums = [bar.good + bar.bad for bar in rows]
    begins = [
        [bar.name for bar in rows],
        [str(number).rjust(max(map(len, map(str, sums)))) for number in sums],
        [bar.note.rjust(max(len(bar.note) for bar in rows)) for bar in rows],
    ]
    columns = [[text.ljust(max(map(len, column))) for text in column] for column in begins if any(column)]
    room = width - sum(len(column[0]) + _GAP for column in columns) if rows else 0
    most, fine = max(sums, default=0), _can_show(encoding)
    drawn = (_drawn(bar, most, max(room, 2), fine=fine) for bar in rows)
    return ["  ".join(line).rstrip() for line in zip(*columns, drawn)]


def _can_show(encoding: str) -> bool:
    try:
        (_EIGHTHS + _BAD).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _drawn(bar: Bar, most: int, room: int, *, fine: bool) -> str:
    """At least something of what is not nothing."""
    if not bar.good + bar.bad:
        return ""
    length = (bar.good + bar.bad) / most * room
    if fine and not bar.bad:
        whole, rest = divmod(max(round(length * 8), 1), 8)
        return _EIGHTHS[-1] * whole + (_EIGHTHS[rest] if rest else "")
    good_sign, bad_sign = (_EIGHTHS[-1], _BAD) if fine else (_PLAIN, _PLAIN_BAD)
    bad = max(round(bar.bad / most * room), 1) if bar.bad else 0
    # Where nearly all is bad, some of that makes way.
    bad = min(bad, room - 1) if bar.good else bad
    good = max(round(length) - bad, 1) if bar.good else 0
    return good_sign * good + bad_sign * bad
