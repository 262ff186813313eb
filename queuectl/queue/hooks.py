"""When a run has been recorded, what is to be run for that is added as a job of its own.

Between the record and the move: a worker that dies in between leaves a record by which whoever finishes the
move does this, too, and the hook's id tells whether it has been done. Whatever goes wrong with a hook, the
job itself is recorded and moved all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

import msgspec

from queuectl import system
from queuectl.checks import problem_of_hook
from queuectl.codec import decode_hook, job_size
from queuectl.errors import Conflict, InvalidInput
from queuectl.hook import FOR_ALL, events_of, hook_id, hook_job, is_same, named_file, own_hook, template_of
from queuectl.job import Hook, Job, accepted
from queuectl.names import EVENTS
from queuectl.queue.store import Store
from queuectl.spool import Place, layout, too_large
from queuectl.state import TO_BE_DONE, State

_PATIENCE = 0.5
"""Seconds for a file that somebody holds just now."""


def has_hooks(store: Store) -> bool:
    """Whether anything lies where hooks for all jobs do."""
    try:
        return bool(system.names_in(store.spool.hooks.folder))
    except OSError:
        # Who reads them tells of that.
        return True


def fire(store: Store, place: Place, job: Job, now: float, *, for_all: bool = True) -> None:
    """Add what is to be run for the end of this job's last run, which is recorded at `place`.

    Trouble with it is noted in the store; nothing is raised. `for_all` is what `has_hooks` has just said.
    """
    for event in events_of(job):
        own = own_hook(job, event)
        if own is not None:
            with _noted(store, f"{event} of {job.name}"):
                _add(store, place, job, event, _template(store, own, job), "", now)
        if not for_all:
            continue
        with _noted(store, f"hooks/{event} for {job.name}"):
            template = _for_all(store, event, now)
            if template is not None:
                _add(store, place, job, event, template, FOR_ALL, now)


@contextmanager
def _noted(store: Store, what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 (the job that has ended is to be recorded and moved)
        store.note(what, f"is not run: {_why(error)}")
    else:
        store.note(what, None)


def _why(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _for_all(store: Store, event: str, now: float) -> Optional[Job]:
    """The hook of this event for all jobs. What is wrong with it is noted once, until that is another."""
    files = store.spool.hooks
    try:
        found = files.current(event, settle_time=store.config.settle_time, now=now)
    except Exception as error:  # noqa: BLE001 (as above)
        said = str(error), files.version_of(event)
        if store.told.get(event) != said:
            store.told[event] = said
            store.note(f"{layout.HOOKS}/{event}.json", f"is not run: {_why(error)}")
        return None
    store.told.pop(event, None)
    return found


def _template(store: Store, hook: Hook, job: Job) -> Job:
    name = named_file(hook)
    template = template_of(hook, job) if name is None else _from_file(store, name)
    if problem := problem_of_hook(template):
        raise InvalidInput(f"{problem.field}: {problem.text}")
    return template


def _from_file(store: Store, name: str) -> Job:
    """The job in the file that it names; a relative path starts at the spool's parent, as `cwd` does."""
    path = os.path.join(os.path.dirname(store.spool.root), os.path.expanduser(name))
    limit = store.config.max_job_bytes
    try:
        data, found = system.read_file(path, limit, patience=_PATIENCE)
        if problem := store.spool.trust.objection(path, found):
            raise InvalidInput(problem, hint="look at what it does before it counts")
        if len(data) > limit:
            raise too_large(limit)
        return decode_hook(data)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}") from error
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}", hint=error.hint) from None


def refuse_lost(store: Store, job: Job) -> None:
    """Refuse a job of which a hook is in a file that is not there, or holds none.

    Raises:
        InvalidInput: so.
    """
    for event in EVENTS:
        name = named_file(own_hook(job, event))
        if name is not None:
            try:
                _from_file(store, name)
            except InvalidInput as error:
                raise InvalidInput(f"{event}: {error.message}", hint=error.hint) from None


def _add(store: Store, place: Place, job: Job, event: str, template: Job, end: str, now: float) -> None:
    """Add the job of this event, unless somebody who has died since has, or an earlier try."""
    # By what it was called as it ran: it comes to rest under the next free id perhaps, another on each try.
    job_id, log = hook_id(place.job_id, job, event, end), store.spool.log_path(place.job_id)
    seen_to = store.fired.setdefault(place, set())
    if job_id in seen_to:
        return
    made = hook_job(template, job, event, log)
    limit = store.config.max_job_bytes
    if job_size(made) > limit:
        raise too_large(limit)
    known = store.spool.find(job_id, limit)
    if known is None:
        # Else a power cut could undo the run, and leave what was made for it.
        store.spool.sync_claim(place)
        _admit(store, made, job_id, now)
    elif not is_same(known[1].job, made):
        raise _taken(job_id)
    seen_to.add(job_id)


def _admit(store: Store, job: Job, job_id: str, now: float) -> None:
    made = msgspec.structs.replace(accepted(job, job_id=job_id, now=now), hook_of=job.hook_of)
    place = Place(State.PENDING, job_id)
    ((prepared, version),) = store.spool.prepare([made])
    admitted = False
    try:
        with store.naming():
            if _has_its_key(store, made):
                return
            if store.is_taken(job_id):
                raise _taken(job_id)
            store.spool.admit(prepared, place)
            admitted = True
            _sync_or_take_back(store, place)
    finally:
        if not admitted:
            system.remove(prepared)
    store.record(place, made, version, now)


def _has_its_key(store: Store, job: Job) -> bool:
    """Whether another job has its unique key, and is to be done: one alarm is enough."""
    rows = [] if job.unique_key is None else store.index.of_key(job.unique_key)
    places = (store.spool.locate(entry.id) for entry in rows)
    return any(place is not None and place.state in TO_BE_DONE for place in places)


def _sync_or_take_back(store: Store, place: Place) -> None:
    try:
        store.spool.sync(place.state)
    except OSError:
        # As what is told of it says. Nobody has claimed it: that takes the lock that we hold.
        system.remove(store.spool.path(place))
        raise


def _taken(job_id: str) -> Conflict:
    return Conflict(f"the id {job_id} is that of another job")
