"""What people do to many jobs at once: those that a filter finds, if they still can be, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable, NamedTuple, Optional

from queuectl import system
from queuectl.errors import Busy, Conflict, DamagedRecord, InvalidInput, NoSuchJob
from queuectl.index.filters import Filter
from queuectl.names import CANCEL_SUFFIX
from queuectl.queue.edits import change, release
from queuectl.queue.requests import ask
from queuectl.queue.store import Store
from queuectl.queue.verbs import cancel, purge, retry
from queuectl.spool import Place
from queuectl.state import FINISHED, WAITING, State

PIECE = 50
"""Jobs that are acted on under one hold of `claim.lock`, which keeps workers from claiming."""
DEADLINE = 15.0
"""Seconds to wait for the worker of a job that is cancelled while it runs."""


class Verb(NamedTuple):
    """What is done, and to jobs in which states; in `usual` ones, where the filter names none."""

    states: tuple[State, ...]
    usual: tuple[State, ...]
    act: Callable[[Store, Sequence[Place], float], object]
    held: Optional[bool] = None


def _retry(store: Store, places: Sequence[Place], now: float) -> None:
    retry(store, places, only=None, now=now)


def _cancel(store: Store, places: Sequence[Place], now: float) -> None:
    cancel(store, places, now=now, deadline=DEADLINE)


def _purge(store: Store, places: Sequence[Place], now: float) -> None:
    purge(store, places)


def _hold(store: Store, places: Sequence[Place], now: float) -> None:
    change(store, places, {"hold": True}, now=now)


def _release(store: Store, places: Sequence[Place], now: float) -> None:
    release(store, places, anyway=False, now=now)


def _release_anyway(store: Store, places: Sequence[Place], now: float) -> None:
    release(store, places, anyway=True, now=now)


_OF_ONE = (Conflict, NoSuchJob, DamagedRecord, InvalidInput, Busy, OSError)
"""What may be wrong with one job, and is no reason to leave the others."""
_CAN_BE_CANCELLED = (*WAITING, State.PROCESSING)
VERBS = {
    # What has succeeded is run again only when somebody says so.
    "retry": Verb(FINISHED, (State.FAILED, State.DEAD), _retry),
    "cancel": Verb(_CAN_BE_CANCELLED, _CAN_BE_CANCELLED, _cancel),
    "purge": Verb((State.DEAD,), (State.DEAD,), _purge),
    "hold": Verb(WAITING, WAITING, _hold, held=False),
    "release": Verb(WAITING, WAITING, _release, held=True),
    "release anyway": Verb(WAITING, WAITING, _release_anyway),
}


class Chosen(NamedTuple):
    """What is to be done to which jobs: their ids, and the states in which they were found."""

    verb: str
    jobs: dict[str, State]
    states: tuple[State, ...]


class Acted(NamedTuple):
    """The ids of those that it was done to, and of those that had moved on or could not be acted on.

    `reasons` are what is wrong with those of the latter that need a person's eye.
    """

    done: list[str]
    skipped: list[str]
    reasons: list[str]


def meant(verb: str, where: Filter) -> Filter:
    """`where`, in the states that allow this.

    Raises:
        InvalidInput: there is no such verb, or it is for no job in the states that the filter names.
    """
    if verb not in VERBS:
        raise InvalidInput(f"no verb {verb!r}", hint=f"there are {', '.join(VERBS)}")
    able = VERBS[verb]
    wrong = [state.value for state in where.states if state not in able.states]
    if wrong:
        allowed = " or ".join(state.value for state in able.states)
        raise InvalidInput(
            f"{verb} is not for jobs that are {wrong[0]}", hint=f"for those that are {allowed}"
        )
    held = able.held if where.held is None else where.held
    return where._replace(states=where.states or able.usual, held=held)


def choose(store: Store, verb: str, where: Filter) -> Chosen:
    """See `Queue.choose`."""
    where = meant(verb, where)
    return Chosen(verb, store.index.matches(where), where.states)


def act(store: Store, chosen: Chosen, now: Callable[[], float], told: Callable[[int], object]) -> Acted:
    """See `Queue.act`."""
    acted = Acted([], [], [])
    # What runs comes last: where it ended first, a worker would take what is to be cancelled next.
    ids = sorted(chosen.jobs, key=lambda one: chosen.jobs[one] is State.PROCESSING)
    for first in range(0, len(ids), PIECE):
        _act_on_piece(store, chosen, ids[first : first + PIECE], acted, now())
        told(min(first + PIECE, len(ids)))
    return acted


def _act_on_piece(store: Store, chosen: Chosen, ids: Sequence[str], acted: Acted, now: float) -> None:
    with store.claiming():
        places = list(_still_so(store, chosen, ids))
        at_rest = [place for place in places if place.state is not State.PROCESSING]
        _act_on(store, chosen.verb, at_rest, acted, now)
    # Not under the lock: their workers need it to let go of them.
    running = [place for place in places if place.state is State.PROCESSING]
    for place in running:
        ask(store.spool, place.worker or "", CANCEL_SUFFIX, place.job_id)
    for place in running:
        _act_on_one(store, chosen.verb, place, acted, now)
    there = {place.job_id for place in places}
    acted.skipped.extend(one for one in ids if one not in there)


def _still_so(store: Store, chosen: Chosen, ids: Sequence[str]) -> Iterator[Place]:
    for job_id in ids:
        place = store.spool.locate(job_id)
        # One that was dead when somebody said so is not run again because it has completed since.
        states = (chosen.jobs[job_id],) if chosen.verb in ("retry", "purge") else chosen.states
        if place is not None and place.state in states:
            yield place


def _act_on(store: Store, verb: str, places: Sequence[Place], acted: Acted, now: float) -> None:
    if not places:
        return
    try:
        VERBS[verb].act(store, places, now)
    except _OF_ONE:
        # All or none: one of them is no job, or not held, or somebody has it open.
        for place in places:
            if store.spool.is_there(place):
                _act_on_one(store, verb, place, acted, now)
            else:
                # RACE: found out too late; what stood before it has been done.
                acted.done.append(place.job_id)
    else:
        acted.done.extend(place.job_id for place in places)


def _act_on_one(store: Store, verb: str, place: Place, acted: Acted, now: float) -> None:
    try:
        VERBS[verb].act(store, [place], now)
    except (Conflict, NoSuchJob):
        acted.skipped.append(place.job_id)
    except _OF_ONE as error:
        if isinstance(error, OSError) and not system.is_transient(error):
            raise
        acted.skipped.append(place.job_id)
        acted.reasons.append(str(error))
    else:
        acted.done.append(place.job_id)
