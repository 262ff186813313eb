"""What is measured of a queue, by programs that watch it. `Queue.numbers` is one of these."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

from queuectl.index.filters import Filter
from queuectl.index.gauges import Count
from queuectl.index.runs import Part, Total
from queuectl.moment import read_moment
from queuectl.queue.guard import guarded
from queuectl.queue.store import Store
from queuectl.state import WAITING


class Waits(NamedTuple):
    """Seconds for which jobs that may run now have waited; 0 where there is none.

    `oldest` is the age of the one that came in first; `latency` is for how long that has been due whose turn
    it is.
    """

    oldest: float
    latency: float


class Numbers:
    """Those of one queue, as the last look has it."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self.store, self._now = store, now

    @guarded
    def counts(self) -> list[Count]:
        """How many jobs of each group are in each state."""
        return self.store.index.gauges.counts()

    @guarded
    def waits(self) -> Waits:
        """How long jobs wait that may run now."""
        index, now = self.store.index, self._now()
        oldest = index.gauges.oldest_ready(index.ready_tasks())
        first = index.page(Filter(states=WAITING), 1).entries
        due: Optional[float] = None
        if first and first[0].due is None:
            due = max(first[0].created, read_moment(first[0].run_at) or 0.0)
        # Where no worker lives nobody has noted that these may run.
        ripe = [one.due for one in index.coming(1) if one.due is not None and one.due <= now]
        due = min([*ripe, *([] if due is None else [due])], default=None)
        oldest = due if oldest is None else oldest
        return Waits(*(0.0 if one is None else max(now - one, 0.0) for one in (oldest, due)))

    @guarded
    def runs(self) -> list[Total]:
        """All runs that have ended since the index was made, by group, outcome and time."""
        return self.store.index.runs.totals()

    @guarded
    def lately(self, seconds: float, step: float) -> list[Part]:
        """What has ended within the last so many seconds, a part for each `step` seconds."""
        # By the clock's minutes: a part begins with one of those by which it is counted.
        end = (self._now() // step + 1) * step
        return self.store.index.runs.parts(end - seconds, end, step)
