"""stats."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

import click

from queuectl import system
from queuectl.cli.chart import bars
from queuectl.cli.common import command, json_option, open_queue, print_json, say
from queuectl.cli.job_options import seconds
from queuectl.cli.tables import Table, print_table
from queuectl.cli.terminal import echo
from queuectl.moment import format_duration, in_zone, parse_moment

_BY = ("group", "tag", "state", "hour", "day")
_DAY = 86400.0
_WIDEST = 100
_SPANS = {"WAITING": "waiting", "RUNNING": "running"}
_RANKS = ("p50", "p90", "p99", "max")


@command("stats", "queuectl stats\nqueuectl stats --since 7d --by day\nqueuectl stats --by group --json")
@json_option
@click.option(
    "--since", callback=seconds, default="24h", metavar="TIME", help="Of the last so long: 90m, 24h, 7d."
)
@click.option("--by", type=click.Choice(_BY), help="Tell them apart by this.")
@click.option("--chart", is_flag=True, help="Draw when jobs ended; a terminal is shown that anyway.")
def stats_command(as_json: bool, since: float, by: Optional[str], chart: bool) -> None:
    """Show numbers: what ended, how long it waited and ran, how often it failed.

    They are read from the records of jobs that are still here: what was deleted counts no more. A run counts
    when it has ended within the time.
    """
    if since <= 0:
        raise click.UsageError("--since is longer than no time at all")
    with open_queue() as queue, _progress() as told:
        found = queue.stats(since, by=by, zone=_zone(), told=told)
    if as_json:
        print_json(found)
        return
    _print_numbers(found)
    if found["ended"] and (chart or system.is_interactive(sys.stdout)):
        echo()
        _print_chart(found)


def _zone() -> Any:
    from datetime import timezone

    from queuectl.system.zone import local_zone

    try:
        return local_zone()
    except ValueError as error:
        say(f"{error}; hours and days are those of UTC")
        return timezone.utc


def _print_numbers(found: dict[str, Any]) -> None:
    for line in _summary(found):
        echo(line)
    if found["runs"]:
        rows = [[name.lower(), *_ranks(found[key])] for name, key in _SPANS.items()]
        echo()
        print_table(Table(["", "P50", "P90", "P99", "MAX"], rows))
    if found["each"]:
        echo()
        print_table(_each_table(found))
    if found["unread"]:
        say(f"{found['unread']} records could not be read")


def _summary(found: dict[str, Any]) -> list[str]:
    ended = f"{found['ended']}  ({found['completed']} completed, {found['dead']} dead)"
    return [
        f"{'since':<12}{_clock(found['since'])}",
        f"{'ended':<12}{ended}",
        f"{'an hour':<12}{found['per_hour']:.4g}",
        f"{'runs':<12}{found['runs']}  ({_failed(found)} failed, {found['retries']} retries)",
    ]


def _failed(numbers: dict[str, Any]) -> str:
    share = numbers["failure_rate"]
    return str(numbers["failed_runs"]) + (f" = {share * 100:.3g} %" if share else "")


def _ranks(spans: dict[str, Optional[float]]) -> list[str]:
    return [_took(spans[rank]) for rank in _RANKS]


def _took(span: Optional[float]) -> str:
    return "" if span is None else format_duration(span)


def _each_table(found: dict[str, Any]) -> Table:
    headings = [found["by"].upper(), "ENDED", "AN HOUR", "DEAD", "RUNS", "FAILED", "RETRIES"]
    rows = [
        [
            _key(one["key"], found["by"]),
            *(str(one["ended"]), f"{one['per_hour']:.4g}", str(one["dead"]), str(one["runs"]), _failed(one)),
            str(one["retries"]),
            *(" / ".join(filter(None, _ranks(one[key]))) for key in _SPANS.values()),
        ]
        for one in found["each"]
    ]
    return Table([*headings, *(f"{name} P50/P90/P99/MAX" for name in _SPANS)], rows)


def _key(key: Optional[str], by: str) -> str:
    if key is None:
        return "none"
    return _clock(key) if by in ("hour", "day") else key


def _clock(moment: str) -> str:
    return f"{in_zone(parse_moment(moment), _zone()):%Y-%m-%d %H:%M}"


def _print_chart(found: dict[str, Any]) -> None:
    echo(f"ended, every {format_duration(found['step'])}")
    rows = [(_clock(bar["at"]), bar["completed"] + bar["dead"]) for bar in found["bars"]]
    width = min(shutil.get_terminal_size().columns - 1, _WIDEST)
    for line in bars(rows, width, getattr(sys.stdout, "encoding", None) or "ascii"):
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
