"""One worker: claim a job, run it, settle it. `run_once` is the whole of it, for tests and for the pool.

A pipeline of named steps, after Oban's executor.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, nullcontext, suppress
from functools import partial
from typing import Optional

from queuectl import events, locks, system
from queuectl.batch import PATIENCE, Batch
from queuectl.config import Config
from queuectl.engine import Abandoned, Beside, Conditions, Engine
from queuectl.errors import QueueError
from queuectl.events import Event
from queuectl.hands import Hands
from queuectl.job import Job, next_attempt
from queuectl.joblog import BlankLog
from queuectl.life import Life
from queuectl.names import RUN_SUFFIX
from queuectl.queue.claims import Claim, claim_some
from queuectl.queue.entries import created_of
from queuectl.queue.liveness import note_tasks
from queuectl.queue.recovery import clear_away, free_strays
from queuectl.queue.requests import is_paused
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from queuectl.recorder import Recorder
from queuectl.runner import INTERRUPTED, Outcome, Runner
from queuectl.tidings import Tidings

_STEP = 0.5
"""Seconds between looks whether a task that does not end is to be left behind."""


class Worker:
    """Owns `processing/<name>/` and `locks/<name>.lock` for its life."""

    def __init__(
        self,
        store: Store,
        name: str,
        hands: Optional[Hands] = None,
        *,
        most: int = 1,
        tasks: Optional[Engine] = None,
    ) -> None:
        """`most`: the jobs that it may claim at once. `tasks` calls those functions that its index knows."""
        self.store, self.name = store, name
        self.hands = hands or Hands()
        self.runner = Runner(tasks)
        self.batch = Batch(most)
        self.life = Life(store, name)
        self.recorder = Recorder(store, name, self.hands, self.batch)
        self._config: Optional[Config] = None
        self._blank: Optional[BlankLog] = None
        self._beside = tasks if isinstance(tasks, Beside) else None
        self._halts = False
        """Nothing more is to be run beside us."""
        self._runs = 0
        self._ran_command = False

    def start(self) -> None:
        """Begin to live, for the others too.

        Raises:
            QueueError: somebody else holds a lock of this name.
        """
        self.store.spool.tmp.owner = self.name
        self.life.begin()
        if self.store.index.tasks:
            note_tasks(self.store.spool, self.name, self.store.index.tasks)
        self._blank = BlankLog(self.store.spool.tmp.new("log"))

    def close(self) -> None:
        """Leave nothing behind, unless a job could not be moved out: then recovery sees to it."""
        try:
            self._clear_batch()
        finally:
            self.runner.close()
            # Whatever comes: who holds the lock owns what lies there.
            lived = self.life.last() if self.recorder.left_behind else self.life.end()
        if lived:
            if self._blank is not None:
                self._blank.close()
            clear_away(self.store, self.name)

    def run_once(self) -> bool:
        """Claim, run and settle one job, or free what is not ours; False when there was nothing to do.

        Of quick ones several are claimed at once, for the next calls, and settled with the last of them. Of
        Python functions that are called in this process all of them are run.

        Raises:
            Busy: the claim could not be decided.
            QueueError: nothing can be noted or recorded any more.
            OSError, sqlite3.Error: this machine lacks something just now; the job is back in `pending`.
        """
        got = self._next()
        if got is None:
            return self._free_strays()
        if self._beside is None or got.job.task is None:
            self._run_one(got)
        else:
            self._run_beside(self._beside, got)
        if not self.batch.waits:
            self.recorder.record()
        elif self.batch.is_overdue:
            # Others may be free for them; or others come before them by now.
            self._thin_out()
        elif self._records_at_once:
            self.recorder.record(patiently=False)
        return True

    @property
    def _records_at_once(self) -> bool:
        return self.batch.is_late or self._crash_is_final

    @property
    def _crash_is_final(self) -> bool:
        """Whether a job that has ended unrecorded would be lost with us, and not only run again."""
        return self._config is not None and self._config.max_crashes <= 1

    def _next(self) -> Optional[Claim]:
        if self.batch.waits and is_paused(self.store.spool):
            self.recorder.give_back_waiting()
        got = self.batch.start_next()
        if got is None:
            with self.batch.handing:
                # Those that somebody puts back just now are not ours any more, or have come back.
                got = self.batch.start_next()
        if got is None:
            self.recorder.record()
            self.batch.add(self._claim())
            got = self.batch.start_next()
        return got

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
        now, most = self.hands.now(), self.batch.room
        return claim_some(self.store, self.name, now, most=most, lives=self.life.may_claim)

    def _run_beside(self, beside: Beside, got: Claim) -> None:
        """Have it run in another thread, and see to the others if it lasts."""
        self._halts = False
        try:
            errand = beside.give(partial(self._run_some, got))
        except OSError as error:
            self._put_back(got, error)
            raise
        try:
            errand.wait(self._see_to_others, PATIENCE)
        except Abandoned:
            self._leave_behind()
            return
        except BaseException:
            self._halts = True
            with suppress(Abandoned):
                errand.wait(self._break_off, 0.0)
                raise
            self._leave_behind()
            raise
        errand.result()

    def _run_some(self, got: Claim) -> None:
        """Run it, and the tasks behind it, as long as nothing else is to be seen to."""
        following: Optional[Claim] = got
        while following is not None:
            self._run_one(following)
            following = self.batch.start_next() if self._goes_on else None

    @property
    def _goes_on(self) -> bool:
        halts = self._halts or self._records_at_once or self.batch.is_overdue or self.hands.stops()
        return not halts and self.batch.next_is_task and not is_paused(self.store.spool, by_us=True)

    def _see_to_others(self, defies: bool) -> float:
        if defies and self.runner.leaves_behind():
            raise Abandoned
        if not self.batch.waits and not self.batch.ended:
            return _STEP
        left = self.batch.patience
        if left <= 0:
            left = PATIENCE if self._thin_out() else _STEP
        return left

    def _break_off(self, defies: bool) -> float:
        if defies:
            raise Abandoned
        self.runner.kill(INTERRUPTED, force=True)
        return _STEP

    def _leave_behind(self) -> None:
        left = self.batch.current
        if left is not None:
            self.recorder.leave_behind(left)
        self.batch.end()

    def _run_one(self, got: Claim) -> None:
        try:
            outcome = self._run(got)
        except BaseException as error:
            self._put_back(got, error)
            raise
        self.batch.end()
        if outcome is not None:
            self.recorder.end(got, outcome)

    def _put_back(self, got: Claim, error: BaseException) -> None:
        """It was not started. Nor can the others be, perhaps, and who calls us may wait before the next."""
        self.recorder.not_started(got, error)
        self.batch.end()
        self._thin_out()

    def _run(self, got: Claim) -> Optional[Outcome]:
        """How its run ended; None when somebody has taken its file away before."""
        # A function ends with this process, or its process has a lock of its own; but what an earlier command
        # has left running may hold the one that its note lies in.
        run_lock = self._run_lock() if got.job.task is None or self._ran_command else None
        self._ran_command = got.job.task is None
        # Closed in the end, not unlocked: an unlock would free it for a command that is still there.
        with nullcontext() if run_lock is None else closing(run_lock):
            self._runs += 1
            if not self.recorder.note(run_lock, self._runs):
                # It must lie alone in our folder: without a note nobody could tell which of them ran.
                self._clear_batch()
                if self.recorder.gave_up:
                    raise QueueError("its run cannot be noted, and an earlier one cannot be recorded")
            # Asked when it is noted: who has moved it and claims it meets the note.
            if not self.store.spool.is_there(got.place):
                self.store.forget(got.place.job_id)
                return None
            self.recorder.tell(events.JOB_STARTED, got, attempt=next_attempt(got.job))
            return self.runner.run(got.job, self._conditions(got, run_lock))

    def _clear_batch(self) -> None:
        """Put back those that wait, and record what has ended, however long that takes."""
        self.recorder.give_back_waiting()
        self.recorder.record()

    def _thin_out(self) -> bool:
        """The same as far as it can be done just now; whether something is left."""
        # First: a death now would count a crash of it.
        self.recorder.record(patiently=False)
        self.recorder.give_back_waiting(patiently=False)
        return bool(self.batch.waits or self.batch.ended)

    def _run_lock(self) -> Optional[locks.HeldLock]:
        """The lock that the command inherits, so that its job stays owned if we die (POSIX)."""
        if not system.SHARES_LOCKS:
            return None
        # A daemon that an earlier command left behind must not own this job.
        return locks.take_over(self.store.spool.lock_path(self.name + RUN_SUFFIX))

    def _conditions(self, got: Claim, run_lock: Optional[locks.HeldLock]) -> Conditions:
        job = got.job
        config = self._config or self.store.config
        return Conditions(
            root=self.store.spool.root,
            log_path=self.store.spool.log_path(job.name),
            blank=self._blank,
            tidings=self._tidings(job),
            traceparent=self._traceparent(got),
            shell=config.shell,
            timeout=config.timeout if job.timeout is None else job.timeout,
            log_max_bytes=config.log_max_bytes,
            inherit=None if run_lock is None else run_lock.fileno(),
            patience=PATIENCE,
            lasts=self._thin_out if self.batch.waits or self.batch.ended else None,
        )

    def _traceparent(self, got: Claim) -> Optional[str]:
        if self.hands.tracer is None:
            return None
        from queuectl.tracing import traceparent

        return traceparent(got.job, created_of(got.job, got.version))

    def _tidings(self, job: Job) -> Tidings:
        spool = self.store.spool
        return Tidings(*spool.tmp.tidings(self._runs, job.name), spool.refused_paths(job.name))
