"""A job in the spool, as the program that has enqueued it holds it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Optional, Protocol

from queuectl.errors import JobFailed
from queuectl.state import State

if TYPE_CHECKING:
    from queuectl.job import Job


class HasJobs(Protocol):
    """The queue of a handle, as that knows it."""

    def get(self, job_id: str) -> Job:
        """The record of a job."""

    def state_of(self, job_id: str) -> State:
        """The state that a job is in."""

    def wait(self, job_ids: Any, *, timeout: Optional[float] = None) -> list[dict[str, Any]]:
        """Wait until jobs have ended for good."""

    async def wait_async(self, job_ids: Any, *, timeout: Optional[float] = None) -> list[dict[str, Any]]:
        """The same for an event loop."""

    def cancel(self, job_ids: Any) -> Any:
        """Cancel jobs."""

    def retry(self, job_ids: Any) -> Any:
        """Run jobs again."""


class Handle:
    """Of one job; it may be made for any id, and be used from any thread."""

    def __init__(self, queue: HasJobs, job_id: str) -> None:
        self.queue, self.id = queue, job_id

    def __repr__(self) -> str:
        return f"<job {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and (other.queue, other.id) == (self.queue, self.id)

    def __hash__(self) -> int:
        return hash((id(self.queue), self.id))

    @property
    def state(self) -> State:
        """The folder that it lies in now.

        Raises:
            NoSuchJob: it is in the spool no more.
        """
        return self.queue.state_of(self.id)

    def job(self) -> Job:
        """Its record as it is now, with `attempts`, `error`, `result`, `history`.

        Raises:
            NoSuchJob: it is in the spool no more.
            DamagedRecord: its file holds no job.
        """
        return self.queue.get(self.id)

    def wait(self, timeout: Optional[float] = None) -> Any:
        """Wait until it has ended for good, at most so many seconds: what it has returned, or left as result.

        Raises:
            JobFailed: it is dead: it has failed for good, or was cancelled; or it was deleted meanwhile.
            TimedOut: it has not ended in that time; it goes on.
            NoSuchJob: it is not in the spool, or no more.
        """
        (row,) = self.queue.wait([self.id], timeout=timeout)
        return result_of(row)

    async def wait_async(self, timeout: Optional[float] = None) -> Any:
        """As `wait`, without holding up the event loop; `await handle` does the same."""
        (row,) = await self.queue.wait_async([self.id], timeout=timeout)
        return result_of(row)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.wait_async().__await__()

    def cancel(self) -> None:
        """Cancel it, or end it if it runs. Raises as `Queue.cancel`."""
        self.queue.cancel([self.id])

    def retry(self) -> None:
        """Run it again as if it never had. Raises as `Queue.retry`."""
        self.queue.retry([self.id])


def result_of(row: dict[str, Any]) -> Any:
    """The result in a row of `Queue.wait`.

    Raises:
        JobFailed: it is one of a job that is dead, or gone.
    """
    if row["state"] == State.COMPLETED.value:
        return row["result"]
    raise JobFailed(row)
