"""logs."""

from __future__ import annotations

import sys

import click

from queuectl import system
from queuectl.cli.common import command, open_queue, say
from queuectl.errors import NoSuchJob
from queuectl.queue import Queue
from queuectl.state import State

_STEP = 0.1


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
        while follow:
            # Ended first, read then: what it printed last is there by then.
            ended = _has_ended(queue, job_id)
            printed = _print_from(path, printed)
            if ended:
                break
            system.sleep(_STEP)
    if printed == 0:
        say(f"{job_id} has printed nothing")


def _has_ended(queue: Queue, job_id: str) -> bool:
    try:
        return queue.locate(job_id).state in (State.COMPLETED, State.DEAD)
    except NoSuchJob:
        return True


def _print_from(path: str, start: int) -> int:
    """Print the file from byte `start` on; where it ends now (a log that was cut is printed anew)."""
    try:
        with open(path, "rb") as log:
            size = log.seek(0, 2)
            log.seek(start if size >= start else 0)
            data = log.read()
    except FileNotFoundError:
        return start
    # Bytes, not text: the command's code page is its own affair.
    sys.stdout.buffer.write(data)
    sys.stdout.flush()
    return max(size, start) if size >= start else size
