"""Queue: each verb of the product once, keeping spool and index in step. The command line is its client."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timezone, tzinfo
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from queuectl import config, system
from queuectl.index.filters import ALL, Filter, checked
from queuectl.layers import Layers, settings_in
from queuectl.queue import requests
from queuectl.queue.configuring import Configuring
from queuectl.queue.guard import guarded
from queuectl.queue.home import Home
from queuectl.queue.notices import problems
from queuectl.queue.programs import Programs
from queuectl.queue.report import Coming, Status, coming, job_rows, live_workers, whole_record
from queuectl.queue.store import Store
from queuectl.spool import making
from queuectl.state import State

if TYPE_CHECKING:
    from queuectl.index.paging import Mark
    from queuectl.queue.doctor import Finding
    from queuectl.queue.groups import GroupVerbs
    from queuectl.queue.hook_verbs import HookVerbs
    from queuectl.queue.house import House
    from queuectl.queue.numbers import Numbers
    from queuectl.queue.paging import JobsPage
    from queuectl.queue.schedules import Schedules

DEFAULT_SPOOL = "spool"
_NO_SETTINGS: Mapping[str, config.Value] = {}


def _opened(root: str, layers: Layers, *, create: bool) -> Store:
    layers.checked()
    if create:
        making.ensure_spool(root)
    return Store.open(root, layers=layers)


class Queue(Configuring, Programs):
    """A job queue in a folder. Any thread may use it, and a process that was forked from its own."""

    def __init__(
        self,
        spool: Union[str, os.PathLike[str], None] = None,
        *,
        create: bool = True,
        now: Callable[[], float] = system.now,
        settings: Mapping[str, config.Value] = _NO_SETTINGS,
    ) -> None:
        """The queue in the folder `spool`; else in QUEUECTL_SPOOL, else in ./spool, as the commands have it.

        The folder is made when it is first needed and not there (with `create`). `now` tells the time.
        `settings` hold for this queue alone, and win over those of the environment as it is now
        (QUEUECTL_MAX_RETRIES and the like), which win over those of the spool.

        Raises:
            InvalidInput: there is no such setting, or it cannot have this value.
        """
        root = os.path.abspath(os.path.expanduser(spool or os.environ.get("QUEUECTL_SPOOL") or DEFAULT_SPOOL))
        self.own_settings = {name: config.show_value(value) for name, value in settings.items()}
        """Those that hold for this queue alone, as text."""
        Layers({}, self.own_settings).checked()
        layers = Layers(settings_in(os.environ), self.own_settings)
        super().__init__(root, Home(partial(_opened, root, layers, create=create)), now)

    @classmethod
    def open(
        cls,
        spool: Union[str, os.PathLike[str], None] = None,
        *,
        create: bool = True,
        settings: Mapping[str, config.Value] = _NO_SETTINGS,
    ) -> Queue:
        """The same, made at once where it is not there.

        Raises:
            InvalidInput: as above, also of the environment.
            SpoolUnusable: it cannot be used as a spool.
        """
        queue = cls(spool, create=create, settings=settings)
        # What is wrong with it shows here.
        assert queue.store is not None
        return queue

    def close(self) -> None:
        """Let go of the index. Whoever uses it again opens it again."""
        self._home.close()

    def __enter__(self) -> Queue:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    # What belongs to it

    @property
    def hooks(self) -> HookVerbs:
        """What is run whenever a job has ended."""
        from queuectl.queue.hook_verbs import HookVerbs

        return HookVerbs(self.store)

    @property
    def groups(self) -> GroupVerbs:
        """The limits of groups of jobs."""
        from queuectl.queue.groups import GroupVerbs

        return GroupVerbs(self.store, self._now)

    @property
    def schedules(self) -> Schedules:
        """What recurs."""
        from queuectl.queue.schedules import Schedules

        return Schedules(self.store, self._now)

    @property
    def numbers(self) -> Numbers:
        """What is measured of it."""
        from queuectl.queue.numbers import Numbers

        return Numbers(self.store, self._now)

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
    def coming(self, limit: int) -> list[Coming]:
        """The waiting jobs whose time is still to come, the soonest first, as the last look has them."""
        return coming(self.store, limit)

    @guarded
    def jobs(
        self,
        *,
        state: Union[State, str, None] = None,
        tag: Optional[str] = None,
        limit: Optional[int] = None,
        where: Filter = ALL,
    ) -> list[dict[str, Any]]:
        """The jobs, as plain data: those that wait in the order of their running, others the latest first.

        `state` and `tag` take the place of those of `where`.

        Raises:
            InvalidInput: there is no such state, or what the filter says makes no sense.
        """
        chosen, where = State.parse(state), checked(where)
        self.refresh()
        entries = self.store.index.entries(state=chosen, tag=tag, limit=limit, where=where)
        return job_rows(self.store, entries, self._now())

    @guarded
    def page(self, where: Filter = ALL, *, limit: int = 50, behind: Optional[Mark] = None) -> JobsPage:
        """So many of `jobs`, from the first on or `behind` another page's end, as the last look has them.

        Any page of a million is found in less than a millisecond, one of what a filter means in less than one
        second (2 cores).

        Raises:
            InvalidInput: what the filter says makes no sense, or there is no such page.
        """
        from queuectl.queue.paging import page

        return page(self.store, checked(where), limit, behind, self._now())

    @guarded
    def select(self, where: Filter) -> list[str]:
        """The ids of the jobs that the filter means, the first to come in first. Raises as `jobs`."""
        where = checked(where)
        self.refresh()
        return list(self.store.index.matches(where))

    @guarded
    def show(self, job_id: str) -> dict[str, Any]:
        """The whole record of one job, with the path of its file and of its log.

        Raises:
            NoSuchJob: there is none.
            DamagedRecord: its file holds no job.
        """
        return whole_record(self.store, self.locate(job_id).job_id, self._now())

    @guarded
    def stats(
        self,
        seconds: float = 86400.0,
        *,
        by: Optional[str] = None,
        zone: Optional[tzinfo] = None,
        group: Optional[str] = None,
        tag: Optional[str] = None,
        told: Callable[[int, int], object] = lambda count, total: None,
    ) -> dict[str, Any]:
        """Numbers of what ended within the last `seconds`, as plain data (see `docs/many.md`).

        `by` group, tag, state, hour or day tells them apart; hours and days are those of `zone`, else of UTC.
        With `group` or `tag` only jobs of that group, or with that tag, count.
        `told` is called now and then with how many jobs were read, of how many.

        Raises:
            InvalidInput: there is no such `by`, or no time in the period.
        """
        from queuectl.queue.stats import Period, stats

        self.refresh()
        now = self._now()
        return stats(self.store, Period(now - seconds, now, by, zone or timezone.utc, group, tag), told)

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
    def stop_workers(self, *, kill: bool = False, salt: Optional[str] = None) -> list[str]:
        """Ask every living worker to stop (with `kill`, also to end its command); their names.

        With `salt` only those of one program: their names end with it.
        """
        from queuectl.queue.verbs import stop_workers

        return stop_workers(self.store, kill=kill, salt=salt)

    @guarded
    def living(self, names: Sequence[str]) -> list[str]:
        """Which of these workers live."""
        from queuectl.queue.liveness import is_alive

        return [name for name in names if is_alive(self.store.spool, name)]

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
