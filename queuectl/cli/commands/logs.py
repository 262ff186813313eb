"""logs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Callable

import click

from queuectl import system
from queuectl.cli.common import command, open_queue, say
from queuectl.cli.terminal import Screen, put
from queuectl.errors import NoSuchJob
from queuectl.queue import Queue

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

    write = put if raw or not system.is_interactive(sys.stdout) else _writer_of_text()
    with open_queue() as queue:
        job_id = queue.locate(job_id).job_id
        log = FollowedLog(queue.store.spool.log_path(job_id), write, queue.store.config.log_max_bytes)
        if follow:
            _follow(queue, job_id, log)
        else:
            log.print_rest()
    if not log.printed:
        say(f"{job_id} has printed nothing")


def _follow(queue: Queue, job_id: str, log: FollowedLog) -> None:
    from queuectl.cli.following import Attempts
    from queuectl.cli.waiting import Patience
    from queuectl.queue.waiting import ENDED, STEP, Lookout

    patience, attempts, lookout = Patience(queue), Attempts(queue, job_id), Lookout()
    while True:
        # Looked for first, read then: what was printed before that is there by then.
        try:
            place = lookout.locate(queue.store, job_id)
        except NoSuchJob:
            log.print_rest()
            say(f"{job_id} was deleted")
            return
        if place is not None and place.state in ENDED:
            log.print_rest()
            attempts.tell_end(place)
            return
        log.print_if_free()
        if place is not None:
            attempts.tell(place)
        patience([job_id])
        system.sleep(STEP)


def _writer_of_text() -> Callable[[bytes], None]:
    screen = Screen()
    return lambda data: click.echo(screen.text(data), nl=False)
