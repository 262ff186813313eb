"""Jobs on their way elsewhere: JSON Lines, a record a line, whole, with its state.

A line may also be a log: that of the job of this id, which stands before it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from typing import IO, NamedTuple, Optional

import msgspec

from queuectl import system
from queuectl.codec import decode_job
from queuectl.errors import InvalidInput
from queuectl.job import Job, renamed, retried, wants_retry
from queuectl.queue.lines import RESTS, job_line, log_line
from queuectl.queue.reconcile import place_of
from queuectl.queue.store import Store
from queuectl.spool import Place, quarantine
from queuectl.spool.scan import SCAN_ORDER, Found
from queuectl.state import FINISHED, State

LARGEST_LOG = 64 * 2**20
"""Bytes of a log that is exported, at most: it is read as a whole, and is one line."""


class Exported(NamedTuple):
    """How many jobs were written; the paths in the spool of files that were not, as they are no jobs; the ids
    of jobs whose logs were not, as they cannot be read, or have more than `LARGEST_LOG` bytes.
    """

    jobs: int
    left_out: list[str]
    logs_left_out: list[str]


def export_jobs(store: Store, file: IO[bytes], states: Set[State], *, logs: bool, now: float) -> Exported:
    """See `House.export`."""
    limit, seen = store.config.max_job_bytes, set[str]()
    left_out, logs_left_out = dict[Place, None](), list[str]()
    for place in _places(store, states):
        if place.job_id in seen:
            # It has moved on since, or is the second of its name.
            continue
        try:
            found = _as_exported(store, place, limit, now)
        except InvalidInput:
            left_out[place] = None
            continue
        if found is None or states.isdisjoint((found[0].state, place.state)):
            continue
        seen.add(place.job_id)
        # It was being written at the first look, perhaps.
        left_out.pop(place, None)
        file.write(job_line(*found))
        log = _log_of(store, place.job_id) if logs else b""
        if log:
            file.write(log_line(place.job_id, log))
        elif log is None:
            logs_left_out.append(place.job_id)
    paths = [store.spool.in_spool(store.spool.path(place)) for place in left_out]
    return Exported(len(seen), paths, logs_left_out)


def _places(store: Store, states: Set[State]) -> Iterator[Place]:
    # Twice: a job that somebody retries moves back, to where was looked before.
    for state in SCAN_ORDER * 2:
        # What runs counts as waiting, unless its end is recorded already.
        if state in states or state is State.PROCESSING:
            yield from (place_of(seen) for seen in store.spool.scan_state(state) if isinstance(seen, Found))


def _as_exported(store: Store, place: Place, limit: int, now: float) -> Optional[tuple[Job, State]]:
    """The job at this place, as it is to come in elsewhere, and where it is to lie; None if it has gone.

    Raises:
        InvalidInput: the file holds none, or was set aside as if it did.
    """
    try:
        job = decode_job(store.spool.read_bytes(place, limit)[0])
    except FileNotFoundError:
        return None
    except system.NotARegularFile as error:
        raise InvalidInput(str(error)) from None
    if place.state is State.DEAD and os.path.lexists(quarantine.note_path(store.spool, place.job_id)):
        # One that was too large, for example: elsewhere it would be without the note that keeps it.
        raise InvalidInput("it was set aside")
    if job.id != place.job_id:
        job = renamed(job, place.job_id)
    if place.state is State.PENDING and wants_retry(job):
        # As the claim would have made it.
        return retried(job, now=now), place.state
    state = place.state
    if state is State.PROCESSING:
        # A run that has ended is recorded first, and moved then.
        state = job.state if job.state in FINISHED else State.PENDING
    if state in RESTS.values() and job.state not in FINISHED:
        # Dragged there by somebody before it ended: its record says so, and keeps it from being deleted.
        return job, state
    return (job if job.state is state else msgspec.structs.replace(job, state=state)), state


def _log_of(store: Store, job_id: str) -> Optional[bytes]:
    """What the job's command has printed; None where that cannot be read, or is too large."""
    try:
        data, _ = system.read_file(store.spool.log_path(job_id), LARGEST_LOG)
    except FileNotFoundError:
        return b""
    except OSError:
        return None
    return data if len(data) <= LARGEST_LOG else None
