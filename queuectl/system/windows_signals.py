"""The closing of the console, logoff and shutdown, which are no signals on Windows."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import pywintypes
import win32api
import win32console

# This also tells mypy which platforms the module is for.
assert sys.platform == "win32"

CTRL_CLOSE_EVENT = 2
CTRL_LOGOFF_EVENT = 5
CTRL_SHUTDOWN_EVENT = 6
WM_QUIT = 0x0012
WM_QUERYENDSESSION = 0x0011
WM_ENDSESSION = 0x0016
WINDOW_CLASS = "queuectl-end-of-session"

_FIRST_WAIT = 3.0
_SECOND_WAIT = 1.0


@contextmanager
def console_closing(callback: Callable[[], object]) -> Iterator[None]:
    """Within this block, call ``callback`` when Windows is about to end this process."""
    left = threading.Event()
    handler = closing_handler(callback, left)
    win32api.SetConsoleCtrlHandler(handler, True)
    console: int = win32console.GetConsoleWindow()  # type: ignore[no-untyped-call]
    listener = None if console else SessionListener(lambda: handler(CTRL_LOGOFF_EVENT))
    try:
        yield
    finally:
        win32api.SetConsoleCtrlHandler(handler, False)
        left.set()
        if listener is not None:
            listener.close()


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


class SessionListener:
    """A window that nobody sees, in a thread of its own: a program without a console (`pythonw`) is told of
    logoff and shutdown in no other way. Where no window can be made it hears nothing.
    """

    def __init__(self, ending: Callable[[], object]) -> None:
        """``ending`` is called in that thread when the session ends, and delays the end for some seconds."""
        self._ending = ending
        self._ready = threading.Event()
        self.window = 0
        """Its handle; 0 where there is none."""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Hear no more."""
        import win32gui

        if self.window:
            win32gui.PostMessage(self.window, WM_QUIT, 0, 0)
        self._thread.join()

    def _listen(self) -> None:
        try:
            import win32gui

            kind: Any = win32gui.WNDCLASS()
            kind.lpszClassName = f"{WINDOW_CLASS}-{id(self)}"
            kind.lpfnWndProc = {WM_QUERYENDSESSION: lambda *_: True, WM_ENDSESSION: self._told}
            registered = win32gui.RegisterClass(kind)
            # Not one for messages only: those are not told.
            self.window = win32gui.CreateWindow(registered, "queuectl", 0, 0, 0, 0, 0, 0, 0, 0, None)
        except (ImportError, pywintypes.error):
            return
        finally:
            self._ready.set()
        if self.window:
            win32gui.PumpMessages()
            win32gui.DestroyWindow(self.window)
        win32gui.UnregisterClass(registered, 0)

    def _told(self, window: int, message: int, ends: int, how: int) -> int:
        # Somebody else may have refused the end that all were asked about.
        if ends:
            self._ending()
        return 0
