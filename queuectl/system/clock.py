"""Time, in one place, so that a test can put another clock here."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since the epoch (UTC), as the wall clock has it: it may jump, and is what files record."""
    return time.time()


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean something."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Block the calling thread for ``seconds``."""
    time.sleep(seconds)
