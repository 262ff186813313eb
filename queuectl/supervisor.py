"""Who hears of what happens in the spool, takes drops in, and wakes the workers of all processes of ours."""

from __future__ import annotations

from queuectl import system
from queuectl.doorbell import Rings
from queuectl.minder import Minder
from queuectl.queue.claims import count_work, has_work
from queuectl.queue.requests import is_paused
from queuectl.queue.store import Store
from queuectl.queue.vain import said_of, unserved
from queuectl.shift import Shift
from queuectl.sweep import Sweep

MIND_INTERVAL = 1.0
"""Seconds between looks at the workers' locks and folders, however rarely all is looked at: who misses a lock
takes its worker for dead after three.
"""


class Supervisor(Minder):
    """Of a process whose workers are told by nobody else when to look; it ends a drain, too."""

    def __init__(self, shift: Shift, store: Store) -> None:
        super().__init__(shift, store)
        self.sweep = Sweep(store, shift.emit, shift.tracer)
        self._next_mind = 0.0
        self._woken_in: object = None
        """What the index was like when workers were woken last."""

    def watch(self) -> None:
        """As `Minder.watch`, in those that are there now."""
        self.shift.bell.close()
        if problem := self.shift.bell.start():
            self.shift.troubles.notice(problem)

    def mended(self) -> None:
        """As `Minder.mended`."""
        self.sweep.hasten()

    def patience(self) -> float:
        """As `Minder.patience`."""
        sweep, left = self.sweep, super().patience()
        if self.shift.stops:
            return left
        dues = (sweep.next_due, sweep.next_ripe, sweep.firing.next_due, sweep.keeping_due)
        moments = [moment - system.now() for moment in dues if moment is not None]
        return min([left, MIND_INTERVAL, sweep.pause, *moments])

    def look(self, rings: Rings) -> bool:
        """As `Minder.look`, and at the folders."""
        shift, sweep = self.shift, self.sweep
        sweep.full.hears = shift.bell.hears
        if not rings.rung and self._is_quiet():
            sweep.put_off()
            return False
        asked = rings.asked or sweep.pause <= 0 or self._next_mind <= system.monotonic()
        # Before the look, which may fail for long.
        self.mind(asked=asked)
        if asked:
            # Also when we stop: each is asked by name.
            shift.fellows.look()
            self._next_mind = system.monotonic() + MIND_INTERVAL
        if shift.stops:
            return False
        if rings.asked:
            sweep.firing.hasten()
        # Asked first: what a worker met before it came to rest is in the index by now.
        all_rest = self._all_rest()
        more = sweep.look(rings.names, [*shift.crew.names, *shift.fellows.names])
        shift.troubles.index_works()
        if sweep.remade:
            sweep.remade = False
            self.watch()
        waits = shift.troubles.tell_stuck(self.store) or sweep.lost
        if self._has_work():
            self._wake(rings, asked=asked)
        elif shift.plan.drain and all_rest and not more and not waits:
            for task, count in unserved(self.store):
                shift.troubles.notice(said_of(task, count))
            shift.stop()
        return more

    def _all_rest(self) -> bool:
        return self.shift.turns.resting() == self.shift.plan.workers and self.shift.fellows.rest()

    def _is_quiet(self) -> bool:
        """Whether nothing has happened, as far as that can be told without a look."""
        shift = self.shift
        if shift.stops or shift.crew.unheard or not self._all_rest() or self._has_work():
            return False
        return self.sweep.is_quiet()

    def _has_work(self) -> bool:
        return has_work(self.store, system.now()) and not is_paused(self.store.spool)

    def _wake(self, rings: Rings, *, asked: bool) -> None:
        """Have as many look as can find something; or all, in case one of them cannot take what there is."""
        shift, before, self._woken_in = self.shift, self._woken_in, self.store.index.changes()
        if rings.names and not asked:
            most = max(1, count_work(self.store, shift.plan.workers + 1))
            if shift.turns.wake(most) < most:
                shift.fellows.wake()
        elif asked or not rings.rung or before != self._woken_in:
            # Not for a ring of one that found nothing it may take: it would ring again.
            shift.turns.wake()
            shift.fellows.wake()
