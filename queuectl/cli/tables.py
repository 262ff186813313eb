"""Tables: drawn with rich on a terminal, plain columns where a program or a file reads them."""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from queuectl import system
from queuectl.cli.terminal import cell, echo, how_far
from queuectl.moment import format_duration, read_moment
from queuectl.queue.report import WorkerRow

GONE = "gone"
"""In place of the state of a job that has none: it was deleted while somebody waited for it."""
LONGEST_ERROR = 32
GAP = 2
LEAST_LAST = 20
"""Columns that the last one must have, where it needs so many."""


class Table(NamedTuple):
    """Headings and rows of text; the last column may be cut to the width of the terminal."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def print_table(table: Table) -> None:
    """Show a table on stdout."""
    table = Table(table.headings, [[cell(text) for text in row] for row in table.rows])
    lines = (table.headings, *table.rows)
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.headings))]
    if system.is_interactive(sys.stdout) and _draw(table, widths):
        return
    for line in lines:
        echo("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def _draw(table: Table, widths: Sequence[int]) -> bool:
    """Draw it, unless the terminal is too narrow for that."""
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console()
    room = console.width - sum(width + GAP for width in widths[:-1])
    if room < min(widths[-1], LEAST_LAST):
        return False
    drawn = RichTable(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for heading, width in zip(table.headings[:-1], widths):
        drawn.add_column(heading, no_wrap=True, min_width=width)
    drawn.add_column(table.headings[-1], no_wrap=True)
    for row in table.rows:
        # As Text: a command may contain what rich would take for markup.
        cells = [Text(text, style=_STYLES.get(text, "")) for text in row]
        cells[-1].truncate(room, overflow="ellipsis")
        drawn.add_row(*cells)
    console.print(drawn)
    return True


_STYLES = {"completed": "green", "failed": "yellow", "dead": "red", "processing": "cyan"}


def jobs_table(jobs: Sequence[dict[str, Any]], now: float) -> Table:
    """The rows of `list`."""
    rows = [
        [
            job["id"],
            job["state"],
            _attempts(job),
            _next_run(job, now),
            _short(job["error"]),
            command_text(job["command"]),
        ]
        for job in jobs
    ]
    return Table(["ID", "STATE", "ATTEMPTS", "NEXT RUN", "ERROR", "COMMAND"], rows)


def _attempts(job: dict[str, Any]) -> str:
    return f"{job['attempts']}/{job['max_retries'] + 1}"


def _next_run(job: dict[str, Any], now: float) -> str:
    if job["held_by"] is not None:
        return {"hold": "held", "group": f"group {job['group']}"}.get(job["held_by"]) or _after(job["after"])
    due = read_moment(job["run_at"]) if job["state"] in ("pending", "failed") else None
    if due is None:
        return ""
    return f"in {format_duration(due - now)}" if due > now else "now"


def _after(others: Sequence[str]) -> str:
    return f"after {others[0]}" + (f" and {len(others) - 1} more" if len(others) > 1 else "")


def _short(error: Optional[str]) -> str:
    text = " ".join((error or "").split())
    return text if len(text) <= LONGEST_ERROR else f"{text[: LONGEST_ERROR - 3]}..."


def command_text(command: Any) -> str:
    """A command in one line."""
    return " ".join((command if isinstance(command, str) else " ".join(command)).split())


def fates_table(rows: Sequence[dict[str, Any]]) -> Table:
    """What became of jobs that somebody has run or waited for."""
    table = [[row["id"], row["state"] or GONE, str(row["attempts"] or 0), fate(row)] for row in rows]
    return Table(["ID", "STATE", "ATTEMPTS", "WHAT BECAME OF IT"], table)


def fate(row: dict[str, Any]) -> str:
    """In words, with what to do next."""
    why = row["error"] or "put there by hand"
    if row["state"] == "failed":
        return f"{why}; next try {'at ' + row['run_at'] if row['run_at'] else 'at once'}"
    if row["state"] == "dead":
        return f"{why}; queuectl dlq retry {row['id']}"
    if row["state"] == "pending":
        return f"waits until {row['run_at']}" if row["run_at"] else "waits"
    return row["error"] or f"queuectl logs {row['id']}"


def workers_table(workers: Sequence[WorkerRow]) -> Table:
    """The living workers, and how far what they run is, where any tells."""
    told = [how_far(row.percent, row.progress) for row in workers]
    headings = ["NAME", "PID", "SINCE", "JOB", "PROGRESS"]
    rows = [
        [row.name, str(row.pid), row.since or "", row.job or "idle", far] for row, far in zip(workers, told)
    ]
    shown = len(headings) if any(told) else headings.index("PROGRESS")
    return Table(headings[:shown], [row[:shown] for row in rows])


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
