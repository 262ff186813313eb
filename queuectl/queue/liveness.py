"""Who lives: a worker while its lock is held, its command while the lock that it inherited is."""

from __future__ import annotations

from queuectl import locks
from queuectl.names import LIFE_SUFFIX, RUN_SUFFIX
from queuectl.spool import Spool


def is_alive(spool: Spool, worker: str) -> bool:
    """Whether this worker lives."""
    return locks.is_held(spool.lock_path(worker + LIFE_SUFFIX))


def outlived_by_command(spool: Spool, worker: str) -> bool:
    """Whether the command of this dead worker still runs (POSIX; on Windows it dies with its worker)."""
    return locks.is_held(spool.lock_path(worker + RUN_SUFFIX))
