"""Tables: drawn with rich on a terminal, plain columns where a program or a file reads them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import click

from queuectl import system
from queuectl.moment import format_duration, read_moment

LONGEST_ERROR = 32


class Table(NamedTuple):
    """Headings and rows of text; the last column may be cut to the width of the terminal."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def print_table(table: Table) -> None:
    """Show a table on stdout."""
    if system.is_interactive(sys.stdout):
        _draw(table)
        return
    lines = [table.headings, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.headings))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _draw(table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, heading in enumerate(table.headings[:-1]):
        widest = max(len(row[column]) for row in (table.headings, *table.rows))
        drawn.add_column(heading, no_wrap=True, min_width=widest)
    drawn.add_column(table.headings[-1], overflow="ellipsis", no_wrap=True)
    for row in table.rows:
        # As Text: a command may contain what rich would take for markup.
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(drawn)


_STYLES = {"completed": "green", "failed": "yellow", "dead": "red", "processing": "cyan"}


def jobs_table(jobs: Sequence[dict[str, Any]], now: float) -> Table:
    """The rows of `list`."""
    rows = [
        [job["id"], job["state"], _attempts(job), _next_run(job, now), _short(job["error"]), _command(job)]
        for job in jobs
    ]
    return Table(["ID", "STATE", "ATTEMPTS", "NEXT RUN", "ERROR", "COMMAND"], rows)


def _attempts(job: dict[str, Any]) -> str:
    return f"{job['attempts']}/{job['max_retries'] + 1}"


def _next_run(job: dict[str, Any], now: float) -> str:
    due = read_moment(job["run_at"]) if job["state"] in ("pending", "failed") else None
    if due is None:
        return ""
    return f"in {format_duration(due - now)}" if due > now else "now"


def _short(error: Optional[str]) -> str:
    text = " ".join((error or "").split())
    return text if len(text) <= LONGEST_ERROR else f"{text[: LONGEST_ERROR - 3]}..."


def _command(job: dict[str, Any]) -> str:
    command = job["command"]
    return " ".join((command if isinstance(command, str) else " ".join(command)).split())


def history_table(history: Sequence[dict[str, Any]]) -> Table:
    """The runs of one job."""
    rows = [
        [
            str(run.get("attempt") or ""),
            run["outcome"],
            run.get("started_at") or "",
            run.get("finished_at") or "",
            "" if run.get("exit_code") is None else str(run["exit_code"]),
            run.get("error") or "",
        ]
        for run in history
    ]
    return Table(["ATTEMPT", "OUTCOME", "STARTED", "FINISHED", "EXIT CODE", "ERROR"], rows)
