"""worker: start, stop, list."""

from __future__ import annotations

from typing import Optional

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
)
from queuectl.errors import Interrupted
from queuectl.events import Event
from queuectl.queue import Queue

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


@command("start", "queuectl worker start --count 2", worker_command)
@count_option
@click.option("--drain", is_flag=True, help="End when nothing is left to do now.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of stderr."
)
@click.option("--quiet", "-q", is_flag=True, help="Tell only what needs an eye.")
@tasks_option
@click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(1, MAX_WORKERS),
    help="In place of --count: N workers that call each function in a process beside them, which may crash.",
)
@trust_option
def start_workers(
    count: int,
    drain: bool,
    log_format: str,
    quiet: bool,
    tasks: tuple[str, ...],
    processes: Optional[int],
    trust_writers: bool,
) -> None:
    """Run jobs until stopped.

    Ctrl+C finishes what runs and takes no more; a second Ctrl+C kills it. A job that was killed so goes back
    to pending and costs no attempt.
    """
    from queuectl.cli.log import Log
    from queuectl.fleet import Fleet
    from queuectl.shift import Plan

    if processes is not None and not tasks:
        raise click.UsageError("--processes is for the functions of --tasks MODULE; for commands use --count")
    if processes is not None and count != 1:
        raise click.UsageError("--processes N is in place of --count")
    log = Log(as_json=log_format == "json", quiet=quiet)
    ours = layers()
    path = ensure_spool(lambda text: log(Event(events.NEW_SPOOL, text=text)))
    plan = Plan(
        workers=processes or count,
        drain=drain,
        trust_writers=trust_writers,
        tasks=tasks,
        processes=processes is not None,
        layers=ours,
    )
    fleet = Fleet(path, plan, log)
    fleet.run()
    if fleet.interrupted:
        raise Interrupted("stopped; the commands that ran were killed, their jobs are back in pending")


@command("stop", "queuectl worker stop\nqueuectl worker stop --now", worker_command)
@click.option("--now", is_flag=True, help="Kill what runs; it goes back to pending at no attempt's cost.")
@click.option("--no-wait", is_flag=True, help="Do not wait until they have stopped.")
def stop_workers(now: bool, no_wait: bool) -> None:
    """Stop every worker of this spool, from any terminal.

    Waits until they have stopped.
    """
    with open_queue() as queue:
        names = queue.stop_workers(kill=now)
        if not no_wait:
            _await_end(queue, names)
    if not names:
        say("no workers run")
    else:
        say(f"{'asked' if no_wait else 'stopped'} {len(names)} worker{'s' if len(names) > 1 else ''}")


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
