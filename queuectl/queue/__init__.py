"""Queue: each verb of the product once, keeping spool and index in step. The command line is its client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from queuectl import config as settings
from queuectl import system
from queuectl.errors import NoSuchJob
from queuectl.names import id_problem
from queuectl.queue import requests
from queuectl.queue.guard import guarded
from queuectl.queue.report import Status, job_row, live_workers, problems, whole_record
from queuectl.queue.store import Store
from queuectl.spool import Place, layout
from queuectl.state import State

if TYPE_CHECKING:
    from queuectl.job import Job
    from queuectl.queue.doctor import Finding
    from queuectl.queue.house import House
    from queuectl.queue.schedules import Schedules

JobLike = Union["Job", Mapping[str, Any]]


class Queue:
    """A job queue in a folder."""

    def __init__(self, store: Store, now: Callable[[], float] = system.now) -> None:
        self.store = store
        self._now = now

    @classmethod
    def open(cls, spool: str = "spool", *, create: bool = True) -> Queue:
        """The queue in the folder `spool`, made when it is not there (with `create`).

        Raises:
            SpoolUnusable: it cannot be used as a spool.
        """
        if create:
            layout.ensure_spool(spool)
        return cls(Store.open(spool))

    def close(self) -> None:
        """Let go of the index."""
        self.store.close()

    def __enter__(self) -> Queue:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def refresh(self) -> None:
        """Bring the index in line with the folders."""
        from queuectl.queue.survey import reconcile_all

        reconcile_all(self.store, self._now(), spare=True)

    # Jobs in

    @guarded
    def enqueue(self, jobs: Sequence[JobLike], *, rename: bool = False) -> list[Place]:
        """Add jobs to `pending`, all or none; where they lie now, in the same order.

        Once this returns they outlive a power cut. With `rename`, a job whose id is taken gets the next
        free one (`backup-2`) instead of being refused.

        Raises:
            InvalidInput: one of them is no job.
            Conflict: an id is taken or given twice.
            SpoolUnusable: the disk is full, or the spool cannot be written.
        """
        from queuectl.queue.enqueue import as_job, enqueue

        return enqueue(self.store, [as_job(job) for job in jobs], rename=rename, now=self._now())

    @property
    def schedules(self) -> Schedules:
        """What recurs."""
        from queuectl.queue.schedules import Schedules

        return Schedules(self.store, self._now)

    @property
    def house(self) -> House:
        """What is kept: prune, export, import, archive."""
        from queuectl.queue.house import House

        return House(self.store, self._now)

    # Looking

    @guarded
    def status(self) -> Status:
        """The counts, the workers that live, and what needs a person's eye."""
        self.refresh()
        return Status(
            spool=self.store.spool.root,
            counts=self.store.index.counts(),
            workers=live_workers(self.store),
            paused=self.paused,
            problems=problems(self.store),
        )

    @guarded
    def jobs(
        self,
        *,
        state: Union[State, str, None] = None,
        tag: Optional[str] = None,
        limit: Optional[int] = None,
    ) -> list[dict[str, Any]]:
        """The jobs, as plain data: those that wait in the order of their running, others the latest first."""
        self.refresh()
        chosen = State.parse(state)
        config = self.store.config
        return [
            job_row(entry, config) for entry in self.store.index.entries(state=chosen, tag=tag, limit=limit)
        ]

    @guarded
    def show(self, job_id: str) -> dict[str, Any]:
        """The whole record of one job, with the path of its file and of its log.

        Raises:
            NoSuchJob: there is none.
            DamagedRecord: its file holds no job.
        """
        job_id = self.locate(job_id).job_id
        found = self.store.spool.find(job_id, self.store.config.max_job_bytes)
        if found is None:
            raise NoSuchJob(job_id)
        return whole_record(self.store, *found, self._now())

    @guarded
    def locate(self, job_id: str) -> Place:
        """Where the job lies.

        Raises:
            NoSuchJob: nowhere.
        """
        place = None if id_problem(job_id) else self.store.spool.locate(job_id)
        if place is None:
            raise NoSuchJob(job_id)
        if self.store.index.get(job_id) is None:
            # Where case does not count, DONE has found done: the index tells how its file is named.
            self.refresh()
            place = self.store.as_named(place)
        return place

    def _locate_all(self, job_ids: Sequence[str]) -> list[Place]:
        places = [self.locate(job_id) for job_id in dict.fromkeys(job_ids)]
        return list({place.job_id: place for place in places}.values())

    # Acting on jobs

    @guarded
    def retry(self, job_ids: Sequence[str], *, only: Optional[State] = None) -> None:
        """Run these jobs again as if they never had: attempts and crashes are 0, and they are due now.

        All or none; `only` names the state that they must be in.

        Raises:
            NoSuchJob, Conflict: one of them is unknown, or waits or runs already.
            DamagedRecord: one of them is a file that is still no job.
        """
        from queuectl.queue.verbs import retry

        retry(self.store, self._locate_all(job_ids), only=only, now=self._now())

    @guarded
    def retry_all_dead(self) -> tuple[tuple[str, ...], list[str]]:
        """Retry every dead job; the ids of those, and of each file that is still no job what is wrong."""
        from queuectl.errors import Conflict, DamagedRecord

        self.refresh()
        retried, refused = [], []
        for entry in self.store.index.entries(state=State.DEAD):
            try:
                self.retry([entry.id], only=State.DEAD)
                retried.append(entry.id)
            except DamagedRecord as error:
                refused.append(str(error))
            except (Conflict, NoSuchJob):
                # RACE: somebody has dragged it away or deleted it meanwhile.
                continue
        return tuple(retried), refused

    @guarded
    def cancel(self, job_ids: Sequence[str], *, deadline: float = 15.0) -> None:
        """Give these jobs up: they go to `dead`; one that runs has its process tree killed first.

        Waits at most `deadline` seconds for the workers of running ones.

        Raises:
            NoSuchJob, Conflict: one of them is unknown, or has ended already.
            Busy: a worker has not ended its job within the deadline.
        """
        from queuectl.queue.verbs import cancel

        cancel(self.store, self._locate_all(job_ids), now=self._now(), deadline=deadline)

    @guarded
    def purge(self, job_ids: Optional[Sequence[str]] = None, *, if_dead: bool = False) -> list[str]:
        """Delete dead jobs for good, with their logs: these, or all; the ids of those deleted.

        With `if_dead` those that are dead no more are left alone.

        Raises:
            NoSuchJob, Conflict: one of them is unknown, or not dead.
        """
        from queuectl.queue.verbs import purge

        self.refresh()
        if job_ids is not None and if_dead:
            dead = {entry.id for entry in self.store.index.entries(state=State.DEAD)}
            job_ids = [job_id for job_id in job_ids if job_id in dead]
        return purge(self.store, None if job_ids is None else self._locate_all(job_ids))

    # Acting on workers

    @property
    def paused(self) -> bool:
        """Whether new jobs are kept from starting."""
        return requests.is_paused(self.store.spool)

    @guarded
    def pause(self) -> bool:
        """Keep new jobs from starting; False if they were already."""
        return requests.pause(self.store.spool)

    @guarded
    def resume(self) -> bool:
        """Let jobs start again; False if they could already."""
        return requests.resume(self.store.spool)

    @guarded
    def stop_workers(self, *, kill: bool = False) -> list[str]:
        """Ask every living worker to stop (with `kill`, also to end its command); their names."""
        from queuectl.queue.verbs import stop_workers

        return stop_workers(self.store, kill=kill)

    @guarded
    def living(self, names: Sequence[str]) -> list[str]:
        """Which of these workers live."""
        from queuectl.queue.liveness import is_alive

        return [name for name in names if is_alive(self.store.spool, name)]

    # Settings

    @guarded
    def get_config(self) -> dict[str, settings.Value]:
        """Every setting's value."""
        return self.store.config._asdict()

    @guarded
    def set_config(self, name: str, text: str) -> settings.Value:
        """Set a setting; the value that holds now.

        Raises:
            InvalidInput: there is no such setting, or it cannot have this value.
        """
        value = settings.parse_value(name, text)
        with self.store.changing_settings() as index:
            index.set_setting(name, settings.show_value(value))
        return value

    @guarded
    def unset_config(self, name: str) -> settings.Value:
        """Back to the default, which is returned.

        Raises:
            InvalidInput: there is no such setting.
        """
        default = settings.setting(name).default
        with self.store.changing_settings() as index:
            index.unset_setting(name)
        return default

    # Keeping house

    @guarded
    def doctor(self, *, fix: bool = False) -> list[Finding]:
        """What is wrong with the spool; with `fix`, what is safe to mend is mended."""
        from queuectl.queue.doctor import examine

        return examine(self.store, fix=fix)

    @guarded
    def reindex(self, told: Callable[[int], object] = lambda count: None) -> int:
        """Build the index anew from the files; how many jobs there are.

        `told` is called with the number of files that were read, now and then.
        """
        from queuectl.queue.survey import reconcile_all

        if self.store.index.is_sound():
            self.store.index.clear()
        else:
            self.store.index.heal()
        reconcile_all(self.store, self._now(), told)
        return sum(self.store.index.counts().values())
