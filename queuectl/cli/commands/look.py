"""status, list, show."""

from __future__ import annotations

import sys
from typing import Any, Callable, Optional

import click

from queuectl import system
from queuectl.cli.common import command, json_option, open_queue, print_json, say
from queuectl.cli.filter_options import filter_options, held_option, state_option, taken_filter
from queuectl.cli.terminal import can_draw, cell, echo, how_far
from queuectl.index import Filter
from queuectl.queue import Queue
from queuectl.queue.report import Status, WorkerRow, hidden_env

secrets_option = click.option("--secrets", is_flag=True, help="Show the values in env, too.")


@command("status", "queuectl status\nqueuectl status --watch")
@json_option
@click.option("--watch", is_flag=True, help="Go on showing it, with what comes next, until Ctrl+C.")
def status_command(as_json: bool, watch: bool) -> None:
    """Show the counts, the workers, and what needs an eye."""
    if watch and as_json:
        raise click.UsageError("--watch draws for a person, --json is for programs: choose one")
    with open_queue() as queue:
        if watch:
            _watch(queue)
            return
        status = queue.status()
    if as_json:
        print_json(status_data(status))
    else:
        echo("\n".join(status_lines(status)))


def status_data(status: Status) -> dict[str, Any]:
    """The status as the JSON contract has it."""
    return {**status._asdict(), "workers": [worker._asdict() for worker in status.workers]}


def status_lines(status: Status) -> list[str]:
    """The status for a person, a line each."""
    return [cell(line) for line in _status_lines(status)]


def _status_lines(status: Status) -> list[str]:
    lines = [f"spool       {status.spool}" + ("   PAUSED" if status.paused else "")]
    lines += [f"{state:<12}{count}" for state, count in status.counts.items()]
    if not status.workers:
        lines.append("workers     none (queuectl worker start)")
    for number, worker in enumerate(status.workers):
        doing = f"runs {worker.job}{_far(worker)}" if worker.job else "idle"
        lines.append(f"{'workers' if number == 0 else '':<12}{worker.name}  {doing}, since {worker.since}")
    lines += [f"{'problems' if number == 0 else '':<12}{text}" for number, text in enumerate(status.problems)]
    return lines


def _far(worker: WorkerRow) -> str:
    told = how_far(worker.percent, worker.progress)
    return f" ({told})" if told else ""


def _watch(queue: Queue) -> None:
    try:
        if can_draw(sys.stdout):
            from queuectl.cli.live import watch

            watch(queue)
        else:
            _print_again(lambda: "\n".join(status_lines(queue.status())))
    except KeyboardInterrupt:
        # The way to end it.
        return


def _print_again(picture: Callable[[], str]) -> None:
    from queuectl.cli.pace import rest

    while True:
        began = system.monotonic()
        text = picture()
        took = system.monotonic() - began
        echo(text + "\n")
        system.sleep(rest(took))


@command("list", "queuectl list --state failed,dead\nqueuectl list --tag nightly --limit 20 --json")
@json_option
@click.option("--limit", type=click.IntRange(0, 2**31), help="At most so many.")
@state_option
@held_option
@filter_options
def list_command(as_json: bool, limit: Optional[int], **given: Any) -> None:
    """List jobs.

    What waits comes in the order of its running, other states the latest first.
    """
    where = taken_filter(given)
    with open_queue() as queue:
        jobs = queue.jobs(limit=limit, where=where)
    print_jobs(jobs, where, as_json=as_json)


def print_jobs(jobs: list[dict[str, Any]], where: Filter, *, as_json: bool) -> None:
    """Those of them that a filter means."""
    if as_json:
        print_json(jobs)
    elif jobs:
        from queuectl.cli.tables import jobs_table, print_table

        print_table(jobs_table(jobs, system.now()))
    else:
        states = " or ".join(state.value for state in where.states)
        say("no jobs" + (f" that are {states}" if states else ""))


@command("show", "queuectl show job_fail")
@json_option
@secrets_option
@click.argument("job_id", metavar="ID")
def show_command(as_json: bool, secrets: bool, job_id: str) -> None:
    """Show everything about one job."""
    with open_queue() as queue:
        job = queue.show(job_id)
    print_job(job, as_json=as_json, secrets=secrets)


def shown_value(value: object) -> str:
    """A value of a record, in one line."""
    return _as_json(value) if isinstance(value, (list, dict)) else cell(str(value))


def _as_json(value: object) -> str:
    from json import dumps

    return cell(dumps(value, ensure_ascii=False))


def print_job(job: dict[str, Any], *, as_json: bool, secrets: bool) -> None:
    """One job, whole; the values of `env` only where they are asked for."""
    if not secrets:
        job = hidden_env(job)
    if as_json:
        print_json(job)
        return
    from queuectl.cli.tables import history_table, print_table

    for name, value in job.items():
        if name == "result" and value is not None:
            echo(f"{name:<20}{_as_json(value)}")
        elif name != "history" and value not in (None, [], {}):
            echo(f"{name:<20}{shown_value(value)}")
    if job["history"]:
        echo()
        print_table(history_table(job["history"]))
