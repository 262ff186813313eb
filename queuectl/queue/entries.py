"""What the index is told of a job's file."""

from __future__ import annotations

from typing import Optional

from queuectl.calls import shown_command
from queuectl.errors import InvalidInput
from queuectl.index import Entry, written_command
from queuectl.index.base import HELD, PARKED
from queuectl.index.links import BATCH, HOOK, IF_THERE, written_link
from queuectl.job import Job, has_begun, is_first, parents, wants_retry
from queuectl.moment import read_moment, sortable_moment
from queuectl.names import fold
from queuectl.spool import Place, Spool, quarantine
from queuectl.spool.quarantine import NO_JOB
from queuectl.state import WAITING, State


def entry_of(place: Place, job: Job, version: tuple[int, int], now: float) -> Entry:
    """The index row of the job that lies at `place` in this version."""
    state, (mtime_ns, size) = place.state, version
    # As the claim will make it: due now, and as if it never had run.
    anew = state is State.PENDING and wants_retry(job)
    return Entry(
        id=place.job_id,
        fold=fold(place.job_id),
        state=state.value,
        worker=place.worker,
        mtime_ns=mtime_ns,
        size=size,
        created=created_of(job, version),
        command=written_command(shown_command(job)),
        task=job.task,
        priority=job.priority,
        due=_due(state, job, now, anew=anew) if state in WAITING else None,
        attempts=0 if anew else job.attempts,
        crashes=0 if anew else job.crashes,
        max_retries=job.max_retries,
        run_at=None if anew else job.run_at,
        created_at=job.created_at,
        updated_at=sortable_moment(job.updated_at),
        exit_code=None if anew else job.exit_code,
        error=None if anew else job.error,
        tags="".join(f"\n{tag}" for tag in job.tags) + "\n" if job.tags else "",
        lane=job.group,
        batch=job.batch,
        after=_after(job),
        hold=int(job.hold),
        unique_key=job.unique_key,
    )


def _due(state: State, job: Job, now: float, *, anew: bool) -> Optional[float]:
    due = None if anew else job.due
    if job.hold or (job.after and (anew or (state is State.PENDING and is_first(job)))):
        # What it waits for may have ended: that is asked when the row is written.
        return HELD
    if due is not None and due > now:
        return due
    return PARKED if job.group is not None else None


def _after(job: Job) -> Optional[str]:
    if not job.after and job.hook_of is None:
        return None
    begun = IF_THERE if has_begun(job) else ""
    found = [
        written_link(one.on + begun, one.id if one.id is not None else f"{BATCH}{one.batch}")
        for one in parents(job)
    ]
    return "\n".join(found if job.hook_of is None else [*found, written_link(HOOK, job.hook_of)])


def unreadable_entry(place: Place, version: tuple[int, int], error: str) -> Entry:
    """The index row of a file that should hold a job and does not."""
    mtime_ns, size = version
    return Entry(
        id=place.job_id,
        fold=fold(place.job_id),
        state=place.state.value,
        worker=place.worker,
        mtime_ns=mtime_ns,
        size=size,
        created=mtime_ns / 1e9,
        error=error,
    )


def row_of(
    spool: Spool, place: Place, version: tuple[int, int], limit: int, now: float, *, patience: float = 2.0
) -> tuple[Entry, Optional[InvalidInput]]:
    """The row of the file at `place`, read just now, which may hold a job of `limit` bytes; and what is wrong
    where it holds none, in which case the row is that of `version`.

    Raises:
        OSError: it is not there (any more), or cannot be read within `patience` seconds.
    """
    # One that was too large, for example, is a sound job all the same.
    note = quarantine.note_of(spool, place.job_id) if place.state is State.DEAD else None
    try:
        read = spool.read(place, limit, patience=patience)
    except InvalidInput as error:
        told = str(error) if place.state is State.DEAD else f"{NO_JOB}{error}"
        return unreadable_entry(place, version, note or told), error
    entry = entry_of(place, read.job, read.version, now)
    return (entry._replace(error=note) if note else entry), None


def created_of(job: Job, version: tuple[int, int]) -> float:
    """When the job came in, in seconds since the epoch: as it says, else when its file was written."""
    return read_moment(job.created_at) or version[0] / 1e9
