"""Run one command: its process tree, its timeout, its output into its log; the result is an Outcome.

A command never writes into a pipe: its grandchildren would keep the pipe open. It gets the log file itself.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from queuectl import system
from queuectl.job import Job, next_attempt, success_codes
from queuectl.joblog import BlankLog, log_mark, log_note, tidy_log, trim_log
from queuectl.tidings import Result, Tidings, take

if TYPE_CHECKING:
    from queuectl.system.process import Process

COMPLETED, FAILED, TIMEOUT = "completed", "failed", "timeout"
CANCELLED, INTERRUPTED = "cancelled", "interrupted"
KILL_GRACE = 3.0
"""Seconds between asking a process tree to end and ending it."""


class Outcome(NamedTuple):
    """How a run ended; `verdict` is one of the words above, times are seconds since the epoch."""

    verdict: str
    exit_code: Optional[int]
    error: Optional[str]
    started: float
    ended: float
    result: Any = None
    """What the command has left for its record."""
    refused: Optional[str] = None
    """Why what it has left could not be taken."""


class Conditions(NamedTuple):
    """What a run needs to know besides its job; `timeout` in seconds, sizes in bytes."""

    root: str
    log_path: str
    shell: Optional[str]
    timeout: Optional[float]
    log_max_bytes: int
    inherit: Optional[int]
    blank: Optional[BlankLog] = None
    """To be the log of a command that prints nothing."""
    tidings: Optional[Tidings] = None
    """Where the command may tell of itself."""
    patience: float = 0.0
    lasts: Optional[Callable[[], bool]] = None
    """Called when the command has run for `patience` seconds, and again while it returns true. It must not
    take long: the end of the command is noticed afterwards.
    """


class Runner:
    """Runs one command at a time; another thread may kill it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._process: Optional[Process] = None
        self._job_id = ""
        self._verdict: Optional[str] = None
        self._timers: list[threading.Timer] = []
        self._log: Optional[tuple[str, int]] = None
        # As it was at the first run: to copy it each time would take a tenth of what a command costs.
        self._own: Optional[Mapping[str, str]] = None

    def run(self, job: Job, conditions: Conditions) -> Outcome:
        """Run the job's command to its end.

        Raises:
            OSError: this machine lacks what is needed to start any command just now.
        """
        started = system.now()
        try:
            if conditions.blank is None or not conditions.blank.lend(conditions.log_path):
                system.make_folder(os.path.dirname(conditions.log_path))
                log_mark(conditions.log_path, job, started)
            process = self._start(job, conditions)
        except OSError as error:
            if system.is_lack(error):
                raise
            tidy_log(conditions.log_path, conditions.log_max_bytes)
            return Outcome(FAILED, None, _start_error(job, conditions, error), started, system.now())
        try:
            goes_on = conditions.lasts is not None
            while goes_on and conditions.lasts and not process.ends_within(conditions.patience):
                goes_on = conditions.lasts()
            code = process.wait()
        except BaseException:
            # Ctrl+C in a program that runs a worker in its main thread: the command must not run on unowned.
            self.kill(INTERRUPTED, force=True)
            process.wait()
            self._end()
            raise
        verdict, left = self._end(), _left(conditions)
        tidy_log(conditions.log_path, conditions.log_max_bytes)
        outcome = _outcome(job, conditions, code, verdict, started)
        return outcome._replace(result=left.value, refused=left.problem)

    def _start(self, job: Job, conditions: Conditions) -> Process:
        from queuectl.system import process as processes

        if self._own is None:
            self._own = processes.own_environment()
        argv = _argv(job, conditions)
        process = processes.start(
            argv,
            cwd=_folder(job, conditions),
            env=_environment(self._own, job, conditions),
            stdin=None if job.stdin is None else job.stdin.encode(),
            log_path=conditions.log_path,
            inherit=conditions.inherit,
        )
        try:
            with self._guard:
                self._job_id = job.name
                self._process, self._log = process, (conditions.log_path, conditions.log_max_bytes)
                if conditions.timeout is not None:
                    self._later(conditions.timeout, TIMEOUT)
        except RuntimeError as error:
            # No room for the thread that would end it in time: it must not run on without.
            self.kill(INTERRUPTED, force=True)
            process.wait()
            self._end()
            raise OSError(errno.EAGAIN, str(error)) from error
        return process

    def _later(self, delay: float, verdict: str, *, force: bool = False) -> None:
        timer = threading.Timer(min(delay, threading.TIMEOUT_MAX), self.kill, (verdict,), {"force": force})
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _end(self) -> Optional[str]:
        with self._guard:
            verdict, self._verdict = self._verdict, None
            timers = self._timers
            self._process, self._log, self._timers = None, None, []
        for timer in timers:
            timer.cancel()
            timer.join()
        return verdict

    def kill(self, verdict: str, *, force: bool = False, job_id: Optional[str] = None) -> bool:
        """End the running command's tree, for the reason `verdict`; the first reason stands.

        Asks first, and ends it after `KILL_GRACE` seconds where the system knows the difference. False when
        no command runs (any more, or yet), or not that of `job_id`: ask again.
        """
        with self._guard:
            if self._process is None or self._process.ended or job_id not in (None, self._job_id):
                return False
            if self._verdict is None and self._process.is_over():
                # By itself, and its waiter has not seen it yet.
                return False
            if force or self._verdict is None:
                self._verdict = self._verdict or verdict
                self._process.kill(force=force)
                if not force:
                    self._force_later(verdict)
            return True

    def _force_later(self, verdict: str) -> None:
        assert self._process is not None
        try:
            self._later(KILL_GRACE, verdict, force=True)
        except RuntimeError:
            # No room for another thread: no grace.
            self._process.kill(force=True)

    def trim(self) -> None:
        """Keep the log of the running command within its limit."""
        with self._guard:
            log = self._log
        if log is not None:
            trim_log(*log)


