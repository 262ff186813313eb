"""Run one job: its timeout, its log, the reasons for which it may be stopped; the result is an Outcome."""

from __future__ import annotations

import errno
import threading
from typing import Any, NamedTuple, Optional

from queuectl import system
from queuectl.commands import Commands
from queuectl.engine import Conditions, End, Engine, Running
from queuectl.job import Job
from queuectl.joblog import log_note, tidy_log, trim_log

COMPLETED, FAILED, TIMEOUT = "completed", "failed", "timeout"
CANCELLED, INTERRUPTED = "cancelled", "interrupted"
KILL_GRACE = 3.0
"""Seconds between asking a run to end and ending it."""


class Outcome(NamedTuple):
    """How a run ended; `verdict` is one of the words above, times are seconds since the epoch."""

    verdict: str
    exit_code: Optional[int]
    error: Optional[str]
    started: float
    ended: float
    result: Any = None
    """What the run has left for its record."""
    refused: Optional[str] = None
    """Why what it has left could not be taken."""
    for_good: bool = False
    """Whether a failure is not to be tried again."""


class Runner:
    """Runs one job at a time; another thread may kill it."""

    def __init__(self, tasks: Optional[Engine] = None) -> None:
        """`tasks` runs Python functions."""
        self._engines: tuple[Engine, Optional[Engine]] = Commands(), tasks
        self._guard = threading.Lock()
        self._run: Optional[Running] = None
        self._job_id = ""
        self._verdict: Optional[str] = None
        self._interrupted = self._told = False
        self._timers: list[threading.Timer] = []
        self._log: Optional[tuple[str, int]] = None

    def run(self, job: Job, conditions: Conditions) -> Outcome:
        """Run the job to its end.

        Raises:
            OSError: this machine lacks what is needed to start anything just now.
        """
        started = system.now()
        engine = self._engine_of(job)
        try:
            run = self._start(engine, job, conditions)
        except OSError as error:
            if system.is_lack(error):
                raise
            tidy_log(conditions.log_path, conditions.log_max_bytes)
            told = engine.start_error(job, conditions, error)
            return Outcome(FAILED, None, told, started, system.now())
        try:
            goes_on = conditions.lasts is not None
            while goes_on and conditions.lasts and not run.ends_within(conditions.patience):
                goes_on = conditions.lasts()
            end = run.wait()
        except BaseException:
            # Ctrl+C in a program that runs a worker in its main thread: the command must not run on unowned.
            self._break_off(run)
            raise
        verdict = self._end()
        if not end.silent:
            tidy_log(conditions.log_path, conditions.log_max_bytes)
        return _outcome(end, verdict, conditions, started)

    def _break_off(self, run: Running) -> None:
        self.kill(INTERRUPTED, force=True)
        run.wait()
        self._end()

    def leaves_behind(self) -> bool:
        """What was to be stopped goes on: whether nobody is to wait for it, since this process is to end.

        Else its log says, once, that it is waited for.
        """
        with self._guard:
            if self._interrupted:
                return True
            told, self._told = self._told, True
            log, verdict = self._log, self._verdict
        if log is not None and not told:
            log_note(log[0], f"it is to end ({verdict}) and does not; it is waited for")
        return False

    def close(self) -> None:
        """Let go of what outlives a run."""
        for engine in self._engines:
            if engine is not None:
                engine.close()

    def _engine_of(self, job: Job) -> Engine:
        commands, tasks = self._engines
        if job.task is None:
            return commands
        assert tasks is not None, "nobody claims a task that it cannot run"
        return tasks

    def _start(self, engine: Engine, job: Job, conditions: Conditions) -> Running:
        run = engine.start(job, conditions)
        try:
            with self._guard:
                self._job_id = job.name
                self._run, self._log = run, (conditions.log_path, conditions.log_max_bytes)
                if conditions.timeout is not None:
                    self._later(conditions.timeout, TIMEOUT)
        except RuntimeError as error:
            # No room for the thread that would end it in time: it must not run on without.
            self._break_off(run)
            raise OSError(errno.EAGAIN, str(error)) from error
        return run

    def _later(self, delay: float, verdict: str, *, force: bool = False) -> None:
        timer = threading.Timer(min(delay, threading.TIMEOUT_MAX), self.kill, (verdict,), {"force": force})
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _end(self) -> Optional[str]:
        with self._guard:
            verdict, self._verdict = self._verdict, None
            timers = self._timers
            self._run, self._log, self._timers = None, None, []
            self._interrupted = self._told = False
        for timer in timers:
            timer.cancel()
            timer.join()
        return verdict

    def kill(self, verdict: str, *, force: bool = False, job_id: Optional[str] = None) -> bool:
        """End what runs, a command's whole tree, for the reason `verdict`; the first reason stands.

        Asks first, and ends it after `KILL_GRACE` seconds where the system knows the difference. False when
        nothing runs (any more, or yet), or not that of `job_id`: ask again.
        """
        with self._guard:
            if self._run is None or self._run.ended or job_id not in (None, self._job_id):
                return False
            if self._verdict is None and self._run.is_over():
                # By itself, and its waiter has not seen it yet.
                return False
            # Also where it was to end before for another reason, and cannot be ended.
            self._interrupted |= verdict == INTERRUPTED
            if force or self._verdict is None:
                self._verdict = self._verdict or verdict
                self._run.kill(force=force)
                if not force:
                    self._force_later(verdict)
            return True

    def _force_later(self, verdict: str) -> None:
        assert self._run is not None
        try:
            self._later(KILL_GRACE, verdict, force=True)
        except RuntimeError:
            # No room for another thread: no grace.
            self._run.kill(force=True)

    def trim(self) -> None:
        """Keep the log of what runs within its limit."""
        with self._guard:
            log = self._log
        if log is not None:
            trim_log(*log)


def _outcome(end: End, verdict: Optional[str], conditions: Conditions, started: float) -> Outcome:
    told = FAILED if end.error else COMPLETED
    error = end.error
    if verdict is not None:
        told = verdict
        error = f"timed out after {conditions.timeout:g} s" if verdict == TIMEOUT else verdict
    return Outcome(
        told, end.code, error, started, system.now(), end.result, end.refused, end.for_good and not verdict
    )
