"""schedule: what recurs."""

from __future__ import annotations

from typing import Any, Optional

import click

from queuectl.cli.commands.look import secrets_option, shown_value
from queuectl.cli.common import SuggestingGroup, command, json_option, open_queue, print_json, say
from queuectl.cli.job_options import ProgramCommand, given_jobs, job_options, unnamed, with_options
from queuectl.cli.terminal import echo
from queuectl.cli.tie_options import hook_options
from queuectl.cli.times import moment_option, shown_moment, until_moment
from queuectl.names import CATCH_UP, OVERLAP
from queuectl.queue.report import hidden_env

_TIMES = ("start_at", "end_at", "next_at", "last_due")

names_argument = click.argument("names", metavar="NAME...", nargs=-1, required=True)


@click.group("schedule", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl schedule list")
def schedule_command() -> None:
    """What recurs: a file in spool/schedules makes a job at each of its moments, while workers run."""


@command(
    "add",
    "queuectl schedule add nightly --cron '0 3 * * *' --timezone Europe/Berlin -- python backup.py\n"
    "queuectl schedule add poll --every 10m --overlap queue --file examples/job_success.json",
    schedule_command,
    cls=ProgramCommand,
)
@json_option
@click.option("--cron", help="When: 'minute hour day month weekday', or @daily and the like.")
@click.option("--every", metavar="TIME", help="Or how often: 90, 10m, 2h30m.")
@click.option("--timezone", metavar="ZONE", help="Of --cron, as Europe/Berlin; else this machine's.")
@click.option("--start-at", callback=moment_option, metavar="TIME", help="Not before.")
@click.option("--end-at", callback=moment_option, metavar="TIME", help="Not after.")
@click.option("--jitter", metavar="TIME", help="Each comes later by a part of so long.")
@click.option(
    "--catch-up",
    type=click.Choice(CATCH_UP),
    help="What of the moments that passed while no worker ran: once is usual.",
)
@click.option("--catch-up-limit", type=click.IntRange(min=0), help="How many of the latest 'all' means: 10.")
@click.option(
    "--overlap", type=click.Choice(OVERLAP), help="While its last job waits or runs, the next: skip is usual."
)
@click.option("--paused", is_flag=True, help="Fire nothing until it is resumed.")
@click.option("--description", metavar="TEXT", help="For people.")
@click.option("--replace", is_flag=True, help="In place of the one of this name.")
@click.option("--file", "-f", metavar="F", help="A job file.")
@hook_options
@job_options
@click.argument("name")
@click.argument("source", metavar="[JSON | - | -- PROGRAM ARG...]", nargs=-1)
def add_schedule(
    as_json: bool, name: str, file: Optional[str], source: tuple[str, ...], replace: bool, **fields: Any
) -> None:
    """Add a schedule, and print the path of its file, which may be edited.

    The job comes from a file, as JSON, from standard input (-), or is a program to run, behind --.
    """
    from queuectl.schedule import Schedule

    given = {field: fields.pop(field) for field in list(fields) if field in Schedule.__struct_fields__}
    jobs = given_jobs((file,) if file else (), source)
    if len(jobs) != 1:
        raise click.UsageError(f"a schedule has one job, these are {len(jobs)}")
    job = with_options(unnamed(jobs[0]) if file else jobs[0], fields)
    said = {field: value for field, value in given.items() if value is not None and value is not False}
    with open_queue() as queue:
        path = queue.schedules.add(name, Schedule(job=job, **said), replace=replace)
    if as_json:
        print_json({"name": name, "file": path})
    else:
        echo(path)


@command("list", "queuectl schedule list --json", schedule_command)
@json_option
def list_schedules(as_json: bool) -> None:
    """List the schedules, and when each fires next."""
    with open_queue() as queue:
        rows = queue.schedules.rows()
    if as_json:
        print_json(rows)
    elif rows:
        from queuectl.cli.tables import Table, print_table

        headings = ["NAME", "WHEN", "NEXT", "", "LAST JOB", "STATE"]
        print_table(Table(headings, [_cells(row) for row in rows]))
    else:
        say("no schedules")


def _cells(row: dict[str, Any]) -> list[str]:
    if row["problem"]:
        return [row["name"], "", "", "", "", row["problem"]]
    when = row["cron"] or f"every {row['every']}"
    zone = f" {row['timezone']}" if row["timezone"] else ""
    last = row["last_job"] or ""
    coming = shown_moment(row["next_at"], row["timezone"])
    return [row["name"], when + zone, coming, until_moment(row["next_at"]), last, _state(row)]


def _state(row: dict[str, Any]) -> str:
    words = ["paused"] if row["paused"] else []
    words += [row["last_state"]] if row["last_state"] else []
    words += [f"{len(row['queued'])} wait for that"] if row["queued"] else []
    return ", ".join(words)


@command("show", "queuectl schedule show nightly", schedule_command)
@json_option
@secrets_option
@click.argument("name")
def show_schedule(as_json: bool, secrets: bool, name: str) -> None:
    """Show everything about one schedule."""
    with open_queue() as queue:
        row = queue.schedules.show(name)
    if row["job"] and not secrets:
        row["job"] = hidden_env(row["job"])
    if as_json:
        print_json(row)
        return
    for field, value in row.items():
        if value not in (None, [], {}):
            shown = shown_moment(value, row["timezone"]) if field in _TIMES else shown_value(value)
            echo(f"{field:<20}{shown}")


@command("next", "queuectl schedule next nightly --count 3", schedule_command)
@json_option
@click.option("--count", type=click.IntRange(1, 10_000), default=5, help="So many; else 5.")
@click.argument("names", metavar="[NAME...]", nargs=-1)
def next_moments(as_json: bool, count: int, names: tuple[str, ...]) -> None:
    """List when these schedules fire next, or all of them, by this machine's clock."""
    with open_queue() as queue:
        rows = queue.schedules.next(names, count)
    if as_json:
        print_json(rows)
    elif rows:
        from queuectl.cli.tables import Table, print_table

        cells = [[shown_moment(row["at"]), until_moment(row["at"]), row["schedule"]] for row in rows]
        print_table(Table(["WHEN", "", "SCHEDULE"], cells))
    else:
        say("nothing is coming")


@command("pause", "queuectl schedule pause nightly", schedule_command)
@names_argument
def pause_schedules(names: tuple[str, ...]) -> None:
    """Fire nothing until it is resumed; what passes meanwhile is not made up for."""
    with open_queue() as queue:
        queue.schedules.pause(names)
    say(f"{', '.join(names)} paused")


@command("resume", "queuectl schedule resume nightly", schedule_command)
@names_argument
def resume_schedules(names: tuple[str, ...]) -> None:
    """Go on with paused schedules, from now on."""
    with open_queue() as queue:
        queue.schedules.resume(names)
    say(f"{', '.join(names)} resumed")


@command("remove", "queuectl schedule remove nightly", schedule_command)
@names_argument
def remove_schedules(names: tuple[str, ...]) -> None:
    """Delete schedules; the jobs that they have made stay."""
    with open_queue() as queue:
        queue.schedules.remove(names)
    say(f"{', '.join(names)} removed")


@command("run-now", "queuectl schedule run-now nightly", schedule_command)
@json_option
@click.argument("name")
def run_schedule_now(as_json: bool, name: str) -> None:
    """Add a job of a schedule at once, and print its id; its times stay what they are."""
    with open_queue() as queue:
        job_id = queue.schedules.run_now(name)
    if as_json:
        print_json([{"id": job_id}])
    else:
        echo(job_id)
