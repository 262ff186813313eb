"""The end of a job's log, as lines of coloured text: what a command has printed is never HTML."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, NamedTuple, Optional, Union

from rich.ansi import AnsiDecoder
from rich.color import Color, ColorSystem, ColorType
from rich.style import Style
from rich.text import Text

from queuectl import system
from queuectl.queue import Queue

BYTES = 128 * 1024
"""Of the log's end that is shown."""
LINES = 1000
_LONGEST_LINE = 4000
"""Characters."""
_WHOLE = 64 * 2**20
_BLACK, _WHITE = 0, 7

Piece = tuple[str, str]
"""Some text, and its classes in the style sheet."""


class Line(NamedTuple):
    """A line of a log, and the number of the byte that it begins at."""

    at: int
    pieces: tuple[Piece, ...]


def lines_of(queue: Queue, job_id: str) -> list[Line]:
    """The last lines of this job's log, if there are any."""
    path = queue.store.spool.log_path(job_id)
    try:
        size = os.path.getsize(path)
        data = system.read_end(path, BYTES)
    except OSError:
        # It has printed nothing; or somebody holds it, and the next look tells.
        return []
    # It is read from a multiple of these on, and may have grown in between.
    begin = -(-max(size - len(data), 0) // BYTES) * BYTES
    raw = data.split(b"\n")
    if begin:
        # The first of these lines may be half of one.
        begin += len(raw.pop(0)) + 1
    left_out = raw[:-LINES]
    return _decoded(raw[-LINES:], begin + sum(map(len, left_out)) + len(left_out))


def _decoded(raw: list[bytes], begin: int) -> list[Line]:
    decoder, lines, at = AnsiDecoder(), list[Line](), begin
    for one in raw:
        text = one[: 4 * _LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
        lines.append(Line(at, _pieces(decoder.decode_line(text))))
        at += len(one) + 1
    if lines and not lines[-1].pieces:
        lines.pop()
    return lines


def _pieces(text: Text) -> tuple[Piece, ...]:
    text.truncate(_LONGEST_LINE, overflow="ellipsis")
    found: list[Piece] = []
    plain, at = text.plain, 0
    # As it decodes them they follow one another; what lies between has no style.
    for span in text.spans:
        found.append((_shown(plain[at : span.start]), ""))
        found.append((_shown(plain[span.start : span.end]), _classes(_style(span.style))))
        at = max(at, span.end)
    found.append((_shown(plain[at:]), ""))
    return tuple(piece for piece in found if piece[0])


def _shown(text: str) -> str:
    """Characters that cannot be seen, or turn the direction of others, as what they are."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\t" else f"\\x{ord(one):02x}" for one in text)


def _style(given: Union[str, Style]) -> Style:
    return Style.null() if isinstance(given, str) else given


@lru_cache(maxsize=1000)
def _classes(style: Style) -> str:
    fore, back = _number(style.color), _number(style.bgcolor)
    if style.reverse:
        under = _WHITE if fore is None else fore
        fore, back = back or _BLACK, under
    names = [f"f{fore}" if fore is not None else "", f"k{back}" if back is not None else ""]
    names += [name for name in ("bold", "dim", "italic", "underline", "strike") if getattr(style, name)]
    return " ".join(filter(None, names))


def _number(color: Optional[Color]) -> Optional[int]:
    """Which of the sixteen colours that can be read comes nearest."""
    if color is None or color.type is ColorType.DEFAULT:
        return None
    return color.downgrade(ColorSystem.STANDARD).number


def whole(queue: Queue, job_id: str) -> bytes:
    """All of a log, or as much of its end as a browser bears."""
    try:
        return system.read_end(queue.store.spool.log_path(job_id), _WHOLE)
    except FileNotFoundError:
        return b""


class Tail:
    """Tells what is new in the end of a log."""

    def __init__(self, queue: Queue, job_id: str) -> None:
        self._queue, self._job_id = queue, job_id
        self._shown: Optional[list[Line]] = None
        self._stamp: Any = None

    def news(self) -> Optional[dict[str, Any]]:
        """How many of the lines that are shown to drop at their beginning, how many to keep after that, and
        those that follow; the first time all. None if nothing is new.
        """
        stamp = self._found()
        if self._shown is not None and stamp == self._stamp:
            return None
        before, self._shown = self._shown, lines_of(self._queue, self._job_id)
        self._stamp = stamp
        if before is None:
            return {"drop": 0, "keep": 0, "lines": [line.pieces for line in self._shown]}
        first = self._shown[0].at if self._shown else 0
        dropped = next((number for number, line in enumerate(before) if line.at >= first), len(before))
        pairs = enumerate(zip(before[dropped:], self._shown))
        kept = next(
            (number for number, (old, new) in pairs if old != new),
            min(len(before) - dropped, len(self._shown)),
        )
        return {"drop": dropped, "keep": kept, "lines": [line.pieces for line in self._shown[kept:]]}

    def _found(self) -> Any:
        try:
            found = os.stat(self._queue.store.spool.log_path(self._job_id))
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns
