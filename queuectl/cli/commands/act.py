"""cancel, retry, pause, resume."""

from __future__ import annotations

import click

from queuectl.cli.common import command, open_queue, say

ids_argument = click.argument("job_ids", metavar="ID...", nargs=-1, required=True)


@command("cancel", "queuectl cancel job_sleep")
@ids_argument
def cancel_command(job_ids: tuple[str, ...]) -> None:
    """Give up jobs that wait or run.

    A running one has its process tree killed (not what has left its session: setsid). They rest in the dead
    letter queue, from where they can be retried.
    """
    with open_queue() as queue:
        queue.cancel(job_ids)
    say(f"cancelled {', '.join(job_ids)}")


@command("retry", "queuectl retry job_fail")
@ids_argument
def retry_command(job_ids: tuple[str, ...]) -> None:
    """Run jobs again, now, with all their attempts.

    For jobs that have ended, or that wait for their next retry.
    """
    with open_queue() as queue:
        queue.retry(job_ids)
    say(f"{', '.join(job_ids)} back to pending")


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
