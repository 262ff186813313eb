"""The one bounded retry: a file that somebody holds open now is free in a moment, or it is denied."""

from __future__ import annotations

import errno
from typing import Callable, TypeVar

from queuectl.system import clock
from queuectl.system.native import is_transient

__all__ = ["LACKS", "is_lack", "is_transient", "with_patience"]

LACKS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EDQUOT, errno.EROFS}
)
"""Errors that tell of this machine, not of the file or the command that met them."""

T = TypeVar("T")

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05


def is_lack(error: OSError) -> bool:
    """True if this machine lacks something just now (room, descriptors, memory), whatever was tried."""
    return error.errno in LACKS


def with_patience(action: Callable[[], T], *, patience: float = 2.0) -> T:
    """What ``action`` returns, tried again for up to ``patience`` seconds while its OSError is transient.

    A real denial has the same error number as a passing one; it is told apart by its lasting. The last
    OSError is raised when the patience is over, any other at once. A patience of 0 means one try.
    """
    deadline = None
    pause = _FIRST_PAUSE
    while True:
        try:
            return action()
        except OSError as error:
            if not is_transient(error):
                raise
            # Asked for no sooner: most succeed at once, and there are a dozen a job.
            deadline = clock.monotonic() + patience if deadline is None else deadline
            left = deadline - clock.monotonic()
            if left <= 0:
                raise
        clock.sleep(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)
