"""One worker: claim a job, run it, settle it. `run_once` is the whole of it, for tests and for the pool.

After Oban's executor: a pipeline of named steps, and recording an outcome is itself retried.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, nullcontext, suppress
from functools import partial
from typing import Any, Callable, NamedTuple, Optional, TypeVar

from queuectl import events, locks, system
from queuectl.batch import Batch
from queuectl.config import Config
from queuectl.errors import QueueError
from queuectl.events import Event, Listener
from queuectl.job import Job, Run, next_attempt
from queuectl.joblog import BlankLog
from queuectl.moment import format_moment
from queuectl.names import CANCEL_SUFFIX, LIFE_SUFFIX, RUN_SUFFIX, STOP_SUFFIX
from queuectl.queue.claims import Claim, claim_some, give_back, pass_over, policy_of, settle
from queuectl.queue.liveness import note_run
from queuectl.queue.recovery import clear_away, free_strays
from queuectl.queue.requests import is_paused, withdraw
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from queuectl.retry import Decision, after_failure
from queuectl.runner import CANCELLED, COMPLETED, INTERRUPTED, Conditions, Outcome, Runner
from queuectl.spool import Place
from queuectl.state import State

T = TypeVar("T")

_RECORD_PAUSES = (0.05, 0.2, 1.0, 2.0, 5.0)
"""Seconds between tries to record an outcome, on a full disk for example; the last one repeats."""


class _GivenUp(Exception):
    """An outcome could not be recorded, and nobody wants to wait for it any more."""


class Hands(NamedTuple):
    """What a worker is given from outside: time and chance are injected, events are told to `emit`."""

    emit: Listener = events.nobody
    now: Callable[[], float] = system.now
    luck: Callable[[], float] = lambda: 0.5
    pause: Callable[[float], object] = system.sleep
    gives_up: Callable[[], bool] = lambda: False
    """Whether to stop trying to record an outcome: the job then counts as crashed later."""
    waiting: Callable[[], None] = lambda: None
    """Called when jobs begin to wait for the one that is about to run."""
    index_trouble: Callable[[], Optional[str]] = lambda: None
    """Why the index on disk is not to be trusted, if it is not: who looks for us has found it damaged."""


class Worker:
    """Owns `processing/<name>/` and `locks/<name>.lock` for its life."""

    def __init__(self, store: Store, name: str, hands: Optional[Hands] = None, *, most: int = 1) -> None:
        """`most`: the jobs that it may claim at once; who allows several sees to those that wait (`Crew`)."""
        self.store, self.name = store, name
        self.hands = hands or Hands()
        self.runner = Runner()
        self.batch = Batch(most)
        self._config: Optional[Config] = None
        self._blank: Optional[BlankLog] = None
        self._life: Optional[locks.HeldLock] = None
        self._life_guard = threading.Lock()

    def start(self) -> None:
        """Take the lock, then make the folder: a folder without a held lock is a dead worker's.

        Raises:
            QueueError: somebody else holds a lock of this name.
        """
        self.store.spool.tmp.owner = self.name
        with self.store.claiming():
            self._life = locks.try_lock(self.store.spool.lock_path(self.name + LIFE_SUFFIX))
            if self._life is None:
                raise QueueError(f"there is a worker {self.name} already")
            system.make_folder(self.store.spool.worker_folder(self.name))
        self._blank = BlankLog(self.store.spool.tmp.new("log"))

    def close(self) -> None:
        """Leave nothing behind, unless a job could not be moved out: then recovery sees to it."""
        self.store.record_all(self.batch.take_rows())
        self._give_back_waiting()
        with self._life_guard:
            life, self._life = self._life, None
        if life is not None:
            life.release()
            if self._blank is not None:
                self._blank.close()
            clear_away(self.store, self.name)

    def keep_lock(self) -> None:
        """Take the lock anew if somebody has deleted its file: others would take us for dead.

        Any thread may call it.

        Raises:
            Busy, OSError: not just now.
        """
        with self._life_guard:
            if self._life is None or self._life.is_current():
                return
        with self.store.claiming():
            self._lives()

    def _may_claim(self) -> bool:
        """Whether we live for the others, and nobody has asked us to stop; asked under `claim.lock`."""
        # Our supervisor hears it a moment later.
        return self._lives() and not os.path.isfile(self.store.spool.lock_path(self.name + STOP_SUFFIX))

    def _lives(self) -> bool:
        """Whether we hold our lock, taken anew if need be; asked under `claim.lock`."""
        with self._life_guard:
            life = self._life
            if life is None or life.is_current():
                return life is not None
            new = locks.try_lock(life.path)
            if new is not None:
                life.close()
                self._life = new
            return new is not None

    def run_once(self) -> bool:
        """Claim, run and settle one job, or free what is not ours; False when there was nothing to do.

        Of quick ones several are claimed at once, for the next calls.

        Raises:
            Busy: the claim could not be decided.
            OSError, sqlite3.Error: this machine lacks something just now; the job is back in `pending`.
        """
        got = self._next()
        if got is None:
            return self._free_strays()
        try:
            outcome = self._run_or_give_back(got)
            if outcome is None or self._settle(got, outcome):
                self._forget_run()
        finally:
            self.batch.end()
        return True

    def _next(self) -> Optional[Claim]:
        if self.batch.waits and is_paused(self.store.spool):
            self._give_back_waiting()
        got = self.batch.start_next()
        if got is None:
            with self.batch.handing:
                # Those that somebody puts back just now are not ours any more, or have come back.
                got = self.batch.start_next()
        if got is None:
            self.batch.add(self._claim())
            got = self.batch.start_next()
            if self.batch.waits:
                self.hands.waiting()
        return got

    def _give_back_waiting(self) -> None:
        with self.batch.handing:
            for one in self.batch.take_back():
                # Of one that cannot be put back the next worker's recovery sees that it did not run.
                with suppress(_GivenUp):
                    self._persist(partial(give_back, self.store, one, self.hands.now()))

    def _free_strays(self) -> bool:
        freed = free_strays(self.store, self.name, self.hands.now())
        for job in freed:
            text = f"{job.reason}: {job.state.value}"
            self.hands.emit(Event(events.JOB_RECOVERED, self.name, job.job_id, text))
        return bool(freed)

    def _claim(self) -> list[Claim]:
        self.store.index.follow()
        why = self.hands.index_trouble()
        if why is not None and not self.store.index.in_memory:
            # While we have it open it cannot be replaced (Windows), and what we have read of it is old.
            self.store.index.leave_disk(why)
        try:
            if self.store.index.in_memory:
                # Nobody else keeps this one.
                reconcile_all(self.store, self.hands.now())
            return self._claim_some()
        except sqlite3.Error as error:
            if not self.store.heal(error):
                raise
            reconcile_all(self.store, self.hands.now())
            return self._claim_some()

    def _claim_some(self) -> list[Claim]:
        # Those that were claimed together run under the same settings.
        self._config = self.store.config
        return claim_some(
            self.store, self.name, self.hands.now(), most=self.batch.room, lives=self._may_claim
        )

    def _run_or_give_back(self, got: Claim) -> Optional[Outcome]:
        try:
            return self._run(got)
        except BaseException as error:
            # Nothing was started: a claimed job must not lie here as if it ran.
            with suppress(_GivenUp):
                back = self._persist(lambda: give_back(self.store, got, self.hands.now()))
                self._forget_run()
                if back is not None and isinstance(error, OSError):
                    self._pass_over(got, back, error)
            raise

    def _pass_over(self, got: Claim, back: Place, lack: OSError) -> None:
        # Where there is no room for that either, it is simply claimed again.
        with suppress(sqlite3.Error):
            pass_over(self.store, got, back.job_id, self.hands.now(), lack)

    def _run(self, got: Claim) -> Optional[Outcome]:
        """How its run ended; None when somebody has taken its file away before."""
        run_lock = self._run_lock()
        # Closed in the end, not unlocked: an unlock would free it for a command that is still there.
        with nullcontext() if run_lock is None else closing(run_lock):
            if not note_run(self.store.spool, self.name, got.place.job_id, run_lock):
                # It must lie alone in our folder: without a note nobody could tell which of them ran.
                self._give_back_waiting()
            # Asked when it is noted: who has moved it and claims it meets the note.
            if not self.store.spool.is_there(got.place):
                self.store.forget(got.place.job_id)
                return None
            self._tell(events.JOB_STARTED, got, attempt=next_attempt(got.job))
            return self.runner.run(got.job, self._conditions(got.job, run_lock))

    def _forget_run(self) -> None:
        """Take back what was noted; not before it is recorded, or a crash would not be counted.

        What the command has left running may hold its lock, and must not hold up the job's retry.
        """
        note_run(self.store.spool, self.name, "")

    def _run_lock(self) -> Optional[locks.HeldLock]:
        """The lock that the command inherits, so that its job stays owned if we die (POSIX)."""
        if not system.SHARES_LOCKS:
            return None
        path = self.store.spool.lock_path(self.name + RUN_SUFFIX)
        held = locks.try_lock(path)
        if held is None:
            # A daemon that an earlier command left behind holds that one; it must not own this job.
            system.remove(path)
            held = locks.try_lock(path)
        return held

    def _conditions(self, job: Job, run_lock: Optional[locks.HeldLock]) -> Conditions:
        config = self._config or self.store.config
        return Conditions(
            root=self.store.spool.root,
            log_path=self.store.spool.log_path(job.name),
            blank=self._blank,
            shell=config.shell,
            timeout=config.timeout if job.timeout is None else job.timeout,
            log_max_bytes=config.log_max_bytes,
            inherit=None if run_lock is None else run_lock.fileno(),
        )

    def _settle(self, got: Claim, outcome: Outcome) -> bool:
        """Record how it ended; False when that is given up, and recovery is to count a crash."""
        try:
            if outcome.verdict == INTERRUPTED:
                self._persist(lambda: give_back(self.store, got, self.hands.now()))
                self._tell(events.JOB_INTERRUPTED, got, text="back to pending, no attempt counted")
            else:
                self._record(got, outcome)
            self._forget_request(got)
        except _GivenUp as reason:
            text = f"{outcome.verdict}, but that cannot be recorded ({reason}): it will count as crashed"
            self._tell(events.NOTICE, got, text=text)
            return False
        return True

    def _record(self, got: Claim, outcome: Outcome) -> None:
        decision = self._decide(got.job, outcome)
        run = Run(
            outcome=outcome.verdict,
            attempt=next_attempt(got.job),
            worker=self.name,
            started_at=format_moment(outcome.started),
            finished_at=format_moment(outcome.ended),
            exit_code=outcome.exit_code,
            error=outcome.error,
        )
        # What failed must be known for its retry; what is over for good is told with the rest of its batch.
        told = self.batch.keep if decision.state is State.COMPLETED else None
        place = self._persist(lambda: settle(self.store, got, run, decision, self.hands.now(), told))
        if not self.batch.waits:
            self.store.record_all(self.batch.take_rows())
        if place is None:
            text = f"{outcome.verdict}, but its file was taken away while it ran: not recorded"
            self._tell(events.NOTICE, got, text=text)
        else:
            self._report(got, outcome, decision)

    def _forget_request(self, got: Claim) -> None:
        # A cancel that came too late must not meet the job's next run.
        with suppress(OSError):
            withdraw(self.store.spool, self.name, CANCEL_SUFFIX, got.place.job_id)

    def _decide(self, job: Job, outcome: Outcome) -> Decision:
        if outcome.verdict == COMPLETED:
            return Decision(State.COMPLETED)
        if outcome.verdict == CANCELLED:
            return Decision(State.DEAD)
        return after_failure(
            policy_of(self.store, job),
            failures=next_attempt(job),
            retryable=outcome.exit_code not in job.no_retry_exit_codes,
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
                    self.hands.emit(Event(events.NOTICE, self.name, text=f"cannot record yet: {error}"))
                self.hands.pause(_RECORD_PAUSES[min(tries, len(_RECORD_PAUSES) - 1)])
                tries += 1

    def _report(self, got: Claim, outcome: Outcome, decision: Decision) -> None:
        kind = {
            State.COMPLETED: events.JOB_COMPLETED,
            State.FAILED: events.JOB_FAILED,
            State.DEAD: events.JOB_CANCELLED if outcome.verdict == CANCELLED else events.JOB_DEAD,
        }[decision.state]
        self._tell(
            kind,
            got,
            text=outcome.error or "",
            attempt=next_attempt(got.job),
            exit_code=outcome.exit_code,
            seconds=outcome.ended - outcome.started,
            delay=decision.delay if decision.state is State.FAILED else None,
        )

    def _tell(self, kind: str, got: Claim, **details: Any) -> None:
        self.hands.emit(Event(kind, self.name, got.place.job_id, **details))
