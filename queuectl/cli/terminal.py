"""The way to a person's terminal: no text of a job, a file or a command acts on it, it only shows.

A command or its output may hold escape sequences that recolour, overwrite or retitle a terminal, and marks
that turn the direction of writing so that another text is seen. They are shown as `\\x1b`.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Optional

import click

from queuectl import system
from queuectl.names import UNSEEN

# Compiled when they are first needed, which most texts do not.
_CELL = f"[\\x00-\\x1f\\x7f{UNSEEN}\\ud800-\\udfff]"
_TEXT = f"[\\x00-\\x08\\x0b-\\x1f\\x7f{UNSEEN}\\ud800-\\udfff]"

_DUMB = ("dumb", "unknown")


def cell(text: str) -> str:
    """One value, in one line."""
    return text if text.isprintable() else re.sub(_CELL, _escaped, text)


def lines(text: str) -> str:
    """Text of which line breaks and tabs are meant."""
    one = text.replace("\n", "").replace("\t", "")
    return text if one.isprintable() else re.sub(_TEXT, _escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode()


def echo(text: str = "", *, err: bool = False) -> None:
    """Print for a person."""
    click.echo(lines(text), err=err)


def can_draw(stream: Optional[IO[Any]]) -> bool:
    """Whether something can be drawn there and drawn over: rich draws nothing where it cannot."""
    able = os.environ.get("TERM", "").lower() not in _DUMB
    room = all(set(os.environ.get(name) or "1") != {"0"} for name in ("COLUMNS", "LINES"))
    return able and room and system.is_interactive(stream)


def put(data: bytes) -> None:
    """Print bytes as they are: their code page is the affair of the command that has printed them."""
    # None where this program was started without (`>&-`).
    if sys.stdout is not None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


@contextmanager
def whoever_reads() -> Iterator[None]:
    """Print what may be read no more (`queuectl wait a | head -1`): that changes nothing of how we end."""
    try:
        yield
    except OSError as error:
        if not system.is_unread(error):
            raise
        forget(sys.stdout)


def open_streams() -> None:
    """Lead the standard streams that this program was started without (`pythonw`) nowhere: others write there
    unasked, and what tasks print is on its way to their logs.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (until we end)


def forget(stream: Optional[IO[Any]]) -> None:
    """Print nothing more there: Python would try to at exit, complain and end with a code of its own."""
    if stream is None:
        return
    # What has none of its own, as in a test, is not flushed at exit either.
    with suppress(OSError, ValueError):
        own, nowhere = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, own)
        os.close(nowhere)


def how_far(percent: Optional[float], text: Optional[str]) -> str:
    """What a command tells of its progress, in one line; nothing if it tells nothing."""
    share = "" if percent is None else f"{percent:.4g} %"
    return cell("  ".join(filter(None, [share, text])))


class Screen:
    """Turns the bytes that a command has printed, piece by piece, into text that a terminal only shows.

    A carriage return alone, with which progress bars overwrite their line, begins a new line.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def text(self, data: bytes) -> str:
        """The text of these further bytes; empty data ends it."""
        text = self._held + self._decoder.decode(data, final=not data)
        # The "\n" of a "\r\n" may come with the next piece.
        self._held = "\r" if data and text.endswith("\r") else ""
        return lines(re.sub(r"\r\n?", "\n", text[: len(text) - len(self._held)]))
