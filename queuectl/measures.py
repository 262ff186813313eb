"""What is counted of runs: how they ended, how long they waited and took, by bounds of time. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple, Optional

from queuectl.job import Job, Run
from queuectl.moment import read_moment

BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0),
)
"""Seconds: what is at most so long, and longer than the bound before, is counted together; at last what is
longer than all.
"""
UNKNOWN = -1
"""In place of the number of a bound: of a run that has crashed nobody knows when it began."""
TIME, WAIT, WAIT_AGAIN, DEAD = "time:", "wait", "wait again", "dead"
"""What is counted: runs by their time, and how they ended behind the colon; by how long first runs waited,
and further ones; jobs that were dead after a run.
"""


class Measured(NamedTuple):
    """A run that has ended. `waited` is from when it was due to its begin, `ran` what it took, in seconds."""

    group: Optional[str]
    outcome: str
    dead: bool
    again: bool
    waited: Optional[float]
    ran: Optional[float]

    def counted(self) -> list[tuple[str, int, float]]:
        """As what it is counted: each with the number of its bound, and the seconds to add."""
        wait = WAIT_AGAIN if self.again else WAIT
        found = [
            (TIME + self.outcome, bound_of(self.ran), self.ran or 0.0),
            (wait, bound_of(self.waited), self.waited or 0.0),
        ]
        return [*found, (DEAD, UNKNOWN, 0.0)] if self.dead else found


def measured(job: Job, run: Run, *, dead: bool, created: Optional[float] = None) -> Measured:
    """What is counted of a run of a job, whose record is that from before it.

    `created` is when it came in, for one that does not say. A clock may have been put back: then nothing was
    waited, and it took no time.
    """
    began, ended = read_moment(run.started_at), read_moment(run.finished_at)
    # One that was retried by hand was due then; its record was changed for nothing else since.
    by_hand = bool(job.history) and not job.attempts and not job.crashes
    came = read_moment(job.updated_at if by_hand else job.created_at)
    ready = max(
        (one for one in (created if came is None else came, job.due) if one is not None), default=None
    )
    return Measured(
        job.group,
        run.outcome,
        dead,
        bool(job.attempts or job.crashes or job.history),
        None if began is None or ready is None else max(began - ready, 0.0),
        None if began is None or ended is None else max(ended - began, 0.0),
    )


def bound_of(seconds: Optional[float]) -> int:
    """The number of the bound that so long a time is counted by."""
    return UNKNOWN if seconds is None else bisect_left(BOUNDS, seconds)


def percentile(counts: Mapping[int, int], share: float) -> Optional[float]:
    """The seconds that this share of them is at most as long as, by their numbers by bound; None of none.

    Between two bounds as if they were spread evenly; what is longer than all is as long as the last (after
    Prometheus' histogram_quantile).
    """
    known = {bound: count for bound, count in counts.items() if bound != UNKNOWN and count > 0}
    left = share * sum(known.values())
    for bound in sorted(known):
        if left <= known[bound]:
            begin = BOUNDS[bound - 1] if bound else 0.0
            end = BOUNDS[min(bound, len(BOUNDS) - 1)]
            return begin + max(end - begin, 0.0) * left / known[bound]
        left -= known[bound]
    return BOUNDS[min(max(known), len(BOUNDS) - 1)] if known else None
