"""What starts a program for this user whenever they log on: what is asked of it, in steps that can be shown.

`task_scheduler`, `systemd` and `launchd` are the three; `starter` chooses the one of this system. None of
them needs an administrator.
"""

from __future__ import annotations

import abc
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple, Optional, Union

from queuectl.system.process import python_words

PROGRAM = python_words("queuectl.cli", "main")
"""What Python is told to be `queuectl`."""
_PATIENCE = 120.0
NOT_FOUND, NO_ANSWER = 127, 124
"""Codes of answers that are none."""
KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ")
"""What programs expect of a terminal, and a starter does not know. Not all: some are secrets."""
_UNTOLD = "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef]"


class Service(NamedTuple):
    """What is to be started, and started again whenever it has ended."""

    name: str
    """ASCII letters, digits, "-" and "_"."""
    mark: str
    """A line of ASCII by which what we have made is told from what others have."""
    about: str
    """A line for people."""
    arguments: tuple[str, ...]
    """Of `queuectl`."""
    cwd: str
    folder: str
    """For files that the starter reads once."""
    patience: float
    """Seconds that it may take to end once it is asked to."""


class Write(NamedTuple):
    """Make this file, or write it anew."""

    path: str
    data: bytes


class Remove(NamedTuple):
    """Delete this file."""

    path: str


class Call(NamedTuple):
    """Run this program; for as many seconds as `patience` says again, until it succeeds, or with `to_fail`
    until it fails.
    """

    argv: tuple[str, ...]
    may_fail: bool = False
    patience: float = 0.0
    to_fail: bool = False


Step = Union[Write, Remove, Call]


class Answer(NamedTuple):
    """How a program has ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What it said, in one line."""
        return " ".join((self.err.strip() or self.out.strip() or f"exit code {self.code}").split())


Run = Callable[[Sequence[str]], Answer]


def run_program(argv: Sequence[str], more: Optional[Mapping[str, str]] = None) -> Answer:
    """Run a program of the system to its end, with no window; `more` goes over our environment."""
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            env={**os.environ, **more} if more else None,
            capture_output=True,
            timeout=_PATIENCE,
            creationflags=flags,
            check=False,
        )
    except OSError as error:
        return Answer(NOT_FOUND, "", f"{argv[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Answer(NO_ANSWER, "", f"{argv[0]} has not ended within {_PATIENCE:.0f} s")
    return Answer(done.returncode, _text(done.stdout), _text(done.stderr))


def _text(data: bytes) -> str:
    # Some of Windows' own print UTF-16, and what we look for is ASCII.
    return data.replace(b"\0", b"").decode(errors="replace")


class Starter(abc.ABC):
    """What of this system starts programs at logon. Each name is that of a `Service`."""

    called: str
    """As people call it."""
    again: str
    """How soon it starts what has ended."""

    def __init__(self, run: Run, python: str) -> None:
        """`python` is the program that it is to start."""
        self.run, self.python = run, python

    @abc.abstractmethod
    def trouble(self) -> Optional[str]:
        """Why it cannot be used here; None if it can."""

    @abc.abstractmethod
    def instead(self, argv: Sequence[str], cwd: str) -> str:
        """What people can do to have this run in this folder where the starter cannot be used."""

    @abc.abstractmethod
    def entry(self, name: str) -> str:
        """What it keeps the service under: a file's path, or a name of its own."""

    @abc.abstractmethod
    def found(self, name: str) -> Optional[str]:
        """The text of what it keeps under this name, ours or not; None where there is nothing."""

    @abc.abstractmethod
    def install(self, service: Service) -> list[Step]:
        """What makes it start the service now and at each logon; what is there under its name is replaced."""

    def hasten(self, name: str) -> list[Step]:
        """What has it start the service now, where what was there has just ended and it would wait."""
        return []

    @abc.abstractmethod
    def forget(self, name: str) -> list[Step]:
        """What keeps it from starting the service again, as far as it can; what runs goes on."""

    def clear(self, name: str) -> list[Step]:
        """What is left to be done when the service has ended for good."""
        return []

    @abc.abstractmethod
    def says(self, name: str) -> str:
        """What it says of the service, in a few words."""

    def remarks(self) -> list[str]:
        """What people should know of services here, a line each."""
        return []


def can_be_told(text: str) -> bool:
    """Whether each of the three takes it as it is: it has no controls, and nothing that is no Unicode."""
    return not re.search(_UNTOLD, text) and not any(ord(letter) & 0xFFFE == 0xFFFE for letter in text)


def kept_variables(own: Mapping[str, str]) -> dict[str, str]:
    """Those of `KEPT_VARIABLES` that are set; of the folders in them those that can be told."""
    kept = {
        name: ":".join(filter(can_be_told, own[name].split(":"))) for name in KEPT_VARIABLES if name in own
    }
    return {name: text for name, text in kept.items() if text}


def read_text(path: str) -> Optional[str]:
    """The text of a definition; None if there is none. Raises another OSError."""
    from queuectl.system.files import read_file

    try:
        return read_file(path, 1 << 20)[0].decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def shown(data: bytes) -> str:
    """A file of a step as people read it: some are in UTF-16, with its mark."""
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
