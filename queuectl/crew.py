"""The workers of one process, as its supervisor sees them: what runs, what was asked of them, their locks."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Optional

from queuectl import system
from queuectl.names import CANCEL_SUFFIX, STOP_SUFFIX
from queuectl.queue.liveness import GRACE
from queuectl.queue.requests import FINISH, KILL, heard
from queuectl.queue.settling import give_back_some
from queuectl.queue.store import Store
from queuectl.runner import CANCELLED, INTERRUPTED
from queuectl.spool import Spool
from queuectl.spool.scan import Found
from queuectl.worker import Worker

LOCK_INTERVAL = GRACE / 6
"""Seconds between looks at the locks."""


class Crew:
    """Workers that have started; they may be at work in threads of their own."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []
        self.unheard = False
        """A request could not be met yet: ask again soon."""
        self._next_check = 0.0

    @property
    def names(self) -> list[str]:
        """The names of the workers."""
        return [worker.name for worker in self.workers]

    @property
    def running(self) -> int:
        """How many of them run a job now."""
        return sum(worker.batch.current is not None for worker in self.workers)

    def hear_requests(self, spool: Spool) -> Optional[str]:
        """End the jobs that somebody has cancelled; what `worker stop` asks for, None when nothing."""
        self.unheard = False
        wish = None
        for worker in self.workers:
            told = heard(spool, worker.name, STOP_SUFFIX, unreadable=FINISH)
            wish = wish if told is None or wish == KILL else told
            self.unheard |= self._hear_cancel(spool, worker)
        return wish

    def _hear_cancel(self, spool: Spool, worker: Worker) -> bool:
        """End or free the job that this worker is to cancel; whether that could not be done yet."""
        if worker.batch.current is None:
            # RACE: between two of them.
            return worker.batch.waits
        job_id = heard(spool, worker.name, CANCEL_SUFFIX)
        if job_id is None:
            return False
        if worker.batch.holds(job_id):
            # It runs soon, or goes back to where whoever asked cancels it.
            return True
        # RACE: claimed, but its command not started yet: ask again soon. Or over: the next one runs.
        return worker.batch.runs(job_id) and not worker.runner.kill(CANCELLED, job_id=job_id)

    def free_waiting(self, store: Store, now: float) -> bool:
        """Put back what has waited for very long, where its worker cannot do so itself; whether any was."""
        return sum(self._free_those_of(worker, store, now) for worker in self.workers) > 0

    @staticmethod
    def _free_those_of(worker: Worker, store: Store, now: float) -> bool:
        # Not waited for: its worker may be doing just that.
        if not worker.batch.stalls or not worker.batch.handing.acquire(blocking=False):
            return False
        try:
            waiting = worker.batch.take_back()
            left = give_back_some(store, waiting, now)
            worker.batch.put_back(left)
            return len(left) < len(waiting)
        finally:
            worker.batch.handing.release()

    def keep_locks(self, root: str) -> None:
        """Have those whose lock's file was deleted take it anew; looks every `LOCK_INTERVAL`.

        Raises:
            Busy, OSError: not just now.
        """
        if system.monotonic() >= self._next_check and os.path.isdir(root):
            for worker in self.workers:
                worker.life.keep()
            self._next_check = system.monotonic() + LOCK_INTERVAL

    def has_strays(self, spool: Spool) -> bool:
        """Whether a job lies in the folder of one that runs none: somebody has put it there."""
        return any(
            isinstance(seen, Found)
            for worker in self.workers
            if worker.batch.is_empty
            for seen in spool.scan_worker(worker.name)
        )

    def keep_folders(self, spool: Spool) -> None:
        """Make those anew that somebody has removed. Raises OSError."""
        for name in self.names:
            # Where `processing` is missing too, whoever looks at the folders makes that first.
            with suppress(FileNotFoundError):
                spool.make_worker_folder(name)

    def trim_logs(self) -> None:
        """Keep the logs of what runs within their limit."""
        for worker in self.workers:
            worker.runner.trim()

    def interrupt(self) -> None:
        """End what runs, at no attempt's cost."""
        for worker in self.workers:
            if worker.batch.current is not None:
                worker.runner.kill(INTERRUPTED)
