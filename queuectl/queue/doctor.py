"""The doctor: one function that checks the spool's invariants, and mends what can be mended safely."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from queuectl import system
from queuectl.errors import InvalidInput
from queuectl.names import ERROR_SUFFIX, SUFFIX
from queuectl.queue.intake import settle_drops
from queuectl.queue.liveness import is_alive, outlived_by_command
from queuectl.queue.reconcile import place_of, reconcile_all
from queuectl.queue.recovery import ownerless_locks, recover
from queuectl.queue.report import damaged_indexes
from queuectl.queue.store import Store
from queuectl.spool import layout
from queuectl.spool.scan import Found
from queuectl.state import State


class Finding(NamedTuple):
    """Something that is not as it should be."""

    text: str
    fixed: bool = False


def examine(store: Store, *, fix: bool) -> list[Finding]:
    """Everything that is wrong with the spool, each mended where that is safe and `fix` is given."""
    findings = [*_folders(store, fix), *_permissions(store), *_disks(store), *_index(store)]
    return [
        *findings,
        *_workers(store, fix),
        *_records(store),
        *_strays(store, fix),
        *_leftovers(store, fix),
    ]


def _folders(store: Store, fix: bool) -> Iterator[Finding]:
    missing = [name for name in layout.FOLDERS if not os.path.isdir(os.path.join(store.spool.root, name))]
    if missing and fix:
        layout.make_spool(store.spool.root, force=True)
    for name in missing:
        yield Finding(f"{name}: the folder is missing", fix)


def _disks(store: Store) -> Iterator[Finding]:
    root = os.stat(store.spool.root).st_dev
    for name in layout.FOLDERS:
        path = os.path.join(store.spool.root, name)
        if os.path.isdir(path) and os.stat(path).st_dev != root:
            yield Finding(f"{name}: lies on another disk than the spool, so no file can be moved to it")


def _permissions(store: Store) -> Iterator[Finding]:
    for name in layout.FOLDERS:
        path = os.path.join(store.spool.root, name)
        if os.path.isdir(path) and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield Finding(f"{name}: this user may not read and write here")


def _index(store: Store) -> Iterator[Finding]:
    if store.index.in_memory:
        yield Finding(f"{layout.INDEX}: cannot be changed: {store.index.why_in_memory}")
    known = store.index.stamps()
    found = {seen.job_id: seen for seen in store.spool.scan() if isinstance(seen, Found)}
    gone = len(known.keys() - found.keys())
    reconcile_all(store, system.now())
    after = store.index.stamps()
    behind = sum(known.get(job_id) != stamp and job_id in found for job_id, stamp in after.items())
    for text in damaged_indexes(store):
        yield Finding(text)
    if behind:
        yield Finding(f"{layout.INDEX}: rows of {behind} changed files were behind", True)
    if gone:
        yield Finding(f"{layout.INDEX}: {gone} rows had no file any more", True)


def _workers(store: Store, fix: bool) -> Iterator[Finding]:
    dead = [name for name in store.spool.workers() if not is_alive(store.spool, name)]
    recovered = {job.worker for job in recover(store, system.now(), 0.5)} if fix and dead else set()
    for name in dead:
        gone = name in recovered or not os.path.isdir(store.spool.worker_folder(name))
        waits = " and its command still runs" if not gone and outlived_by_command(store.spool, name) else ""
        yield Finding(f"processing/{name}: its worker has died{waits}", gone)


def _records(store: Store) -> Iterator[Finding]:
    limit = store.config.max_job_bytes
    # A scan may meet a name twice.
    for seen in dict.fromkeys(store.spool.scan()):
        if not isinstance(seen, Found) or seen.state in (State.PENDING, State.DEAD):
            continue
        place = place_of(seen)
        shown = store.spool.in_spool(store.spool.path(place))
        try:
            read = store.spool.read(place, limit)
        except InvalidInput as error:
            yield Finding(f"{shown}: holds no job: {error}")
        except OSError:
            continue
        else:
            if not read.faithful:
                yield Finding(f"{shown}: its record gives another id; the file's name counts")


def _strays(store: Store, fix: bool) -> Iterator[Finding]:
    unsettled = reconcile_all(store, system.now())
    if fix and unsettled:
        settle_drops(store, unsettled, system.now())
        reconcile_all(store, system.now())
    left = {oddity.path for oddity in store.index.oddities()}
    for drop in unsettled:
        if drop.oddity.path not in left:
            yield Finding(f"{drop.oddity.path}: {drop.reason}", True)
    for oddity in store.index.oddities():
        yield Finding(f"{oddity.path}: {oddity.reason}")


def _leftovers(store: Store, fix: bool) -> Iterator[Finding]:
    for path in store.spool.tmp.abandoned(system.now()):
        yield Finding(f"{store.spool.in_spool(path)}: left by a program that was killed", fix)
        if fix:
            system.remove(path)
    for path in _files(os.path.join(store.spool.root, State.DEAD.folder)):
        if path.endswith(ERROR_SUFFIX) and not os.path.lexists(path[: -len(ERROR_SUFFIX)] + SUFFIX):
            yield Finding(f"{store.spool.in_spool(path)}: the file it speaks of is gone", fix)
            if fix:
                system.remove(path)
    yield from _stale_locks(store, fix)


def _stale_locks(store: Store, fix: bool) -> Iterator[Finding]:
    for name in ownerless_locks(store, clear=fix):
        yield Finding(f"locks/{name}.*: its worker has gone", fix)


def _files(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.path
                for entry in entries
                if entry.is_file(follow_symlinks=False) and not entry.name.startswith(".")
            )
    except FileNotFoundError:
        return []
