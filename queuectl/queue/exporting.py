"""Jobs on their way elsewhere: JSON Lines, a record a line, whole, with its state.

A line may also be a log: that of the job of this id, which stands before it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Set
from typing import IO, NamedTuple, Optional

import msgspec

from queuectl import system
from queuectl.codec import decode_job
from queuectl.errors import InvalidInput
from queuectl.job import Job, renamed, retried, wants_retry
from queuectl.queue.reconcile import place_of
from queuectl.queue.store import Store
from queuectl.spool import Place
from queuectl.spool.scan import SCAN_ORDER, Found
from queuectl.state import FINISHED, State

LARGEST = 2**31
"""Bytes that are read of a log, or of a record, at most."""


class LogLine(msgspec.Struct, omit_defaults=True):
    """What a job's command has printed; as text where it is some."""

    log: Optional[str] = None
    text: Optional[str] = None
    base64: Optional[str] = None

    @property
    def data(self) -> bytes:
        """The bytes of the log. Raises ValueError."""
        return (self.text or "").encode() if self.base64 is None else b64decode(self.base64, validate=True)


class Exported(NamedTuple):
    """How many jobs were written, and the paths in the spool of files that could not be: they hold no job."""

    jobs: int
    left_out: list[str]


def export_jobs(store: Store, file: IO[bytes], states: Set[State], *, logs: bool, now: float) -> Exported:
    """See `House.export`."""
    limit, count = store.config.max_job_bytes, 0
    seen: set[str] = set()
    left_out: list[str] = []
    for place in _places(store, states):
        if place.job_id in seen:
            # It has moved on since, or is the second of its name.
            continue
        try:
            job = _as_exported(store, place, limit, now)
        except InvalidInput:
            left_out.append(store.spool.in_spool(store.spool.path(place)))
            continue
        if job is None or states.isdisjoint((job.state, place.state)):
            continue
        seen.add(place.job_id)
        file.write(msgspec.json.encode(job) + b"\n")
        count += 1
        if logs and (line := _log_line(store, place.job_id)):
            file.write(msgspec.json.encode(line) + b"\n")
    return Exported(count, left_out)


def _places(store: Store, states: Set[State]) -> Iterator[Place]:
    for state in SCAN_ORDER:
        # What runs counts as waiting, unless its end is recorded already.
        if state in states or state is State.PROCESSING:
            yield from (place_of(seen) for seen in store.spool.scan_state(state) if isinstance(seen, Found))


def _as_exported(store: Store, place: Place, limit: int, now: float) -> Optional[Job]:
    """The job at this place, as it is to come in elsewhere; None if it has gone.

    Raises:
        InvalidInput: the file holds none.
    """
    try:
        job = decode_job(store.spool.read_bytes(place, limit)[0])
    except FileNotFoundError:
        return None
    except system.NotARegularFile as error:
        raise InvalidInput(str(error)) from None
    if job.id != place.job_id:
        job = renamed(job, place.job_id)
    if place.state is State.PENDING and wants_retry(job):
        # As the claim would have made it.
        return retried(job, now=now)
    state = place.state
    if state is State.PROCESSING:
        # A run that has ended is recorded first, and moved then.
        state = job.state if job.state in FINISHED else State.PENDING
    return job if job.state is state else msgspec.structs.replace(job, state=state)


def _log_line(store: Store, job_id: str) -> Optional[LogLine]:
    try:
        data, _ = system.read_file(store.spool.log_path(job_id), LARGEST)
    except OSError:
        return None
    try:
        return LogLine(log=job_id, text=data.decode()) if data else None
    except UnicodeDecodeError:
        return LogLine(log=job_id, base64=b64encode(data).decode())
