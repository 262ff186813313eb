"""group: limits of groups of jobs."""

from __future__ import annotations

from typing import Any, Optional

import click

from queuectl.cli.common import SuggestingGroup, command, json_option, open_queue, print_json, say
from queuectl.cli.times import shown_moment

_NONE = "none"

names_argument = click.argument("names", metavar="NAME...", nargs=-1, required=True)


def _limit(ctx: click.Context, parameter: click.Parameter, text: Optional[str]) -> Any:
    if text is None or text.strip().lower() == _NONE:
        return text
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise click.BadParameter(f"{text!r} is not a whole number from 1 on, or none")
    return int(text)


@click.group("group", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl group list")
def group_command() -> None:
    """Limits of groups of jobs: how many run at once, how many start in a time."""


@command(
    "set",
    "queuectl group set video --limit 1 --rate 10/min\nqueuectl group set video --rate none",
    group_command,
)
@json_option
@click.option("--limit", callback=_limit, metavar="N", help="How many may run at once; none takes it away.")
@click.option("--rate", metavar="RATE", help="How many may start in a time: 10/min, 2/s; none takes it away.")
@click.option("--description", metavar="TEXT", help="For people.")
@click.argument("name")
def set_group(as_json: bool, name: str, **given: Any) -> None:
    """Set limits of a group; what is not given stays."""
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise click.UsageError("give one of --limit, --rate, --description")
    changes = {field: None if _is_none(value) else value for field, value in changes.items()}
    with open_queue() as queue:
        queue.groups.set(name, changes)
        (row,) = [row for row in queue.groups.rows() if row["name"] == name]
    if as_json:
        print_json(row)
    else:
        say(f"{name}: {_limits(row)}")


def _is_none(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() == _NONE


@command("list", "queuectl group list --json", group_command)
@json_option
def list_groups(as_json: bool) -> None:
    """List the groups that have limits, or jobs."""
    with open_queue() as queue:
        rows = queue.groups.rows()
    if as_json:
        print_json(rows)
    elif rows:
        from queuectl.cli.tables import Table, print_table

        cells = [[row["name"], str(row["waiting"]), str(row["running"]), _state(row)] for row in rows]
        print_table(Table(["NAME", "WAITING", "RUNNING", "LIMITS"], cells))
    else:
        say("no groups")


def _limits(row: dict[str, Any]) -> str:
    words = [] if row["limit"] is None else [f"{row['limit']} at once"]
    words += [] if row["rate"] is None else [f"{row['rate']}"]
    return ", ".join([*words, *(["paused"] if row["paused"] else [])]) or "no limits"


def _state(row: dict[str, Any]) -> str:
    if row["problem"]:
        return str(row["problem"])
    opens = f", next start at {shown_moment(row['opens_at'])}" if row["opens_at"] else ""
    return _limits(row) + opens


@command("pause", "queuectl group pause video", group_command)
@names_argument
def pause_groups(names: tuple[str, ...]) -> None:
    """Start no jobs of these groups; what runs is finished."""
    with open_queue() as queue:
        queue.groups.pause(names)
    say(f"{', '.join(names)} paused")


@command("resume", "queuectl group resume video", group_command)
@names_argument
def resume_groups(names: tuple[str, ...]) -> None:
    """Let jobs of these groups start again."""
    with open_queue() as queue:
        queue.groups.resume(names)
    say(f"{', '.join(names)} resumed")


@command("remove", "queuectl group remove video", group_command)
@names_argument
def remove_groups(names: tuple[str, ...]) -> None:
    """Take all limits of these groups away; their jobs stay."""
    with open_queue() as queue:
        queue.groups.remove(names)
    say(f"{', '.join(names)}: no limits")
