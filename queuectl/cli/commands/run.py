"""run: enqueue, work until nothing is left to do now, tell what became of each job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Optional

import click

from queuectl import events, system
from queuectl.cli.commands.worker import count_option, tasks_option, trust_option
from queuectl.cli.common import command, ensure_spool, json_option, layers, open_queue, print_json, say
from queuectl.cli.log import Log, sentence
from queuectl.cli.terminal import can_draw, cell, whoever_reads
from queuectl.errors import Interrupted
from queuectl.events import Event
from queuectl.spool import Spool

if TYPE_CHECKING:
    from queuectl.cli.live import Running

_ENDS = (events.JOB_COMPLETED, events.JOB_FAILED, events.JOB_DEAD, events.JOB_CANCELLED)
_ASK_SECONDS = 0.5


@command("run", "queuectl run examples\nqueuectl run nightly.json --count 4")
@json_option
@count_option
@tasks_option
@trust_option
@click.argument("paths", metavar="[FILE|DIR]...", nargs=-1)
def run_command(
    as_json: bool, count: int, tasks: tuple[str, ...], trust_writers: bool, paths: tuple[str, ...]
) -> None:
    """Enqueue job files and work until nothing is left to do.

    Nothing to do now, that is: a job that fails waits for its retry; run again, or start a worker, when that
    is due. Of a folder, the .json files directly in it. A job whose name is taken gets the next free one.
    """
    from queuectl.pool import Pool
    from queuectl.shift import Plan

    ours = layers()
    ids = _enqueue(paths, trust_writers=trust_writers) if paths else []
    root = ensure_spool()
    watcher = _Watcher(len(ids), root)
    plan = Plan(workers=count, drain=True, trust_writers=trust_writers, tasks=tasks, layers=ours)
    pool = Pool(root, plan, watcher)
    with watcher:
        pool.run()
    ids += [job_id for job_id in watcher.touched if job_id not in ids]
    with open_queue() as queue:
        if queue.paused:
            say("the queue is paused: nothing starts until queuectl resume")
        rows = {row["id"]: row for row in queue.jobs()}
    with whoever_reads():
        _print([rows[job_id] for job_id in ids if job_id in rows], as_json=as_json)
    if pool.shift.interrupted:
        raise Interrupted("stopped before everything was done")


def _enqueue(paths: tuple[str, ...], *, trust_writers: bool) -> list[str]:
    from queuectl.cli.sources import jobs_from_places
    from queuectl.spool.access import refuse_strangers

    jobs = jobs_from_places(paths)
    with open_queue() as queue:
        if not trust_writers:
            # Before a job is added that would not be run.
            refuse_strangers(queue.store.spool.root)
        places = queue.enqueue(jobs, rename=True)
    for job, place in zip(jobs, places):
        if job.id is not None and job.id != place.job_id:
            say(f"there is a job {job.id} already: this one is {place.job_id}")
    return [place.job_id for place in places]


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif rows:
        from queuectl.cli.tables import fates_table, print_table

        print_table(fates_table(rows))
    else:
        say("there was nothing to do")


class _Watcher:
    """Listens to the workers: a progress bar on a terminal, else the same lines as `worker start`."""

    def __init__(self, expected: int, root: str) -> None:
        self.touched: dict[str, None] = {}
        self._expected, self._spool = expected, Spool(root)
        self._ended: set[str] = set()
        self._runs: dict[str, tuple[str, float]] = {}
        self._told: list[Running] = []
        self._ask_at = 0.0
        self._log: Optional[Log] = None if can_draw(sys.stderr) else Log()
        self._progress: Any = None
        self._bar: Any = None

    def __enter__(self) -> _Watcher:
        if self._log is None:
            from queuectl.cli.live import RunProgress

            self._progress = RunProgress(self._telling)
            self._bar = self._progress.add_task("", total=self._expected or None)
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, event: Event) -> None:
        if event.job_id is not None:
            self.touched.setdefault(event.job_id)
        if self._log is not None:
            self._log(event)
        elif event.kind == events.NOTICE:
            self._progress.console.print(cell(event.text), markup=False)
        elif event.job_id is not None:
            self._note_run(event)
            self._move_on(event, event.job_id)

    def _note_run(self, event: Event) -> None:
        worker, job_id = event.worker or "", event.job_id or ""
        if event.kind == events.JOB_STARTED:
            self._runs[worker] = (job_id, system.monotonic())
        elif event.kind in (*_ENDS, events.JOB_INTERRUPTED) and self._runs.get(worker, ("",))[0] == job_id:
            # Quick ones are told of together, when another one runs.
            del self._runs[worker]

    def _move_on(self, event: Event, job_id: str) -> None:
        from rich.markup import escape

        self._progress.update(self._bar, description=escape(cell(f"{job_id} {sentence(event)}")))
        if event.kind in _ENDS and job_id not in self._ended:
            self._ended.add(job_id)
            total = max(self._expected, len(self._ended)) or None
            self._progress.update(self._bar, completed=len(self._ended), total=total)

    def _telling(self) -> list[Running]:
        """Those that run and tell how far they are; asked by who draws, in a thread of its own."""
        from queuectl.cli.live import Running
        from queuectl.queue.report import progress_of

        now, runs = system.monotonic(), dict(self._runs)
        if now >= self._ask_at:
            self._ask_at = now + _ASK_SECONDS
            far = progress_of(self._spool, {worker: job_id for worker, (job_id, _) in runs.items()})
            self._told = [
                Running(runs[worker][0], now - runs[worker][1], told.percent, told.text)
                for worker, told in far.items()
            ]
        return self._told
