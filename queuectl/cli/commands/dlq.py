"""dlq: the dead letter queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import click

from queuectl.cli.commands.look import print_job, print_jobs, secrets_option
from queuectl.cli.common import (
    SuggestingGroup,
    command,
    confirm,
    json_option,
    open_queue,
    refuse_without_person,
)
from queuectl.cli.filter_options import filter_options, has_filter, taken_filter
from queuectl.cli.many import carry_out, many_options, question, taken_wish, tell
from queuectl.errors import Conflict
from queuectl.queue import Queue
from queuectl.state import State


@click.group("dlq", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl dlq list")
def dlq_command() -> None:
    """The dead letter queue: jobs that have failed for good."""


@command("list", "queuectl dlq list --json\nqueuectl dlq list --error-like timeout", dlq_command)
@json_option
@click.option("--limit", type=click.IntRange(0, 2**31), help="At most so many.")
@filter_options
def list_dead(as_json: bool, limit: Optional[int], **given: Any) -> None:
    """List the dead jobs, the latest first."""
    where = taken_filter(given)._replace(states=(State.DEAD,))
    with open_queue() as queue:
        jobs = queue.jobs(limit=limit, where=where)
    print_jobs(jobs, where, as_json=as_json)


@command("show", "queuectl dlq show job_fail", dlq_command)
@json_option
@secrets_option
@click.argument("job_id", metavar="ID")
def show_dead(as_json: bool, secrets: bool, job_id: str) -> None:
    """Show everything about one dead job."""
    with open_queue() as queue:
        _refuse_unless_dead(queue, job_id)
        job = queue.show(job_id)
    print_job(job, as_json=as_json, secrets=secrets)


def _refuse_unless_dead(queue: Queue, job_id: str) -> None:
    if (place := queue.locate(job_id)).state is not State.DEAD:
        raise Conflict(f"job {job_id!r} is {place.state.value}, not dead")


@command(
    "retry",
    "queuectl dlq retry job_fail\nqueuectl dlq retry --all\nqueuectl dlq retry --group video --yes",
    dlq_command,
)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Every dead job; files that are still no jobs stay. Asks on a terminal only.",
)
@filter_options
@many_options
@click.argument("job_ids", metavar="[ID...]", nargs=-1)
def retry_dead(every: bool, job_ids: tuple[str, ...], **given: Any) -> None:
    """Run dead jobs again, with all their attempts: those named, those of a filter, or all."""
    wish = taken_wish("retry", job_ids, given, every=every)
    # Scripts have said --all before it asked.
    wish = wish._replace(where=wish.where._replace(states=(State.DEAD,)), unasked=every)
    carry_out(wish, _retry_named)


def _retry_named(queue: Queue, job_ids: Sequence[str]) -> None:
    queue.retry(job_ids, only=State.DEAD)


@command("purge", "queuectl dlq purge --yes\nqueuectl dlq purge --older-than 30d --yes", dlq_command)
@filter_options
@many_options
@click.argument("job_ids", metavar="[ID...]", nargs=-1)
def purge_dead(job_ids: tuple[str, ...], **given: Any) -> None:
    """Delete dead jobs and their logs for good: those named, those of a filter, or all."""
    wish = taken_wish("purge", job_ids, given, every=not job_ids and not has_filter(given))
    if not job_ids:
        carry_out(wish, Queue.purge)
        return
    if not wish.yes:
        refuse_without_person()
    with open_queue() as queue:
        for job_id in job_ids:
            _refuse_unless_dead(queue, job_id)
        if not wish.yes:
            confirm(question(wish.verb, {State.DEAD: len(set(job_ids))}, queue.waiting_for(job_ids)))
        gone = queue.purge(job_ids)
    tell(wish, gone, names=False)
