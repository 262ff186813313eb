"""logs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Callable, Optional

import click

from queuectl import system
from queuectl.cli.common import command, open_queue, say
from queuectl.cli.terminal import Screen
from queuectl.errors import NoSuchJob
from queuectl.queue import Queue
from queuectl.spool import Place
from queuectl.state import State

if TYPE_CHECKING:
    from queuectl.cli.following import FollowedLog


@command("logs", "queuectl logs job_success\nqueuectl logs nightly --follow")
@click.option("--follow", "-f", is_flag=True, help="Go on printing until the job has ended for good.")
@click.option(
    "--raw", is_flag=True, help="Byte for byte to a terminal, too: with colours, and whatever else."
)
@click.argument("job_id", metavar="ID")
def logs_command(follow: bool, raw: bool, job_id: str) -> None:
    """Print what a job's command has printed.

    Into a file or a pipe byte for byte; on a terminal control characters are shown, not obeyed. Each further
    attempt is set apart by a line. With --follow, how an attempt has failed and when the next one comes is
    told on stderr.
    """
    from queuectl.cli.following import FollowedLog

    write = _write_bytes if raw or not system.is_interactive(sys.stdout) else _writer_of_text()
    with open_queue() as queue:
        job_id = queue.locate(job_id).job_id
        log = FollowedLog(queue.store.spool.log_path(job_id), write, queue.store.config.log_max_bytes)
        log.print_more()
        if follow:
            _follow(queue, job_id, log)
    if not log.printed:
        say(f"{job_id} has printed nothing")


def _follow(queue: Queue, job_id: str, log: FollowedLog) -> None:
    from queuectl.cli.following import STEP, Attempts
    from queuectl.cli.waiting import Patience

    patience, attempts = Patience(queue), Attempts(queue, job_id)
    while (place := _place(queue, job_id)) is not None:
        # Looked for first, read then: what was printed before that is there by then.
        log.print_more()
        attempts.tell(place)
        if place.state in (State.COMPLETED, State.DEAD):
            return
        patience([job_id])
        system.sleep(STEP)
    log.print_more()


def _place(queue: Queue, job_id: str) -> Optional[Place]:
    try:
        return queue.locate(job_id)
    except NoSuchJob:
        return None


def _write_bytes(data: bytes) -> None:
    # Bytes, not text: the command's code page is its own affair.
    sys.stdout.buffer.write(data)


def _writer_of_text() -> Callable[[bytes], None]:
    screen = Screen()
    return lambda data: click.echo(screen.text(data), nl=False)
