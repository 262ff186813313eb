"""A log that begins a new file when it has grown; several processes may write to it at once.

Not `logging.handlers.RotatingFileHandler`: it knows of no other process, so that each gives away what another
has just begun; and where somebody has the file open, and it cannot be renamed (Windows), each further line
costs it the oldest of the older ones.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import Optional

from queuectl import locks, system
from queuectl.errors import QueueError

LARGEST = 5 * 2**20
"""Bytes of a file, after which the next is begun."""
KEPT = 3
"""Older files that are kept: `.1` is the latest of them."""


class RotatingLog(logging.Handler):
    """Appends each record to the file of this name, as a line."""

    def __init__(self, path: str, *, largest: int = LARGEST, kept: int = KEPT) -> None:
        """Raises OSError: it cannot be written."""
        super().__init__()
        self.path = os.path.abspath(path)
        self._largest, self._kept = largest, kept
        self._descriptor: Optional[int] = system.open_to_append(self.path)

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, if that can be done: no full disk, and nobody's hand on a log, may stop workers."""
        with suppress(OSError):
            data = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            size = os.fstat(self._current()).st_size
            if size and size + len(data) > self._largest:
                self._begin_another(len(data))
            # RACE: another process begins the next file now. This line is the last of the one before, then.
            os.write(self._current(), data)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        super().close()

    def _current(self) -> int:
        """The file that has the name now: another process may have begun it, or somebody deleted ours."""
        before = self._descriptor
        if before is not None:
            with suppress(OSError):
                if os.path.samestat(os.fstat(before), os.stat(self.path)):
                    return before
        try:
            self._descriptor = system.open_to_append(self.path)
        except OSError:
            if before is None:
                raise
            # Its folder has been moved, or nothing more can be opened: no line is to be lost.
            return before
        if before is not None:
            os.close(before)
        return self._descriptor

    def _begin_another(self, more: int) -> None:
        # Where that cannot be done, or another process does it just now, the line goes into the one there is.
        with suppress(QueueError, OSError):
            # Else a lock would be made, with its folder, where somebody has moved all of it away.
            os.stat(self.path)
            held = locks.try_lock(f"{self.path}.lock")
            if held is None:
                return
            try:
                # RACE: one that was begun between our look and our lock is not to be given away.
                if os.stat(self.path).st_size + more > self._largest:
                    self._shift()
            finally:
                held.release()

    def _shift(self) -> None:
        # First what may be in use, and to a name of its own: were the older ones moved before it, each try
        # that fails would cost one of them.
        if not os.path.lexists(self._older(0)):
            system.replace(self.path, self._older(0), patience=0.0)
        for number in range(self._kept, 0, -1):
            if os.path.lexists(self._older(number - 1)):
                system.replace(self._older(number - 1), self._older(number), patience=0.0)

    def _older(self, number: int) -> str:
        return f"{self.path}.{number}"
