"""What people do to keep house: prune, export, import, archive. `Queue.house` is one of these."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Callable, NamedTuple, Optional, Union

from queuectl.errors import InvalidInput
from queuectl.index import EndedRow
from queuectl.moment import parse_duration
from queuectl.queue.archiving import Archived, archive
from queuectl.queue.ended import (
    ENDED,
    Edge,
    Limits,
    Picked,
    chosen_of,
    delete,
    edge_of,
    forget,
    is_there,
    keeping_house,
    limits_of,
)
from queuectl.queue.exporting import Exported, export_jobs
from queuectl.queue.guard import guarded
from queuectl.queue.importing import Imported, import_jobs
from queuectl.queue.store import Store
from queuectl.queue.stray_logs import Log, delete_logs, old_logs
from queuectl.queue.survey import reconcile_all
from queuectl.state import State

AT_ONCE = 50
"""Jobs that are seen to at once."""

Age = Union[float, str]
"""Seconds, or text such as `30d`."""


class Plan(NamedTuple):
    """What is to go: jobs by their states, and logs of jobs that are gone, last written to before then."""

    edges: dict[State, Edge]
    logs_before: Optional[float]


class Pruned(NamedTuple):
    """How many jobs of each state went, or would, how many logs of jobs that are gone, and their bytes; how
    many jobs are `left` that could not be read or deleted just now.
    """

    jobs: dict[State, int]
    logs: int
    size: int
    left: int

    @property
    def nothing(self) -> bool:
        """Whether it is none."""
        return not self.logs and not any(self.jobs.values())


class House:
    """The housekeeping of one queue."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self.store, self._now = store, now

    # Pruning

    @guarded
    def plan(
        self,
        *,
        state: Union[State, str, None] = None,
        older_than: Optional[Age] = None,
        keep: Optional[int] = None,
    ) -> Plan:
        """What `prune` with these is to delete; who carries it out deletes that, and not what ends meanwhile.

        Raises:
            InvalidInput: jobs of this state have not ended, or that is no age.
            Busy, SpoolUnusable: the settings cannot be read.
        """
        now, config = self._now(), self.store.config
        limits = Limits(age=_seconds(older_than), most=keep)
        chosen = _ended(state)
        reconcile_all(self.store, now, spare=True)
        if limits.are_set:
            chosen = chosen or (State.COMPLETED,)
            both = older_than is not None and keep is not None
            edges = {one: edge_of(self.store, one, limits, now)._replace(both=both) for one in chosen}
            return Plan(edges, None)
        # What the settings were cannot be told, perhaps.
        self.store.index.refuse_in_memory()
        given = {one: limits_of(config, one) for one in chosen or ENDED}
        edges = {one: edge_of(self.store, one, its, now) for one, its in given.items() if its.are_set}
        logs = None if chosen or config.keep_logs is None else now - config.keep_logs
        return Plan(edges, logs)

    @guarded
    def prune(
        self,
        *,
        state: Union[State, str, None] = None,
        older_than: Optional[Age] = None,
        keep: Optional[int] = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Delete jobs that have ended, with their logs: those that ended longer ago than `older_than`
        (seconds, or text such as `30d`), all but the latest `keep`, or with both only those that are neither
        young nor among these; of this state, else completed ones.

        With neither what the settings let go (`keep_done` and so on). With `dry_run` it is only counted.

        Raises:
            InvalidInput: as `plan`.
            Busy: somebody else prunes or archives all the time.
        """
        plan = self.plan(state=state, older_than=older_than, keep=keep)
        return self.count(plan) if dry_run else self.carry_out(plan)

    @guarded
    def count(self, plan: Plan) -> Pruned:
        """How much that is."""
        return self._go_through(plan, lambda picked: picked, lambda logs: logs)

    @guarded
    def carry_out(self, plan: Plan) -> Pruned:
        """Delete that; once this returns it outlives a power cut.

        Raises:
            Busy: as `prune`.
        """
        if not plan.edges and plan.logs_before is None:
            return Pruned({}, 0, 0, 0)
        before = plan.logs_before or 0.0
        with keeping_house(self.store):
            gone = self._go_through(
                plan,
                self._delete,
                lambda logs: delete_logs(self.store, logs, before),
            )
        self.store.spool.sync(*plan.edges)
        return gone

    def _delete(self, picked: list[Picked]) -> list[Picked]:
        gone = delete(self.store, picked)
        forget(self.store, picked[0].place.state, gone)
        return gone

    def _go_through(
        self,
        plan: Plan,
        jobs: Callable[[list[Picked]], list[Picked]],
        logs: Callable[[list[Log]], list[Log]],
    ) -> Pruned:
        counts, size, log_count, left, held = {}, 0, 0, 0, list[EndedRow]()
        for state, edge in plan.edges.items():
            counts[state] = 0
            chosen = chosen_of(self.store, state, edge, held)
            while picked := list(islice(chosen, AT_ONCE)):
                gone = jobs(picked)
                counts[state] += len(gone)
                size += sum(one.size for one in gone)
                missed = set(picked).difference(gone)
                left += sum(is_there(self.store, one) for one in missed)
        if plan.logs_before is not None:
            for piece in old_logs(self.store, plan.logs_before):
                found = logs(piece)
                log_count += len(found)
                size += sum(log.size for log in found)
        return Pruned(counts, log_count, size, left + len(held))

    # Elsewhere, and back

    @guarded
    def export(
        self, file: IO[bytes], *, states: Sequence[Union[State, str]] = (), logs: bool = False
    ) -> Exported:
        """Write the jobs to this file as JSON Lines: each record whole, with its state; `logs` too.

        What cannot be in there is told: files that are no jobs, logs that cannot be read or are too large.
        A job that runs counts as one that waits.

        Raises:
            InvalidInput: there is no such state.
        """
        chosen = [one for one in map(State.parse, states) if one is not None]
        return export_jobs(self.store, file, set(chosen or State), logs=logs, now=self._now())

    def import_(self, file: IO[bytes], *, skip_existing: bool = False, rename: bool = False) -> Imported:
        """Put the jobs of an export where they lay, whole; once this returns they outlive a power cut.

        The file is checked first: all of it, or none. An id that is taken is refused, unless such jobs are
        to be left out (`skip_existing`) or to have the next free one (`rename`), by which those of the file
        that wait for them then do. Unique keys are not asked about.

        Raises:
            InvalidInput: a line holds no job; says which.
            Conflict: an id is taken, or given twice.
            SpoolUnusable: the disk is full, or the spool cannot be written.
        """
        if skip_existing and rename:
            raise InvalidInput("a job whose id is taken is left out or renamed, not both")
        if file.seekable():
            return self._import(file, file.tell(), skip_existing, rename)
        with TemporaryFile() as copy:
            copyfileobj(file, copy)
            return self._import(copy, 0, skip_existing, rename)

    @guarded
    def _import(self, file: IO[bytes], begin: int, skip_existing: bool, rename: bool) -> Imported:
        # It may be called again.
        file.seek(begin)
        return import_jobs(self.store, file, skip_existing=skip_existing, rename=rename, now=self._now())

    @guarded
    def archive(
        self,
        *,
        state: Union[State, str, None] = None,
        older_than: Optional[Age] = None,
        to: Optional[str] = None,
    ) -> Archived:
        """Move jobs that have ended, with their logs, into zip files by the month of their end: in the folder
        `to`, else in the spool's `archive`. Those of this state, else completed ones.

        Raises:
            InvalidInput: jobs of this state have not ended, or that is no age.
            DamagedRecord: the zip file of a month is none; its jobs stay where they are.
            Busy: somebody else prunes or archives all the time, or writes to that folder.
            SpoolUnusable: the disk of that folder is full, or it cannot be written; the same holds.
        """
        now, age = self._now(), _seconds(older_than)
        edge = Edge(ended_by=float("inf") if age is None else now - age)
        reconcile_all(self.store, now, spare=True)
        (chosen,) = _ended(state) or (State.COMPLETED,)
        return archive(self.store, chosen, edge, to)


def _ended(state: Union[State, str, None]) -> tuple[State, ...]:
    chosen = State.parse(state)
    if chosen is None:
        return ()
    if chosen not in ENDED:
        raise InvalidInput(f"jobs that are {chosen.value} have not ended", hint="completed, or dead")
    return (chosen,)


def _seconds(age: Optional[Age]) -> Optional[float]:
    try:
        return parse_duration(age) if isinstance(age, str) else age
    except ValueError as error:
        raise InvalidInput(str(error)) from None
