"""portalocker, wrapped: who may claim, which workers live, which commands still run.

A lock is held by an open file and freed by the system on any death of its holder, so "is the worker
alive?" is "can its lock be taken?". `claim.lock` is never unlinked: with flock, somebody may be waiting on
the inode that an unlink has orphaned. Job files are never locked: a locked file cannot be moved on Windows.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, TYPE_CHECKING, Optional

from queuectl import system
from queuectl.errors import Busy, SpoolUnusable
from queuectl.uncut import uncut

if TYPE_CHECKING:
    import portalocker

CLAIM_DEADLINE = 30.0
_LONGEST_PAUSE = 0.02
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS})


class _Gate:
    """Of one lock file, the threads of this process: they queue up here, and one may enter again."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.depth = 0


_gates: dict[str, _Gate] = {}
_gates_guard = threading.Lock()
_held: weakref.WeakSet[HeldLock] = weakref.WeakSet()


class HeldLock:
    """A lock that this process holds until `release`."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        _held.add(self)

    def fileno(self) -> int:
        """The descriptor whose inheritance shares the lock (POSIX)."""
        return self._file.fileno()

    def write(self, text: bytes) -> None:
        """Write this at the file's beginning. Raises OSError."""
        self._file.seek(0)
        self._file.write(text)

    def is_current(self) -> bool:
        """Whether the lock's file is still the one of its name: somebody may have deleted it."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def release(self) -> None:
        """Free the lock, for whoever shares it too."""
        import portalocker

        if not self._file.closed:
            try:
                portalocker.unlock(self._file)
            except portalocker.LockException:
                # Closing frees it as well. Seen to fail on Windows when others asked just then.
                pass
            finally:
                self._file.close()

    def close(self) -> None:
        """Let go of the file; whoever inherited it keeps the lock (flock belongs to the open file)."""
        self._file.close()


def _part() -> None:
    """In a copy of this process, forked by a task perhaps: what it holds is not the copy's.

    A worker would else live for as long as what its tasks have left running.
    """
    global _gates_guard  # noqa: PLW0603
    for held in list(_held):
        held.close()
    # Of threads that are not in the copy.
    _gates.clear()
    _gates_guard = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_part)


def _open(path: str) -> IO[bytes]:
    try:
        return system.with_patience(lambda: open_over(path))
    except FileNotFoundError:
        # Somebody has taken `locks` for rubbish.
        system.make_folder(os.path.dirname(path))
        return open_over(path)


def open_over(path: str) -> IO[bytes]:
    """The file at `path`, made if need be, to be written over from its beginning. Raises OSError."""
    return open(
        path, "r+b", buffering=0, opener=lambda name, flags: system.open_plainly(name, flags | os.O_CREAT)
    )


def _open_to_look(path: str) -> IO[bytes]:
    return open(path, "rb", opener=system.open_plainly)


def _try(file: IO[bytes]) -> bool:
    import portalocker

    try:
        portalocker.lock(file, _at_once())
    except portalocker.LockException as error:
        # Contention is AlreadyLocked on most systems and a plain LockException under some; both mean no.
        cause = error.__cause__ or (error.args[0] if error.args else None)
        if isinstance(cause, OSError) and cause.errno in _NO_LOCKS:
            raise SpoolUnusable(
                f"the file system of {file.name} knows no locks", hint="use a folder on a local disk"
            ) from error
        return False
    return True


@cache
def _at_once() -> portalocker.LockFlags:
    import portalocker

    return portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING


def try_lock(path: str) -> Optional[HeldLock]:
    """The lock at `path` if it is free, else None. The file is created when it is not there.

    Raises:
        SpoolUnusable: the file system knows no locks.
    """
    file = _open(path)
    try:
        if _try(file):
            return HeldLock(path, file)
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def take_over(path: str) -> Optional[HeldLock]:
    """The lock at `path`, of which another one is made where something left running still holds it.

    Raises:
        OSError, SpoolUnusable: it cannot be made.
    """
    held = try_lock(path)
    if held is None:
        system.remove(path)
        held = try_lock(path)
    return held


def is_held(path: str) -> bool:
    """Whether somebody holds the lock at `path`; a file that is not there is held by nobody."""
    try:
        # Read-only: whoever may look into the spool may know.
        file = system.with_patience(lambda: _open_to_look(path))
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    with file:
        # Not by portalocker: its import takes longer than all of `status` (55 ms of 60).
        return system.is_locked(file.fileno())


def wait_lock(path: str, deadline: float) -> HeldLock:
    """The lock at `path`, waited for at most `deadline` seconds.

    Raises:
        Busy: somebody else held it all that time.
    """
    end, pause = system.monotonic() + deadline, 0.0005
    while (held := try_lock(path)) is None:
        if system.monotonic() >= end:
            raise Busy(
                f"another program has held {os.path.basename(path)} for {deadline:.0f} s", hint="try again"
            )
        system.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    return held


@contextmanager
def exclusive(path: str, deadline: float = CLAIM_DEADLINE) -> Iterator[None]:
    """Hold the lock at `path` for the block; threads of this process queue up without polling.

    A thread that holds it may enter again.

    Raises:
        Busy: it could not be had within `deadline` seconds.
    """
    with uncut(), _exclusive(path, deadline):
        yield


@contextmanager
def _exclusive(path: str, deadline: float) -> Iterator[None]:
    with _gates_guard:
        gate = _gates.setdefault(path, _Gate())
    end = system.monotonic() + deadline
    if not gate.lock.acquire(timeout=deadline):
        raise Busy(f"this program has held {os.path.basename(path)} for {deadline:.0f} s", hint="try again")
    try:
        held = wait_lock(path, end - system.monotonic()) if gate.depth == 0 else None
        gate.depth += 1
        try:
            yield
        finally:
            gate.depth -= 1
            if held is not None:
                held.release()
    finally:
        gate.lock.release()
