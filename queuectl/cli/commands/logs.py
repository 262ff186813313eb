"""logs."""

from __future__ import annotations

import os
import sys
from typing import Callable

import click

from queuectl import system
from queuectl.cli.common import command, open_queue, say
from queuectl.cli.terminal import Screen
from queuectl.errors import NoSuchJob
from queuectl.queue import Queue
from queuectl.state import State

_STEP = 0.1
_PATIENCE = 3.0
"""Seconds after which it is told that nobody works: one that was just started needs a moment."""
_PIECE = 2**20


@command("logs", "queuectl logs job_success\nqueuectl logs nightly --follow")
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the job has ended for good.")
@click.option(
    "--raw", is_flag=True, help="Byte for byte to a terminal, too: with colours, and whatever else."
)
@click.argument("job_id", metavar="ID")
def logs_command(follow: bool, raw: bool, job_id: str) -> None:
    """Print what a job's command has printed.

    Into a file or a pipe byte for byte; on a terminal control characters are shown, not obeyed. Each further
    attempt is set apart by a line.
    """
    write = _write_bytes if raw or not system.is_interactive(sys.stdout) else _writer_of_text()
    with open_queue() as queue:
        job_id = queue.locate(job_id).job_id
        path = queue.store.spool.log_path(job_id)
        printed = _print_from(path, 0, write)
        patience = system.monotonic() + _PATIENCE
        while follow:
            # Ended first, read then: what it printed last is there by then.
            ended = _has_ended(queue, job_id)
            printed = _print_from(path, printed, write)
            if ended:
                break
            if system.monotonic() > patience:
                patience = float("inf")
                _say_if_nobody_works(queue, job_id)
            system.sleep(_STEP)
    if printed == 0:
        say(f"{job_id} has printed nothing")


def _say_if_nobody_works(queue: Queue, job_id: str) -> None:
    if not queue.status().workers:
        say(f"{job_id} has not ended, and no worker runs: queuectl worker start")


def _has_ended(queue: Queue, job_id: str) -> bool:
    try:
        return queue.locate(job_id).state in (State.COMPLETED, State.DEAD)
    except NoSuchJob:
        return True


def _write_bytes(data: bytes) -> None:
    # Bytes, not text: the command's code page is its own affair.
    sys.stdout.buffer.write(data)


def _writer_of_text() -> Callable[[bytes], None]:
    screen = Screen()
    return lambda data: click.echo(screen.text(data), nl=False)


def _print_from(path: str, start: int, write: Callable[[bytes], None]) -> int:
    """Print the file from byte `start` on; up to where (a log that was cut meanwhile is printed anew)."""
    try:
        with open(path, "rb", opener=system.open_plainly) as log:
            printed = start if log.seek(0, os.SEEK_END) >= start else 0
            log.seek(printed)
            while data := log.read(_PIECE):
                write(data)
                printed += len(data)
    except FileNotFoundError:
        return start
    sys.stdout.flush()
    return printed
