"""hook: what is run whenever a job has ended."""

from __future__ import annotations

from typing import Optional

import click

from queuectl.cli.common import SuggestingGroup, command, json_option, open_queue, print_json, say
from queuectl.cli.job_options import ProgramCommand, given_jobs, job_options, unnamed, with_options
from queuectl.cli.terminal import echo

EVENTS = ("on_success", "on_failure", "on_dead")

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


@command("remove", "queuectl hook remove on_dead", hook_command)
@event_argument
def remove_hook(event: str) -> None:
    """Run nothing any more for each end of this kind."""
    with open_queue() as queue:
        queue.hooks.remove(event)
    say(f"{event} removed")
