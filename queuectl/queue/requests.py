"""What people and other programs ask of workers, through files: stop, end this job, start no new one."""

from __future__ import annotations

import os
from typing import Optional

from queuectl import system
from queuectl.queue.liveness import is_alive, outlived_by_command
from queuectl.spool import Spool, layout

FINISH, KILL = "", "now"
"""What a request to stop says: finish what runs, or end it."""
_PAUSED_TEXT = b"New jobs do not start while this file is here. Delete it, or: queuectl resume\r\n"


def ask(spool: Spool, worker: str, suffix: str, text: str = "") -> None:
    """Leave this worker a request in `locks/`; it appears whole.

    One that has gone is left none, unless its command lives on: who recovers its job then meets the request.
    """
    spool.tmp.put(spool.lock_path(worker + suffix), text.encode())
    if not is_alive(spool, worker) and not outlived_by_command(spool, worker):
        # RACE: it closed before it could find the request, which would stay for good.
        withdraw(spool, worker, suffix, text)


def asked(spool: Spool, worker: str, suffix: str) -> Optional[str]:
    """The text of such a request; None when there is none: a folder or a link of its name is none.

    Raises:
        OSError: there is one, and it cannot be read just now.
    """
    path = spool.lock_path(worker + suffix)
    if not system.is_there(path):
        return None
    try:
        return system.read_file(path, 4096)[0].decode("utf-8", "replace")
    except (FileNotFoundError, system.NotARegularFile):
        return None


def heard(spool: Spool, worker: str, suffix: str, *, unreadable: Optional[str] = None) -> Optional[str]:
    """As `asked`, for those who ask again soon; `unreadable` when it cannot be read just now."""
    try:
        return asked(spool, worker, suffix)
    except OSError:
        return unreadable


def withdraw(spool: Spool, worker: str, suffix: str, text: Optional[str] = None) -> None:
    """Take a request back, or away once it has been met; one of another `text` is somebody else's."""
    if text is not None and asked(spool, worker, suffix) != text:
        return
    system.remove(spool.lock_path(worker + suffix))


def is_paused(spool: Spool, *, by_us: bool = False) -> bool:
    """Whether new jobs are kept from starting; `by_us`: by the file that `pause` makes."""
    # Asked before each run; mostly there is none.
    paths = _pause_paths(spool)
    return any(system.is_there(path) and os.path.isfile(path) for path in (paths[:1] if by_us else paths))


def pause(spool: Spool) -> bool:
    """Keep new jobs from starting; False if they were already."""
    if is_paused(spool):
        return False
    system.write_file(_pause_paths(spool)[0], _PAUSED_TEXT)
    system.sync_folder(spool.root)
    return True


def resume(spool: Spool) -> bool:
    """Let jobs start again; False if they could already."""
    removed = [system.remove(path) for path in _pause_paths(spool) if os.path.isfile(path)]
    system.sync_folder(spool.root)
    return any(removed)


def _pause_paths(spool: Spool) -> list[str]:
    return [spool.root + os.sep + name for name in layout.PAUSED]
