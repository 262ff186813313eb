"""Waiting until jobs have ended for good, and the one number by which a script is told how.

Nothing tells of a move in the folders that can be relied upon: it looks, at where each job lay last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Optional

from queuectl import system
from queuectl.errors import NoSuchJob, TimedOut
from queuectl.job import Job
from queuectl.queue.entries import entry_of
from queuectl.queue.report import job_rows
from queuectl.queue.store import Store
from queuectl.spool import Place
from queuectl.state import State

STEP = 0.1
"""Seconds between two looks."""
_REST = 20
"""Times as long as a look takes it rests, if that is longer: of a thousand jobs each look takes a while."""
_ENDED = (State.COMPLETED, State.DEAD)
_SHOWN = 20
FAILED, JOB_TIMED_OUT, NOT_STARTED, SIGNALLED = 1, 124, 127, 128
"""Exit codes as a shell and `timeout` have them."""


def wait(
    store: Store,
    places: Sequence[Place],
    *,
    timeout: Optional[float],
    meanwhile: Callable[[list[str]], object],
) -> list[dict[str, Any]]:
    """See `Queue.wait`."""
    end = None if timeout is None else system.monotonic() + timeout
    where = {place.job_id: place for place in places}
    rows: dict[str, dict[str, Any]] = {}
    while True:
        began = system.monotonic()
        for job_id in where:
            if job_id not in rows and (row := _row_if_ended(store, where, job_id)):
                rows[job_id] = row
        left = [job_id for job_id in where if job_id not in rows]
        if not left:
            return [rows[job_id] for job_id in where]
        now = system.monotonic()
        if end is not None and now >= end:
            raise TimedOut(f"still waiting for {_listed(left)}", hint="the jobs go on")
        meanwhile(left)
        pause = max(STEP, _REST * (now - began))
        system.sleep(pause if end is None else min(pause, max(end - now, 0.0)))


def _row_if_ended(store: Store, where: dict[str, Place], job_id: str) -> Optional[dict[str, Any]]:
    place = where[job_id]
    if place.state not in _ENDED and store.spool.is_there(place):
        return None
    place = where[job_id] = _found(store.spool.locate(job_id), job_id)
    if place.state not in _ENDED:
        return None
    try:
        place, read = _found(store.spool.find(job_id, store.config.max_job_bytes), job_id)
    except OSError as error:
        if not system.is_transient(error):
            raise
        # Somebody holds it open (Windows): it has ended, and the next look tells how.
        return None
    if place.state not in _ENDED:
        # RACE: somebody has it run again just now.
        where[job_id] = place
        return None
    (row,) = job_rows(store, [entry_of(place, read.job, read.version, system.now())], system.now())
    return {**row, "outcome": _outcome_of(read.job), "result": read.job.result}


def _found(found: Any, job_id: str) -> Any:
    if found is None:
        raise NoSuchJob(job_id)
    return found


def _listed(job_ids: Sequence[str]) -> str:
    more = len(job_ids) - _SHOWN
    return ", ".join(job_ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _outcome_of(job: Job) -> Optional[str]:
    if job.error == "cancelled":
        # One that waited had its last run long before.
        return job.error
    return job.history[-1].outcome if job.history else None


def exit_code_of(row: dict[str, Any]) -> int:
    """What a script is told of a job that has ended: as if it had run the command itself.

    0 is success and nothing else, whatever the command's own code was.
    """
    if row["state"] == State.COMPLETED.value:
        return 0
    code: Optional[int] = row["exit_code"]
    if row["outcome"] == "timeout":
        return JOB_TIMED_OUT
    if row["outcome"] != "failed":
        return FAILED
    if code is None:
        return NOT_STARTED
    return system.exit_status(SIGNALLED - code if code < 0 else code) or FAILED


def exit_code_of_all(rows: Sequence[dict[str, Any]]) -> int:
    """That of the first that failed, in their order."""
    return next((code for code in map(exit_code_of, rows) if code), 0)
