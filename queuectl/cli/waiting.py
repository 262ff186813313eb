"""What `wait`, `enqueue --wait` and `logs --follow` have in common: a person who waits is told of what."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Optional

from queuectl import system
from queuectl.cli.common import print_json, say
from queuectl.cli.terminal import echo
from queuectl.errors import Interrupted
from queuectl.queue import Queue
from queuectl.spool import Place
from queuectl.state import State

_PATIENCE = 3.0
"""Seconds after which it is told that nobody works: one that was just started needs a moment."""
_AGAIN = 60.0
_SHOWN = 3


class Patience:
    """Says once, after a while, why jobs that are waited for do not begin: nobody works, or all is paused."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._look_at = system.monotonic() + _PATIENCE

    def __call__(self, left: Sequence[str]) -> None:
        """These have not ended yet."""
        if system.monotonic() <= self._look_at:
            return
        self._look_at = system.monotonic() + _AGAIN
        status = self._queue.status()
        why = _why_not(bool(status.workers), status.paused, {row.job for row in status.workers}, left)
        if why:
            self._look_at = float("inf")
            say(f"{_listed(left)} {'has' if len(left) == 1 else 'have'} not ended, and {why}")


def _why_not(works: bool, paused: bool, running: set[Optional[str]], left: Sequence[str]) -> Optional[str]:
    if not works:
        return "no worker runs: queuectl worker start"
    if paused and running.isdisjoint(left):
        return "the queue is paused: queuectl resume"
    return None


def _listed(job_ids: Sequence[str]) -> str:
    more = len(job_ids) - _SHOWN
    return ", ".join(job_ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def wait_for(queue: Queue, job_ids: Sequence[str], limit: Optional[float]) -> list[dict[str, Any]]:
    """`Queue.wait`, for somebody who may lose patience.

    Raises:
        Interrupted: that has happened.
    """
    try:
        return queue.wait(job_ids, timeout=limit, meanwhile=Patience(queue))
    except KeyboardInterrupt:
        text = f"waits no longer for {_listed(list(dict.fromkeys(job_ids)))}"
        raise Interrupted(text, hint="what has not ended stays in the queue") from None


def print_and_wait(queue: Queue, places: Sequence[Place], limit: Optional[float], *, as_json: bool) -> int:
    """The ids of jobs that were just added, at once; what becomes of them on stderr; the exit code of `wait`.

    As JSON there is one value, and so it comes when they have ended.
    """
    from queuectl.cli.tables import fate
    from queuectl.queue.waiting import exit_code_of_all

    ids = [place.job_id for place in places]
    if not as_json:
        echo("\n".join(ids))
        sys.stdout.flush()
    rows = wait_for(queue, ids, limit)
    if as_json:
        ends = [Place(State(row["state"]), row["id"]) for row in rows]
        print_json([{**row, "file": queue.store.spool.path(place)} for row, place in zip(rows, ends)])
        return exit_code_of_all(rows)
    for row in rows:
        say(f"{row['id']} {row['state']}: {fate(row)}")
    return exit_code_of_all(rows)
