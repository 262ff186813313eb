"""What programs in Python do with a queue beside the commands' verbs: handles, tasks, event loops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union, overload

from queuectl.errors import DamagedRecord, InvalidInput, NoSuchJob
from queuectl.queue.acting import Acting, Ids, ids_of
from queuectl.queue.guard import guarded
from queuectl.queue.home import Home
from queuectl.queue.store import Store
from queuectl.spool import Place
from queuectl.state import State

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from queuectl.job import Job
    from queuectl.queue.ties import Unique
    from queuectl.tasks.handle import Handle
    from queuectl.tasks.task import Task

    P = ParamSpec("P")
R = TypeVar("R")
JobLike = Union["Job", Mapping[str, Any]]


class Programs(Acting):
    """Of `Queue`."""

    def __init__(self, root: str, home: Home, now: Callable[[], float]) -> None:
        super().__init__(home, now)
        self._root = root
        self.tasks: dict[str, Task[Any, Any]] = {}
        """The functions that are registered here, by name."""

    @property
    def root(self) -> str:
        """The absolute path of the spool."""
        return self._root

    def moment(self) -> float:
        """The time as this queue has it, in seconds since the epoch."""
        return self._now()

    # Jobs in

    @overload
    def enqueue(self, jobs: JobLike, *, rename: bool = False, unique: Optional[Unique] = None) -> Handle: ...

    @overload
    def enqueue(
        self, jobs: Iterable[JobLike], *, rename: bool = False, unique: Optional[Unique] = None
    ) -> list[Place]: ...

    def enqueue(
        self,
        jobs: Union[JobLike, Iterable[JobLike]],
        *,
        rename: bool = False,
        unique: Optional[Unique] = None,
    ) -> Union[Handle, list[Place]]:
        """Add jobs to `pending`, all or none: of one its handle, of several where they lie, in that order.

        Once this returns they outlive a power cut. With `rename`, a job whose id is taken gets the next
        free one (`backup-2`) instead of being refused. `unique` says what becomes of one whose `unique_key`
        another job has.

        Raises:
            InvalidInput: one of them is no job, or waits for itself by way of others, or a hook of it is in a
                file that is not there or holds none.
            NoSuchJob: one of them waits for a job that is not there.
            Conflict: an id is taken or given twice, or a unique key is.
            SpoolUnusable: the disk is full, or the spool cannot be written.
        """
        from queuectl.job import Job

        if isinstance(jobs, (Job, Mapping)):
            return self.handle(self._enqueue([jobs], rename=rename, unique=unique)[0].job_id)
        if isinstance(jobs, (str, bytes)):
            raise InvalidInput(
                "a job is a mapping, not text", hint='the smallest job is {"command": "echo hi"}'
            )
        return self._enqueue(list(jobs), rename=rename, unique=unique)

    @guarded
    def _enqueue(self, jobs: Sequence[JobLike], *, rename: bool, unique: Optional[Unique]) -> list[Place]:
        from queuectl.queue.enqueue import as_job, enqueue
        from queuectl.queue.hooks import refuse_lost

        given = [as_job(job) for job in jobs]
        for job in given:
            refuse_lost(self.store, job)
        return enqueue(self.store, given, rename=rename, now=self._now(), unique=unique)

    def add(self, job: Mapping[str, Any], *, if_exists: str = "refuse") -> Handle:
        """As `enqueue` of one, for a `Task`."""
        from queuectl.queue.ties import Unique

        return self.enqueue(job, unique=Unique(if_exists=if_exists))

    # One job

    def handle(self, job_id: str) -> Handle:
        """The handle of a job, whether it is in the spool or not."""
        from queuectl.tasks.handle import Handle

        return Handle(self, job_id)

    @guarded
    def get(self, job_id: str) -> Job:
        """The record of a job as it is now.

        Raises:
            NoSuchJob: there is none.
            DamagedRecord: its file holds no job.
        """
        place = self.locate(job_id)
        found = self.store.spool.find(place.job_id, self.store.config.max_job_bytes)
        if found is None:
            raise NoSuchJob(job_id)
        return found[1].job

    def state_of(self, job_id: str) -> State:
        """The state that a job is in.

        Raises:
            NoSuchJob: there is none.
        """
        return self.locate(job_id).state

    @guarded
    def _ids(self) -> list[str]:
        self.refresh()
        return [entry.id for entry in self.store.index.entries()]

    def __iter__(self) -> Iterator[Job]:
        """The records of all jobs: those that run, those that wait, in the order of their turns, then the
        others, the latest first. Each is read as it is asked for; what holds no job is passed over.
        """
        for job_id in self._ids():
            try:
                yield self.get(job_id)
            except (NoSuchJob, DamagedRecord):
                # RACE: deleted meanwhile; or no job, of which `status` tells.
                continue

    def __len__(self) -> int:
        return len(self._ids())

    def __contains__(self, job_id: object) -> bool:
        try:
            return isinstance(job_id, str) and self.locate(job_id) is not None
        except NoSuchJob:
            return False

    def __bool__(self) -> bool:
        """Also where it is empty."""
        return True

    # Tests

    @contextmanager
    def moved(
        self, root: str, make: Callable[[], Store], now: Callable[[], float], runs: Callable[[], object]
    ) -> Iterator[None]:
        """Be in another spool for the block, by another clock, where nobody else works: `wait` calls `runs`.

        For `queuectl.testing`.
        """
        before = self._root, self._home, self._now, self._runs
        self._root, self._home, self._now, self._runs = root, Home(make), now, runs
        try:
            yield
        finally:
            self._home.close()
            self._root, self._home, self._now, self._runs = before

    # Tasks

    @overload
    def task(self, function: Callable[P, R]) -> Task[P, R]: ...

    @overload
    def task(
        self, *, name: Optional[str] = None, **fields: Any
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...

    def task(
        self, function: Optional[Callable[..., Any]] = None, *, name: Optional[str] = None, **fields: Any
    ) -> Any:
        """Register a function, as a decorator: `@queue.task`, or `@queue.task(max_retries=5, timeout=30)`.

        `name` is that by which jobs call it, else its module's and its own (`photos.tasks.resize`). `fields`
        are those of its jobs, as in their files; see `Task.using`. The function stays what it was when it is
        called; `enqueue` has a worker call it.

        Raises:
            InvalidInput: there is no such field, or another function has the name.
        """
        from queuectl.tasks.registry import note
        from queuectl.tasks.task import Task, name_of, register

        if function is None:
            return partial(self.task, name=name, **fields)
        made: Task[Any, Any] = Task(self, function, name or name_of(function), fields)
        register(self.tasks, made)
        note(self)
        return made

    # For event loops

    async def enqueue_async(self, jobs: Any, **options: Any) -> Any:
        """As `enqueue`, without holding up the event loop meanwhile."""
        import asyncio

        return await asyncio.to_thread(partial(self.enqueue, jobs, **options))

    async def wait_async(self, job_ids: Ids, *, timeout: Optional[float] = None) -> list[dict[str, Any]]:
        """As `wait`, without holding up the event loop: any number of coroutines may wait at a time."""
        from queuectl.queue.awaiting import awaited

        return await awaited(self, ids_of(job_ids), timeout)
