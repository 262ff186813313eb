"""What people do to jobs, by their ids: each all or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from queuectl import system
from queuectl.errors import NoSuchJob
from queuectl.names import id_problem
from queuectl.queue.guard import guarded
from queuectl.queue.home import Home
from queuectl.queue.store import Store
from queuectl.spool import Place
from queuectl.state import State

if TYPE_CHECKING:
    from queuectl.index.filters import Filter
    from queuectl.queue.edits import Editable
    from queuectl.queue.many import Acted, Chosen
    from queuectl.queue.waiting import Watch


Ids = Union[str, Sequence[str]]
"""One job, or several."""


def ids_of(job_ids: Ids) -> list[str]:
    """Each of them once."""
    return [job_ids] if isinstance(job_ids, str) else list(dict.fromkeys(job_ids))


class Acting:
    """The verbs of `Queue` that act on jobs."""

    def __init__(self, home: Home, now: Callable[[], float] = system.now) -> None:
        self._home = home
        self._now = now
        self._runs: Optional[Callable[[], object]] = None
        """What runs the jobs where nobody else does (`queuectl.testing`)."""

    @property
    def store(self) -> Store:
        """The spool and its index, as this thread uses them.

        Raises:
            SpoolUnusable, Busy: see `Store.open`.
        """
        return self._home.store

    def refresh(self) -> None:
        """Bring the index in line with the folders."""
        from queuectl.queue.survey import reconcile_all

        reconcile_all(self.store, self._now(), spare=True)

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

    def _locate_all(self, job_ids: Ids) -> list[Place]:
        places = [self.locate(job_id) for job_id in ids_of(job_ids)]
        return list({place.job_id: place for place in places}.values())

    # Acting on jobs

    @guarded
    def wait(
        self,
        job_ids: Ids,
        *,
        timeout: Optional[float] = None,
        meanwhile: Callable[[list[str]], object] = lambda left: None,
    ) -> list[dict[str, Any]]:
        """Wait until each of these jobs has completed or is dead; their rows, with `outcome` and `result`.

        Of one that is deleted meanwhile `state` is None. `meanwhile` is called with the ids of those that are
        left, after each look.

        Raises:
            NoSuchJob: one of them is unknown.
            SpoolUnusable: the spool has gone, for some seconds at least.
            TimedOut: some of them have not ended within `timeout` seconds.
            DamagedRecord: one of them is a file that holds no job.
        """
        from queuectl.queue.waiting import wait

        timeout = self.run_here(timeout)
        return wait(self.store, self.watch(job_ids), timeout=timeout, meanwhile=meanwhile)

    def run_here(self, timeout: Optional[float]) -> Optional[float]:
        """Run what is waited for, where nobody else does; how long to wait then: nothing more will happen."""
        if self._runs is None:
            return timeout
        self._runs()
        return 0.0

    @guarded
    def watch(self, job_ids: Ids) -> Watch:
        """What tells again and again which of these jobs have ended; see `look`. Raises as `wait`."""
        from queuectl.queue.waiting import Watch

        return Watch([self._locate_awaited(job_id) for job_id in ids_of(job_ids)])

    @guarded
    def look(self, watch: Watch) -> None:
        """See which of those that `watch` waits for have ended. Raises as `wait`."""
        watch.look(self.store)

    def _locate_awaited(self, job_id: str) -> Place:
        from queuectl.queue.waiting import dropped

        try:
            return self.locate(job_id)
        except NoSuchJob:
            place = None if id_problem(job_id) else dropped(self.store, job_id)
            if place is None:
                raise
            return place

    @guarded
    def fates(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Of each of these jobs a row as `wait` returns it, as things are now, whether it has ended or not.

        Of one that is not there `state` is None.
        """
        from queuectl.queue.waiting import fates

        return fates(self.store, job_ids)

    @guarded
    def hindered(self, job_ids: Sequence[str]) -> Optional[tuple[list[str], str]]:
        """Some of these jobs that cannot run unless somebody does something, and what keeps them.

        They are held, or wait for one that is dead or not there, or their group is paused.
        """
        from queuectl.queue.waiting import hindered

        return hindered(self.store, job_ids)

    @guarded
    def retry(self, job_ids: Ids, *, only: Optional[State] = None) -> None:
        """Run these jobs again as if they never had: attempts and crashes are 0, and they are due now.

        All or none; `only` names the state that they must be in.

        Raises:
            NoSuchJob, Conflict: one of them is unknown, or waits or runs already.
            DamagedRecord: one of them is a file that is still no job.
        """
        from queuectl.queue.verbs import retry

        retry(self.store, self._locate_all(job_ids), only=only, now=self._now())

    def retry_all_dead(self) -> tuple[tuple[str, ...], list[str]]:
        """Retry every dead job; the ids of those, and of each file that is still no job what is wrong."""
        from queuectl.index.filters import Filter

        acted = self.act(self.choose("retry", Filter(states=(State.DEAD,))))
        return tuple(acted.done), [str(error) for error in acted.reasons.values()]

    @guarded
    def cancel(self, job_ids: Ids, *, deadline: float = 15.0) -> None:
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

    @guarded
    def waiting_for(self, job_ids: Sequence[str]) -> int:
        """How many other jobs wait for one of these, or for a batch of one of them."""
        self.refresh()
        return len(self.store.index.waiting_for(list(job_ids)))

    @guarded
    def hold(self, job_ids: Ids) -> None:
        """Keep these jobs from their next run until they are released.

        Raises:
            NoSuchJob, Conflict: one of them is unknown, or does not wait.
            DamagedRecord: the file of one of them holds no job.
        """
        from queuectl.queue.edits import change

        change(self.store, self._locate_all(job_ids), {"hold": True}, now=self._now())

    @guarded
    def release(self, job_ids: Ids, *, anyway: bool = False) -> None:
        """Let held jobs run; with `anyway`, whatever other jobs they wait for. Raises as `hold`."""
        from queuectl.queue.edits import release

        release(self.store, self._locate_all(job_ids), anyway=anyway, now=self._now())

    @guarded
    def editable(self, job_id: str) -> Editable:
        """What a person may set of a job that waits, as it is, for `edit`. Raises as `hold`."""
        from queuectl.queue.edits import editable

        return editable(self.store, self.locate(job_id))

    @guarded
    def edit(
        self, job_id: str, changes: Mapping[str, Any], *, version: Optional[tuple[int, int]] = None
    ) -> None:
        """Give a job that waits other values of these fields; None takes one away.

        With the `version` that `editable` has told, only if nobody has changed it since.

        Raises:
            InvalidInput: that would be no job, or wait for itself.
            NoSuchJob, Conflict, DamagedRecord: as `hold`; or a job that it is to wait for is not there.
        """
        from queuectl.queue.edits import change

        change(self.store, [self.locate(job_id)], changes, now=self._now(), version=version)

    # Acting on many

    @guarded
    def choose(self, verb: str, where: Filter, *, limit: Optional[int] = None) -> Chosen:
        """The jobs that the filter means and that `verb` is for: retry, cancel, purge, hold, release, or
        release anyway. To `retry` are those that have failed or are dead, unless the filter names states.
        With `limit` so many of them at most, those that came in first.

        Raises:
            InvalidInput: there is no such verb, it is for no job in the states that the filter names, or what
                the filter says makes no sense.
        """
        from queuectl.queue.many import choose

        self.refresh()
        return choose(self.store, verb, where, limit, self._now())

    def act(
        self,
        chosen: Chosen,
        told: Callable[[int], object] = lambda count: None,
        *,
        acted: Optional[Acted] = None,
    ) -> Acted:
        """Do that to those of the chosen jobs that are still the same and still meant, a few at a time.

        To `retry` or `purge` are only those that nobody has touched since. `told` is called with the number
        of jobs that were seen to, after each few; `acted`, if given, is filled as it goes on, so that it
        tells what was done also where this is interrupted.

        Raises:
            SpoolUnusable: the disk is full, or cannot be read or written; what was done stays done.
            Busy: somebody else holds the lock all the time.
        """
        from queuectl.queue.many import Acted, act

        acted = Acted([], [], {}) if acted is None else acted
        act(self.store, chosen, self._now, told, acted)
        return acted
