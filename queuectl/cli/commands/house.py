"""init, doctor, reindex."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import click

from queuectl import system
from queuectl.cli.common import command, json_option, open_queue, print_json, say, spool_path
from queuectl.cli.terminal import cell, echo, whoever_reads
from queuectl.queue import Queue


@command("init", "queuectl init\nqueuectl --spool D:\\jobs init\nqueuectl init --private")
@click.option("--private", is_flag=True, help="Take from others what they may do with it (new ones are so).")
def init_command(private: bool) -> None:
    """Make the spool folder, or what is missing in it."""
    from queuectl.spool import access, making

    path = spool_path()
    new = making.make_spool(path, force=True)
    if private:
        access.make_private(path)
        access.refuse_still_open(path)
    say(f"made a new spool in {path}" if new else f"{path} is a spool already; nothing is missing")


@command("doctor", "queuectl doctor\nqueuectl doctor --fix")
@json_option
@click.option("--fix", is_flag=True, help="Mend what can be mended without asking.")
def doctor_command(as_json: bool, fix: bool) -> int:
    """Check the spool, and mend it with --fix.

    Looks at files against index, orphans of dead workers, stray files and permissions. Exits with 1 if
    something is left.
    """
    with open_queue() as queue:
        findings = queue.doctor(fix=fix)
    left = [finding for finding in findings if not finding.fixed]
    with whoever_reads():
        if as_json:
            data: list[dict[str, Any]] = [finding._asdict() for finding in findings]
            print_json(data)
        else:
            for finding in findings:
                echo(f"{'mended' if finding.fixed else 'found '}  {cell(finding.text)}")
    if not as_json:
        say(_summary(len(left), fix))
    return 1 if left else 0


def _summary(left: int, fix: bool) -> str:
    if not left:
        return "all is well"
    return f"{left} left, for a person" if fix else f"{left} left: queuectl doctor --fix mends what it can"


@command("reindex", "queuectl reindex")
def reindex_command() -> None:
    """Build the index anew from the files; settings are kept."""
    with open_queue() as queue, _progress(queue) as told:
        count = queue.reindex(told)
    say(f"indexed {count} jobs")


@contextmanager
def _progress(queue: Queue) -> Iterator[Callable[[int], object]]:
    """A progress bar on a terminal, where a million files take a minute."""
    if not system.is_interactive(sys.stderr):
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("files", total=queue.store.spool.count_files())
        yield lambda count: bar.update(task, completed=count)
