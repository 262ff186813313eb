"""When a run has been recorded, what is to be run for that is added as a job of its own.

Between the record and the move: a worker that dies in between leaves a record by which whoever finishes the
move does this, too, and the hook's id tells whether it has been done. Whatever goes wrong with a hook, the
job itself is recorded and moved all the same.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Union

import msgspec

from queuectl import system
from queuectl.checks import problem_of
from queuectl.codec import decode_job
from queuectl.errors import InvalidInput, QueueError
from queuectl.hook import FILE, event_named, events_of, hook_job, own_hook, template_of
from queuectl.job import Hook, Job, accepted
from queuectl.queue.store import Store
from queuectl.spool import Place
from queuectl.state import State


def fire(store: Store, place: Place, job: Job, now: float) -> None:
    """Add what is to be run for the end of this job's last run, which is recorded at `place`.

    Trouble with it is noted in the store.
    """
    for event in events_of(job):
        for source, found in _hooks(store, job, event):
            try:
                template = found if isinstance(found, Job) else _template(store, found, job)
                # Else a power cut could undo the run, and leave what was made for it.
                store.spool.sync_claim(place)
                _add(store, hook_job(template, job, event, store.spool.log_path(job.name)), source, now)
            except (QueueError, OSError, sqlite3.Error, msgspec.ValidationError, ValueError) as error:
                store.troubles.append(f"{event} of {job.name} is not run: {_why(error)}")


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _hooks(store: Store, job: Job, event: str) -> list[tuple[str, Union[Hook, Job]]]:
    """Of each hook of this event the end of its id, and what it is: the job's own, and the one for all."""
    found: list[tuple[str, Union[Hook, Job]]] = []
    own = own_hook(job, event)
    if own is not None:
        found.append(("", own))
    files = store.spool.hooks
    for name, file in files.found().items():
        if event_named(name) == event:
            try:
                found.append(("-all", files.read(file, patience=0.0)))
            except (QueueError, OSError) as error:
                store.troubles.append(f"{store.spool.in_spool(file.path)} is not run: {_why(error)}")
    return found


def _template(store: Store, hook: Hook, job: Job) -> Job:
    template = template_of(hook, job)
    if template is None:
        template = _from_file(store, hook[FILE] if isinstance(hook, dict) else "")
    if problem := problem_of(template):
        raise InvalidInput(f"{problem.field}: {problem.text}")
    return template


def _from_file(store: Store, name: object) -> Job:
    """The job in the file that it names; a relative path starts at the spool's parent, as `cwd` does."""
    path = os.path.join(os.path.dirname(store.spool.root), os.path.expanduser(str(name)))
    data, found = system.read_file(path, store.config.max_job_bytes, patience=0.0)
    if problem := store.spool.trust.objection(path, found):
        raise InvalidInput(f"{path}: {problem}")
    return decode_job(data)


def _add(store: Store, job: Job, source: str, now: float) -> None:
    job_id = job.name + source
    if store.spool.locate(job_id) is not None:
        # Made before, by somebody who has died since, or by an earlier try.
        return
    made = accepted(msgspec.structs.replace(job, created_at=None), job_id=job_id, now=now)
    place = Place(State.PENDING, job_id)
    ((prepared, version),) = store.spool.prepare([made])
    admitted = False
    try:
        with store.naming():
            if not store.is_taken(job_id):
                store.spool.admit(prepared, place)
                admitted = True
                store.spool.sync(State.PENDING)
    finally:
        if not admitted:
            system.remove(prepared)
    if admitted:
        store.record(place, made, version, now)
