"""What lies where in a spool, as paths."""

from __future__ import annotations

import os

from queuectl.names import RESULTS, SUFFIX
from queuectl.spool import layout
from queuectl.spool.place import Place
from queuectl.state import State

_GAP = 2
"""Names of results in a row that are not there: then there are no more. One could not be given, perhaps."""


class Paths:
    """Those of one spool."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        # Put together once: paths are asked for a dozen times a job.
        self._folders = {state: os.path.join(self.root, state.folder, "") for state in State}
        self._logs = os.path.join(self.root, layout.LOGS, "")
        self._locks = os.path.join(self.root, layout.LOCKS, "")

    def path(self, place: Place) -> str:
        """The path of the file that lies at `place`."""
        state, job_id, worker, file_name = place
        folder = self._folders[state]
        if state is State.PROCESSING:
            folder = folder + (worker or "") + os.sep
        return folder + (file_name or job_id + SUFFIX)

    def worker_folder(self, worker: str) -> str:
        """The folder of what this worker owns."""
        return self._folders[State.PROCESSING] + worker

    def log_path(self, job_id: str) -> str:
        """The file of what the job's command printed."""
        return f"{self._logs}{job_id}.log"

    def refused_paths(self, job_id: str) -> list[str]:
        """Where results of the job's command lie that cannot be kept in the record, the first one first."""
        return [self._logs + job_id + suffix for suffix in RESULTS]

    def beside(self, job_id: str) -> list[str]:
        """What a job of this id may have in `logs/`; it goes when the job goes."""
        found, missed = [self.log_path(job_id)], 0
        for path in self.refused_paths(job_id):
            if os.path.lexists(path):
                found.append(path)
                missed = 0
            elif (missed := missed + 1) == _GAP:
                # Mostly there is none, and they are asked for with each job that is deleted.
                break
        return found

    def lock_path(self, name: str) -> str:
        """A file in `locks/`."""
        return self._locks + name

    def in_spool(self, path: str) -> str:
        """`path` as people see it: from the spool's root on, with forward slashes."""
        root = os.path.join(self.root, "")
        shown = path[len(root) :] if path.startswith(root) else os.path.relpath(path, self.root)
        shown = shown.replace(os.sep, "/")
        return shown if shown.isprintable() else shown.encode("unicode_escape").decode()
