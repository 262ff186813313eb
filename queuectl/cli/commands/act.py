"""cancel, retry, pause, resume."""

from __future__ import annotations

from typing import Any

import click

from queuectl.cli.common import command, open_queue, say
from queuectl.cli.filter_options import filter_options, state_option
from queuectl.cli.many import carry_out, many_options, taken_wish
from queuectl.queue import Queue

ids_argument = click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
some_ids_argument = click.argument("job_ids", metavar="[ID...]", nargs=-1)


@command("cancel", "queuectl cancel job_sleep\nqueuectl cancel --batch night --state pending --yes")
@state_option
@filter_options
@many_options
@some_ids_argument
def cancel_command(job_ids: tuple[str, ...], **given: Any) -> None:
    """Give up jobs that wait or run: those named, or those of a filter.

    A running one has its process tree killed (not what has left its session: setsid). They rest in the dead
    letter queue, from where they can be retried.
    """
    carry_out(taken_wish("cancel", job_ids, given), Queue.cancel)


@command("retry", "queuectl retry job_fail\nqueuectl retry --group video --newer-than 1h --yes")
@state_option
@filter_options
@many_options
@some_ids_argument
def retry_command(job_ids: tuple[str, ...], **given: Any) -> None:
    """Run jobs again, now, with all their attempts: those named, or those of a filter.

    For jobs that have ended, or that wait for their next retry. A filter finds those that have completed only
    with --state completed.
    """
    carry_out(taken_wish("retry", job_ids, given), Queue.retry)


@command("pause", "queuectl pause")
def pause_command() -> None:
    """Keep new jobs from starting; what runs is finished."""
    with open_queue() as queue:
        say("paused: no new job starts until queuectl resume" if queue.pause() else "paused already")


@command("resume", "queuectl resume")
def resume_command() -> None:
    """Let jobs start again."""
    with open_queue() as queue:
        say("resumed" if queue.resume() else "not paused")
