"""What tasks print: each into the log of its job, although they share one process.

`sys.stdout` and `sys.stderr` are replaced once, before any module of the user's is imported, so that handlers
of `logging` that are made there write into the job's log, too.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Callable, Optional, TextIO

from queuectl import system


class TaskLog:
    """The log of one run, made when something is printed."""

    def __init__(self, path: str, mark: Callable[[], str]) -> None:
        """What `mark` tells sets it apart from what an earlier run has left in the same log."""
        self._path, self._mark = path, mark
        self._file: Optional[TextIO] = None
        self.is_closed = False
        """Whether its run is over."""

    @property
    def is_blank(self) -> bool:
        """Whether nothing has been printed."""
        return self._file is None

    @property
    def file(self) -> TextIO:
        """What to write to. Where the log cannot be written, what is printed is lost: the task goes on."""
        if self._file is None:
            self._file = self._open()
        return self._file

    def _open(self) -> TextIO:
        try:
            return self._open_log()
        except OSError:
            return open(os.devnull, "w", encoding="utf-8")

    def _open_log(self) -> TextIO:
        system.make_folder(os.path.dirname(self._path))
        # By lines, so that `logs --follow` shows them as they come.
        file = open(  # noqa: SIM115 (until the run has ended)
            self._path, "a", 1, encoding="utf-8", errors="backslashreplace", opener=system.open_plainly
        )
        if os.fstat(file.fileno()).st_size:
            file.write(self._mark())
        return file

    def close(self) -> None:
        """Write what is left."""
        self.is_closed = True
        if self._file is not None:
            # A full disk: the outcome of the run is not to hang on that.
            with suppress(OSError, ValueError):
                self._file.close()


_log: ContextVar[Optional[TaskLog]] = ContextVar("queuectl_log", default=None)


def print_to(log: TaskLog) -> None:
    """From here on what is printed in this context, and in what it awaits, goes there."""
    _log.set(log)


class Router(io.TextIOBase):
    """A standard stream that leads to the log of the task that prints, and else to where it led before."""

    def __init__(self, original: TextIO) -> None:
        self.original = original

    def _target(self) -> TextIO:
        log = _log.get()
        # What a run has left behind may know its log, and print on.
        return self.original if log is None or log.is_closed else log.file

    def write(self, text: str) -> int:
        """As a file's."""
        return self._target().write(text)

    def flush(self) -> None:
        """As a file's."""
        # Nothing is closed here where that is asked at the end of Python.
        with suppress(ValueError):
            self._target().flush()

    def writable(self) -> bool:
        """As a file's."""
        return True

    def fileno(self) -> int:
        """As a file's."""
        return self._target().fileno()

    def isatty(self) -> bool:
        """As a file's."""
        return self._target().isatty()

    def close(self) -> None:
        """It is everybody's, and stays open."""

    def __getattr__(self, name: str) -> Any:
        # What only some streams have, such as `reconfigure`.
        return getattr(self._target(), name)

    @property
    def buffer(self) -> Any:
        """Where bytes are written."""
        return self._target().buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the text."""
        return self._target().encoding

    @property
    def errors(self) -> Optional[str]:  # type: ignore[override]
        """What becomes of text that this encoding has no form for."""
        return self._target().errors


_STREAMS = ("stdout", "stderr")
_routers: dict[str, Router] = {}


def install() -> None:
    """Put the routers in place; calling again does nothing."""
    for name in _STREAMS:
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Router):
            _routers[name] = Router(stream)
            setattr(sys, name, _routers[name])


def reinstall() -> None:
    """Put them back in the place of what a task has put there, and closed: nobody else could print."""
    for name, router in _routers.items():
        stream = getattr(sys, name)
        if stream is not router and getattr(stream, "closed", False):
            setattr(sys, name, router)


@contextmanager
def installed() -> Iterator[None]:
    """Have them in place for the block."""
    before = {name: getattr(sys, name) for name in _STREAMS}
    install()
    try:
        yield
    finally:
        for name, stream in before.items():
            setattr(sys, name, stream)
