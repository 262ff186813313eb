"""The index follows the folders: a look at what lies where, and rows for what has changed.

It only reads the spool. What needs a hand (a second file of a known name, a file that is no job) is
returned, for `intake` to act on where workers run, and remembered as an oddity, for `status` to tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Optional

from queuectl.errors import InvalidInput
from queuectl.index import Entry, Oddity, Stamp
from queuectl.names import SUFFIX, fold, id_problem, is_canonical, is_unicode
from queuectl.queue.store import Store, entry_of, unreadable_entry
from queuectl.spool import LOOKS, Place, quarantine
from queuectl.spool.scan import Found
from queuectl.state import WAITING, State

_RANK = {State.PROCESSING: 0, State.COMPLETED: 1, State.FAILED: 2, State.DEAD: 3, State.PENDING: 4}
"""Which of several files of one id the index shows: a newcomer in `pending` never hides a known job."""

NO_JOB = "no job: "
SECOND = "a second file of this id"


class Unsettled(NamedTuple):
    """A file in `pending` or `failed` that must be renamed, or set aside once it has lain still."""

    place: Place
    reason: str
    oddity: Oddity


class _Round:
    """One reconciliation, of the `whole` spool or some of it: what is known, what was found, what follows."""

    def __init__(self, store: Store, now: float, *, whole: bool = False) -> None:
        self.store, self.now = store, now
        self.limit = store.config.max_job_bytes
        self.whole = whole
        # Of some only theirs are read: ten thousand bad files are set aside one by one.
        oddities = store.index.oddities() if whole else []
        self._earlier: dict[str, Optional[Oddity]] = {oddity.path: oddity for oddity in oddities}
        self.entries: list[Entry] = []
        self.gone: list[str] = []
        self.oddities: list[Oddity] = []
        self.unsettled: list[Unsettled] = []
        self.folds: dict[str, str] = {}
        self.workers: Optional[list[str]] = None

    def earlier(self, path: str) -> Optional[Oddity]:
        """What lay there at the last look, if it was no job."""
        if not self.whole and path not in self._earlier:
            self._earlier[path] = self.store.index.oddity(path)
        return self._earlier.get(path)

    def odd(self, path: str, reason: str, mtime_ns: int = 0, size: int = 0) -> Oddity:
        before = self.earlier(path)
        same = before is not None and (before.mtime_ns, before.size) == (mtime_ns, size)
        seen = before.seen if same and before is not None else self.now
        oddity = Oddity(path, reason, mtime_ns, size, min(seen, self.now))
        self.oddities.append(oddity)
        return oddity

    def unsettle(self, found: Found, reason: str) -> None:
        place = place_of(found)
        oddity = self.odd(self._shown(place), reason, found.mtime_ns, found.size)
        self.unsettled.append(Unsettled(place, reason, oddity))

    def take(self, found: Found, known: Optional[Stamp]) -> None:
        """Turn one file into its row, unless that is known."""
        # Another ending is looked at again: its renaming may have been lost. (Not X.JSON, which may stay so
        # where case does not count.)
        if known == stamp_of(found) and found.file_name.lower().endswith(SUFFIX):
            return
        if found.state in WAITING and (problem := self._misnamed(found, known)):
            if problem == SECOND and found.state is State.FAILED:
                # Both were known to somebody, a restored backup perhaps: a person must say which is which.
                self.odd(self._shown(place_of(found)), f"{SECOND}: its name differs in case only")
            else:
                self.unsettle(found, problem)
            return
        place, version = place_of(found), (found.mtime_ns, found.size)
        before = self.earlier(self._shown(place))
        if before and before.reason.startswith(NO_JOB) and (before.mtime_ns, before.size) == version:
            # Read at an earlier look, and read again before it is set aside.
            self.unsettle(found, before.reason)
            return
        try:
            self._read(found, known)
        except FileNotFoundError:
            return
        except OSError as error:
            self.odd(self._shown(place), f"cannot be read just now: {error.strerror}", *version)

    def _read(self, found: Found, known: Optional[Stamp]) -> None:
        place, note = place_of(found), None
        if found.state is State.DEAD:
            # One that was too large, for example, is a sound job all the same.
            note = quarantine.note_of(self.store.spool, found.job_id)
        try:
            # No patience: what cannot be read just now is looked at again soon, and others wait behind it.
            read = self.store.spool.read(place, self.limit, patience=0)
        except InvalidInput as error:
            self._take_unreadable(found, known, error, note)
        else:
            self.folds[fold(found.job_id)] = found.job_id
            entry = entry_of(place, read.job, read.version, self.now)
            self.entries.append(entry._replace(error=note) if note else entry)

    def write(self, looked_at: Iterable[str] = ()) -> None:
        """Write what was found; of what was odd at these paths, or anywhere if all was looked at, only that
        remains which was met again.
        """
        oddities = set(self.oddities)
        paths = self._earlier if self.whole else looked_at
        before = {oddity for oddity in map(self.earlier, paths) if oddity is not None}
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

    def _misnamed(self, found: Found, known: Optional[Stamp]) -> Optional[str]:
        if problem := id_problem(found.job_id):
            return NO_JOB + problem
        if not is_canonical(found.file_name):
            return "to be renamed: a job's file ends in .json"
        if known is not None and known.state == found.state.value:
            return None
        return SECOND if self._has_twin(place_of(found)) else None

    def _has_twin(self, place: Place) -> bool:
        """Whether another file of this id, or of one that Windows would call the same, is in the spool."""
        twin = self.folds.get(fold(place.job_id), place.job_id)
        if place.state is State.PENDING:
            self.workers = self.store.spool.workers() if self.workers is None else self.workers
            taken = self.store.is_taken(place.job_id, besides=place, workers=self.workers)
            return twin != place.job_id or taken
        # A newcomer in `pending` does not displace what waits for its retry.
        others = {twin, *self.store.index.alike(fold(place.job_id))} - {place.job_id}
        places = [self.store.spool.locate(other) for other in others]
        return any(other is not None and other.state is not State.PENDING for other in places)

    def _take_unreadable(
        self, found: Found, known: Optional[Stamp], error: InvalidInput, note: Optional[str]
    ) -> None:
        place, version = place_of(found), (found.mtime_ns, found.size)
        if found.state not in WAITING:
            told = str(error) if found.state is State.DEAD else f"{NO_JOB}{error}"
            self.entries.append(unreadable_entry(place, version, note or told))
            return
        if known is not None:
            # The row told of a job that this file was, here or where it was dragged from.
            self.gone.append(found.job_id)
        if error.blank:
            self.odd(self._shown(place), "empty: waiting for its content", *version)
        else:
            self.unsettle(found, f"{NO_JOB}{error}")


def place_of(found: Found) -> Place:
    """Where the file lies."""
    name = None if found.file_name == f"{found.job_id}{SUFFIX}" else found.file_name
    return Place(found.state, found.job_id, found.worker, name)


def stamp_of(found: Found) -> Stamp:
    """Its version, as the index keeps it."""
    return Stamp(found.state.value, found.worker, found.mtime_ns, found.size)


def reconcile_all(store: Store, now: float) -> list[Unsettled]:
    """Bring the whole index in line with the folders; what needs a hand is returned."""
    work = _Round(store, now, whole=True)
    known = store.index.stamps()
    found: dict[str, Found] = {}
    for seen in store.spool.scan():
        if isinstance(seen, Found):
            _choose(work, found, seen)
        else:
            work.odd(seen.path, seen.reason)
    work.gone += _find_again(store, known.keys() - found.keys(), found)
    # Drops last: whether one is a second file of a job is told by the others, when the index is new, too.
    for one in sorted(found.values(), key=lambda one: one.state is State.PENDING):
        work.take(one, known.get(one.job_id))
    work.write()
    return work.unsettled


def reconcile_some(store: Store, names: Collection[tuple[State, str]], now: float) -> list[Unsettled]:
    """Bring the index in line with these files (state and file name), of which an event told."""
    work = _Round(store, now)
    for state, name in names:
        seen = store.spool.look(state, name)
        if isinstance(seen, Found):
            _reconcile_one(work, seen)
        elif seen is not None:
            work.odd(seen.path, seen.reason)
        elif is_canonical(name) and is_unicode(name):
            _reconcile_gone(work, name[: -len(SUFFIX)])
    # What no index can hold is shown otherwise there, and forgotten by the next look at all.
    work.write({f"{state.folder}/{name}" for state, name in names if is_unicode(name)})
    return work.unsettled


def reconcile_one(store: Store, job_id: str, now: float) -> None:
    """Bring the row of this id in line with where its file lies now."""
    work = _Round(store, now)
    _reconcile_gone(work, job_id)
    work.write()


def _reconcile_gone(work: _Round, job_id: str) -> None:
    if found := _find(work.store, job_id):
        # Perhaps not the one that has gone but the next drop of this name.
        _reconcile_one(work, found)
    else:
        work.gone.append(job_id)


def _reconcile_one(work: _Round, seen: Found) -> None:
    row = work.store.index.get(seen.job_id)
    if row is not None and (row.state, row.worker) != (seen.state.value, seen.worker):
        other = Place(State(row.state), seen.job_id, row.worker)
        if _lies_at(work.store, other) and _RANK[other.state] < _RANK[seen.state]:
            work.unsettle(seen, SECOND)
            return
    work.take(seen, None if row is None else row.stamp)


def _choose(work: _Round, found: dict[str, Found], seen: Found) -> None:
    rival = found.get(seen.job_id)
    # RACE: a folder may give a name twice when its file is replaced meanwhile (seen on tmpfs).
    if rival is None or place_of(rival) == place_of(seen) or not _lies_at(work.store, place_of(rival)):
        found[seen.job_id] = seen
        return
    if not _lies_at(work.store, place_of(seen)):
        return
    first, second = sorted((rival, seen), key=lambda one: (_RANK[one.state], not is_canonical(one.file_name)))
    found[seen.job_id] = first
    if second.state is State.PENDING:
        work.unsettle(second, SECOND)
    else:
        path = work.store.spool.in_spool(work.store.spool.path(place_of(second)))
        work.odd(path, f"{SECOND}: another lies in {first.state.folder}")


def _lies_at(store: Store, place: Place) -> bool:
    return store.spool.look(place.state, place.name, place.worker) is not None


def _find_again(store: Store, missing: Iterable[str], found: dict[str, Found]) -> list[str]:
    """Of ids that the scan did not meet, those that are gone; one that moved meanwhile is found after all."""
    gone: list[str] = []
    for job_id in missing:
        if again := _find(store, job_id):
            found[job_id] = again
        else:
            gone.append(job_id)
    return gone


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
