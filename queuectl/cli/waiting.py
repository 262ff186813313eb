"""What `wait`, `enqueue --wait` and `logs --follow` have in common: a person who waits is told of what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Optional

from queuectl import system
from queuectl.cli.common import print_json, say
from queuectl.cli.terminal import echo, whoever_reads
from queuectl.errors import DamagedRecord, Interrupted, QueueError, TimedOut
from queuectl.queue import Queue
from queuectl.spool import Place

_PATIENCE = 3.0
"""Seconds after which it is told that nobody works: one that was just started needs a moment."""
_AGAIN = 60.0
_SHOWN = 3
_ASKED_OF = 100
"""Jobs of which it is asked what keeps them: of very many that takes a while."""

Rows = list[dict[str, Any]]


class Patience:
    """Says after a while, each thing once, why jobs that are waited for do not begin: nobody works, all is
    paused, or what keeps one of them goes away by no more than waiting.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._look_at = system.monotonic() + _PATIENCE
        self._said: set[str] = set()

    def __call__(self, left: Sequence[str]) -> None:
        """These have not ended yet."""
        if system.monotonic() <= self._look_at:
            return
        self._look_at = system.monotonic() + _AGAIN
        try:
            found = self._why_not(left)
        except QueueError:
            # Who waits is told of the spool's troubles by what he waits for.
            return
        if found is None or found[1] in self._said:
            return
        which, why = found
        self._said.add(why)
        say(f"{_listed(which)} {'has' if len(which) == 1 else 'have'} not ended, and {why}")

    def _why_not(self, left: Sequence[str]) -> Optional[tuple[Sequence[str], str]]:
        status = self._queue.status()
        if not status.workers:
            return left, "no worker runs: queuectl worker start"
        if status.paused and {row.job for row in status.workers}.isdisjoint(left):
            return left, "the queue is paused: queuectl resume"
        return self._queue.hindered(left[:_ASKED_OF])


def _listed(job_ids: Sequence[str]) -> str:
    from queuectl.queue.waiting import listed

    return listed(job_ids, _SHOWN)


def wait_for(
    queue: Queue,
    job_ids: Sequence[str],
    limit: Optional[float],
    given_up: Callable[[Rows], object] = lambda rows: None,
    first: Callable[[], object] = lambda: None,
) -> Rows:
    """`Queue.wait`, for somebody who may lose patience, from what is done `first` on.

    Where it ends without the end of all, `given_up` is told how each of them is by then.

    Raises:
        Interrupted: that has happened.
    """
    try:
        first()
        return queue.wait(job_ids, timeout=limit, meanwhile=Patience(queue))
    except KeyboardInterrupt:
        text = f"waits no longer for {_listed(list(dict.fromkeys(job_ids)))}"
        error: QueueError = Interrupted(text, hint="what has not ended stays in the queue")
    except (TimedOut, DamagedRecord) as one:
        error = one
    given_up(queue.fates(job_ids))
    raise error from None


def print_and_wait(queue: Queue, places: Sequence[Place], limit: Optional[float], *, as_json: bool) -> int:
    """The ids of jobs that were just added, at once; what becomes of them on stderr; the exit code of `wait`.

    As JSON there is one value, and so it comes when they have ended.
    """
    from queuectl.cli.tables import GONE, fate
    from queuectl.queue.exit_codes import exit_code_of_all

    def print_rows(rows: Rows) -> None:
        with whoever_reads():
            print_json([{**row, "file": _file_of(queue, row["id"])} for row in rows])

    ids = [place.job_id for place in places]
    if as_json:
        rows = wait_for(queue, ids, limit, print_rows)
        print_rows(rows)
        return exit_code_of_all(rows)

    def print_ids() -> None:
        with whoever_reads():
            echo("\n".join(ids))

    rows = wait_for(queue, ids, limit, first=print_ids)
    for row in rows:
        say(f"{row['id']} {row['state'] or GONE}: {fate(row)}")
    return exit_code_of_all(rows)


def _file_of(queue: Queue, job_id: str) -> Optional[str]:
    place = queue.store.spool.locate(job_id)
    return None if place is None else queue.store.spool.path(place)
