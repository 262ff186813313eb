"""The wish to stop, however the system says it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

if sys.platform == "win32":
    from queuectl.system.windows_signals import console_closing
else:
    from contextlib import nullcontext

    def console_closing(callback: Callable[[], object]) -> nullcontext[None]:
        """Nothing: a terminal that closes says so with SIGHUP."""
        return nullcontext()


_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_before: dict[int, Any] = {}
"""Of the signals that this process hears, what they did before."""


def hear(number: signal.Signals, handler: Callable[[], object]) -> Any:
    """Call ``handler()`` for this signal, but not in what is forked from here: there it does what it did
    before. What that is (as `signal.signal` returns it).
    """
    previous = signal.signal(number, lambda *_: handler())
    _before.setdefault(number, previous)
    return previous


class _Mask(threading.local):
    before: Optional[set[Any]] = None


_mask = _Mask()


def block() -> set[Any]:
    """Have the signals that ask to stop wait for this thread; those that have waited for it before."""
    if sys.platform == "win32":
        return set()
    return signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP, signal.SIGTERM))


def unblock(before: set[Any]) -> None:
    """Have them wait no more, but these."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forks() -> None:
    if _before:
        # One that the copy gets before it has come to `_part` would be lost there.
        _mask.before = block()


def _forked() -> None:
    before, _mask.before = _mask.before, None
    if before is not None:
        unblock(before)


def _part() -> None:
    """In a copy of this process, forked by a task perhaps: who ends that does not mean us."""
    for number, previous in _before.items():
        signal.signal(number, signal.SIG_DFL if previous is None else previous)
    _before.clear()
    _forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forks, after_in_parent=_forked, after_in_child=_part)


@contextmanager
def stop_signals(callback: Callable[[], object]) -> Iterator[None]:
    """Within this block each wish to stop calls ``callback()`` once, and does nothing else.

    Where that returns True a signal raises KeyboardInterrupt besides.

    Heard are Ctrl+C, SIGTERM, SIGHUP (unless it is ignored: nohup), on Windows also Ctrl+Break and the
    closing of the console, logoff and shutdown (which call once more 3 s later if the block still runs).
    The callback runs in the middle of whatever the main thread does, on Windows also in another thread: it
    may set a flag or an event, and must not lock, print or raise. Outside of the main thread, where Python
    allows no handlers, this does nothing. Within the block the ends of child processes are told, even where
    they were ignored before. The handlers of before are back when the block is left.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler() -> None:
        if callback() is True:
            raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    outer = dict(_before)
    try:
        for number in _heard():
            before[number] = hear(number, handler)
        if (child := getattr(signal, "SIGCHLD", None)) and signal.getsignal(child) == signal.SIG_IGN:
            # Inherited from who started us: the system would not tell how commands end.
            before[child] = signal.signal(child, signal.SIG_DFL)
        with console_closing(callback):
            yield
    finally:
        for number, previous in before.items():
            # None: it was set by C code, and Python cannot put it back.
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
        _before.clear()
        _before.update(outer)


def _heard() -> Iterator[signal.Signals]:
    for name in _NAMES:
        number: Optional[signal.Signals] = getattr(signal, name, None)
        if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
            continue
        yield number
