"""The rows of the index, as the program sees them."""

from __future__ import annotations

from typing import NamedTuple, Optional

STUCK_AFTER = 10.0
"""Seconds after which a file that cannot be moved is told to people, and not waited for by a drain."""


class Stamp(NamedTuple):
    """Where a file lies and which version of it was read: equal stamps mean that nothing has changed."""

    state: str
    worker: Optional[str]
    mtime_ns: int
    size: int


class Entry(NamedTuple):
    """One row of the index: what `list` shows of a job, and what a claim is decided by."""

    id: str
    fold: str
    state: str
    worker: Optional[str]
    mtime_ns: int
    size: int
    created: float
    command: str = '""'
    priority: int = 0
    due: Optional[float] = None
    attempts: int = 0
    crashes: int = 0
    max_retries: Optional[int] = None
    run_at: Optional[str] = None
    created_at: Optional[str] = None
    updated_at: Optional[str] = None
    exit_code: Optional[int] = None
    error: Optional[str] = None
    tags: str = ""
    stuck_since: Optional[float] = None
    stuck_why: Optional[str] = None

    @property
    def stamp(self) -> Stamp:
        """The version of the file that this row was made from."""
        return Stamp(self.state, self.worker, self.mtime_ns, self.size)


class Oddity(NamedTuple):
    """Something in the spool that is no job (yet): `seen` is when this version of it was first seen."""

    path: str
    reason: str
    mtime_ns: int
    size: int
    seen: float
