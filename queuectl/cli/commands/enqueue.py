"""enqueue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional

import click

from queuectl import system
from queuectl.cli.common import command, json_option, open_queue, print_json
from queuectl.cli.job_options import ProgramCommand, given_jobs, job_options, replaced, seconds, with_options
from queuectl.cli.terminal import echo
from queuectl.cli.tie_options import hook_options, key_options, taken_ties, taken_unique, tie_options
from queuectl.cli.times import moment_option
from queuectl.cli.waiting import print_and_wait
from queuectl.moment import format_moment

if TYPE_CHECKING:
    from queuectl.job import Job


@command(
    "enqueue",
    "queuectl enqueue --file examples/job_success.json\n"
    "queuectl enqueue --delay 10m --tag nightly -- python report.py --month 11",
    cls=ProgramCommand,
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
@click.option("--delay", callback=seconds, metavar="TIME", help="Run not before so long: 90, 10m, 2h30m.")
@click.option(
    "--at",
    "--run-at",
    "run_at",
    callback=moment_option,
    metavar="TIME",
    help="Run not before: '2027-01-01 09:00' or 09:00 by this machine's clock, 2027-01-01T09:00:00Z.",
)
@click.option("--hold", is_flag=True, help="It waits until queuectl release.")
@click.option("--wait", is_flag=True, help="Wait until they have ended for good, and end as they did.")
@click.option(
    "--wait-limit",
    callback=seconds,
    metavar="TIME",
    help="Wait no longer than that; the jobs go on. (--timeout kills the command.)",
)
@tie_options
@key_options
@hook_options
@job_options
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
        raise click.UsageError("--delay and --at say the same thing: give one")
    if delay is not None:
        fields["run_at"] = format_moment(system.now() + delay)
    given = given_jobs(files, source)
    keyed = fields["unique_key"] is not None or any(job.unique_key is not None for job in given)
    unique = taken_unique(fields, keyed=keyed)
    jobs = _as_told(given, job_id, fields)
    with open_queue() as queue:
        places = queue.enqueue(jobs, unique=unique)
        if wait:
            return print_and_wait(queue, places, wait_limit, as_json=as_json)
        paths = [queue.store.spool.path(place) for place in places]
    if as_json:
        print_json([{"id": place.job_id, "file": path} for place, path in zip(places, paths)])
    else:
        echo("\n".join(place.job_id for place in places))
    return 0


def _as_told(given: Sequence[Job], job_id: Optional[str], fields: dict[str, Any]) -> list[Job]:
    """The jobs as the options have them."""
    after = taken_ties(fields)
    fields["hold"] = fields["hold"] or None
    jobs = [with_options(job, {**fields, "after": [*job.after, *after]}) for job in given]
    if job_id is None:
        return jobs
    if len(jobs) != 1:
        raise click.UsageError(f"--id is for one job, these are {len(jobs)}")
    return [replaced(jobs[0], {"id": job_id})]
