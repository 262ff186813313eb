"""Wait for something to become true, and say what it was when it does not."""

from __future__ import annotations

import time
from typing import Callable


def wait_until(condition: Callable[[], object], what: str, deadline: float = 10.0) -> None:
    """Return as soon as ``condition()`` is true; fail with ``what`` after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline:g} s: {what}")
        time.sleep(0.01)
