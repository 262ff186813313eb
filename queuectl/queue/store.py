"""The spool and its index side by side, with the settings that hold: what every verb works on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Callable, Optional

from queuectl import locks
from queuectl.config import Config, config_from
from queuectl.errors import SpoolUnusable
from queuectl.index import Entry, Index, Stamp, is_damage, usable_error
from queuectl.layers import NO_LAYERS, Layers
from queuectl.names import fold, next_free
from queuectl.spool import SETTLE_PATIENCE, Place, Spool, layout

if TYPE_CHECKING:
    from queuectl.job import Job
    from queuectl.measures import Measured
    from queuectl.system.freeing import Freeing

CLAIM_LOCK = "claim.lock"


class Store:
    """One thread's hands on a spool."""

    def __init__(self, spool: Spool, index: Index, layers: Layers = NO_LAYERS) -> None:
        self.spool = spool
        self.index = index
        self.layers = layers
        """What of the settings holds for this process alone."""
        self.kept: dict[str, tuple[int, int]] = {}
        """Of jobs whose files were edited to no job while they ran, the version that was kept in `dead`."""
        self.fired: dict[Place, set[str]] = {}
        """Of runs that are recorded and whose files have not moved, the ids of hooks that were seen to."""
        self.told: dict[str, object] = {}
        """Of what may last, and concerns no single job, what was said of it last."""
        self._freeing: Optional[Freeing] = None
        self._troubles: dict[str, str] = {}
        self._config: Optional[Config] = None
        self._stored: dict[str, str] = {}

    @classmethod
    def open(
        cls, root: str, *, trust_writers: bool = False, to_run: bool = False, layers: Layers = NO_LAYERS
    ) -> Store:
        """The store of the spool at `root`, which must exist; see `Spool.trust_writers` and `Spool.to_run`.

        `layers` were checked.

        Raises:
            SpoolUnusable: there is no spool, or one of a newer format, or its index can be neither used nor
                replaced.
            Busy: somebody else has locked the index all the time.
        """
        spool = Spool(root, trust_writers=trust_writers, to_run=to_run)
        if not layout.is_spool(spool.root):
            raise SpoolUnusable(f"{spool.root} is no spool", hint="queuectl init makes one")
        layout.refuse_to_lead_root(spool.root)
        layout.check_format(spool.root)
        path = os.path.join(spool.root, layout.INDEX)
        try:
            return cls(spool, Index(path, spool.lock_path(CLAIM_LOCK)), layers)
        except sqlite3.Error as error:
            raise usable_error(error, path) from error
        except OSError as error:
            raise SpoolUnusable(f"cannot open {path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Let go of the index, and of what was replaced."""
        self.index.close()
        if self._freeing is not None:
            self._freeing.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    @property
    def freeing(self) -> Freeing:
        """Keeps what records replace for a moment."""
        if self._freeing is None:
            # Lazily: who only looks replaces nothing.
            from queuectl.system.freeing import Freeing

            self._freeing = Freeing()
        return self._freeing

    @property
    def config(self) -> Config:
        """The settings as they are now: `config set` acts on jobs that are already queued.

        While the index cannot be read they are what they were.
        """
        try:
            stored = self.index.settings()
        except sqlite3.Error:
            if self._config is None:
                raise
            return self._config
        if self._config is None or stored != self._stored:
            self._config, self._stored = config_from(self.layers.over(stored)), stored
        return self._config

    def claiming(self) -> AbstractContextManager[None]:
        """Hold `claim.lock`: nobody else names, claims or admits a job meanwhile.

        Raises:
            Busy: somebody else holds it all the time.
        """
        return locks.exclusive(self.spool.lock_path(CLAIM_LOCK))

    @contextmanager
    def naming(self) -> Iterator[None]:
        """`claiming`, to choose a name that is free: in an index that was replaced since, others may have
        been given one that differs in case only.

        Raises:
            Busy: as `claiming`.
        """
        with self.claiming():
            self.index.follow()
            yield

    @contextmanager
    def changing_settings(self) -> Iterator[Index]:
        """The index, which nobody replaces meanwhile: what is written to the old one would be gone with it.

        Raises:
            Busy, SpoolUnusable: it cannot be written.
        """
        self.index.refuse_in_memory()
        with self.naming():
            yield self.index

    def note(self, what: str, trouble: Optional[str]) -> None:
        """Keep the trouble with something beside a job for `taken_troubles`; None: it has none any more."""
        if trouble is None:
            self._troubles.pop(what, None)
        else:
            self._troubles[what] = trouble

    def taken_troubles(self) -> list[str]:
        """What has gone wrong since the last call, for whoever can tell it to a person."""
        taken, self._troubles = self._troubles, {}
        return [f"{what} {trouble}" for what, trouble in taken.items()]

    def let_go(self, place: Place) -> None:
        """A job's file lies here no more: forget what was done for the run that has ended."""
        self.kept.pop(place.job_id, None)
        self.fired.pop(place, None)

    def transfer(
        self,
        place: Place,
        job: Job,
        now: float,
        *,
        read: Optional[tuple[int, int]] = None,
        version: Optional[tuple[int, int]] = None,
        patience: float = SETTLE_PATIENCE,
        stamped: Callable[[Job], object] = lambda job: None,
    ) -> Place:
        """Change of state: stamp the record where it is, then move it to where `job.state` belongs.

        Where another file lies under its name there, it takes the next free one. `read` is the version that
        the job was read from; `version` that of a file which holds this record already and needs no stamp.
        `patience` is the seconds to wait for whoever holds the file; `stamped` is called between the two.

        Raises:
            FileNotFoundError: somebody has taken the file away.
            FileChanged: it is not the version `read` any more.
            OSError: it could not be written or moved; calling again is safe.
        """
        target = Place(job.state, place.job_id)
        if self.spool.is_there(target):
            return self._transfer_beside(place, job, now, read or version, stamped)
        if version is None:
            job, version = self.stamp(place, job, read, patience=patience)
        stamped(job)
        self.spool.move(place, target, patience=patience)
        self.let_go(place)
        self.record(target, job, version, now)
        return target

    def _transfer_beside(
        self,
        place: Place,
        job: Job,
        now: float,
        read: Optional[tuple[int, int]],
        stamped: Callable[[Job], object],
    ) -> Place:
        from queuectl.job import renamed

        # Under the lock: the next free name may be that of a job which ends at this moment.
        with self.naming():
            target = Place(job.state, next_free(place.job_id, self.is_taken))
            job, version = self.stamp(place, renamed(job, target.job_id), read)
            stamped(job)
            self.spool.move(place, target)
        self.let_go(place)
        # The row of the old name stays: another file has that name, and the next look says where.
        self.record(target, job, version, now)
        return target

    def stamp(
        self,
        place: Place,
        job: Job,
        read: Optional[tuple[int, int]] = None,
        *,
        patience: float = SETTLE_PATIENCE,
    ) -> tuple[Job, tuple[int, int]]:
        """Write the record over the one at `place`; the record and its version.

        A job that does not say when it came in now does: its file will be younger from here on. `read` is
        the version that it was read from.

        Raises:
            FileNotFoundError: somebody has taken the file away.
            FileChanged: it is not the version `read` any more.
        """
        from queuectl.job import dated
        from queuectl.queue.entries import created_of

        read = read or self.spool.version(place)
        job = dated(job, created_of(job, read))
        return job, self.spool.stamp(place, job, read=read, patience=patience)

    def record(self, place: Place, job: Job, version: tuple[int, int], now: float) -> None:
        """Write the index row of the job that lies at `place` in this version."""
        from queuectl.queue.entries import entry_of

        self.record_all([entry_of(place, job, version, now)])

    def record_all(self, rows: Sequence[Entry]) -> None:
        """Write rows of files that have just moved.

        One that cannot be written now is no error: the files tell, and the next look repairs the row.
        """
        if not rows:
            return
        with suppress(sqlite3.Error):
            self.index.put(rows)

    def record_changed(
        self,
        rows: Sequence[Entry],
        befores: Sequence[Stamp],
        runs: Sequence[Measured] = (),
        now: float = 0.0,
    ) -> None:
        """The same of jobs that were claimed, or whose runs have ended; `befores` is what it knew of them.

        `runs` are counted with them, as having ended `now`.
        """
        if not rows:
            return
        with suppress(sqlite3.Error), self.index.transaction():
            self.index.change(rows, befores)
            self.count(runs, now)

    def count(self, runs: Sequence[Measured], now: float) -> None:
        """Count runs that have ended `now`; those that cannot be counted are not."""
        if runs:
            with suppress(sqlite3.Error):
                self.index.runs.count(runs, now)

    def forget(self, *job_ids: str) -> None:
        """Drop these rows; like `record`, no error if that cannot be done now."""
        try:
            self.index.drop(job_ids)
        except sqlite3.Error:
            return

    def heal(self, error: sqlite3.Error) -> bool:
        """Replace the index if `error` says that it is damaged; whether it was."""
        from traceback import clear_frames

        if not is_damage(error, os.path.join(self.spool.root, layout.INDEX)):
            return False
        # The frames that met the error hold cursors, and while one lives SQLite keeps the file open, which
        # Windows then does not let us move.
        for one in (error, error.__context__):
            if one is not None:
                clear_frames(one.__traceback__)
        self.index.heal()
        return True

    def is_taken(
        self,
        job_id: str,
        *,
        besides: Optional[Place] = None,
        workers: Optional[Sequence[str]] = None,
        alike: Optional[Sequence[str]] = None,
    ) -> bool:
        """Whether a file of this id, or of one that Windows would call the same, is in the spool.

        The file that lies at `besides` does not count. `workers`, and the ids that are `alike`, are looked up
        unless they are known.
        """
        ids = {job_id, *(self.index.alike(fold(job_id)) if alike is None else alike)}
        return any(
            place != besides and self.spool.is_there(place)
            for one in ids
            for place in self.spool.places(one, workers)
        )

    def as_named(self, place: Place) -> Place:
        """`place` by the name that its file has, where another spelling finds it too."""
        for other in self.index.alike(fold(place.job_id)):
            named = place._replace(job_id=other)
            if other == place.job_id or self.spool.is_same_file(place, named):
                return named
        return place
