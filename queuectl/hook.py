"""Hooks: what is run when a job has ended, as a job of its own, which cannot harm the first. Pure."""

from __future__ import annotations

from typing import Optional

import msgspec

from queuectl.job import Hook, Job, Run
from queuectl.names import MAX_ID_BYTES, fold
from queuectl.state import State

ON_SUCCESS, ON_FAILURE, ON_DEAD = "on_success", "on_failure", "on_dead"
EVENTS = (ON_SUCCESS, ON_FAILURE, ON_DEAD)
FILE = "file"
"""The only key of an object that names a job's file."""
LONGEST_ERROR = 1000
"""Characters of an error that a hook finds in its environment: the whole is in its standard input."""
_FAILURES = ("failed", "timeout", "crashed")


def events_of(job: Job) -> list[str]:
    """What the last run of this job, which has ended, is for hooks. One that was cancelled is nothing."""
    last = job.history[-1].outcome if job.history else None
    if job.hook_of is not None:
        # Else what is run for each failure would be run for its own.
        return []
    if job.state is State.COMPLETED:
        return [ON_SUCCESS] if last == "completed" else []
    if last not in _FAILURES or (job.error or "").startswith("cancelled"):
        # One that was to be cancelled, whose worker has died before it could.
        return []
    return [ON_FAILURE, ON_DEAD] if job.state is State.DEAD else [ON_FAILURE]


def own_hook(job: Job, event: str) -> Optional[Hook]:
    """What the job itself says of this event."""
    found: Optional[Hook] = getattr(job, event)
    return found


def template_of(hook: Hook, job: Job) -> Optional[Job]:
    """The job that this hook of a job says in itself; None where it names a file.

    Raises:
        msgspec.ValidationError: it says none.
    """
    if isinstance(hook, dict):
        return None if list(hook) == [FILE] else msgspec.convert(hook, Job)
    shell = job.shell if isinstance(hook, str) else None
    return Job(command=hook, shell=shell, cwd=job.cwd)


def hook_id(job: Job, event: str) -> str:
    """The id of the job that is made for this event of the job's last run: it is made once."""
    ended = (job.history[-1].finished_at or "").replace("-", "").replace(":", "").replace(".", "")
    tail = f"-{event.replace('_', '-')}-{ended}"
    room = MAX_ID_BYTES - len(tail) - len("-9999")
    return job.name.encode()[:room].decode("utf-8", "ignore") + tail


def hook_job(template: Job, job: Job, event: str, log: str) -> Job:
    """The job of this event."""
    last = job.history[-1]
    return msgspec.structs.replace(
        template,
        id=hook_id(job, event),
        hook_of=job.name,
        env={**template.env, **_variables(job, last, event, log)},
        stdin=_told(job, last, event, log) if template.stdin is None else template.stdin,
    )


def _variables(job: Job, last: Run, event: str, log: str) -> dict[str, str]:
    found = {
        "QUEUECTL_HOOK": event,
        "QUEUECTL_HOOK_JOB_ID": job.name,
        "QUEUECTL_HOOK_STATE": job.state.value,
        "QUEUECTL_HOOK_ATTEMPT": str(last.attempt or 0),
        "QUEUECTL_HOOK_EXIT_CODE": "" if last.exit_code is None else str(last.exit_code),
        "QUEUECTL_HOOK_ERROR": (last.error or "")[:LONGEST_ERROR].replace("\0", ""),
        "QUEUECTL_HOOK_LOG": log,
    }
    return {name: value.replace("\0", "") for name, value in found.items()}


def _told(job: Job, last: Run, event: str, log: str) -> str:
    """What a hook reads: one JSON object, in one line. No `env`, which may hold secrets."""
    told = {
        "event": event,
        "id": job.name,
        "state": job.state.value,
        "command": job.command,
        "attempt": last.attempt,
        "attempts": job.attempts,
        "crashes": job.crashes,
        "exit_code": last.exit_code,
        "error": last.error,
        "result": job.result,
        "started_at": last.started_at,
        "finished_at": last.finished_at,
        "tags": job.tags,
        "group": job.group,
        "batch": job.batch,
        "log": log,
    }
    return msgspec.json.encode(told).decode() + "\n"


def event_named(name: str) -> Optional[str]:
    """The event that a file of this name is for; None if there is none."""
    return next((event for event in EVENTS if fold(event) == fold(name)), None)
