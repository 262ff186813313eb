"""logs."""

from __future__ import annotations

import os
import sys

import click

from queuectl import system
from queuectl.cli.common import command, open_queue, say
from queuectl.errors import NoSuchJob
from queuectl.queue import Queue
from queuectl.state import State

_STEP = 0.1
_PATIENCE = 3.0
"""Seconds after which it is told that nobody works: one that was just started needs a moment."""
_PIECE = 2**20


@command("logs", "queuectl logs job_success\nqueuectl logs nightly --follow")
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the job has ended for good.")
@click.argument("job_id", metavar="ID")
def logs_command(follow: bool, job_id: str) -> None:
    """Print what a job's command has printed.

    Byte for byte; each further attempt is set apart by a line.
    """
    with open_queue() as queue:
        queue.locate(job_id)
        path = queue.store.spool.log_path(job_id)
        printed = _print_from(path, 0)
        patience = system.monotonic() + _PATIENCE
        while follow:
            # Ended first, read then: what it printed last is there by then.
            ended = _has_ended(queue, job_id)
            printed = _print_from(path, printed)
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


def _print_from(path: str, start: int) -> int:
    """Print the file from byte `start` on; up to where (a log that was cut meanwhile is printed anew)."""
    try:
        with open(path, "rb") as log:
            printed = start if log.seek(0, os.SEEK_END) >= start else 0
            log.seek(printed)
            # Bytes, not text: the command's code page is its own affair.
            while data := log.read(_PIECE):
                sys.stdout.buffer.write(data)
                printed += len(data)
    except FileNotFoundError:
        return start
    sys.stdout.flush()
    return printed
