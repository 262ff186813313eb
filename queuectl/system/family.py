"""Processes of our own, made by fork: each has a Python to itself, where threads wait for each other's.

Only on Linux, where programs of several cores gain by it and fork is safe: Windows has none, and on macOS its
libraries may hang in a child. Where it cannot be done `cores` is 1.
"""

from __future__ import annotations

import errno
import mmap
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Callable, NoReturn

from queuectl.system.patience import with_patience
from queuectl.system.signals import block, hear, unblock

_RING, _ASKED = b".", b"!"
_SLOTS = 5
_RESTS = 0
"""Of the numbers that parent and child share, whether the child rests."""
_ENOUGH = 2
"""Letters of one kind under way: of so many one has not been read yet, and says all that another would."""


def cores() -> int:
    """How many processes of ours can run at the same time."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return 1


_ours: set[int] = set()
"""The pipes to others of our family."""


def _part() -> None:
    """In a copy of this process, forked by a task perhaps: who waits for the end of a pipe waits for ours.

    What was closed here might be another file by the time that its owner closes it.
    """
    if sys.platform != "win32" and _ours:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in _ours:
            os.dup2(null, descriptor, inheritable=False)
        os.close(null)
        _ours.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_part)


class Letter(Enum):
    """What a parent asks of its child as often as it likes; the next numbers that they share count it."""

    WAKE = b"w"
    LOOK = b"l"

    @property
    def asked(self) -> int:
        """Where it is counted how often it was asked."""
        return 1 if self is Letter.WAKE else 3

    @property
    def done(self) -> int:
        """Where it is counted how often that was done."""
        return self.asked + 1


class Child:
    """A process that was forked, as its parent sees it."""

    def __init__(self, pid: int, control: int, report: int, shared: memoryview) -> None:
        self.pid = pid
        self.ended = False
        """Whether `await_end` has seen its end."""
        self._control, self._report, self._shared = control, report, shared
        _ours.update((control, report))

    @property
    def rests(self) -> bool:
        """Whether it has said last that it rests, and has done what it was asked for before."""
        waking = Letter.WAKE
        return self._shared[waking.asked] == self._shared[waking.done] and bool(self._shared[_RESTS])

    def ask(self, letter: Letter) -> None:
        """Have it do this once more, soon; one thread asks."""
        if self._shared[letter.asked] - self._shared[letter.done] < _ENOUGH:
            # First: from here on it does not rest.
            self._shared[letter.asked] += 1
            self.tell(letter.value)

    def tell(self, letter: bytes) -> None:
        """Say this to it, see `Parent.listen`; may be called in a signal handler."""
        with suppress(OSError):
            os.write(self._control, letter)

    def await_end(self, rung: Callable[[], None], asked: Callable[[], None]) -> tuple[bytes, int]:
        """What it said as it ended, and its exit code (or minus a signal).

        Meanwhile ``rung`` is called when it rings, and ``asked`` when somebody has asked it to stop.
        """
        if sys.platform == "win32":
            return b"", 0
        said = b""
        while piece := os.read(self._report, 65536):
            left = piece.lstrip(_RING + _ASKED)
            letters = piece[: len(piece) - len(left)]
            if _RING in letters:
                rung()
            if _ASKED in letters:
                asked()
            said += left
        _, status = os.waitpid(self.pid, 0)
        self.ended = True
        return said.rstrip(_ASKED), os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Let go of it: it ends as if it was killed if it has not ended yet."""
        for descriptor in (self._control, self._report):
            _ours.discard(descriptor)
            with suppress(OSError):
                os.close(descriptor)


class Parent:
    """The one who has forked us, as we see them."""

    def __init__(self, control: int, report: int, shared: memoryview) -> None:
        self._control, self._report, self._shared = control, report, shared
        _ours.update((control, report))
        self.waits_for_us = False
        """Whether the parent wants to know at once when we rest."""

    def rest(self, rests: bool) -> None:
        """Say whether we rest."""
        self._shared[_RESTS] = rests
        if rests and self.waits_for_us:
            self.ring()

    def ring(self) -> None:
        """Have the parent look."""
        self._say(_RING)

    def _say(self, letter: bytes) -> None:
        with suppress(OSError):
            os.write(self._report, letter)

    def listen(self, told: Callable[[bytes], object]) -> None:
        """Call ``told`` in another thread with each letter that the parent says. We die with it, however it
        dies.
        """
        threading.Thread(target=self._listen, args=(told,), daemon=True).start()

    def _listen(self, told: Callable[[bytes], object]) -> None:
        if sys.platform == "win32":
            return
        while letter := os.read(self._control, 1):
            told(letter)
            for kind in Letter:
                if letter == kind.value:
                    self._shared[kind.done] += 1
            if self._shared[_RESTS] and self.waits_for_us:
                # It counts only now that this is done.
                self.ring()
        os.kill(os.getpid(), signal.SIGKILL)

    def hear_signals(self) -> None:
        """Leave it to the parent to hear the wish to stop: a terminal, or systemd, tells it to both."""
        if sys.platform == "win32":
            return
        for name in (signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(name) != signal.SIG_IGN:
                # No SIG_IGN, which the commands would inherit.
                hear(name, lambda: None)
        # Not as a signal, which would be its second one.
        hear(signal.SIGTERM, lambda: self._say(_ASKED))


def fork(main: Callable[[Parent], bytes], siblings: Sequence[Child] = ()) -> Child:
    """Run ``main`` in a new process, which ends with what it returns; to be called before any thread is made.

    ``siblings`` are those that were made before. Raises OSError.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    shared = memoryview(mmap.mmap(-1, 8 * _SLOTS)).cast("Q")
    theirs, control = os.pipe()
    report, ours = os.pipe()
    before = block()
    try:
        pid = with_patience(os.fork)
    except OSError:
        for descriptor in (theirs, control, report, ours):
            os.close(descriptor)
        unblock(before)
        raise
    if not pid:
        for descriptor in (control, report):
            os.close(descriptor)
        for sibling in siblings:
            sibling.close()
        _be_child(main, Parent(theirs, ours, shared), ours, partial(unblock, before))
    unblock(before)
    os.close(theirs)
    os.close(ours)
    return Child(pid, control, report, shared)


def _be_child(
    main: Callable[[Parent], bytes], parent: Parent, report: int, heard: Callable[[], None]
) -> NoReturn:
    code = 1
    try:
        parent.hear_signals()
        heard()
        os.write(report, main(parent))
        code = 0
    except BaseException:  # noqa: BLE001 (nobody else would tell of it)
        traceback.print_exc()
    finally:
        # Nothing of what the parent was in the middle of is ours to end.
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)
