"""hold, release, edit: jobs that wait."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any, Optional

import click

from queuectl import system
from queuectl.cli.commands.act import some_ids_argument
from queuectl.cli.common import command, open_queue, say
from queuectl.cli.filter_options import filter_options, state_option
from queuectl.cli.job_options import ProgramCommand, given_program, job_options, seconds
from queuectl.cli.many import carry_out, many_options, taken_wish
from queuectl.cli.tie_options import hook_options, taken_ties, tie_options
from queuectl.cli.times import moment_option
from queuectl.errors import Interrupted, InvalidInput
from queuectl.moment import format_moment
from queuectl.queue import Queue


@command("hold", "queuectl hold nightly\nqueuectl hold --group video --yes")
@state_option
@filter_options
@many_options
@some_ids_argument
def hold_command(job_ids: tuple[str, ...], **given: Any) -> None:
    """Keep jobs that wait from their next run until they are released: those named, or those of a filter."""
    carry_out(taken_wish("hold", job_ids, given), Queue.hold)


@command("release", "queuectl release nightly\nqueuectl release --group video --yes")
@click.option("--anyway", is_flag=True, help="Whatever other jobs they wait for, too.")
@state_option
@filter_options
@many_options
@some_ids_argument
def release_command(anyway: bool, job_ids: tuple[str, ...], **given: Any) -> None:
    """Let held jobs run: those named, or those of a filter."""
    wish = taken_wish("release anyway" if anyway else "release", job_ids, given)
    carry_out(wish, partial(Queue.release, anyway=anyway))


@command(
    "edit",
    "queuectl edit nightly --priority 10 --at 18:00\nqueuectl edit nightly -- python backup.py --full",
    cls=ProgramCommand,
)
@click.option("--delay", callback=seconds, metavar="TIME", help="Run not before so long from now.")
@click.option("--at", "run_at", callback=moment_option, metavar="TIME", help="Run not before.")
@tie_options
@hook_options
@job_options
@click.argument("job_id", metavar="ID")
def edit_command(job_id: str, delay: Optional[float], **fields: Any) -> None:
    """Change a job that waits: by options, by a program behind --, or else in an editor.

    What is given replaces what the job says; of --env and --tag all of that. A job that runs is not changed.
    """
    if delay is not None:
        fields["run_at"] = format_moment(system.now() + delay)
    fields["after"] = taken_ties(fields)
    changes = {name: value for name, value in fields.items() if value not in (None, (), {}, [])}
    if (program := given_program()) is not None:
        changes["command"] = program
    with open_queue() as queue:
        if changes:
            queue.edit(job_id, changes)
        else:
            before = queue.editable(job_id)
            queue.edit(job_id, _edited(before.fields), version=before.version)
    say(f"{job_id} changed")


def _edited(before: dict[str, Any]) -> dict[str, Any]:
    """The fields of this job that somebody has given other values in an editor."""
    import msgspec

    from queuectl.codec import decode_job
    from queuectl.job import USER_FIELDS

    if not system.is_interactive(sys.stdin):
        raise click.UsageError("nobody is here to edit it: give options, or -- PROGRAM ARG...")
    text = click.edit(msgspec.json.format(msgspec.json.encode(before), indent=2).decode(), extension=".json")
    if text is None:
        raise Interrupted("nothing was saved, so nothing is changed")
    edited = msgspec.to_builtins(decode_job(text.encode("utf-8", "surrogateescape")))
    if edited.get("id", before.get("id")) != before.get("id"):
        raise InvalidInput("a job's id cannot be changed", hint="rename its file, while it waits")
    names = [name for name in USER_FIELDS if name not in ("$schema", "id")]
    return {name: edited.get(name) for name in names if edited.get(name) != before.get(name)}
