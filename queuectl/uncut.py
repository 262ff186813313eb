"""What must not be cut in the middle by an exception from another thread, by which a task is told to stop.

Such a one comes between any two lines: behind that by which a lock was taken, and before the `try` that would
give it back.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Optional, Protocol


class Cuttable(Protocol):
    """What runs in a thread that may be told to stop at any line."""

    def hold_off(self) -> None:
        """From here on let no exception come; one that is on its way comes now. Nests."""

    def let_come(self) -> None:
        """From here on let them come again; raises the one that was held off."""


class _Here(threading.local):
    one: Optional[Cuttable] = None


here = _Here()
"""What runs in this thread."""


class uncut:
    """What is in this block is done whole, or not begun."""

    __slots__ = ("_one",)

    def __enter__(self) -> None:
        self._one = here.one
        if self._one is not None:
            self._one.hold_off()

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._one is not None:
            self._one.let_come()
