"""hook: what is run whenever a job has ended."""

from __future__ import annotations

from typing import Optional

import click

from queuectl.cli.commands.look import secrets_option, shown_value
from queuectl.cli.common import SuggestingGroup, command, json_option, open_queue, print_json, say
from queuectl.cli.job_options import ProgramCommand, given_jobs, job_options, unnamed, with_options
from queuectl.cli.terminal import echo
from queuectl.names import EVENTS
from queuectl.queue.report import hidden_env

event_argument = click.argument("event", type=click.Choice(EVENTS))


@click.group("hook", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl hook list")
def hook_command() -> None:
    """What is run whenever a job has ended: a file in spool/hooks, a job of its own for each end."""


@command(
    "set",
    "queuectl hook set on_dead -- notify-send 'A job is dead'\n"
    "queuectl hook set on_failure --file examples/hooks/webhook.json",
    hook_command,
    cls=ProgramCommand,
)
@json_option
@click.option("--file", "-f", metavar="F", help="A job file.")
@job_options
@event_argument
@click.argument("source", metavar="[JSON | - | -- PROGRAM ARG...]", nargs=-1)
def set_hook(
    as_json: bool, event: str, file: Optional[str], source: tuple[str, ...], **fields: object
) -> None:
    """Have a job run for each end of this kind, and print the path of its file, which may be edited."""
    jobs = given_jobs((file,) if file else (), source)
    if len(jobs) != 1:
        raise click.UsageError(f"a hook is one job, these are {len(jobs)}")
    job = with_options(unnamed(jobs[0]) if file else jobs[0], fields)
    with open_queue() as queue:
        path = queue.hooks.set(event, job)
    if as_json:
        print_json({"event": event, "file": path})
    else:
        echo(path)


@command("list", "queuectl hook list --json", hook_command)
@json_option
def list_hooks(as_json: bool) -> None:
    """List the hooks for all jobs."""
    with open_queue() as queue:
        rows = queue.hooks.rows()
    if as_json:
        print_json(rows)
    elif rows:
        from queuectl.cli.tables import Table, command_text, print_table

        cells = [[row["event"] or "?", row["problem"] or command_text(row["command"])] for row in rows]
        print_table(Table(["EVENT", "COMMAND"], cells))
    else:
        say("no hooks")


@command("show", "queuectl hook show on_dead", hook_command)
@json_option
@secrets_option
@event_argument
def show_hook(as_json: bool, secrets: bool, event: str) -> None:
    """Show everything about the hook of one event for all jobs."""
    with open_queue() as queue:
        row = queue.hooks.show(event)
    if row["job"] and not secrets:
        row["job"] = hidden_env(row["job"])
    if as_json:
        print_json(row)
        return
    shown = {**row, **(row["job"] or {})}
    for name, value in shown.items():
        if name != "job" and value not in (None, [], {}, False):
            echo(f"{name:<20}{shown_value(value)}")


@command("remove", "queuectl hook remove on_dead", hook_command)
@json_option
@event_argument
def remove_hook(as_json: bool, event: str) -> None:
    """Run nothing any more for each end of this kind."""
    with open_queue() as queue:
        gone = queue.hooks.remove(event)
    if as_json:
        print_json([{"event": event, "file": path} for path in gone])
    else:
        say(f"{event} removed")
