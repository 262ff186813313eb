"""The index follows the folders: a look at what lies where, and rows for what has changed.

It only reads the spool. What needs a hand (a second file of a known name, a file that is no job) is
returned, for `intake` to act on where workers run, and remembered as an oddity, for `status` to tell.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Optional

from queuectl.errors import InvalidInput
from queuectl.index import Entry, Oddity, Stamp
from queuectl.names import SUFFIX, fold, id_problem, is_canonical, is_unicode, stem_of
from queuectl.queue.store import Store
from queuectl.spool import LOOKS, Place
from queuectl.spool.quarantine import NO_JOB
from queuectl.spool.scan import Found
from queuectl.state import WAITING, State

RANK = {State.PROCESSING: 0, State.COMPLETED: 1, State.FAILED: 2, State.DEAD: 3, State.PENDING: 4}
"""Which of several files of one id the index shows: a newcomer in `pending` never hides a known job."""

_PIECE = 100
"""Files of which the index is asked at once."""
SECOND = "a second file of this id"


class Unsettled(NamedTuple):
    """A file in `pending` or `failed` that must be renamed, or set aside once it has lain still."""

    place: Place
    reason: str
    oddity: Oddity


class Round:
    """One reconciliation of some files: what is known, what was found, what follows."""

    def __init__(self, store: Store, now: float) -> None:
        self.store, self.now = store, now
        self.limit = store.config.max_job_bytes
        self._earlier: dict[str, Optional[Oddity]] = {}
        self.entries: list[Entry] = []
        self.gone: list[str] = []
        self.oddities: list[Oddity] = []
        self.unsettled: list[Unsettled] = []
        self._folds: dict[str, str] = {}
        self._stamps: dict[str, Optional[Stamp]] = {}
        self._alike: dict[str, list[str]] = {}
        self._workers: Optional[list[str]] = None

    def expect(self, names: Sequence[tuple[State, str]]) -> None:
        """Ask the index about these few files at once (state and file name), which are looked at next."""
        index = self.store.index
        shown = [(f"{state.folder}/{name}", stem_of(name)) for state, name in names if is_unicode(name)]
        ids = [job_id for _, job_id in shown if job_id is not None]
        self._stamps = {**dict.fromkeys(ids), **index.stamps_of(ids)}
        self._alike = {folded: [] for folded in map(fold, ids)}
        self._alike.update(index.alike_all(list(self._alike)))
        paths = [path for path, _ in shown if path not in self._earlier]
        self._earlier.update(dict.fromkeys(paths))
        self._earlier.update((oddity.path, oddity) for oddity in index.oddities_at(paths))

    def expected(self, job_id: str) -> Optional[Stamp]:
        """What the index knew of this id a moment ago."""
        return self._stamps[job_id] if job_id in self._stamps else self.known(job_id)

    def known(self, job_id: str) -> Optional[Stamp]:
        """What the index knows of this id."""
        return self.store.index.stamps_of([job_id]).get(job_id)

    def earlier(self, path: str) -> Optional[Oddity]:
        """What lay there at the last look, if it was no job."""
        # Only of these files: ten thousand bad ones are set aside one by one.
        if path not in self._earlier:
            self._earlier[path] = self.store.index.oddity(path)
        return self._earlier[path]

    def earlier_at(self, place: Place) -> Optional[Oddity]:
        """What lay at this place at the last look, if it was no job."""
        return self.earlier(self._shown(place))

    def odd(self, path: str, reason: str, mtime_ns: int = 0, size: int = 0) -> Oddity:
        """Have it remembered that something here is no job, and since when."""
        before = self.earlier(path)
        same = before is not None and (before.mtime_ns, before.size) == (mtime_ns, size)
        seen = before.seen if same and before is not None else self.now
        oddity = Oddity(path, reason, mtime_ns, size, min(seen, self.now))
        self.oddities.append(oddity)
        return oddity

    def unsettle(self, found: Found, reason: str) -> None:
        """Have somebody see to this file."""
        place = place_of(found)
        oddity = self.odd(self._shown(place), reason, found.mtime_ns, found.size)
        self.unsettled.append(Unsettled(place, reason, oddity))

    def see(self, seen: Found, known: Optional[Stamp]) -> None:
        """Turn one file into the row of its id, which is `known`, unless that is another file's."""
        if known is not None and (known.state, known.worker) != (seen.state.value, seen.worker):
            rival = self.store.spool.look(State(known.state), f"{seen.job_id}{SUFFIX}", known.worker)
            if rival is not None and not self.store.spool.is_there(place_of(seen)):
                # RACE: it has just moved there.
                return
            if rival is not None and RANK[State(known.state)] <= RANK[seen.state]:
                self._second(seen, known.state)
                return
            if isinstance(rival, Found):
                self._second(rival, seen.state.value)
        self.take(seen, known)

    def _second(self, seen: Found, state: str) -> None:
        if seen.state is State.PENDING:
            self.unsettle(seen, SECOND)
        else:
            self.odd(self._shown(place_of(seen)), f"{SECOND}: another lies in {State(state).folder}")

    def take(self, found: Found, known: Optional[Stamp]) -> None:
        """Turn one file into its row, unless that is known."""
        if is_known(found, known):
            return
        place, version = place_of(found), (found.mtime_ns, found.size)
        if found.state in WAITING and (problem := self._misnamed(found, place, known)):
            if problem == SECOND and found.state is State.FAILED:
                # Both were known to somebody, a restored backup perhaps: a person must say which is which.
                self.odd(self._shown(place), f"{SECOND}: its name differs in case only")
            else:
                self.unsettle(found, problem)
            return
        before = self.earlier_at(place)
        if before and before.reason.startswith(NO_JOB) and (before.mtime_ns, before.size) == version:
            # Read at an earlier look, and read again before it is set aside.
            self.unsettle(found, before.reason)
            return
        try:
            self._read(found, place, known)
        except FileNotFoundError:
            return
        except OSError as error:
            self.odd(self._shown(place), f"cannot be read just now: {error.strerror}", *version)

    def _read(self, found: Found, place: Place, known: Optional[Stamp]) -> None:
        # Lazily: who reads no file does not need what a job is.
        from queuectl.queue.entries import row_of

        # No patience: what cannot be read just now is looked at again soon, and others wait behind it.
        version = found.mtime_ns, found.size
        entry, problem = row_of(self.store.spool, place, version, self.limit, self.now, patience=0)
        if problem is None or found.state not in WAITING:
            self.add(entry, known)
        else:
            self._take_unreadable(found, known, problem)

    def add(self, entry: Entry, known: Optional[Stamp]) -> None:
        """Have this row written, in place of the one that is `known`."""
        self._folds[entry.fold] = entry.id
        self.entries.append(entry)

    def write(self, looked_at: Iterable[str]) -> None:
        """Write what was found; of what was odd at these paths only that remains which was met again."""
        oddities = set(self.oddities)
        before = {oddity for oddity in map(self.earlier, looked_at) if oddity is not None}
        if not (self.entries or self.gone or oddities != before):
            return
        index = self.store.index
        with index.transaction():
            index.drop(self.gone)
            index.put(self.entries)
            index.drop_oddities(oddity.path for oddity in before - oddities)
            index.put_oddities(oddities - before)

    def _shown(self, place: Place) -> str:
        return self.store.spool.in_spool(self.store.spool.path(place))

    def _misnamed(self, found: Found, place: Place, known: Optional[Stamp]) -> Optional[str]:
        if problem := id_problem(found.job_id):
            return NO_JOB + problem
        if not is_canonical(found.file_name):
            return "to be renamed: a job's file ends in .json"
        if known is not None and known.state == found.state.value:
            return None
        return SECOND if self._has_twin(place) else None

    def _has_twin(self, place: Place) -> bool:
        """Whether another file of this id, or of one that Windows would call the same, is in the spool."""
        others = self.alike(place.job_id)
        if place.state is State.PENDING:
            return bool(others) or self.is_taken(place)
        # A newcomer in `pending` does not displace what waits for its retry.
        places = [self.store.spool.locate(other) for other in others]
        return any(other is not None and other.state is not State.PENDING for other in places)

    def alike(self, job_id: str) -> set[str]:
        """Other ids that Windows would call the same, of jobs that are there."""
        folded = fold(job_id)
        rows = self._alike[folded] if folded in self._alike else self.store.index.alike(folded)
        others = {self._folds.get(folded, job_id), *rows} - {job_id}
        return {other for other in others if self.store.spool.locate(other) is not None}

    def is_taken(self, place: Place) -> bool:
        """Whether another file of exactly this id is there."""
        self._workers = self.store.spool.workers() if self._workers is None else self._workers
        places = self.store.spool.places(place.job_id, self._workers)
        return any(one != place and self.store.spool.is_there(one) for one in places)

    def _take_unreadable(self, found: Found, known: Optional[Stamp], error: InvalidInput) -> None:
        if known is not None:
            # The row told of a job that this file was, here or where it was dragged from.
            self.gone.append(found.job_id)
        if error.blank:
            self.odd(
                self._shown(place_of(found)), "empty: waiting for its content", found.mtime_ns, found.size
            )
        else:
            self.unsettle(found, f"{NO_JOB}{error}")


