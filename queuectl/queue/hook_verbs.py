"""What people do to the hooks for all jobs: set, look, remove. `Queue.hooks` is one of these."""

from __future__ import annotations

from typing import Any, Optional

import msgspec

from queuectl.calls import shown_command
from queuectl.checks import problem_of_hook
from queuectl.codec import checked, encode_job, job_size, job_to_dict
from queuectl.errors import InvalidInput, QueueError
from queuectl.job import KEPT_FIELDS, USER_FIELDS, Job
from queuectl.names import EVENTS, event_named
from queuectl.queue.guard import guarded
from queuectl.queue.store import Store
from queuectl.spool import too_large
from queuectl.spool.named import NamedFile


class HookVerbs:
    """The hooks of one queue."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._files = store.spool.hooks

    @guarded
    def set(self, event: str, job: Job) -> str:
        """Have this job run for each end of this kind, in place of one that is set; the path of its file.

        Raises:
            InvalidInput: there is no such event, or the job has an id or hooks, or is too large.
        """
        if event not in EVENTS:
            raise InvalidInput(f"no event {event!r}", hint=f"there are {', '.join(EVENTS)}")
        job, limit = checked(job), self.store.config.max_job_bytes
        if problem := problem_of_hook(job):
            raise InvalidInput(f"{problem.field}: {problem.text}")
        if job_size(job) > limit:
            raise too_large(limit)
        with self.store.claiming():
            self._files.write(event, _written(job), over=self._files.named(event))
            return self._files.get(event).path

    @guarded
    def rows(self) -> list[dict[str, Any]]:
        """Each hook for all jobs, as plain data; what is wrong with one is its `problem`."""
        rows = [_row(file, *self._read(file)) for file in self._files.found().values()]
        return [*rows, *(_row(file, None, why) for file, why in self._files.left_out())]

    @guarded
    def show(self, event: str) -> dict[str, Any]:
        """The hook of this event for all jobs, as plain data: its row, and its whole `job`.

        Raises:
            NoSuchHook: there is none.
        """
        file = self._files.get(event)
        job, problem = self._read(file)
        plain = None if job is None else job_to_dict(job)
        shown = plain and {name: plain[name] for name in USER_FIELDS if name in plain}
        return {**_row(file, job, problem), "job": shown}

    def _read(self, file: NamedFile) -> tuple[Optional[Job], Optional[str]]:
        """The job in it, or why there is none."""
        try:
            return self._files.read(file), None
        except (QueueError, OSError) as error:
            return None, str(error)

    @guarded
    def remove(self, event: str) -> list[str]:
        """Run nothing any more for each end of this kind; the paths of the files that were deleted.

        Raises:
            NoSuchHook: nothing is.
        """
        with self.store.claiming():
            file: Optional[NamedFile] = self._files.get(event)
            gone: list[str] = []
            # One that did not count beside it would now.
            while file is not None:
                self._files.remove(file)
                gone.append(file.path)
                file = self._files.named(event)
        return gone


def _row(file: NamedFile, job: Optional[Job], problem: Optional[str]) -> dict[str, Any]:
    return {
        "event": event_named(file.name),
        "command": job and shown_command(job),
        "problem": problem,
        "file": file.path,
    }


def _written(job: Job) -> bytes:
    """As a person writes a job: without what only one in the spool has."""
    plain = msgspec.json.decode(encode_job(job))
    mine = {name: value for name, value in plain.items() if name not in KEPT_FIELDS}
    return msgspec.json.format(msgspec.json.encode(mine), indent=2) + b"\n"
