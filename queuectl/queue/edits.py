"""Jobs that wait, changed where they lie: hold, release, edit."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import msgspec

from queuectl.codec import decode_one, job_size
from queuectl.errors import Conflict, InvalidInput
from queuectl.job import USER_FIELDS, Job, is_first
from queuectl.moment import format_moment
from queuectl.queue.store import Store
from queuectl.queue.ties import check_parents, refuse_circle
from queuectl.queue.verbs import moved_on, read_waiting, telling
from queuectl.source import Source
from queuectl.spool import FileChanged, Place, Read, too_large
from queuectl.state import WAITING

_FIXED = ("$schema", "id")


class Editable(NamedTuple):
    """What a person may set of a job that waits, as it is, and the version of its file."""

    fields: dict[str, Any]
    version: tuple[int, int]


def editable(store: Store, place: Place) -> Editable:
    """See `Queue.editable`."""
    read = _waiting(store, place)
    plain = msgspec.to_builtins(read.job)
    return Editable({name: plain[name] for name in USER_FIELDS if name in plain}, read.version)


def change(
    store: Store,
    places: Sequence[Place],
    changes: Mapping[str, Any],
    *,
    now: float,
    version: Optional[tuple[int, int]] = None,
    lasts: bool = True,
) -> None:
    """Give these jobs other values of some fields; see `Queue.edit` and `Queue.hold`.

    Unless it `lasts`, the folders are left to be synced.
    """
    unknown = [name for name in changes if name not in USER_FIELDS or name in _FIXED]
    if unknown:
        raise InvalidInput(f"{unknown[0]!r} is no field that can be changed")
    with store.claiming():
        reads = [_waiting(store, place) for place in places]
        if version is not None and reads[0].version != version:
            raise moved_on(places[0])
        jobs = [_changed(store, read.job, changes) for read in reads]
        if changes.get("after"):
            jobs = check_parents(store, jobs)
            for job in jobs:
                refuse_circle(store, job)
        _write(store, places, reads, jobs, now, lasts=lasts)


def release(store: Store, places: Sequence[Place], *, anyway: bool, now: float, lasts: bool = True) -> None:
    """See `Queue.release`; of `lasts` see `change`."""
    with store.claiming():
        reads = [_waiting(store, place) for place in places]
        changes: dict[str, Any] = {"hold": False, **({"after": None} if anyway else {})}
        for read in reads:
            if not (read.job.hold or (anyway and read.job.after)):
                waits = bool(read.job.after) and is_first(read.job)
                hint = "--anyway runs it whatever it waits for" if waits else None
                raise Conflict(f"job {read.job.name!r} is not held", hint=hint)
        jobs = [_changed(store, read.job, changes) for read in reads]
        _write(store, places, reads, jobs, now, lasts=lasts)


def _waiting(store: Store, place: Place) -> Read:
    if place.state not in WAITING:
        raise Conflict(f"job {place.job_id!r} is {place.state.value}: only one that waits can be changed")
    return read_waiting(store, place)


def _changed(store: Store, job: Job, changes: Mapping[str, Any]) -> Job:
    try:
        plain = {**msgspec.to_builtins(job), **msgspec.to_builtins(dict(changes))}
        kept = {name: value for name, value in plain.items() if value is not None}
        # By way of text: what is wrong is told as of a file.
        changed = decode_one(Source(msgspec.json.encode(kept).decode(), None))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a job's fields are JSON values: {error}") from None
    limit = store.config.max_job_bytes
    if job_size(changed) > limit:
        raise too_large(limit)
    return changed


def _write(
    store: Store,
    places: Sequence[Place],
    reads: Sequence[Read],
    jobs: Sequence[Job],
    now: float,
    *,
    lasts: bool,
) -> None:
    with telling(store, *({place.state for place in places} if lasts else ())) as done:
        for place, read, changed in zip(places, reads, jobs):
            stamped = msgspec.structs.replace(changed, updated_at=format_moment(now))
            try:
                job, version = store.stamp(place, stamped, read.version)
            except (FileNotFoundError, FileChanged):
                raise moved_on(place) from None
            done.append(place.job_id)
            _record(store, place, job, version, now, was_of=read.job.batch)


def _record(
    store: Store, place: Place, job: Job, version: tuple[int, int], now: float, *, was_of: Optional[str]
) -> None:
    """Write the row of a job that may wait for others than before, and be of another batch."""
    try:
        store.index.unlink([place.job_id])
        store.record(place, job, version, now)
        if was_of not in (None, job.batch):
            store.index.look_at_batches()
    except sqlite3.Error:
        # The file is written: the next look repairs its row.
        return
