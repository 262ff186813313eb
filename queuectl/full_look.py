"""The look at everything: when it is due, and how it goes on step by step.

Events wake, scans decide: it makes up for what no event told of. Where it takes long, what comes meanwhile
does not wait for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Optional

from queuectl import system
from queuectl.queue.looks import Looks
from queuectl.queue.reconcile import Unsettled
from queuectl.queue.store import Store
from queuectl.queue.survey import Survey
from queuectl.quiet import Quiet
from queuectl.state import State

LONGEST_PAUSE = 300.0
"""Seconds after which everything is looked at anyway, however long a look takes."""
SCAN_SHARE = 20
"""A full look is followed by a pause of at least this many times what it took, or the one before it if that
took less: one may have waited for somebody."""
STEP = 0.05
"""Seconds of a full look that are done in one go."""
LONGEST_WAIT = 60.0
"""Seconds for which it waits at most for looks that follow floods."""


class FullLook:
    """Of one spool. After a flood of events a look at the folders that these told of goes first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.hears = False
        """Whether events tell of what happens in the folders."""
        self._quiet = Quiet(store)
        self._survey: Optional[Survey] = None
        """What goes on."""
        self._steps: Iterator[None] = iter(())
        self._whole = True
        """Whether it is about all folders."""
        self._owed: frozenset[State] = frozenset()
        """Folders to be looked into for a flood, of which nobody else remembers the names."""
        self._settles: frozenset[State] = frozenset()
        """Those of them that are done with when it is over."""
        self._next = self._next_owed = 0.0
        self._took, self._takes = 0.0, 0.0
        self._generation: Optional[int] = None

    @property
    def goes_on(self) -> bool:
        """Whether one has begun and is not over."""
        return self._survey is not None

    @property
    def follows_flood(self) -> bool:
        """Whether what goes on is about a flood's folders only."""
        return self.goes_on and not self._whole

    @property
    def pause(self) -> float:
        """Seconds until it is to begin or go on."""
        if self.goes_on:
            return 0.0
        due = min(self._next, self._next_owed) if self._owed else self._next
        return due - system.monotonic()

    def hasten(self) -> None:
        """Begin anew, at once."""
        self._next = self._next_owed = 0.0
        self._drop()

    def hasten_in_another_index(self) -> None:
        """Begin anew if somebody has replaced the index, in the middle of the last one perhaps."""
        if self._store.index.generation != self._generation:
            self.hasten()

    def owe(self, states: Collection[State]) -> None:
        """Look into these folders soon: more has come there than can be looked at name by name."""
        self._owed |= frozenset(states)

    def put_off(self, interval: float) -> None:
        """All is quiet: the one that is due would find nothing."""
        self._next = max(self._next, system.monotonic() + interval)

    def is_quiet(self) -> bool:
        """Whether one would find nothing new, as far as that can be told without it."""
        is_wanted = self.goes_on or bool(self._owed) or self._next == 0.0
        return not is_wanted and self.hears and self._quiet.holds()

    def go_on(self, living: Collection[str], now: float, interval: float, *, spare: bool) -> list[Unsettled]:
        """Begin it if it is time for it, and go on for a moment; what needs a hand, once it is over.

        `living` are workers that are known to live, `interval` is the seconds between two that take no time.
        With `spare` large folders are passed over that have not changed.
        """
        if self.pause > 0:
            return []
        began = system.monotonic()
        if self.goes_on:
            # With one in memory that goes back to its file it would begin anew.
            self._store.index.stay()
        try:
            survey = self._survey or self._begin(living, now, spare=spare)
            over = self._step(began + STEP)
        except BaseException:
            self._takes += system.monotonic() - began
            self._next_owed = began + interval
            self._drop()
            self._rest(interval)
            raise
        self._takes += system.monotonic() - began
        if not over:
            return []
        self._settles, self._survey = frozenset(), None
        if self._whole:
            self._quiet.keep()
            self._rest(interval)
        return survey.drops

    def _begin(self, living: Collection[str], now: float, *, spare: bool) -> Survey:
        began, same = system.monotonic(), self._generation == self._store.index.generation
        for_flood = bool(self._owed) and self._next_owed <= began and began - self._next < LONGEST_WAIT
        self._whole, self._takes = not (for_flood and same), 0.0
        self._settles, self._owed = self._owed, frozenset()
        self._generation = self._store.index.generation
        if self._whole:
            self._quiet.begin(living)
        looks = Looks(
            self._store,
            now,
            owner=self._store.spool.tmp.owner if self.hears else "",
            spare=spare and not self._settles,
        )
        only = None if self._whole else self._settles
        self._survey = Survey(self._store, now, looks=looks, only=only)
        self._steps = self._survey.steps()
        return self._survey

    def _step(self, until: float) -> bool:
        """Go on with it until then; whether it is over."""
        return all(system.monotonic() < until for _ in self._steps)

    def _drop(self) -> None:
        """It will not come to its end."""
        self._owed, self._settles, self._survey = self._owed | self._settles, frozenset(), None

    def _rest(self, interval: float) -> None:
        before, self._took = self._took, self._takes
        pause = max(interval, min(before, self._took) * SCAN_SHARE)
        self._next = system.monotonic() + min(pause, max(interval, LONGEST_PAUSE))
