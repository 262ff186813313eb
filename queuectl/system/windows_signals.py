"""The closing of the console, logoff and shutdown, which are no signals on Windows."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

import win32api

# This also tells mypy which platforms the module is for.
assert sys.platform == "win32"

CTRL_CLOSE_EVENT = 2
CTRL_LOGOFF_EVENT = 5
CTRL_SHUTDOWN_EVENT = 6

_FIRST_WAIT = 3.0
_SECOND_WAIT = 1.0


@contextmanager
def console_closing(callback: Callable[[], object]) -> Iterator[None]:
    """Within this block, call ``callback`` when Windows is about to end this process."""
    left = threading.Event()
    handler = closing_handler(callback, left)
    win32api.SetConsoleCtrlHandler(handler, True)
    try:
        yield
    finally:
        win32api.SetConsoleCtrlHandler(handler, False)
        left.set()


def closing_handler(callback: Callable[[], object], left: threading.Event) -> Callable[[int], bool]:
    """The console control handler: calls at once and after 3 s, returns after 4 s or when ``left`` is set."""

    def handler(event: int) -> bool:
        if event not in (CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT):
            return False
        # Windows ends the process when this returns, and after 5 s anyhow; the second call is for the
        # worker that still lets its commands finish.
        callback()
        if not left.wait(_FIRST_WAIT):
            callback()
            left.wait(_SECOND_WAIT)
        return True

    return handler
