"""What `status` and `list` tell: rows of jobs, and the living workers."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from queuectl.config import Config
from queuectl.errors import NoSuchJob
from queuectl.index import Entry, command_of
from queuectl.index.base import HELD
from queuectl.index.links import BATCH, parents_in
from queuectl.moment import format_moment
from queuectl.names import EVENTS, LIFE_SUFFIX, RUN_SUFFIX, read_worker_name
from queuectl.queue.liveness import is_alive, noted_number, noted_runs
from queuectl.queue.store import Store
from queuectl.spool import Spool
from queuectl.spool.scan import Found

if TYPE_CHECKING:
    from queuectl.tidings import Progress


HIDDEN = "***"
"""Shown in place of what may be a secret."""


class WorkerRow(NamedTuple):
    """A worker that lives; `since` is when it started (RFC 3339), `job` the id of what it runs.

    `job_since` is when that started, `percent` and `progress` are what its command tells of how far it is.
    """

    name: str
    pid: Optional[int]
    host: Optional[str]
    job: Optional[str]
    since: Optional[str]
    job_since: Optional[str] = None
    percent: Optional[float] = None
    progress: Optional[str] = None


class Status(NamedTuple):
    """The queue at a glance."""

    spool: str
    counts: dict[str, int]
    workers: list[WorkerRow]
    paused: bool
    problems: list[str]


class Coming(NamedTuple):
    """A waiting job whose time, `due`, is still to come; `attempt` is the number of that run."""

    id: str
    due: float
    attempt: int


def coming(store: Store, limit: int) -> list[Coming]:
    """At most so many of them, the soonest first."""
    return [Coming(one.id, one.due or 0.0, one.attempts + 1) for one in store.index.coming(limit)]


def job_rows(store: Store, entries: Iterable[Entry], now: float) -> list[dict[str, Any]]:
    """Jobs of `list`; `held_by` is `group` where nothing of theirs may start now."""
    rows = [job_row(entry, store.config) for entry in entries]
    of_groups = [row for row in rows if row["group"] is not None and row["state"] in ("pending", "failed")]
    if of_groups:
        from queuectl.queue.gates import Groups

        groups = Groups(store, now)
        free = {name: groups.slots(name).free for name in {row["group"] for row in of_groups}}
        for row in of_groups:
            row["held_by"] = row["held_by"] or (None if free[row["group"]] else "group")
    return rows


def job_row(entry: Entry, config: Config) -> dict[str, Any]:
    """One job, as `job_rows`, but for what its group says."""
    return {
        "id": entry.id,
        "state": entry.state,
        "command": command_of(entry),
        "task": entry.task,
        "attempts": entry.attempts,
        "crashes": entry.crashes,
        "max_retries": config.max_retries if entry.max_retries is None else entry.max_retries,
        "priority": entry.priority,
        "run_at": entry.run_at,
        "created_at": entry.created_at or format_moment(entry.created),
        "updated_at": entry.updated_at or format_moment(entry.mtime_ns / 1e9),
        "exit_code": entry.exit_code,
        "error": entry.error,
        "worker": entry.worker,
        "tags": entry.tags.split("\n")[1:-1],
        "group": entry.lane,
        "batch": entry.batch,
        "after": [_named(one) for one in parents_in(entry)],
        "held_by": _held_by(entry),
    }


def _named(parent: str) -> str:
    return f"batch:{parent[len(BATCH) :]}" if parent.startswith(BATCH) else parent


def _held_by(entry: Entry) -> Optional[str]:
    """What keeps a job from its run, whenever it is due: a person, or other jobs."""
    if entry.due == HELD:
        return "hold" if entry.hold else "after"
    return None


def whole_record(store: Store, job_id: str, now: float) -> dict[str, Any]:
    """One job as `show` tells it: all that its record says, and where its file and its log are.

    Raises:
        NoSuchJob, DamagedRecord: see `Queue.show`.
    """
    from queuectl.codec import job_to_dict
    from queuectl.queue.entries import entry_of

    found = store.spool.find(job_id, store.config.max_job_bytes)
    if found is None:
        raise NoSuchJob(job_id)
    place, read = found
    entry = entry_of(place, read.job, read.version, now)
    record = job_to_dict(read.job)
    row = job_rows(store, [entry], now)[0]
    return {
        **record,
        **row,
        # A row says less of these.
        "after": record["after"],
        "updated_at": read.job.updated_at or row["updated_at"],
        "file": store.spool.path(place),
        "log": _log_of(store, place.job_id),
    }


def _log_of(store: Store, job_id: str) -> Optional[str]:
    path = store.spool.log_path(job_id)
    try:
        return path if os.path.getsize(path) else None
    except OSError:
        return None


def live_workers(store: Store) -> list[WorkerRow]:
    """The workers whose locks are held."""
    names = store.spool.workers()
    rows = [_worker_row(store, name) for name in names if is_alive(store.spool, name)]
    runs = {row.name: row.job for row in rows if row.job is not None}
    progress = progress_of(store.spool, runs) if runs else {}
    return [_with_progress(row, progress.get(row.name)) for row in rows]


def _worker_row(store: Store, name: str) -> WorkerRow:
    told = read_worker_name(name)
    job = job_of(store, name)
    since = _written(store, name + LIFE_SUFFIX)
    # The note of what it runs is written as that begins.
    job_since = None if job is None else _written(store, name + RUN_SUFFIX)
    return WorkerRow(name, told and told.pid, told and told.host, job, since, job_since)


def _written(store: Store, name: str) -> Optional[str]:
    try:
        return format_moment(os.stat(store.spool.lock_path(name)).st_mtime)
    except OSError:
        return None


def _with_progress(row: WorkerRow, progress: Optional["Progress"]) -> WorkerRow:
    if progress is None:
        return row
    return row._replace(percent=progress.percent, progress=progress.text or None)


def progress_of(spool: Spool, runs: Mapping[str, str]) -> dict[str, "Progress"]:
    """How far the commands of these workers are, as far as they tell; `runs` are the jobs, by worker."""
    from queuectl.tidings import read_progress

    # By the number of the run: an earlier one of this job may have left a process that still tells something.
    numbers = {worker: noted_number(spool, worker, job_id) for worker, job_id in runs.items()}
    found = {
        worker: read_progress(spool.tmp.progress_path(worker, number, runs[worker]))
        for worker, number in numbers.items()
        if number is not None
    }
    return {worker: progress for worker, progress in found.items() if progress is not None}


def job_of(store: Store, worker: str) -> Optional[str]:
    """What this worker runs: others in its folder wait for that to end."""
    there = [seen.job_id for seen in store.spool.scan_worker(worker) if isinstance(seen, Found)]
    if len(there) > 1 and (noted := noted_runs(store.spool, worker)) and noted[0] in there:
        return noted[0]
    return there[0] if there else None


def hidden_env(job: dict[str, Any]) -> dict[str, Any]:
    """The job without the values of its `env`, and of that of its hooks."""
    hooks = {event: hidden_env(job[event]) for event in EVENTS if isinstance(job.get(event), dict)}
    env = job.get("env")
    return {**job, **hooks, **({"env": dict.fromkeys(env, HIDDEN)} if env else {})}
