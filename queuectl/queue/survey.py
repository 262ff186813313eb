"""A look at everything that lies in the spool, piece by piece: its memory does not grow with the queue.

Each file is compared with its row, a piece of them at a time. What has changed is seen to as for an event;
rows of new files are kept aside until all are read. That a row has no file any more is told by their number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Callable, Optional, TypeVar

from queuectl.index import Entry, Oddity, Stamp
from queuectl.index.staging import Staging
from queuectl.names import SUFFIX, fold
from queuectl.queue.looks import Looks
from queuectl.queue.reconcile import RANK, SECOND, Round, Unsettled, is_known, place_of, reconcile_gone
from queuectl.queue.store import Store
from queuectl.spool import Place
from queuectl.spool.scan import SCAN_ORDER, Found, Stray
from queuectl.state import State

T = TypeVar("T")

_PIECE = 500
"""Files that are compared with their rows at once; older SQLites take 999 values in one question."""
MOST_STAGED = 200_000
"""Rows that are kept aside at once, in memory: not every machine has room for temporary files."""
_MOST_BYTES = 16 * 2**20
"""What is long in these may take so much: to merge them takes as much again, twice."""
_LEAST_STAGED = 20_000
"""Rows that are kept aside at first."""
_MOST_LATER = 20_000
"""Drops that are kept in mind until the other folders have been looked at."""


def reconcile_all(
    store: Store,
    now: float,
    told: Callable[[int], object] = lambda count: None,
    *,
    spare: bool = False,
) -> list[Unsettled]:
    """Bring the whole index in line with the folders; what needs a hand is returned.

    `told` is called with the number of files that were read, now and then. With `spare` large folders
    are not looked into that have not changed since, or of which a living worker's program hears.
    """
    survey = Survey(store, now, told, looks=Looks(store, now, owner=None, spare=spare))
    for _ in survey.steps():
        pass
    return survey.drops


class Survey:
    """A look at everything that can be taken step by step, with other things done in between.

    But for one: in an index that was opened anew (its `generation` tells) it cannot go on.
    """

    def __init__(
        self,
        store: Store,
        now: float,
        told: Callable[[int], object] = lambda count: None,
        *,
        looks: Looks,
        only: Optional[Collection[State]] = None,
    ) -> None:
        """`only`: not all folders, but those of these states."""
        self._store, self._looks, self._only = store, looks, only
        self._compared = _Comparison(store, now, told)
        self.drops: list[Unsettled] = []
        """What needs a hand, once all steps have been taken."""

    def steps(self) -> Iterator[None]:
        """Each takes a moment: a few hundred files; where many are new, a second at most now and then."""
        looks, compared = self._looks, self._compared
        wanted = [state for state in SCAN_ORDER if self._only is None or state in self._only]
        states = [state for state in wanted if not looks.spares(state)]
        if self._store.index.is_empty():
            # Whether a drop is a second file of a job is told by the others.
            for state in states:
                if state is not State.PENDING:
                    yield from compared.at(state)
        for state in states:
            looks.begin(state)
            yield from compared.at(state)
        yield from compared.drops()
        for state in dict.fromkeys(states):
            yield from compared.for_gone(state)
        compared.finish(state.folder for state in states)
        looks.keep()
        if self._only is None:
            self._store.index.mark_whole(self._compared.now)
        self.drops = list({drop.place: drop for drop in compared.unsettled}.values())


class _Comparison(Round):
    """Of files with their rows."""

    def __init__(self, store: Store, now: float, told: Callable[[int], object]) -> None:
        super().__init__(store, now)
        self._before = {oddity.path: oddity for oddity in store.index.oddities()}
        self._told = told
        self._count = 0
        self._later: list[Found] = []
        self._blocked: set[str] = set()
        """Ids of what lies in the way of a job, and has no row."""
        self._fresh: list[Entry] = []
        self._staging: Optional[Staging] = None
        self._merged = 0
        """Rows of the present folder that are in the index already."""
        self._old = 0
        """Files that were met where their rows say."""
        self._known: dict[State, int] = {}
        self._met: dict[State, int] = {}

    def earlier(self, path: str) -> Optional[Oddity]:
        """As `Round.earlier`: all of them are needed."""
        return self._before.get(path)

    def earlier_at(self, place: Place) -> Optional[Oddity]:
        """As `Round.earlier_at`."""
        # Mostly there are none, and to put a path together takes time.
        return super().earlier_at(place) if self._before else None

    def at(self, state: State) -> Iterator[None]:
        """Look at the folder of this state; drops are left for `drops`."""
        self._known[state] = self.store.index.count(state)
        before, self._merged = self._old, 0
        for piece in _pieces(self.store.spool.scan_state(state)):
            for seen in piece:
                if isinstance(seen, Stray):
                    self.odd(seen.path, seen.reason)
                    if seen.path.endswith(SUFFIX):
                        self._blocked.add(seen.path.rpartition("/")[2][: -len(SUFFIX)])
            self._see_all([seen for seen in piece if isinstance(seen, Found)], later=state is State.PENDING)
            if len(self._later) >= _MOST_LATER:
                yield from self._see_later()
            yield from self._between()
        yield from self._merge()
        # Of a folder that is looked at twice the second time counts.
        self._met[state] = self._old - before

    def drops(self) -> Iterator[None]:
        """See to what has come into `pending`, last."""
        yield from self._see_later()
        yield from self._merge()

    def _see_later(self) -> Iterator[None]:
        later, self._later, old = self._later, [], self._old
        for piece in _pieces(later):
            self._see_all(piece, later=False)
            yield from self._between()
        # They were counted when they were met.
        self._old = old

    def _between(self) -> Iterator[None]:
        # Not in the middle of a piece: of those in it that differ in case only one could go by the other.
        if self._staging is not None and self._is_much(self._staging):
            yield from self._merge()
        yield

    def _is_much(self, staging: Staging) -> bool:
        # The first soon, for workers to begin; then each time as many as there are: to merge a few rows into
        # many writes nearly all of the index again.
        most = min(MOST_STAGED, max(_LEAST_STAGED, self._merged))
        return staging.size >= most or staging.bytes >= _MOST_BYTES

    def _see_all(self, piece: list[Found], *, later: bool) -> None:
        known = self.store.index.stamps_of([seen.job_id for seen in piece])
        changed = []
        for seen in piece:
            row = known.get(seen.job_id)
            if row is not None and row.state == seen.state.value:
                self._old += 1
            if not is_known(seen, row):
                changed.append(seen)
        if later:
            self._later += changed
        elif changed:
            self._alike = self.store.index.alike_all([fold(seen.job_id) for seen in changed])
            for seen in changed:
                self.see(seen, known.get(seen.job_id))
            self._count += len(changed)
            self._told(self._count)
            # At once: they tell of now, and workers go on.
            self._write()

    def add(self, entry: Entry, known: Optional[Stamp]) -> None:
        """As `Round.add`."""
        if known is not None:
            self.entries.append(entry)
            return
        self._fresh.append(entry)
        if len(self._fresh) >= _PIECE:
            self._stage()

    def unsettle(self, found: Found, reason: str) -> None:
        """As `Round.unsettle`."""
        super().unsettle(found, reason)
        if found.state is State.FAILED:
            self._blocked.add(found.job_id)

    def alike(self, job_id: str) -> set[str]:
        """As `Round.alike`, but for those that are met in this look, too, which `_merge` compares."""
        others = set(self._alike.get(fold(job_id), ())) - {job_id}
        return {other for other in others if self.store.spool.locate(other) is not None}

    def is_taken(self, place: Place) -> bool:
        """As `Round.is_taken`: what has a row has been asked for."""
        return place.job_id in self._blocked

    def _stage(self) -> Staging:
        if self._staging is None:
            self._staging = self.store.index.staging()
        self._staging.add(self._fresh)
        self._fresh = []
        return self._staging

    def _write(self) -> None:
        """Write what has become of rows that there were."""
        index = self.store.index
        if self.gone or self.entries:
            with index.transaction():
                index.drop(self.gone)
                index.put(self.entries)
            self.gone, self.entries = [], []

    def _merge(self) -> Iterator[None]:
        """Write the rows of new files that there are so far."""
        if self._fresh or self._staging is not None:
            staging = self._stage()
            self._part_twins(staging)
            self._merged += staging.size
            yield
            for left_out in staging.merge():
                for row in left_out:
                    self.unsettle(_found(row), SECOND)
                yield
            self._staging = None

    def _part_twins(self, staging: Staging) -> None:
        kept: dict[str, Entry] = {}
        for row in sorted(staging.twins(), key=lambda row: (RANK[State(row.state)], row.id)):
            first = kept.setdefault(row.fold, row)
            if first is row or not self._is_second(row, first):
                continue
            staging.remove(row)

    def _is_second(self, row: Entry, first: Entry) -> bool:
        """Whether this one is not to be shown beside the `first`; says what is to be done about it."""
        same = row.id == first.id
        if (row.id, row.state, row.worker) == (first.id, first.state, first.worker):
            # RACE: a folder may give a name twice when its file is replaced meanwhile (seen on tmpfs).
            return False
        state, found = State(row.state), _found(row)
        if state is State.PENDING:
            self.unsettle(found, SECOND)
        elif same:
            self.odd(self._shown(place_of(found)), f"{SECOND}: another lies in {State(first.state).folder}")
        elif state is State.FAILED and first.state != State.PENDING.value:
            self.odd(self._shown(place_of(found)), f"{SECOND}: its name differs in case only")
        else:
            return False
        return True

    def for_gone(self, state: State) -> Iterator[None]:
        """Find the rows of this state whose files are not there, if there are more than were met."""
        # Others go on working: what has come since is no row without a file, what has left is none any more.
        if min(self._known[state], self.store.index.count(state)) <= self._met[state]:
            return
        last = ""
        while rows := self.store.index.stamps_after(last, state, _PIECE):
            last = rows[-1][0]
            self._alike = self.store.index.alike_all([fold(job_id) for job_id, _ in rows])
            for job_id, stamp in rows:
                there = self.store.spool.look(State(stamp.state), f"{job_id}{SUFFIX}", stamp.worker)
                if not isinstance(there, Found):
                    reconcile_gone(self, job_id)
            self._write()
            yield
        yield from self._merge()

    def finish(self, folders: Iterable[str]) -> None:
        """Write what is odd now in these folders."""
        index, oddities, looked_at = self.store.index, set(self.oddities), tuple(f"{one}/" for one in folders)
        before = {oddity for oddity in self._before.values() if oddity.path.startswith(looked_at)}
        if oddities != before:
            with index.transaction():
                index.drop_oddities(oddity.path for oddity in before - oddities)
                index.put_oddities(oddities - before)


def _pieces(values: Iterable[T]) -> Iterator[list[T]]:
    left = iter(values)
    while piece := list(islice(left, _PIECE)):
        yield piece


def _found(row: Entry) -> Found:
    """The file that this row of a look is of."""
    return Found(State(row.state), row.worker, row.id, f"{row.id}{SUFFIX}", row.mtime_ns, row.size)
