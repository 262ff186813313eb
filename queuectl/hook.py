"""Hooks: what is run when a job has ended, as a job of its own, which cannot harm the first. Pure."""

from __future__ import annotations

from binascii import crc32
from typing import Any, Optional

import msgspec

from queuectl.job import HOOK_FILE, Hook, Job, Run
from queuectl.names import EVENTS, MAX_ID_BYTES
from queuectl.state import State

ON_SUCCESS, ON_FAILURE, ON_DEAD = EVENTS
FOR_ALL = "-all"
"""The end of the id of a job that is made by a hook for all jobs."""
PRIORITY = 100
"""Of a hook that gives none: it tells of something, and would come too late behind all that waits."""
LONGEST_ERROR = 1000
"""Characters of an error that a hook finds in its environment: the whole is in its standard input."""
LARGEST_TOLD = 16 * 1024
"""Bytes of a command, a result and the like, as JSON, up to which a hook is told of it."""
_FAILURES = ("failed", "timeout", "crashed")
_LOG = "QUEUECTL_HOOK_LOG"
ENDED = "ended"
"""In the `meta` of a hook that is a task: what a command finds in its standard input."""
_DIGEST = "-{:08x}"


def events_of(job: Job) -> list[str]:
    """What the last run of this job, which has ended, is for hooks. One that was cancelled is nothing."""
    if job.hook_of is not None or not job.history:
        # Else what is run for each failure would be run for its own.
        return []
    last = job.history[-1]
    if job.state is State.COMPLETED:
        return [ON_SUCCESS] if last.outcome == "completed" else []
    if last.outcome not in _FAILURES or job.error != last.error:
        # It ended otherwise since: somebody does not want it any more.
        return []
    return [ON_FAILURE, ON_DEAD] if job.state is State.DEAD else [ON_FAILURE]


def own_hook(job: Job, event: str) -> Optional[Hook]:
    """What the job itself says of this event."""
    found: Optional[Hook] = getattr(job, event)
    return found


def named_file(hook: Optional[Hook]) -> Optional[str]:
    """The name of the file that this hook of a job is in, if it is in one."""
    return str(hook[HOOK_FILE]) if isinstance(hook, dict) and list(hook) == [HOOK_FILE] else None


def template_of(hook: Hook, job: Job) -> Job:
    """The job that this hook of a job says in itself.

    Raises:
        msgspec.ValidationError: it says none.
    """
    if isinstance(hook, dict):
        return msgspec.convert(hook, Job)
    shell = job.shell if isinstance(hook, str) else None
    return Job(command=hook, shell=shell, cwd=job.cwd)


def hook_id(job_id: str, job: Job, event: str, end: str = "") -> str:
    """The id of the job that is made for this event of the job's last run, by which it is made once.

    `job_id` is what the job was called when that was recorded, whatever it is called since.
    """
    ended = (job.history[-1].finished_at or "").replace("-", "").replace(":", "").replace(".", "")
    tail = f"-{event.replace('_', '-')}-{ended}{end}"
    name, room = job_id.encode(), MAX_ID_BYTES - len(tail)
    if len(name) > room:
        # Others may begin like it, and end at the same moment.
        tail = _DIGEST.format(crc32(name)) + tail
        name = name[: MAX_ID_BYTES - len(tail)]
    return name.decode("utf-8", "ignore") + tail


def hook_job(template: Job, job: Job, event: str, log: str) -> Job:
    """The job of this event, which has no id yet; `log` is the path of the log of the run that has ended."""
    return msgspec.structs.replace(
        template,
        hook_of=job.name,
        schedule=None,
        scheduled_at=None,
        created_at=None,
        priority=template.priority or PRIORITY,
        **_telling(template, job, event, log),
    )


def _telling(template: Job, job: Job, event: str, log: str) -> dict[str, Any]:
    """The fields by which what is run learns what it is run for."""
    last = job.history[-1]
    told = _told(job, last, event, log)
    if template.task is not None:
        # A function has neither environment nor standard input of its own.
        return {"meta": {**(template.meta or {}), ENDED: told}}
    line = msgspec.json.encode(told).decode() + "\n"
    return {
        "env": {**template.env, **_variables(job, last, event, log)},
        "stdin": line if template.stdin is None else template.stdin,
    }


def is_same(known: Job, made: Job) -> bool:
    """Whether a job that is there under the id of this one was made for the same end."""
    # Its log's name: under which id the job has come to rest may be another on each try.
    logs = [_log_told(one).replace("\\", "/").rpartition("/")[2] for one in (known, made)]
    return known.hook_of is not None and logs[0] == logs[1]


def _log_told(job: Job) -> str:
    told = (job.meta or {}).get(ENDED)
    return str(told.get("log")) if isinstance(told, dict) else job.env.get(_LOG, "")


def _variables(job: Job, last: Run, event: str, log: str) -> dict[str, str]:
    found = {
        "QUEUECTL_HOOK": event,
        "QUEUECTL_HOOK_JOB_ID": job.name,
        "QUEUECTL_HOOK_STATE": job.state.value,
        "QUEUECTL_HOOK_ATTEMPT": str(last.attempt or 0),
        "QUEUECTL_HOOK_EXIT_CODE": "" if last.exit_code is None else str(last.exit_code),
        "QUEUECTL_HOOK_ERROR": (last.error or "")[:LONGEST_ERROR],
        _LOG: log,
    }
    return {name: value.replace("\0", "") for name, value in found.items()}


def _told(job: Job, last: Run, event: str, log: str) -> dict[str, Any]:
    """What a hook reads, as JSON. No `env`, which may hold secrets."""
    return {
        "event": event,
        "id": job.name,
        "state": job.state.value,
        "command": _if_small(job.command),
        "task": job.task,
        "attempt": last.attempt,
        "attempts": job.attempts,
        "crashes": job.crashes,
        "exit_code": last.exit_code,
        "error": _if_small(last.error),
        "result": _if_small(job.result),
        "started_at": last.started_at,
        "finished_at": last.finished_at,
        "tags": _if_small(job.tags),
        "group": job.group,
        "batch": job.batch,
        "log": log,
    }


def _if_small(value: Any) -> Any:
    return value if len(msgspec.json.encode(value)) <= LARGEST_TOLD else None
