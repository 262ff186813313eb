"""What replaced files took up, given back in the background.

ext4 that is mounted with `discard`, without a journal, tells the drive of each block that is free again, and
has whoever replaces a file wait for that, within the lock of all renames there (Linux: `vfs_rename`,
`ext4_free_blocks`). A file that somebody has open is not freed yet: so it is opened before it is replaced,
and a thread closes it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Optional

from queuectl.system import native

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class _Room:
    """For how many descriptors there is room in this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = 0

    def take(self, most: int) -> bool:
        with self._guard:
            taken = self._taken < most
            self._taken += taken
            return taken

    def give_back(self, count: int) -> None:
        with self._guard:
            self._taken -= count


_room = _Room()


class Freeing:
    """For one thread; its own one, which frees, lasts until `close`."""

    def __init__(self) -> None:
        self._most: Optional[int] = None
        self._held: list[int] = []
        self._given: SimpleQueue[Sequence[int]] = SimpleQueue()
        self._thread: Optional[threading.Thread] = None

    def hold(self, path: str) -> None:
        """Keep the file of this name, which is about to be replaced, until `let_go`.

        Quietly does nothing where that is not known to help, and for a lack.
        """
        with suppress(OSError):
            if self._most is None:
                self._most = native.most_to_hold(path)
            if not _room.take(self._most):
                return
            try:
                self._held.append(os.open(path, _FLAGS))
            except OSError:
                _room.give_back(1)

    def let_go(self) -> None:
        """Have freed what was held since the last time, without waiting for it."""
        held, self._held = self._held, []
        if not held:
            return
        if self._has_thread():
            self._given.put(held)
        else:
            _close(held)

    def close(self) -> None:
        """Wait until all is freed."""
        self.let_go()
        if self._thread is not None:
            self._given.put(())
            self._thread.join()
            self._thread = None

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._free, daemon=True, name="queuectl-free")
            try:
                thread.start()
            except RuntimeError:
                # No room for it.
                return False
            self._thread = thread
        return True

    def _free(self) -> None:
        while held := self._given.get():
            _close(held)


def _close(held: Sequence[int]) -> None:
    for first, past in _stretches(sorted(held)):
        # In one call: between two a thread waits for the interpreter.
        os.closerange(first, past)
    _room.give_back(len(held))


def _stretches(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first of each stretch of numbers that follow one another, and that behind its last."""
    first = past = -1
    for number in numbers:
        if number != past:
            if past >= 0:
                yield first, past
            first = number
        past = number + 1
    if past >= 0:
        yield first, past
