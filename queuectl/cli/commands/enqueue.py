"""enqueue."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

import click

from queuectl.cli.common import Command, command, json_option, open_queue, print_json, spool_path
from queuectl.cli.terminal import echo
from queuectl.cli.waiting import print_and_wait, seconds
from queuectl.errors import InvalidInput
from queuectl.moment import format_moment, parse_moment
from queuectl.names import SHELLS

if TYPE_CHECKING:
    # msgspec takes as long to import as click; `queuectl --help` only wants the names of the options.
    from queuectl.job import Job

_PROGRAM = "queuectl.program"


def _moment(ctx: click.Context, parameter: click.Parameter, text: Optional[str]) -> Optional[str]:
    if text is None:
        return None
    try:
        return format_moment(parse_moment(text))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _variables(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    for text in texts:
        if not text.partition("=")[1]:
            raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE")
    return dict(text.split("=", 1) for text in texts)


class _EnqueueCommand(Command):
    """click swallows `--`; here everything behind it is the program to run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            cut = args.index("--")
            ctx.meta[_PROGRAM] = args[cut + 1 :]
            args = args[:cut]
        return super().parse_args(ctx, args)


@command(
    "enqueue",
    "queuectl enqueue --file examples/job_success.json\n"
    "queuectl enqueue --delay 10m --tag nightly -- python report.py --month 11",
    cls=_EnqueueCommand,
)
@json_option
@click.option(
    "--file",
    "-f",
    "files",
    multiple=True,
    metavar="F",
    help="A job file, or several by wildcards; may be repeated.",
)
@click.option("--id", "job_id", help="The job's name; made up if left out.")
@click.option("--priority", type=int, help="Higher runs first.")
@click.option("--delay", callback=seconds, metavar="TIME", help="Run not before so long: 90, 10m, 2h30m.")
@click.option("--run-at", callback=_moment, metavar="TIME", help="Run not before: 2027-01-01T09:00:00+01:00.")
@click.option("--max-retries", type=click.IntRange(min=0), help="Runs after the first.")
@click.option("--timeout", callback=seconds, metavar="TIME", help="Kill the command after so long.")
@click.option("--cwd", help="Folder to run in.")
@click.option("--shell", type=click.Choice(SHELLS), help="Shell for a command that is a string.")
@click.option(
    "--env", multiple=True, callback=_variables, metavar="K=V", help="Environment variable; may be repeated."
)
@click.option("--tag", "tags", multiple=True, help="A word to find the job by; may be repeated.")
@click.option("--wait", is_flag=True, help="Wait until they have ended for good, and end as they did.")
@click.option(
    "--wait-limit",
    callback=seconds,
    metavar="TIME",
    help="Wait no longer than that; the jobs go on. (--timeout kills the command.)",
)
@click.argument("source", metavar="[JSON | - | -- PROGRAM ARG...]", nargs=-1)
def enqueue_command(
    as_json: bool,
    files: tuple[str, ...],
    job_id: Optional[str],
    delay: Optional[float],
    source: tuple[str, ...],
    wait: bool,
    wait_limit: Optional[float],
    **fields: Any,
) -> int:
    """Add jobs, all or none, and print their ids.

    A job comes from a file, as JSON, from standard input (-: one job, an array or JSON Lines), or is a
    program to run, behind --. The options go over what the jobs say themselves. With --wait the exit code is
    that of queuectl wait.
    """
    if wait_limit is not None and not wait:
        raise click.UsageError("--wait-limit is for --wait; --timeout is for the job")
    if delay is not None and fields["run_at"] is not None:
        raise click.UsageError("--delay and --run-at say the same thing: give one")
    jobs = [_with_options(job, delay, fields) for job in _jobs(files, source)]
    if job_id is not None:
        if len(jobs) != 1:
            raise click.UsageError(f"--id is for one job, these are {len(jobs)}")
        jobs = [_replaced(jobs[0], {"id": job_id})]
    with open_queue() as queue:
        places = queue.enqueue(jobs)
        if wait:
            return print_and_wait(queue, places, wait_limit, as_json=as_json)
        paths = [queue.store.spool.path(place) for place in places]
    if as_json:
        print_json([{"id": place.job_id, "file": path} for place, path in zip(places, paths)])
    else:
        echo("\n".join(place.job_id for place in places))
    return 0


def _jobs(files: tuple[str, ...], source: tuple[str, ...]) -> list[Job]:
    program: Optional[list[str]] = click.get_current_context().meta.get(_PROGRAM)
    if sum((bool(files), bool(source), program is not None)) != 1:
        raise click.UsageError(
            "give one of: --file F, a JSON argument, - for standard input, -- PROGRAM ARG..."
        )
    if program is not None:
        return [_program_job(program)]
    from queuectl.cli.sources import jobs_from_argument, jobs_from_files

    return jobs_from_files(files) if files else jobs_from_argument(source)


def _program_job(program: list[str]) -> Job:
    from queuectl.job import Job

    if not program:
        raise click.UsageError("there is no program behind --")
    here = os.getcwd()
    # It runs where it was typed, wherever the worker was started.
    elsewhere = os.path.realpath(here) != os.path.realpath(os.path.dirname(spool_path()))
    return Job(command=program, cwd=here if elsewhere else None)


def _with_options(job: Job, delay: Optional[float], fields: dict[str, Any]) -> Job:
    changes = {name: value for name, value in fields.items() if value not in (None, (), {})}
    if "env" in changes:
        changes["env"] = {**job.env, **changes["env"]}
    if "tags" in changes:
        changes["tags"] = [*job.tags, *(tag for tag in changes["tags"] if tag not in job.tags)]
    if delay is not None:
        from queuectl import system

        changes["run_at"] = format_moment(system.now() + delay)
    return _replaced(job, changes)


def _replaced(job: Job, changes: dict[str, Any]) -> Job:
    import msgspec

    from queuectl.codec import checked

    try:
        return checked(msgspec.structs.replace(job, **changes))
    except UnicodeEncodeError as error:
        raise InvalidInput(f"not valid Unicode: {error.object!r}") from None
