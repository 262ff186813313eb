"""The doctor: one function that checks the spool's invariants, and mends what can be mended safely."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from queuectl import system
from queuectl.names import ERROR_SUFFIX, SUFFIX
from queuectl.queue.intake import settle_drops
from queuectl.queue.invariants import broken
from queuectl.queue.liveness import GRACE, is_alive, is_lost, outlived_by_command
from queuectl.queue.notices import bad_files, damaged_indexes
from queuectl.queue.reconcile import SECOND
from queuectl.queue.recovery import lost, ownerless_locks, recover
from queuectl.queue.store import CLAIM_LOCK, Store
from queuectl.queue.survey import reconcile_all
from queuectl.queue.vain import circles
from queuectl.spool import access, layout, making
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
        *_strays(store, fix),
        *_schedules(store),
        *_circles(store),
        *_broken(store),
        *_leftovers(store, fix),
    ]


def _folders(store: Store, fix: bool) -> Iterator[Finding]:
    missing = [name for name in layout.FOLDERS if not os.path.isdir(os.path.join(store.spool.root, name))]
    if missing and fix:
        making.make_spool(store.spool.root, force=True)
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
    lock = store.spool.lock_path(CLAIM_LOCK)
    if os.path.exists(lock) and not os.access(lock, os.W_OK):
        # Made by root, perhaps, and without it nobody can claim.
        yield Finding(f"locks/{CLAIM_LOCK}: this user may not write it: delete it while no worker runs")
    for line in access.strangers(store.spool.root):
        yield Finding(f"others may write to {line}: workers refuse to run here; queuectl init --private")


def _index(store: Store) -> Iterator[Finding]:
    if store.index.in_memory:
        yield Finding(f"{layout.INDEX}: cannot be changed: {store.index.why_in_memory}")
    # Read once: what is damaged in their text SQLite itself does not see.
    store.index.entries()
    if not store.index.in_memory and not store.index.is_sound():
        store.index.heal()
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
    recovered = _recover(store) if fix and dead else set()
    for text in store.taken_troubles():
        yield Finding(text)
    for name in dead:
        gone = name in recovered or not os.path.isdir(store.spool.worker_folder(name))
        yield Finding(f"processing/{name}: its worker has died{'' if gone else _why_left(store, name)}", gone)


def _recover(store: Store) -> set[str]:
    jobs = recover(store, system.now(), 0.5)
    if lost(store):
        system.sleep(GRACE)
        jobs += recover(store, system.now(), 0.5)
    return {job.worker for job in jobs}


def _why_left(store: Store, worker: str) -> str:
    if outlived_by_command(store.spool, worker):
        return " and its command still runs"
    if is_lost(store.spool, worker):
        return ", or the file of its lock was deleted: look again in a few seconds"
    jobs = {seen.file_name for seen in store.spool.scan_worker(worker) if isinstance(seen, Found)}
    others = sorted(set(system.names_in(store.spool.worker_folder(worker))) - jobs)
    return f"; move away what is no job: {', '.join(others)}" if others else ""


def _broken(store: Store) -> Iterator[Finding]:
    for text in broken(store):
        yield Finding(text)


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
        if oddity.reason.startswith(SECOND):
            # Of these the invariants tell.
            continue
        yield Finding(f"{oddity.path}: {oddity.reason}")


def _schedules(store: Store) -> Iterator[Finding]:
    for text in bad_files(store):
        yield Finding(text)


def _circles(store: Store) -> Iterator[Finding]:
    for text in circles(store):
        yield Finding(text)


def _leftovers(store: Store, fix: bool) -> Iterator[Finding]:
    for path in store.spool.tmp.abandoned(system.now()):
        gone = fix and _removed(store, path)
        yield Finding(f"{store.spool.in_spool(path)}: left by a program that was killed", gone)
    for path in _files(os.path.join(store.spool.root, State.DEAD.folder)):
        if _speaks_of_nothing(path) and (not fix or _forget_note(store, path)):
            yield Finding(f"{store.spool.in_spool(path)}: the file it speaks of is gone", fix)
    yield from _stale_locks(store, fix)


def _removed(store: Store, path: str) -> bool:
    try:
        store.spool.tmp.remove(path)
    except OSError:
        return False
    return True


def _speaks_of_nothing(path: str) -> bool:
    return path.endswith(ERROR_SUFFIX) and not os.path.lexists(path[: -len(ERROR_SUFFIX)] + SUFFIX)


def _forget_note(store: Store, path: str) -> bool:
    # RACE: the note comes first; what is set aside is moved after it, under this lock.
    with store.claiming():
        return _speaks_of_nothing(path) and system.remove(path)


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
