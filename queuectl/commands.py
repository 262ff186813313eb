"""Run one command: its program, its folder, its environment, its output into its log.

A command never writes into a pipe: its grandchildren would keep the pipe open. It gets the log file itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Optional, Union

from queuectl import system
from queuectl.engine import Conditions, End
from queuectl.job import Job, next_attempt, success_codes
from queuectl.joblog import log_mark, log_note
from queuectl.tidings import Result, take

if TYPE_CHECKING:
    from queuectl.system.process import Process


class Commands:
    """An `Engine`."""

    def __init__(self) -> None:
        # As it was at the first run: to copy it each time would take a tenth of what a command costs.
        self._own: Optional[Mapping[str, str]] = None

    def start(self, job: Job, conditions: Conditions) -> CommandRun:
        """As `Engine.start`."""
        from queuectl.system import process as processes

        if conditions.blank is None or not conditions.blank.lend(conditions.log_path):
            system.make_folder(os.path.dirname(conditions.log_path))
            log_mark(conditions.log_path, job, system.now())
        if self._own is None:
            self._own = processes.own_environment()
        process = processes.start(
            _argv(job, conditions),
            cwd=_folder(job, conditions),
            env=_environment(self._own, job, conditions),
            stdin=None if job.stdin is None else job.stdin.encode(),
            log_path=conditions.log_path,
            inherit=conditions.inherit,
        )
        return CommandRun(process, job, conditions)

    def start_error(self, job: Job, conditions: Conditions, error: OSError) -> str:
        """As `Engine.start_error`."""
        program = _shell(job, conditions) if isinstance(job.command, str) else _program(job)
        if isinstance(error, FileNotFoundError) and error.filename in (None, program):
            return f"program not found: {program}"
        where = f": {error.filename}" if error.filename else ""
        text = f"could not be started: {error.strerror or error}{where}"
        # A path on POSIX may be no Unicode, and a record is.
        return text.encode("utf-8", "backslashreplace").decode()

    def close(self) -> None:
        """As `Engine.close`."""


class CommandRun:
    """A `Running` command, and its process tree."""

    def __init__(self, process: Process, job: Job, conditions: Conditions) -> None:
        self._process, self._job, self._conditions = process, job, conditions

    @property
    def ended(self) -> bool:
        """As `Running.ended`."""
        return self._process.ended

    def is_over(self) -> bool:
        """As `Running.is_over`."""
        return self._process.is_over()

    def ends_within(self, seconds: float) -> bool:
        """As `Running.ends_within`."""
        return self._process.ends_within(seconds)

    def wait(self) -> End:
        """As `Running.wait`."""
        code = self._process.wait()
        left = _left(self._conditions)
        error = None if code in success_codes(self._job) else exit_error(code)
        return End(code, error, left.value, left.problem)

    def kill(self, *, force: bool) -> None:
        """As `Running.kill`."""
        self._process.kill(force=force)


def _argv(job: Job, conditions: Conditions) -> Union[list[str], str]:
    from queuectl.system import process as processes

    if isinstance(job.command, str):
        return processes.shell_argv(_shell(job, conditions), job.command)
    return job.command or []


def _program(job: Job) -> str:
    return job.command[0] if job.command else ""


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
    if conditions.traceparent is not None:
        ours["TRACEPARENT"] = conditions.traceparent
    return processes.environment(own, {**job.env, **ours})


def _left(conditions: Conditions) -> Result:
    left = Result() if conditions.tidings is None else take(conditions.tidings)
    if left.problem is not None:
        log_note(conditions.log_path, f"QUEUECTL_RESULT is not kept: {left.problem}")
    return left


def exit_error(code: int) -> str:
    """In words, how a process has ended that ended with this code, or minus this signal."""
    if code >= 0:
        return f"exit code {code}"
    import signal

    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