def place_of(found: Found) -> Place:
    """Where the file lies."""
    name = None if found.file_name == f"{found.job_id}{SUFFIX}" else found.file_name
    return Place(found.state, found.job_id, found.worker, name)


def stamp_of(found: Found) -> Stamp:
    """Its version, as the index keeps it."""
    return Stamp(found.state.value, found.worker, found.mtime_ns, found.size)


def is_known(found: Found, known: Optional[Stamp]) -> bool:
    """Whether the file is still that which its row tells of."""
    if known is None:
        return False
    # Another ending is looked at again: its renaming may have been lost. (Not X.JSON, which may stay so where
    # case does not count.)
    return known == stamp_of(found) and found.file_name.lower().endswith(SUFFIX)


def reconcile_some(store: Store, names: Collection[tuple[State, str]], now: float) -> list[Unsettled]:
    """Bring the index in line with these files (state and file name), of which an event told."""
    work, left = Round(store, now), list(names)
    while left:
        # Not more: meanwhile workers go on, and so do their rows.
        piece, left = left[:_PIECE], left[_PIECE:]
        work.expect(piece)
        for state, name in piece:
            _reconcile_name(work, state, name)
    # What no index can hold is shown otherwise there, and forgotten by the next look at all.
    work.write({f"{state.folder}/{name}" for state, name in names if is_unicode(name)})
    return work.unsettled