def _argv(job: Job, conditions: Conditions) -> Union[list[str], str]:
    from queuectl.system import process as processes

    if isinstance(job.command, str):
        return processes.shell_argv(_shell(job, conditions), job.command)
    return job.command


def _shell(job: Job, conditions: Conditions) -> str:
    from queuectl.system import process as processes

    return job.shell or conditions.shell or processes.default_shell()


def _folder(job: Job, conditions: Conditions) -> str:
    folder = os.path.join(os.path.dirname(conditions.root), os.path.expanduser(job.cwd or ""))
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"the folder {folder} (cwd) is not there")
    return folder


def _environment(own: Mapping[str, str], job: Job, conditions: Conditions) -> dict[str, str]:
    from queuectl.system import process as processes

    ours = {
        "QUEUECTL_JOB_ID": job.name,
        "QUEUECTL_ATTEMPT": str(next_attempt(job)),
        "QUEUECTL_SPOOL": conditions.root,
    }
    if job.schedule and job.scheduled_at:
        ours.update(QUEUECTL_SCHEDULE=job.schedule, QUEUECTL_SCHEDULED_AT=job.scheduled_at)
    if conditions.tidings is not None:
        ours["QUEUECTL_RESULT"] = conditions.tidings.result
        ours["QUEUECTL_PROGRESS"] = conditions.tidings.progress
    return processes.environment(own, {**job.env, **ours})


def _left(conditions: Conditions) -> Result:
    left = Result() if conditions.tidings is None else take(conditions.tidings)
    if left.problem is not None:
        log_note(conditions.log_path, f"QUEUECTL_RESULT is not kept: {left.problem}")
    return left


def _start_error(job: Job, conditions: Conditions, error: OSError) -> str:
    program = _shell(job, conditions) if isinstance(job.command, str) else job.command[0]
    if isinstance(error, FileNotFoundError) and error.filename in (None, program):
        return f"program not found: {program}"
    where = f": {error.filename}" if error.filename else ""
    text = f"could not be started: {error.strerror or error}{where}"
    # A path on POSIX may be no Unicode, and a record is.
    return text.encode("utf-8", "backslashreplace").decode()


def _outcome(job: Job, conditions: Conditions, code: int, verdict: Optional[str], started: float) -> Outcome:
    ended = system.now()
    if verdict == TIMEOUT:
        return Outcome(TIMEOUT, code, f"timed out after {conditions.timeout:g} s", started, ended)
    if verdict in (CANCELLED, INTERRUPTED):
        return Outcome(verdict, code, verdict, started, ended)
    if code in success_codes(job):
        return Outcome(COMPLETED, code, None, started, ended)
    return Outcome(FAILED, code, _exit_error(code), started, ended)


def _exit_error(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    import signal

    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
