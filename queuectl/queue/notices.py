"""What needs a person's eye, as `status` tells it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Optional

from queuectl import system
from queuectl.errors import InvalidInput
from queuectl.index import STUCK_AFTER
from queuectl.queue.liveness import is_alive, outlived_by_command
from queuectl.queue.report import job_of
from queuectl.queue.store import Store
from queuectl.queue.vain import FEW, circles, in_vain, said_of, unserved
from queuectl.spool.layout import GROUPS, HOOKS, INDEX, SCHEDULES

PROBLEMS_SHOWN = 50


def problems(store: Store) -> list[str]:
    """What needs a person's eye, a line each."""
    lines = _few([f"{oddity.path}: {oddity.reason}" for oddity in store.index.oddities()])
    lines += [
        *bad_files(store),
        *(f"job {child} {why}" for child, why in in_vain(store, PROBLEMS_SHOWN)),
        *circles(store, FEW),
        *_few([said_of(task, count) for task, count in unserved(store)]),
        *_stuck(store),
        *_index_in_memory(store),
        *damaged_indexes(store),
    ]
    return [*lines, *_dead_workers(store)]


def bad_files(store: Store) -> list[str]:
    """Of each file in `schedules`, `groups` and `hooks` that is none, a line."""
    lines: list[str] = []
    spool = store.spool
    folders = (
        (SCHEDULES, lambda: spool.schedules),
        (GROUPS, lambda: spool.groups),
        (HOOKS, lambda: spool.hooks),
    )
    for folder, reader in folders:
        if _is_empty(os.path.join(spool.root, folder)):
            # Mostly there is none: what reads them takes a while to import.
            continue
        files: Any = reader()
        try:
            found, left_out = list(files.found().values()), files.left_out()
        except OSError as error:
            lines.append(f"{store.spool.in_spool(files.folder)}: cannot be read: {error.strerror}")
            continue
        lines += [line for line in (_bad_file(store, files, file) for file in found) if line is not None]
        lines += [f"{store.spool.in_spool(file.path)}: {why}" for file, why in left_out]
    return _few(lines)


def _is_empty(folder: str) -> bool:
    with suppress(OSError):
        return not system.names_in(folder)
    return False


def _bad_file(store: Store, files: Any, file: Any) -> Optional[str]:
    where = store.spool.in_spool(file.path)
    try:
        files.read(file, patience=0.0)
    except InvalidInput as error:
        return f"{where}: {error}"
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{where}: cannot be read: {error.strerror}"
    return None


def _few(lines: list[str]) -> list[str]:
    left = len(lines) - PROBLEMS_SHOWN
    return [*lines[:PROBLEMS_SHOWN], f"and {left} more like these"] if left > 0 else lines


def _index_in_memory(store: Store) -> list[str]:
    why = store.index.why_in_memory
    return [] if why is None else [f"{INDEX} cannot be used just now: {why}"]


def _stuck(store: Store) -> list[str]:
    now = system.now()
    return [
        f"job {entry.id} {entry.stuck_why}"
        for entry in store.index.stuck()
        if now - (entry.stuck_since or now) >= STUCK_AFTER
    ]


def damaged_indexes(store: Store) -> list[str]:
    """Of each index that was set aside because it was damaged, a line."""
    aside = [name for name in sorted(os.listdir(store.spool.root)) if name.startswith(f"{INDEX}.damaged-")]
    return [
        f"{name}: the index was damaged and has been built anew; check queuectl config get, then delete this"
        for name in aside
        if not name.endswith(("-wal", "-shm"))
    ]


def _dead_workers(store: Store) -> list[str]:
    lines = []
    for name in store.spool.workers():
        if is_alive(store.spool, name):
            continue
        job = job_of(store, name)
        if job is None:
            continue
        if outlived_by_command(store.spool, name):
            lines.append(f"worker {name} has died; the command of its job {job} still runs and is waited for")
        else:
            lines.append(f"worker {name} has died with job {job}; the next worker that runs frees it")
    return lines
