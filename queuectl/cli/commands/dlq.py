"""dlq: the dead letter queue."""

from __future__ import annotations

from typing import Optional

import click

from queuectl.cli.commands.look import print_job, print_jobs, secrets_option
from queuectl.cli.common import SuggestingGroup, command, confirm, json_option, open_queue, say, yes_option
from queuectl.errors import Conflict
from queuectl.state import State


@click.group("dlq", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl dlq list")
def dlq_command() -> None:
    """The dead letter queue: jobs that have failed for good."""


@command("list", "queuectl dlq list --json", dlq_command)
@json_option
@click.option("--limit", type=click.IntRange(0, 2**31), help="At most so many.")
@click.option("--tag", help="Only jobs with this tag.")
def list_dead(as_json: bool, limit: Optional[int], tag: Optional[str]) -> None:
    """List the dead jobs, the latest first."""
    print_jobs(state=State.DEAD.value, tag=tag, limit=limit, as_json=as_json)


@command("show", "queuectl dlq show job_fail", dlq_command)
@json_option
@secrets_option
@click.argument("job_id", metavar="ID")
def show_dead(as_json: bool, secrets: bool, job_id: str) -> None:
    """Show everything about one dead job."""
    with open_queue() as queue:
        if (place := queue.locate(job_id)).state is not State.DEAD:
            raise Conflict(f"job {job_id!r} is {place.state.value}, not dead")
        job = queue.show(job_id)
    print_job(job, as_json=as_json, secrets=secrets)


@command("retry", "queuectl dlq retry job_fail\nqueuectl dlq retry --all", dlq_command)
@click.option("--all", "every", is_flag=True, help="Every dead job; files that are still no jobs stay.")
@click.argument("job_ids", metavar="[ID...]", nargs=-1)
def retry_dead(every: bool, job_ids: tuple[str, ...]) -> None:
    """Run dead jobs again, with all their attempts."""
    if every == bool(job_ids):
        raise click.UsageError("name the jobs, or give --all")
    with open_queue() as queue:
        if every:
            job_ids, refused = queue.retry_all_dead()
            for reason in refused:
                say(reason)
        else:
            queue.retry(job_ids, only=State.DEAD)
    say(f"{', '.join(job_ids)} back to pending" if job_ids else "nothing to retry")


@command("purge", "queuectl dlq purge --yes", dlq_command)
@yes_option
@click.argument("job_ids", metavar="[ID...]", nargs=-1)
def purge_dead(yes: bool, job_ids: tuple[str, ...]) -> None:
    """Delete dead jobs and their logs for good: those named, or all."""
    with open_queue() as queue:
        # Those of which it is said, not what dies while somebody thinks about it.
        chosen = job_ids or [row["id"] for row in queue.jobs(state=State.DEAD)]
        if chosen and not yes:
            confirm(f"Delete {len(chosen)} dead job{'s' if len(chosen) > 1 else ''} for good?")
        gone = queue.purge(chosen, if_dead=not job_ids)
    say(f"deleted {len(gone)}" if gone else "nothing to delete")
