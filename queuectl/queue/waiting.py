"""Waiting until jobs have ended for good.

Nothing tells of a move in the folders that can be relied upon: it looks, at where each job lay last.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Callable, Optional

from queuectl import system
from queuectl.errors import DamagedRecord, NoSuchJob, QueueError, SpoolUnusable, TimedOut
from queuectl.index import Entry
from queuectl.job import Job
from queuectl.names import HIDDEN_SUFFIX
from queuectl.queue.entries import entry_of, unreadable_entry
from queuectl.queue.notices import PROBLEMS_SHOWN
from queuectl.queue.report import job_row, job_rows
from queuectl.queue.store import Store
from queuectl.queue.vain import in_vain, said_of, unserved
from queuectl.spool import Place
from queuectl.spool.layout import STATE_FOLDERS
from queuectl.state import State

FIRST_STEP, STEP = 0.005, 0.1
"""Seconds between two looks: at first, and later on."""
_TIMES_A_LOOK, _LONGEST_REST = 20, 2.0
"""Times as long as a look takes it rests, if that is longer: of a thousand jobs each look takes a while. And
the seconds that this may come to.
"""
ABSENCE = 5.0
"""Seconds for which a spool may be away: a share has a hiccup, somebody renames a folder and back again."""
ENDED = (State.COMPLETED, State.DEAD)
_NO_END: dict[str, Any] = {"outcome": None, "result": None}
_SHOWN = 20


class Lookout:
    """Finds jobs again and again, and is not misled by a spool that is away for a moment."""

    def __init__(self) -> None:
        self._missed: set[str] = set()
        self._away_since: Optional[float] = None

    def locate(self, store: Store, job_id: str) -> Optional[Place]:
        """Where this job lies now; None where that cannot be told just now: look again.

        Raises:
            NoSuchJob: nowhere, and it was not at the last look either.
            SpoolUnusable: the spool is not there, and has not come back for `ABSENCE` seconds.
        """
        try:
            place = store.spool.locate(job_id)
            if place is None and _is_whole(store):
                # Once more, between two looks at the folders: they may have come back only now.
                place = store.spool.locate(job_id)
        except OSError as error:
            self._note_absence(store, job_id, error.strerror or str(error))
            return None
        if place is not None:
            self.seen(job_id)
        elif not _is_whole(store):
            self._note_absence(store, job_id, "it, or a folder in it, is not there")
            return None
        elif job_id in self._missed:
            raise NoSuchJob(job_id)
        else:
            self._missed.add(job_id)
            self._away_since = None
        return place

    def seen(self, job_id: str) -> None:
        """It was where it lay last."""
        self._missed.discard(job_id)
        self._away_since = None

    def _note_absence(self, store: Store, job_id: str, why: str) -> None:
        self._missed.discard(job_id)
        now = system.monotonic()
        self._away_since = now if self._away_since is None else self._away_since
        if now - self._away_since >= ABSENCE:
            raise SpoolUnusable(f"{store.spool.root} cannot be looked into any more: {why}")


def _is_whole(store: Store) -> bool:
    return all(os.path.isdir(os.path.join(store.spool.root, name)) for name in STATE_FOLDERS)


class Watch:
    """Some jobs that are waited for; each look may be with another thread's store."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._where = {place.job_id: place for place in places}
        self._rows: dict[str, dict[str, Any]] = {}
        self._lookout = Lookout()

    @property
    def left(self) -> list[str]:
        """Those that have not ended."""
        return [job_id for job_id in self._where if job_id not in self._rows]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Of all of them, in their order, when none is left."""
        return [self._rows[job_id] for job_id in self._where]

    def look(self, store: Store) -> None:
        """See which of them have ended.

        Raises:
            SpoolUnusable, DamagedRecord: see `Queue.wait`.
        """
        for job_id in self.left:
            if row := self._row_if_ended(store, job_id):
                self._rows[job_id] = row

    def _row_if_ended(self, store: Store, job_id: str) -> Optional[dict[str, Any]]:
        place = self._where[job_id]
        if place.state not in ENDED and store.spool.is_there(place):
            self._lookout.seen(job_id)
            return None
        try:
            found = self._lookout.locate(store, job_id)
        except NoSuchJob:
            # The others are still waited for.
            return _gone(store, job_id)
        self._where[job_id] = found or place
        return None if found is None or found.state not in ENDED else _row_of(store, job_id)


def wait(
    store: Store,
    watch: Watch,
    *,
    timeout: Optional[float],
    meanwhile: Callable[[list[str]], object],
) -> list[dict[str, Any]]:
    """See `Queue.wait`."""
    steps = Steps(timeout)
    while True:
        watch.look(store)
        if not watch.left:
            return watch.rows
        pause = steps.next(watch.left)
        meanwhile(watch.left)
        system.sleep(pause)


class Steps:
    """How long to rest between two looks, until the time is over (`timeout` in seconds)."""

    def __init__(self, timeout: Optional[float]) -> None:
        self._began = system.monotonic()
        self._end = None if timeout is None else self._began + timeout
        self._looked = self._began

    def next(self, left: list[str]) -> float:
        """Seconds to rest after a look; `left` are those that have not ended.

        Raises:
            TimedOut: the time is over.
        """
        now = system.monotonic()
        if self._end is not None and now >= self._end:
            raise TimedOut(f"still waiting for {listed(left, _SHOWN)}", hint="the jobs go on")
        # What ends soon is told soon: at first it rests for no longer than it has waited.
        least = min(max(now - self._began, FIRST_STEP), STEP)
        pause = max(least, min(_TIMES_A_LOOK * (now - self._looked), _LONGEST_REST))
        pause = pause if self._end is None else min(pause, max(self._end - now, 0.0))
        self._looked = now + pause
        return pause


def _row_of(store: Store, job_id: str) -> Optional[dict[str, Any]]:
    """That of a job which was seen where ended ones rest; None where it is to be looked for again."""
    try:
        read = store.spool.find(job_id, store.config.max_job_bytes)
    except OSError as error:
        if not system.is_transient(error):
            raise
        # Somebody holds it open (Windows): it has ended, and the next look tells how.
        return None
    if read is None or read[0].state not in ENDED:
        # RACE: somebody has it run again just now, or deletes it.
        return None
    place, (job, version, _) = read
    (row,) = job_rows(store, [entry_of(place, job, version, system.now())], system.now())
    return {**row, **_end_of(job, place.state)}


def fates(store: Store, job_ids: Sequence[str]) -> list[dict[str, Any]]:
    """See `Queue.fates`."""
    told: dict[str, dict[str, Any]] = {}
    entries: list[Entry] = []
    now = system.now()
    for job_id in dict.fromkeys(job_ids):
        try:
            found = store.spool.find(job_id, store.config.max_job_bytes)
        except (DamagedRecord, OSError) as error:
            place = store.spool.locate(job_id)
            if place is not None:
                entries.append(unreadable_entry(place, (0, 0), str(error)))
            continue
        if found is not None:
            place, (job, version, _) = found
            entries.append(entry_of(place, job, version, now))
            told[job_id] = _end_of(job, place.state)
        elif (drop := dropped(store, job_id)) is not None:
            entries.append(unreadable_entry(drop, (0, 0), "no worker has taken it in yet"))
    rows = {row["id"]: row for row in job_rows(store, entries, now)}
    return [
        {**rows[job_id], **told.get(job_id, _NO_END)} if job_id in rows else _gone(store, job_id)
        for job_id in dict.fromkeys(job_ids)
    ]


def dropped(store: Store, job_id: str) -> Optional[Place]:
    """Where a file lies that is to be this job once a worker takes it in: Notepad calls it `n.json.txt`."""
    place = Place(State.PENDING, job_id, file_name=job_id + HIDDEN_SUFFIX)
    return place if store.spool.is_there(place) else None


def _gone(store: Store, job_id: str) -> dict[str, Any]:
    row = job_row(unreadable_entry(Place(State.DEAD, job_id), (0, 0), ""), store.config)
    return {**dict.fromkeys(row), **_NO_END, "id": job_id, "error": "it is in this spool no more"}


def _end_of(job: Job, state: State) -> dict[str, Any]:
    return {"outcome": outcome_of(job, state), "result": job.result}


def outcome_of(job: Job, state: State) -> Optional[str]:
    """How the run ended that has brought a job there; `cancelled` where it was given up while it waited; None
    where somebody has put it there by hand.
    """
    if state not in ENDED or job.state is not state:
        return None
    last = job.history[-1] if job.history else None
    if state is State.COMPLETED or (last is not None and job.error == last.error):
        return last.outcome if last is not None else None
    # It was given up while it waited: its last run, if there was one, was long before.
    return "cancelled" if job.error else None


def hindered(store: Store, job_ids: Sequence[str]) -> Optional[tuple[list[str], str]]:
    """See `Queue.hindered`."""
    rows = {row["id"]: row for row in fates(store, job_ids)}
    held = [job_id for job_id, row in rows.items() if row["held_by"] == "hold"]
    if held:
        return held, f"{'is' if len(held) == 1 else 'are'} held: queuectl release {' '.join(held)}"
    for child, why in in_vain(store, PROBLEMS_SHOWN):
        if child in rows:
            return [child], why
    missing = {task: said_of(task, count) for task, count in unserved(store)}
    for job_id, row in rows.items():
        if row["task"] in missing and row["state"] in ("pending", "failed"):
            return [job_id], missing[row["task"]]
        if row["held_by"] == "group" and _is_paused(store, row["group"]):
            return [job_id], f"its group is paused: queuectl group resume {row['group']}"
    return None


def _is_paused(store: Store, group: str) -> bool:
    files = store.spool.groups
    try:
        file = files.named(group)
        return file is not None and files.read(file, patience=0.0).paused
    except (QueueError, OSError):
        return False


def listed(job_ids: Sequence[str], most: int) -> str:
    """The first of them, and how many more there are."""
    more = len(job_ids) - most
    return ", ".join(job_ids[:most]) + (f" and {more} more" if more > 0 else "")
