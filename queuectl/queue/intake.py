"""Drops that need a hand: a second file of a known name is renamed, a file that is no job is set aside.

Only where workers run: `status` and `list` never move a file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple, Optional

from queuectl.errors import Conflict, InvalidInput
from queuectl.job import renamed
from queuectl.names import id_problem, next_free, safe_id
from queuectl.queue.reconcile import Unsettled, reconcile_one
from queuectl.queue.store import Store
from queuectl.spool import Place, quarantine
from queuectl.spool.quarantine import NO_JOB
from queuectl.spool.scan import Found

AT_ONCE = 50
"""Drops that are settled in one go."""


class Settled(NamedTuple):
    """What was done with a drop: `reason` is set when it was no job."""

    old_name: str
    job_id: str
    reason: Optional[str] = None


def ripe_at(drop: Unsettled, settle_time: float) -> float:
    """When this drop may be settled, in seconds since the epoch: one that is no job may still be written."""
    return drop.oddity.seen + settle_time if drop.reason.startswith(NO_JOB) else 0.0


def settle_drops(
    store: Store, unsettled: Sequence[Unsettled], now: float
) -> tuple[list[Settled], list[Unsettled]]:
    """Rename or set aside what can be; what was done, and those that are left for another call.

    At most `AT_ONCE` are done: ten thousand bad files must not hold up the good ones. One that has not lain
    still for long enough is left for the next look instead.
    """
    done: list[Settled] = []
    settle_time = store.config.settle_time
    for position, drop in enumerate(unsettled):
        if len(done) == AT_ONCE:
            return done, list(unsettled[position:])
        if ripe_at(drop, settle_time) > now:
            continue
        with store.naming():
            if _unchanged(store, drop) and (outcome := _settle(store, drop, now)):
                store.index.drop_oddities([drop.oddity.path])
                done.append(outcome)
    return done, []


def _unchanged(store: Store, drop: Unsettled) -> bool:
    place = drop.place
    seen = store.spool.look(place.state, place.name, place.worker)
    version = (drop.oddity.mtime_ns, drop.oddity.size)
    return isinstance(seen, Found) and (seen.mtime_ns, seen.size) == version


def _settle(store: Store, drop: Unsettled, now: float) -> Optional[Settled]:
    try:
        return _rename_or_set_aside(store, drop, now)
    except (OSError, Conflict):
        # Somebody reads, writes or moves it just now; the next look finds it again.
        return None


def _rename_or_set_aside(store: Store, drop: Unsettled, now: float) -> Optional[Settled]:
    place, old_name = drop.place, drop.place.name
    try:
        if not drop.reason.startswith(NO_JOB):
            job_id = _rename(store, place, now)
        elif id_problem(place.job_id):
            return _set_aside(store, place, old_name, drop.reason, now)
        else:
            return _set_aside_unless_job(store, place, old_name, now)
    except InvalidInput as error:
        if now - drop.oddity.seen < store.config.settle_time:
            return None
        return _set_aside(store, place, old_name, f"{NO_JOB}{error}", now)
    return None if job_id is None else Settled(old_name, job_id)


def _set_aside_unless_job(store: Store, place: Place, old_name: str, now: float) -> Optional[Settled]:
    """It may be one after all: `max_job_bytes` was raised, its owner was changed."""
    try:
        store.spool.read(place, store.config.max_job_bytes)
    except InvalidInput as error:
        return _set_aside(store, place, old_name, f"{NO_JOB}{error}", now)
    # The next look takes it in.
    store.index.drop_oddities([store.spool.in_spool(store.spool.path(place))])
    return None


def _rename(store: Store, place: Place, now: float) -> Optional[str]:
    if place.file_name is None and not store.is_taken(place.job_id, besides=place):
        # RACE: the other file was this one, on its way out of here and back.
        return None
    read = store.spool.read(place, store.config.max_job_bytes)
    target = Place(place.state, next_free(place.job_id, lambda name: _is_taken(store, place, name)))
    job, version = store.stamp(place, renamed(read.job, target.job_id), read.version)
    store.spool.move(place, target)
    store.record(target, job, version, now)
    return target.job_id


def _is_taken(store: Store, place: Place, job_id: str) -> bool:
    if place.file_name is not None and store.spool.is_same_file(place, Place(place.state, job_id)):
        # X.JSON where case does not count: the name that it would be given is its own.
        return False
    return store.is_taken(job_id)


def _set_aside(store: Store, place: Place, old_name: str, reason: str, now: float) -> Settled:
    text = reason[len(NO_JOB) :]
    target = set_aside(store, place, safe_id(place.job_id), text, now)
    row = store.index.get(place.job_id)
    if target.job_id != place.job_id and row is not None and row.state == place.state.value:
        store.forget(place.job_id)
    return Settled(old_name, target.job_id, text)


def set_aside(store: Store, place: Place, job_id: str, reason: str, now: float) -> Place:
    """Move what is no job to `dead/`, with a note that says why, and show it in the index.

    It becomes `job_id`, or the next name that is free.
    """
    with store.naming():
        name = next_free(job_id, lambda name: store.is_taken(name, besides=place))
        target = quarantine.set_aside(store.spool, place, name, reason)
        show_quarantined(store, target, now)
    return target


def show_quarantined(store: Store, place: Place, now: float) -> None:
    """Show in the index what was moved to `dead/`; no error if that cannot be done now."""
    with suppress(sqlite3.Error):
        reconcile_one(store, place.job_id, now)
