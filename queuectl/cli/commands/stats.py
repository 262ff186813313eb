"""stats."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timezone, tzinfo
from typing import Any, Callable, Optional

import click

from queuectl import system
from queuectl.cli.chart import Bar, bars, legend
from queuectl.cli.common import command, json_option, open_queue, print_json, say
from queuectl.cli.job_options import seconds
from queuectl.cli.tables import Table, print_table
from queuectl.cli.terminal import echo
from queuectl.moment import format_duration, in_zone, parse_moment

_BY = ("group", "tag", "state", "hour", "day")
_WIDEST = 100
_SPANS = {"WAITING": "waiting", "RUNNING": "running"}
_RANKS = ("p50", "p90", "p99", "max")


@command("stats", "queuectl stats\nqueuectl stats --since 7d --by day\nqueuectl stats --by group --json")
@json_option
@click.option(
    "--since", callback=seconds, default="24h", metavar="TIME", help="Of the last so long: 90m, 24h, 7d."
)
@click.option("--by", type=click.Choice(_BY), help="Tell them apart by this.")
@click.option("--group", metavar="NAME", help="Only jobs of this group.")
@click.option("--tag", help="Only jobs with this tag.")
@click.option("--chart", is_flag=True, help="Draw when jobs ended; a terminal is shown that anyway.")
def stats_command(as_json: bool, since: float, chart: bool, **options: Optional[str]) -> None:
    """Show numbers: what ended, how long it waited and ran, how often it failed.

    They are read from the records of jobs that are still here: what was deleted counts no more. A run counts
    when it has ended within the time.
    """
    if since <= 0:
        raise click.UsageError("--since is longer than no time at all")
    zone = _zone()
    with open_queue() as queue, _progress() as told:
        found = queue.stats(since, zone=zone, told=told, **options)
    if as_json:
        print_json(found)
        return
    _print_numbers(found, zone)
    if (found["ended"] or found["runs"]) and (chart or system.is_interactive(sys.stdout)):
        echo()
        _print_chart(found, zone)


def _zone() -> tzinfo:
    """That of this machine; asked for once, to tell once that it cannot be told."""
    from queuectl.system.zone import local_zone

    try:
        return local_zone()
    except ValueError as error:
        say(f"{error}; hours and days are those of UTC")
        return timezone.utc


def _print_numbers(found: dict[str, Any], zone: tzinfo) -> None:
    for line in _summary(found, zone):
        echo(line)
    if found["runs"]:
        rows = [[name.lower(), *(_took(found[key][rank]) for rank in _RANKS)] for name, key in _SPANS.items()]
        echo()
        print_table(Table(["", "P50", "P90", "P99", "MAX"], rows))
    if found["each"]:
        echo()
        print_table(_each_table(found, zone))
    if found["unread"]:
        say(f"{found['unread']} records could not be read")


def _summary(found: dict[str, Any], zone: tzinfo) -> list[str]:
    ended = f"{found['ended']}  ({found['completed']} completed, {found['dead']} dead)"
    failed = str(found["failed_runs"]) + (f" = {_failed(found)}" if found["failed_runs"] else "")
    return [
        f"{'since':<12}{_clock(found['since'], zone)}",
        f"{'ended':<12}{ended}",
        f"{'an hour':<12}{found['per_hour']:.4g}",
        f"{'runs':<12}{found['runs']}  ({failed} failed, {found['retries']} retries)",
    ]


def _failed(numbers: dict[str, Any]) -> str:
    """The share of runs that failed; nothing where there was none."""
    return f"{numbers['failed_runs'] / numbers['runs'] * 100:.3g} %" if numbers["runs"] else ""


def _took(span: Optional[float]) -> str:
    return "" if span is None else format_duration(span)


def _each_table(found: dict[str, Any], zone: tzinfo) -> Table:
    headings = [found["by"].upper(), "ENDED", "AN HOUR", "DEAD", "RUNS", "FAILED"]
    rows = [
        [
            _key(one["key"], found["by"], zone),
            *(str(one["ended"]), f"{one['per_hour']:.4g}", str(one["dead"]), str(one["runs"]), _failed(one)),
            *(_took(one[key]["p90"]) for key in _SPANS.values()),
        ]
        for one in found["each"]
    ]
    return Table([*headings, *(f"{name} P90" for name in _SPANS)], rows)


def _key(key: Optional[str], by: str, zone: tzinfo) -> str:
    if key is None:
        return "none"
    if by == "day":
        return f"{in_zone(parse_moment(key), zone):%Y-%m-%d}"
    return _clock(key, zone) if by == "hour" else key


def _clock(moment: str, zone: tzinfo) -> str:
    there = in_zone(parse_moment(moment), zone)
    twice = there.replace(fold=1 - there.fold).utcoffset() != there.utcoffset()
    return f"{there:%Y-%m-%d %H:%M}" + (f" {there:%Z}" if twice else "")


def _print_chart(found: dict[str, Any], zone: tzinfo) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    completed, dead = legend(encoding)
    every = format_duration(found["step"])
    echo(f"ended, every {every} ({completed} completed, {dead} dead), and how many of the runs failed")
    rows = [
        Bar(
            _clock(one["at"], zone), one["completed"], one["dead"], _failed(one) if one["failed_runs"] else ""
        )
        for one in found["bars"]
    ]
    width = min(shutil.get_terminal_size().columns - 1, _WIDEST)
    for line in bars(rows, width, encoding):
        echo(line)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], object]]:
    """A progress bar on a terminal, where a hundred thousand records take some seconds."""
    if not system.is_interactive(sys.stderr):
        yield lambda count, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("records", total=None)
        yield lambda count, total: bar.update(task, completed=count, total=total)
