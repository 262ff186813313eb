"""Logs whose jobs are gone: of files that somebody has deleted, or whose log was held open when they went."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple, Optional

from queuectl import system
from queuectl.names import BESIDE
from queuectl.queue.store import Store
from queuectl.spool import layout

AT_ONCE = 50
"""Logs that are deleted with one hold of `claim.lock`."""
_PAGE = 500
"""Names that are looked at at once."""


class Log(NamedTuple):
    """A file in `logs/`."""

    job_id: str
    path: str
    size: int


def old_logs(store: Store, before: float) -> Iterator[list[Log]]:
    """The files in `logs/` that nobody has written to since then and whose jobs are gone, piece by piece."""
    folder = os.path.join(store.spool.root, layout.LOGS)
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        names = (entry.name for entry in entries)
        while piece := list(islice(names, _PAGE)):
            found = [log for name in piece if (log := _old_log(folder, name, before))]
            yield _orphans(store, found)


def _old_log(folder: str, name: str, before: float) -> Optional[Log]:
    suffix = next((one for one in BESIDE if name.endswith(one)), None)
    if suffix is None:
        return None
    path = os.path.join(folder, name)
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode) or found.st_mtime > before:
        return None
    return Log(name[: -len(suffix)], path, found.st_size)


def _orphans(store: Store, logs: Sequence[Log]) -> list[Log]:
    known = store.index.stamps_of([log.job_id for log in logs])
    return [log for log in logs if log.job_id not in known and store.spool.locate(log.job_id) is None]


def delete_logs(store: Store, logs: Sequence[Log], before: float) -> list[Log]:
    """Delete these, unless a job of that id has come or somebody has written to them.

    Raises:
        Busy: somebody else holds `claim.lock` all the time.
    """
    gone: list[Log] = []
    for begin in range(0, len(logs), AT_ONCE):
        with store.claiming():
            for log in logs[begin : begin + AT_ONCE]:
                folder, name = os.path.split(log.path)
                if _old_log(folder, name, before) is None or store.spool.locate(log.job_id) is not None:
                    continue
                with suppress(OSError):
                    system.remove(log.path, patience=0.0)
                    gone.append(log)
    return gone
