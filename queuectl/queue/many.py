"""What people do to many jobs at once: those that a filter finds, if they still can be, a few at a time."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Callable, NamedTuple, Optional

from queuectl import system
from queuectl.errors import (
    Busy,
    Conflict,
    DamagedRecord,
    InvalidInput,
    NoSuchJob,
    QueueError,
    system_error,
)
from queuectl.index import Match, checked, is_meant
from queuectl.index.filters import Filter
from queuectl.names import CANCEL_SUFFIX, SUFFIX
from queuectl.queue.edits import change, release
from queuectl.queue.entries import row_of
from queuectl.queue.guard import guarded
from queuectl.queue.looks import FEW
from queuectl.queue.reconcile import reconcile_some
from queuectl.queue.requests import ask
from queuectl.queue.store import Store
from queuectl.queue.verbs import cancel, cancel_waiting, moved_on, purge_one, read_waiting, retry_one
from queuectl.spool import Place
from queuectl.state import FINISHED, WAITING, State

PIECE = 50
"""Jobs that are acted on under one hold of `claim.lock`, which keeps workers from claiming."""
DEADLINE = 15.0
"""Seconds to wait for the workers of those of a piece that are cancelled while they run."""
_GRAIN = 0.002
"""Seconds between two tellings of when a job came in: a file's time has more digits than a record's."""


class Verb(NamedTuple):
    """What is done, and to jobs in which states; in `usual` ones, where the filter names none."""

    states: tuple[State, ...]
    usual: tuple[State, ...]
    act: Callable[[Store, Place, float], object]
    """Done under `claim.lock`, to one that does not run."""
    synced: tuple[State, ...] = ()
    """The states whose folders must outlive a power cut, once it is done."""
    only: Mapping[str, Any] = {}
    """What else must be true of the jobs, as fields of a filter."""
    as_seen: bool = False
    """Whether only the very record is meant that was there when it was asked."""


def _purge(store: Store, place: Place, now: float) -> None:
    if not purge_one(store, place):
        raise moved_on(place)


def _hold(store: Store, place: Place, now: float) -> None:
    change(store, [place], {"hold": True}, now=now, lasts=False)


def _release(store: Store, place: Place, now: float) -> None:
    release(store, [place], anyway=False, now=now, lasts=False)


def _release_anyway(store: Store, place: Place, now: float) -> None:
    release(store, [place], anyway=True, now=now, lasts=False)


_CAN_BE_CANCELLED = (*WAITING, State.PROCESSING)
VERBS = {
    # What has succeeded is run again only when somebody says so.
    "retry": Verb(FINISHED, (State.FAILED, State.DEAD), retry_one, (State.PENDING,), as_seen=True),
    "cancel": Verb(_CAN_BE_CANCELLED, _CAN_BE_CANCELLED, cancel_waiting, (State.DEAD,)),
    "purge": Verb((State.DEAD,), (State.DEAD,), _purge, (State.DEAD,), as_seen=True),
    "hold": Verb(WAITING, WAITING, _hold, WAITING, only={"held": False}),
    "release": Verb(WAITING, WAITING, _release, WAITING, only={"held": True}),
    "release anyway": Verb(WAITING, WAITING, _release_anyway, WAITING, only={"kept": True}),
}


class Chosen(NamedTuple):
    """What is to be done to which jobs: those that the filter meant when it was asked, by their ids."""

    verb: str
    jobs: dict[str, Match]
    where: Filter
    waiting: int = 0
    """Of those that are to be deleted: how many others wait for one of them, or for its batch."""


class Acted(NamedTuple):
    """The ids of those that it was done to, and of those that had moved on or could not be acted on.

    `reasons` are what is wrong with those of the latter that need a person's eye, by their ids.
    """

    done: list[str]
    skipped: list[str]
    reasons: dict[str, QueueError]


def meant(verb: str, where: Filter) -> Filter:
    """`where`, in the states that allow this.

    Raises:
        InvalidInput: there is no such verb, or it is for no job in the states that the filter names.
    """
    if verb not in VERBS:
        raise InvalidInput(f"no verb {verb!r}", hint=f"there are {', '.join(VERBS)}")
    able, where = VERBS[verb], checked(where)
    wrong = [state.value for state in where.states if state not in able.states]
    if wrong:
        allowed = " or ".join(state.value for state in able.states)
        raise InvalidInput(
            f"{verb} is not for jobs that are {wrong[0]}", hint=f"for those that are {allowed}"
        )
    only = {name: value for name, value in able.only.items() if getattr(where, name) is None}
    return where._replace(states=where.states or able.usual, **only)


def choose(store: Store, verb: str, where: Filter, limit: Optional[int], now: float) -> Chosen:
    """See `Queue.choose`."""
    where = meant(verb, where)
    large = [one for one in where.states if one is not State.PROCESSING and not store.index.has_few(one, FEW)]
    if large:
        # What was edited in its place there has an older row.
        found = store.index.matches(where).items()
        reconcile_some(
            store, [(one.state, job_id + SUFFIX) for job_id, one in found if one.state in large], now
        )
    jobs = dict(islice(store.index.matches(where).items(), limit))
    return Chosen(verb, jobs, where, len(store.index.waiting_for(list(jobs))) if verb == "purge" else 0)


def act(
    store: Store, chosen: Chosen, now: Callable[[], float], told: Callable[[int], object], acted: Acted
) -> None:
    """See `Queue.act`; `acted` is filled."""
    acting = _Acting(store, chosen, now, acted)
    # What runs comes last: where it ended first, a worker would take what is to be cancelled next.
    ids = sorted(chosen.jobs, key=lambda one: chosen.jobs[one].state is State.PROCESSING)
    for first in range(0, len(ids), PIECE):
        acting.on(ids[first : first + PIECE])
        told(min(first + PIECE, len(ids)))


class _Acting:
    """On some jobs, and what has become of them so far."""

    def __init__(self, store: Store, chosen: Chosen, now: Callable[[], float], acted: Acted) -> None:
        self.store = store
        self._chosen, self._verb = chosen, VERBS[chosen.verb]
        self._now, self._acted = now, acted
        self._seen_to: set[str] = set()

    @guarded
    def on(self, ids: Sequence[str]) -> None:
        """Act on these few, but for those that have been seen to: called again where the index was healed."""
        running: list[Place] = []
        with self.store.claiming():
            try:
                for job_id in ids:
                    if job_id not in self._seen_to:
                        self._see_to(job_id, partial(self._at_rest, running))
            finally:
                # What is told as done outlives a power cut, also where it ends early.
                self.store.spool.sync(*self._verb.synced)
        # Not under the lock: their workers need it to let go of them.
        for place in running:
            with suppress(OSError):
                # Who cannot be told now is told below, and what is in the way is known then.
                ask(self.store.spool, place.worker or "", CANCEL_SUFFIX, place.job_id)
        end = system.monotonic() + DEADLINE
        for place in running:
            self._see_to(place.job_id, partial(self._running, place, end))

    def _see_to(self, job_id: str, action: Callable[[str], bool]) -> None:
        """Do it, unless it returns False: then it is left for later."""
        try:
            if not action(job_id):
                return
        except (Conflict, NoSuchJob):
            self._acted.skipped.append(job_id)
        except (DamagedRecord, InvalidInput, Busy) as error:
            self._refuse(job_id, error)
        except OSError as error:
            if system.is_lack(error) or error.errno == errno.EIO:
                # Of the disk, or of this machine: no other job would fare better.
                raise
            self._refuse(job_id, system_error(error))
        else:
            self._acted.done.append(job_id)
        self._seen_to.add(job_id)

    def _refuse(self, job_id: str, error: QueueError) -> None:
        self._acted.skipped.append(job_id)
        self._acted.reasons[job_id] = error

    def _at_rest(self, running: list[Place], job_id: str) -> bool:
        place = self._place_of(job_id)
        if place.state is State.PROCESSING:
            running.append(place)
            return False
        self._verb.act(self.store, place, self._now())
        return True

    def _running(self, place: Place, end: float, job_id: str) -> bool:
        cancel(self.store, [place], now=self._now(), deadline=max(0.0, end - system.monotonic()))
        return True

    def _place_of(self, job_id: str) -> Place:
        """Where the job lies, if it is still what was meant.

        Raises:
            NoSuchJob, Conflict: it is gone, or another one, or none that is meant now.
            DamagedRecord: its file holds no job.
        """
        spool, seen = self.store.spool, self._chosen.jobs[job_id]
        place = spool.locate(job_id)
        if place is None:
            raise NoSuchJob(job_id)
        try:
            # The files tell: its row may be older, and somebody may have edited it since.
            version, limit = spool.version(place), self.store.config.max_job_bytes
            row, problem = row_of(spool, place, version, limit, self._now())
        except FileNotFoundError:
            raise moved_on(place) from None
        if problem is not None and self._chosen.verb != "purge":
            read_waiting(self.store, place)
        if self._verb.as_seen:
            same = (place.state, row.mtime_ns, row.size) == (seen.state, seen.mtime_ns, seen.size)
        else:
            same = abs(row.created - seen.created) <= _GRAIN
        if not (same and is_meant(self._chosen.where, row)):
            raise moved_on(place)
        return place
