"""What people do to the hooks for all jobs: set, look, remove. `Queue.hooks` is one of these."""

from __future__ import annotations

from typing import Any

import msgspec

from queuectl.codec import checked, encode_job
from queuectl.errors import InvalidInput, QueueError
from queuectl.hook import EVENTS, event_named
from queuectl.job import KEPT_FIELDS, Job
from queuectl.queue.guard import guarded
from queuectl.queue.store import Store


class HookVerbs:
    """The hooks of one queue."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._files = store.spool.hooks

    @guarded
    def set(self, event: str, job: Job) -> str:
        """Have this job run for each end of this kind, in place of one that is set; the path of its file.

        Raises:
            InvalidInput: there is no such event, or the job has an id.
        """
        if event not in EVENTS:
            raise InvalidInput(f"no event {event!r}", hint=f"there are {', '.join(EVENTS)}")
        if job.id is not None:
            raise InvalidInput("id: each of its jobs gets its own: leave it out")
        job = checked(job)
        with self.store.claiming():
            self._files.write(event, _written(job), over=self._files.named(event))
            return self._files.get(event).path

    @guarded
    def rows(self) -> list[dict[str, Any]]:
        """Each hook for all jobs, as plain data; what is wrong with one is its `problem`."""
        rows: list[dict[str, Any]] = []
        for name, file in self._files.found().items():
            row: dict[str, Any] = {
                "event": event_named(name),
                "command": None,
                "problem": None,
                "file": file.path,
            }
            try:
                row["command"] = self._files.read(file).command
            except (QueueError, OSError) as error:
                row["problem"] = str(error)
            rows.append(row)
        return rows

    @guarded
    def remove(self, event: str) -> None:
        """Run nothing any more for each end of this kind.

        Raises:
            NoSuchHook: nothing is.
        """
        with self.store.claiming():
            self._files.remove(self._files.get(event))


def _written(job: Job) -> bytes:
    """As a person writes a job: without what only one in the spool has."""
    plain = msgspec.json.decode(encode_job(job))
    mine = {name: value for name, value in plain.items() if name not in KEPT_FIELDS}
    return msgspec.json.format(msgspec.json.encode(mine), indent=2) + b"\n"
