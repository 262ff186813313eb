"""worker: start, stop, list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Optional

import click

from queuectl import events, system
from queuectl.cli.common import (
    SuggestingGroup,
    command,
    ensure_spool,
    json_option,
    layers,
    open_queue,
    print_json,
    say,
    spool_path,
)
from queuectl.cli.terminal import open_streams
from queuectl.errors import Interrupted
from queuectl.events import Event
from queuectl.queue import Queue

if TYPE_CHECKING:
    from queuectl.cli.log import Log
    from queuectl.shift import Plan

MAX_WORKERS = 256
_STEP = 0.05
_PATIENCE = 1.0
"""Seconds before it is told what is waited for."""

count_option = click.option(
    "--count", type=click.IntRange(1, MAX_WORKERS), default=1, show_default=True, help="Workers to run."
)

tasks_option = click.option(
    "--tasks",
    metavar="MODULE",
    multiple=True,
    help="Run Python functions, too: those that this module registers; may be repeated.",
)

trust_option = click.option(
    "--trust-writers", is_flag=True, help="Run also what others, who may write to the spool, put there."
)


@click.group("worker", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl worker start --count 2")
def worker_command() -> None:
    """Run workers, stop them, list them."""


processes_option = click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(1, MAX_WORKERS),
    help="In place of --count: N workers that call each function in a process beside them, which may crash.",
)


def check_processes(count: int, processes: Optional[int], tasks: tuple[str, ...]) -> None:
    """Refuse these options where they do not go together. Raises UsageError."""
    if processes is not None and not tasks:
        raise click.UsageError("--processes is for the functions of --tasks MODULE; for commands use --count")
    if processes is not None and count != 1:
        raise click.UsageError("--processes N is in place of --count")


@command("start", "queuectl worker start --count 2", worker_command)
@count_option
@click.option("--drain", is_flag=True, help="End when nothing is left to do now.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the log."
)
@click.option(
    "--log-file",
    metavar="FILE",
    help="Log to this file, not to stderr; at 5 MB it becomes FILE.1, and a new one begins. Three are kept.",
)
@click.option("--quiet", "-q", is_flag=True, help="Tell only what needs an eye.")
@tasks_option
@processes_option
@trust_option
@click.option(
    "--service", metavar="NAME", hidden=True, help="What queuectl service install has it started as."
)
def start_workers(
    count: int,
    drain: bool,
    log_format: str,
    log_file: Optional[str],
    quiet: bool,
    tasks: tuple[str, ...],
    processes: Optional[int],
    trust_writers: bool,
    service: Optional[str],
) -> None:
    """Run jobs until stopped.

    Ctrl+C finishes what runs and takes no more; a second Ctrl+C kills it. A job that was killed so goes back
    to pending and costs no attempt.
    """
    from queuectl.cli.log import Log
    from queuectl.shift import Plan

    check_processes(count, processes, tasks)
    open_streams()
    if service is not None:
        from queuectl.duty import check_installed

        # First: one that was uninstalled makes no new spool, and no log.
        check_installed(spool_path(), service)
    ours = layers()
    with _logged(Log(as_json=log_format == "json", quiet=quiet, path=log_file)) as log:
        plan = Plan(
            workers=processes or count,
            drain=drain,
            trust_writers=trust_writers,
            tasks=tasks,
            processes=processes is not None,
            layers=ours,
        )
        _work(plan, log, service)


@contextmanager
def _logged(log: Log) -> Iterator[Log]:
    """Have what the workers end for in their log; without a terminal (`pythonw`) it is told nowhere else."""
    try:
        yield log
    except Exception as error:
        if log.is_file:
            log.end(error)
        raise


def _work(plan: Plan, log: Log, service: Optional[str]) -> None:
    from queuectl.fleet import Fleet

    path = ensure_spool(lambda text: log(Event(events.NEW_SPOOL, text=text)))
    with _serving(path, plan, service) as known:
        fleet = Fleet(path, known, log)
        fleet.run()
        if fleet.interrupted:
            raise Interrupted("stopped; the commands that ran were killed, their jobs are back in pending")


@contextmanager
def _serving(root: str, plan: Plan, service: Optional[str]) -> Iterator[Plan]:
    """The plan of this service, whose workers are told by their salt."""
    if service is None:
        yield plan
        return
    from queuectl.duty import PATIENCE, on_duty
    from queuectl.shift import new_salt

    known = plan._replace(salt=new_salt(), patience=PATIENCE)
    with on_duty(root, service, known.salt):
        yield known


@command("stop", "queuectl worker stop\nqueuectl worker stop --now", worker_command)
@click.option("--now", is_flag=True, help="Kill what runs; it goes back to pending at no attempt's cost.")
@click.option("--no-wait", is_flag=True, help="Do not wait until they have stopped.")
def stop_workers(now: bool, no_wait: bool) -> None:
    """Stop every worker of this spool, from any terminal.

    Waits until they have stopped.
    """
    from queuectl.duty import names_of

    with open_queue() as queue:
        names = queue.stop_workers(kill=now)
        if not no_wait:
            _await_end(queue, names)
    if not names:
        say("no workers run")
    else:
        say(f"{'asked' if no_wait else 'stopped'} {len(names)} worker{'s' if len(names) > 1 else ''}")
        for service in names_of(spool_path()):
            say(f"the service {service} starts its own again; queuectl service uninstall ends that")


def _await_end(queue: Queue, names: list[str]) -> None:
    patience = system.monotonic() + _PATIENCE
    while queue.living(names):
        if system.monotonic() > patience:
            patience = float("inf")
            jobs = [worker.job for worker in queue.status().workers if worker.job]
            say(f"waiting for {', '.join(jobs)} to end (queuectl worker stop --now kills)")
        system.sleep(_STEP)


@command("list", "queuectl worker list --json", worker_command)
@json_option
def list_workers(as_json: bool) -> None:
    """List the workers that live, and what each runs."""
    with open_queue() as queue:
        workers = queue.status().workers
    if as_json:
        print_json([worker._asdict() for worker in workers])
    elif workers:
        from queuectl.cli.tables import print_table, workers_table

        print_table(workers_table(workers))
    else:
        say("no workers run")