def _reconcile_name(work: Round, state: State, name: str) -> None:
    seen = work.store.spool.look(state, name)
    if isinstance(seen, Found):
        work.see(seen, work.expected(seen.job_id))
    elif seen is not None:
        work.odd(seen.path, seen.reason)
    elif is_canonical(name) and is_unicode(name):
        reconcile_gone(work, name[: -len(SUFFIX)])


def reconcile_one(store: Store, job_id: str, now: float) -> None:
    """Bring the row of this id in line with where its file lies now."""
    work = Round(store, now)
    reconcile_gone(work, job_id)
    work.write(())


def reconcile_gone(work: Round, job_id: str) -> None:
    """Find out what became of a file that was not met where its row says, or drop the row."""
    if found := _find(work.store, job_id):
        # Perhaps not the one that has gone but the next drop of this name. Who has moved it may have told.
        work.see(found, work.known(found.job_id))
    else:
        work.gone.append(job_id)


def _find(store: Store, job_id: str) -> Optional[Found]:
    """The job's file, wherever it lies; None if nowhere, or if what bears its name is no job's file."""
    for _ in range(LOOKS):
        place = store.spool.locate(job_id)
        if place is None:
            return None
        seen = store.spool.look(place.state, place.name, place.worker)
        if seen is not None:
            return seen if isinstance(seen, Found) else None
        # RACE: it moved on between the two.
    return None
