"""What a worker writes down: how runs ended, or that a job was not run. It is tried until it succeeds.

After Oban's executor, where recording an outcome is itself retried.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Callable, Optional, TypeVar

from queuectl import events, system
from queuectl.batch import Batch
from queuectl.errors import QueueError
from queuectl.events import Event
from queuectl.hands import Hands
from queuectl.job import Job, Run, next_attempt
from queuectl.locks import HeldLock
from queuectl.moment import format_moment
from queuectl.names import CANCEL_SUFFIX
from queuectl.queue.claims import Claim, policy_of
from queuectl.queue.entries import created_of
from queuectl.queue.liveness import NONE_RAN, note_of_runs, note_run
from queuectl.queue.requests import asked, withdraw
from queuectl.queue.settling import (
    End,
    give_back,
    give_back_some,
    pass_over,
    settle,
    settle_together,
)
from queuectl.queue.store import Store
from queuectl.retry import Decision, after_failure
from queuectl.runner import CANCELLED, COMPLETED, INTERRUPTED, Outcome
from queuectl.spool import CLAIM_PATIENCE, Place
from queuectl.state import State

T = TypeVar("T")

_PAUSES = (0.05, 0.2, 1.0, 2.0, 5.0)
"""Seconds between tries, on a full disk for example; the last one repeats."""
_KINDS = {
    State.COMPLETED: events.JOB_COMPLETED,
    State.FAILED: events.JOB_FAILED,
    State.DEAD: events.JOB_DEAD,
}


class _GivenUp(Exception):
    """Something could not be recorded, and nobody wants to wait for it any more."""


class Recorder:
    """One worker's, of what its batch holds."""

    def __init__(self, store: Store, worker: str, hands: Hands, batch: Batch) -> None:
        self._store, self._worker, self._batch = store, worker, batch
        self.hands = hands
        self._given_up: list[str] = []
        """Jobs that lie in our folder as if they still ran."""
        self._noted = False
        self._note = note_of_runs(store.spool, worker)
        """Open from the first run of a batch until that is recorded."""
        self.left_behind = False
        """A task could not be stopped, and goes on until this process ends."""

    @property
    def gave_up(self) -> bool:
        """Whether the end of some run could not be recorded."""
        return bool(self._given_up)

    def note(self, lock: Optional[HeldLock], number: int) -> bool:
        """Note what is about to run, and what has ended unrecorded; see `note_run`."""
        self._noted = True
        if lock is not None:
            # It may lie in another file than the notes before it.
            self._note.close()
        begun = [*self._batch.begun, *self._given_up]
        return note_run(lock or self._note, begun, number=number)

    def end(self, got: Claim, outcome: Outcome) -> None:
        """Take in how a run ended; it is recorded with the others of its batch."""
        if outcome.refused is not None:
            what = "QUEUECTL_RESULT" if got.job.task is None else "what it has returned"
            self.tell(events.NOTICE, got, text=f"{what} is not kept: {outcome.refused}")
        if outcome.verdict == INTERRUPTED:
            self._interrupted(got)
            return
        run = Run(
            outcome=outcome.verdict,
            attempt=next_attempt(got.job),
            worker=self._worker,
            started_at=format_moment(outcome.started),
            finished_at=format_moment(outcome.ended),
            exit_code=outcome.exit_code,
            error=outcome.error,
        )
        seconds = outcome.ended - outcome.started
        self._batch.keep(End(got, run, self._decide(got.job, outcome), seconds, outcome.result))

    def record(self, *, patiently: bool = True) -> None:
        """Record what has ended, and take back the note that it runs.

        Not `patiently`, what cannot be recorded just now is left for the next call. What a command has left
        running may hold the run's lock, and must not hold up the job's retry.
        """
        ends, began = self._batch.ended, system.monotonic()
        left = ends if patiently and len(ends) == 1 else self._record_together(ends)
        if patiently:
            for end in left:
                self._record_surely(end)
            left = []
        self._ended([end.claim for end in ends if end not in left])
        self._tell_troubles()
        self._batch.recorded(len(ends) - len(left), system.monotonic() - began)
        self._batch.keep_still(left)
        if self._batch.current is None:
            self._forget_run()

    def _ended(self, claims: Sequence[Claim]) -> None:
        if not claims:
            return
        ids = [claim.place.job_id for claim in claims]
        self._forget_request(ids)
        grouped = any(claim.job.group is not None or claim.job.batch is not None for claim in claims)
        # Where that cannot be asked just now, the next look finds them.
        with suppress(sqlite3.Error):
            if grouped or self._store.index.has_children(ids):
                self.hands.unblocked()

    def _tell_troubles(self) -> None:
        for text in self._store.taken_troubles():
            self.hands.emit(Event(events.NOTICE, self._worker, text=text))

    def _record_together(self, ends: list[End]) -> list[End]:
        """One try; those that are left."""
        settled = settle_together(self._store, ends, self.hands.now()) if len(ends) > 1 else set()
        left: list[End] = []
        for end in ends:
            if end.claim.place.job_id in settled:
                self._report(end)
                continue
            try:
                self._tell(end, settle(self._store, end, self.hands.now(), patience=CLAIM_PATIENCE))
            except (OSError, sqlite3.Error, QueueError):
                left.append(end)
        return left

    def give_back_waiting(self, *, patiently: bool = True) -> None:
        """Put those that wait back into `pending`; not `patiently`, those for which one try is enough."""
        with self._batch.handing:
            waiting = self._batch.take_back()
            left = give_back_some(self._store, waiting, self.hands.now())
            if patiently:
                self._give_back_surely(left)
                left = []
            self._batch.put_back(left)
        if len(left) < len(waiting):
            self.hands.freed()

    def _give_back_surely(self, claims: Sequence[Claim]) -> None:
        for one in claims:
            # Of one that cannot be put back the next worker's recovery sees that it did not run.
            with suppress(_GivenUp):
                self._give_back(one)

    def not_started(self, got: Claim, error: BaseException) -> None:
        """Put back what was not started: a claimed job must not lie here as if it ran."""
        with suppress(_GivenUp):
            back = self._give_back(got)
            self._forget_run()
            if back is not None and isinstance(error, OSError):
                # Where there is no room for that either, it is simply claimed again.
                with suppress(sqlite3.Error):
                    pass_over(self._store, got, back.job_id, self.hands.now(), error)

    def tell(self, kind: str, got: Claim, **details: Any) -> None:
        """Tell of this job."""
        self.hands.emit(Event(kind, self._worker, got.place.job_id, **details))

    def _give_back(self, got: Claim) -> Optional[Place]:
        return self._persist(lambda: give_back(self._store, got, self.hands.now()))

    def _forget_run(self) -> None:
        # Not of what is not recorded: a crash would not be counted.
        if self._noted:
            left = [*(end.claim.place.job_id for end in self._batch.ended), *self._given_up]
            note_run(self._note, ["", *left])
            self._note.close()
            self._noted = bool(left)

    def _interrupted(self, got: Claim) -> None:
        try:
            self._give_back(got)
        except _GivenUp as reason:
            self._tell_unrecorded(got, INTERRUPTED, reason)
        else:
            self.tell(events.JOB_INTERRUPTED, got, text="back to pending, no attempt counted")
            self._forget_request([got.place.job_id])

    def leave_behind(self, got: Claim) -> None:
        """Its run goes on until this process ends: so long the job is ours."""
        self.left_behind = True
        # By the note it will not have run: the next worker puts it back, and counts no crash.
        any(note_run(self._note, [NONE_RAN]) for _ in _PAUSES)
        self._note.close()
        self._noted = False
        text = "does not stop; it ends with this program, and its job goes back to pending then"
        self.tell(events.NOTICE, got, text=text)

    def _record_surely(self, end: End) -> None:
        try:
            self._tell(end, self._persist(partial(settle, self._store, end, self.hands.now())))
        except _GivenUp as reason:
            self._tell_unrecorded(end.claim, end.run.outcome, reason)

    def _tell(self, end: End, place: Optional[Place]) -> None:
        if place is None:
            text = f"{end.run.outcome}, but its file was taken away while it ran: not recorded"
            self.tell(events.NOTICE, end.claim, text=text)
        else:
            self._report(end)

    def _tell_unrecorded(self, got: Claim, verdict: str, reason: _GivenUp) -> None:
        self._given_up.append(got.place.job_id)
        text = f"{verdict}, but that cannot be recorded ({reason}): it will count as crashed"
        self.tell(events.NOTICE, got, text=text)

    def _forget_request(self, job_ids: Sequence[str]) -> None:
        # A cancel that came too late must not meet the job's next run.
        with suppress(OSError):
            if asked(self._store.spool, self._worker, CANCEL_SUFFIX) in job_ids:
                withdraw(self._store.spool, self._worker, CANCEL_SUFFIX)

    def _decide(self, job: Job, outcome: Outcome) -> Decision:
        if outcome.verdict == COMPLETED:
            return Decision(State.COMPLETED)
        if outcome.verdict == CANCELLED:
            return Decision(State.DEAD)
        return after_failure(
            policy_of(self._store, job),
            failures=next_attempt(job),
            retryable=not (outcome.for_good or outcome.exit_code in job.no_retry_exit_codes),
            luck=self.hands.luck(),
        )

    def _persist(self, action: Callable[[], T]) -> T:
        """Do it until it succeeds: the disk may be full, or the file held by somebody, for a while."""
        tries = 0
        while True:
            try:
                return action()
            except (OSError, sqlite3.Error, QueueError) as error:
                if self.hands.gives_up():
                    raise _GivenUp(str(error)) from error
                if tries == 0:
                    self.hands.emit(Event(events.NOTICE, self._worker, text=f"cannot record yet: {error}"))
                self.hands.pause(_PAUSES[min(tries, len(_PAUSES) - 1)])
                tries += 1

    def _report(self, end: End) -> None:
        if self.hands.tracer is not None:
            job = end.claim.job
            self.hands.tracer.ended(job, end.run, end.decision.state, created_of(job, end.claim.version))
        self.tell(
            events.JOB_CANCELLED if end.run.outcome == CANCELLED else _KINDS[end.decision.state],
            end.claim,
            text=end.run.error or "",
            attempt=end.run.attempt,
            exit_code=end.run.exit_code,
            seconds=end.seconds,
            delay=end.decision.delay if end.decision.state is State.FAILED else None,
        )
