"""Tasks in this process: each worker has a thread beside its own, which calls the functions.

Not the worker's own thread: that records others meanwhile, and an exception by which a task is stopped must
not meet it. A thread cannot be ended from outside, only asked: `processes` can do more.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Callable, Optional

from queuectl.engine import Abandoned, Conditions, End
from queuectl.job import Job
from queuectl.system import now
from queuectl.tasks.calling import Call, Stopped, call
from queuectl.tasks.task import Task

_STEP = 0.5
"""Seconds between looks whether one that does not end is to be left behind."""


class Inside:
    """An `Engine` for one worker."""

    def __init__(self, tasks: Mapping[str, Task[Any, Any]]) -> None:
        self._tasks = tasks
        self._runs: SimpleQueue[Optional[CallRun]] = SimpleQueue()
        self._thread: Optional[threading.Thread] = None

    def start(self, job: Job, conditions: Conditions) -> CallRun:
        """As `Engine.start`."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, daemon=True, name="queuectl-task")
            try:
                thread.start()
            except RuntimeError as error:
                raise BlockingIOError(11, str(error)) from error
            self._thread = thread
        run = CallRun(self._tasks, Call(job, conditions.root, conditions.log_path, conditions.tidings, now()))
        self._runs.put(run)
        return run

    def start_error(self, job: Job, conditions: Conditions, error: OSError) -> str:
        """As `Engine.start_error`."""
        return f"could not be started: {error.strerror or error}"

    def close(self) -> None:
        """As `Engine.close`."""
        if self._thread is not None:
            self._runs.put(None)
            self._thread = None

    def _work(self) -> None:
        while (run := self._runs.get()) is not None:
            run.make()


class CallRun:
    """A `Running` call."""

    def __init__(self, tasks: Mapping[str, Task[Any, Any]], one: Call) -> None:
        self._tasks, self._call = tasks, one
        # In place of an Event: its wait costs several times as much, and there is one a job.
        self._over = threading.Lock()
        self._over.acquire()
        self._guard = threading.Lock()
        self._thread: Optional[int] = None
        """The thread that calls, while it may be interrupted."""
        self._stop: Optional[Callable[[], object]] = None
        """What stops it where that is a coroutine."""
        self._unwanted = self._forced = False
        self._end: Optional[End] = None
        self.ended = False

    # In the thread that calls

    def make(self) -> None:
        """Call the function."""
        left = False
        while not left:
            try:
                if self._end is None:
                    self._end = self._called()
                self._leave()
                left = True
            except BaseException as error:  # noqa: BLE001 (our worker waits for us)
                # RACE: it is to stop, and was just beginning, or over.
                told = "stopped" if isinstance(error, Stopped) else type(error).__name__
                self._end = self._end or End(error=told)
        self._over.release()

    def _called(self) -> End:
        return call(self._tasks, self._call, self._can_be_stopped) if self._begin() else End(error="stopped")

    def _begin(self) -> bool:
        with self._guard:
            if not self._unwanted:
                self._thread = threading.get_ident()
            return not self._unwanted

    def _can_be_stopped(self, stop: Optional[Callable[[], object]]) -> None:
        with self._guard:
            self._stop = stop

    def _leave(self) -> None:
        with self._guard:
            if self._thread is not None:
                # One that was sent before and has not come yet.
                _interrupt(self._thread, None)
                self._thread = None

    # In the worker's thread

    def is_over(self) -> bool:
        """As `Running.is_over`."""
        return self._end is not None

    def ends_within(self, seconds: float) -> bool:
        """As `Running.ends_within`."""
        if self._over.acquire(timeout=seconds):
            self._over.release()
            return True
        return False

    def wait(self) -> End:
        """As `Running.wait`."""
        while not self.ends_within(_STEP):
            if self._forced:
                raise Abandoned
        self.ended = True
        assert self._end is not None
        return self._end

    # In any thread

    def kill(self, *, force: bool) -> None:
        """As `Running.kill`."""
        with self._guard:
            self._unwanted, self._forced = True, self._forced or force
            if self._stop is not None:
                # RACE: its loop may be closed just now.
                with suppress(RuntimeError):
                    self._stop()
            elif self._thread is not None:
                _interrupt(self._thread, Stopped)


def _interrupt(thread: int, error: Optional[type[BaseException]]) -> None:
    """Have this thread raise this at its next line of Python; None takes back what is still to come."""
    wanted = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), wanted)
