"""What lies where in a spool, as it is just now: nothing is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

from queuectl import system
from queuectl.names import read_worker_name
from queuectl.spool.paths import Paths
from queuectl.spool.place import Place
from queuectl.spool.scan import Seen, count_entries, look, scan, scan_state, scan_worker
from queuectl.state import State

LOOKS = 8
"""Times that a job is looked for before it is said to be gone."""


class Looking(Paths):
    """At one spool."""

    def scan(self) -> Iterator[Seen]:
        """Everything in the state folders: `Found` for what is named like a job, else `Stray`."""
        return scan(self.root)

    def scan_state(self, state: State) -> Iterator[Seen]:
        """What `scan` tells of one state."""
        return scan_state(self.root, state)

    def count_files(self) -> int:
        """How many files lie in the state folders, without a look at each."""
        return sum(count_entries(self.root, state) for state in State)

    def scan_worker(self, worker: str) -> Iterator[Seen]:
        """What `scan` tells of one worker's folder."""
        return scan_worker(self.root, worker)

    def look(self, state: State, file_name: str, worker: Optional[str] = None) -> Optional[Seen]:
        """What `scan` would tell of this one name; None when nothing of that name lies there."""
        return look(self.root, state, file_name, worker)

    def locate(self, job_id: str) -> Optional[Place]:
        """Where this job lies now, looking in the direction in which jobs move."""
        # RACE: a retry moves against that direction and can pass us by; not twice in a row.
        for _ in range(LOOKS):
            for place in self.places(job_id):
                if self.is_there(place):
                    return place
        return None

    def is_there(self, place: Place) -> bool:
        """Whether a file lies at `place`."""
        return system.is_there(self.path(place))

    def is_in(self, job_id: str, states: Iterable[State]) -> bool:
        """Whether a file of this id lies in the folder of one of these states, none of them `processing`."""
        return any(system.is_there(self.path(Place(state, job_id))) for state in states)

    def names_of(self, worker: str) -> list[str]:
        """The names of the files in the folder of this worker; none where we may not look into it.

        Raises:
            OSError: this machine lacks something just now.
        """
        try:
            return system.names_in(self.worker_folder(worker))
        except OSError as error:
            if system.is_lack(error):
                raise
            # Another user's, perhaps, with whom we share the spool.
            return []

    def is_plain(self, place: Place) -> bool:
        """Whether a file lies at `place`, and no folder, link or device.

        Raises:
            OSError: that cannot be told just now.
        """
        try:
            return stat.S_ISREG(os.lstat(self.path(place)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def is_same_file(self, place: Place, other: Place) -> bool:
        """Whether both are one file, as `X.JSON` and `X.json` are where case does not count."""
        try:
            return os.path.samestat(os.lstat(self.path(place)), os.lstat(self.path(other)))
        except OSError:
            return False

    def places(self, job_id: str, workers: Optional[Sequence[str]] = None) -> Iterator[Place]:
        """Every place where a job of this id can lie; `workers` are looked up unless they are known."""
        yield Place(State.PENDING, job_id)
        for worker in self.workers() if workers is None else workers:
            yield Place(State.PROCESSING, job_id, worker)
        yield Place(State.FAILED, job_id)
        yield Place(State.COMPLETED, job_id)
        yield Place(State.DEAD, job_id)

    def workers(self) -> list[str]:
        """The workers that have a folder in `processing/`."""
        try:
            with os.scandir(os.path.join(self.root, State.PROCESSING.folder)) as entries:
                folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(name for name in folders if read_worker_name(name) is not None)
