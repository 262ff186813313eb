"""Tasks in this process: each worker has a thread beside its own, which calls the functions.

Not the worker's own thread: that records others meanwhile, and an exception by which a task is stopped must
not meet it. A thread cannot be ended from outside, only asked: `processes` can do more.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Any, Callable, Optional

from queuectl.engine import Abandoned, Conditions, End, not_started
from queuectl.job import Job
from queuectl.system import now
from queuectl.tasks.calling import Call, Stopped, call
from queuectl.tasks.task import Task
from queuectl.uncut import here

_SOON = 0.01
"""Seconds until the next look where nothing runs just now."""


class _Now:
    """What is called just now. While `guard` is held, what calls it does not go on when it ends."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.run: Optional[CallRun] = None


class Inside:
    """An `Engine` for one worker, with its thread."""

    def __init__(self, tasks: Mapping[str, Task[Any, Any]]) -> None:
        self._tasks = tasks
        self._works: SimpleQueue[Optional[Work]] = SimpleQueue()
        self._thread: Optional[threading.Thread] = None
        self._now = _Now()

    def give(self, work: Callable[[], None]) -> Work:
        """As `Beside.give`."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, daemon=True, name="queuectl-task")
            try:
                thread.start()
            except RuntimeError as error:
                raise BlockingIOError(11, str(error)) from error
            self._thread = thread
        given = Work(work, self._now)
        self._works.put(given)
        return given

    def start(self, job: Job, conditions: Conditions) -> CallRun:
        """As `Engine.start`: it is called by whoever waits for it."""
        one = Call(
            job, conditions.root, conditions.log_path, conditions.tidings, now(), conditions.traceparent
        )
        return CallRun(self._tasks, one, self._now)

    def start_error(self, job: Job, conditions: Conditions, error: OSError) -> str:
        """As `Engine.start_error`."""
        return not_started(error)

    def close(self) -> None:
        """As `Engine.close`."""
        if self._thread is not None:
            self._works.put(None)
            self._thread = None

    def _work(self) -> None:
        while (work := self._works.get()) is not None:
            work.do()


class Work:
    """An `Errand`."""

    def __init__(self, action: Callable[[], None], now: _Now) -> None:
        self._action, self._now = action, now
        # In place of an Event: its wait costs several times as much.
        self._over = threading.Lock()
        self._over.acquire()
        self._error: Optional[BaseException] = None

    def do(self) -> None:
        """Do it, in this thread."""
        try:
            self._action()
        except BaseException as error:  # noqa: BLE001 (who waits for it raises it)
            self._error = error
        finally:
            self._over.release()

    def wait(self, look: Callable[[bool], float], seconds: float) -> None:
        """As `Errand.wait`."""
        while not self._over.acquire(timeout=seconds):
            seconds = self._look(look)
        self._over.release()

    def _look(self, look: Callable[[bool], float]) -> float:
        guard, goes_on = self._now.guard, True
        guard.acquire()
        try:
            run = self._now.run
            return _SOON if run is None else look(run.defies)
        except Abandoned:
            # Held from now on: what comes after its call must not meet what comes after its worker.
            goes_on = False
            raise
        finally:
            if goes_on:
                guard.release()

    def result(self) -> None:
        """As `Errand.result`."""
        if self._error is not None:
            raise self._error


class CallRun:
    """A `Running` call, made by whoever waits for it."""

    def __init__(self, tasks: Mapping[str, Task[Any, Any]], one: Call, now: _Now) -> None:
        self._tasks, self._call, self._now = tasks, one, now
        self._guard = threading.RLock()
        self._thread: Optional[int] = None
        """The thread that calls, while it may be interrupted."""
        self._stop: Optional[Callable[[], object]] = None
        """What stops it where that is a coroutine."""
        self._unwanted = self._forced = False
        self._uncut = 0
        self._held_off = False
        self._end: Optional[End] = None
        self.ended = False

    # In the thread that calls

    def ends_within(self, seconds: float) -> bool:
        """As `Running.ends_within`, however long it takes."""
        if self._end is None:
            self._make()
        return True

    def wait(self) -> End:
        """As `Running.wait`."""
        self.ends_within(0.0)
        self.ended = True
        assert self._end is not None
        return self._end

    def _make(self) -> None:
        self._now.run = here.one = self
        try:
            try:
                self._end = self._called()
                self._leave()
            except BaseException as error:  # noqa: BLE001 (our worker waits for us)
                self._end_for(error)
        except BaseException as error:  # noqa: BLE001
            # RACE: as this was seen to, the second one came, of those by which it is to stop.
            self._end_for(error)
        here.one = None
        # Once nobody sees to others meanwhile.
        with self._now.guard:
            self._now.run = None

    def _end_for(self, error: BaseException) -> None:
        # RACE: it is to stop, and was just beginning, or over.
        told = "stopped" if isinstance(error, Stopped) else type(error).__name__
        self._end = self._end or End(error=told)
        self._leave()

    def _called(self) -> End:
        return call(self._tasks, self._call, self._can_be_stopped) if self._begin() else End(error="stopped")

    @contextmanager
    def _unmolested(self) -> Iterator[None]:
        """Nobody sends us an exception within this block; one that was sent before comes at its beginning."""
        try:
            # Not by `with`: it may come when this is taken, and before that sees to it (Python 3.14).
            self._guard.acquire()
            _nothing()
            yield
        finally:
            # RACE: or before.
            with suppress(RuntimeError):
                self._guard.release()

    def _begin(self) -> bool:
        with self._unmolested():
            if not self._unwanted:
                self._thread = threading.get_ident()
            return not self._unwanted

    def _can_be_stopped(self, stop: Optional[Callable[[], object]]) -> None:
        with self._unmolested():
            self._stop = stop

    def hold_off(self) -> None:
        """As `Cuttable.hold_off`."""
        with self._unmolested():
            self._uncut += 1

    def let_come(self) -> None:
        """As `Cuttable.let_come`."""
        with self._unmolested():
            self._uncut -= 1
            comes = self._held_off and not self._uncut
            if comes:
                self._held_off = False
        if comes:
            raise Stopped

    def _leave(self) -> None:
        with self._unmolested():
            self._thread = None

    # In any thread

    def is_over(self) -> bool:
        """As `Running.is_over`."""
        return self._end is not None

    @property
    def defies(self) -> bool:
        """Whether it was to be killed with `force`, and goes on."""
        return self._forced and self._end is None

    def kill(self, *, force: bool) -> None:
        """As `Running.kill`."""
        with self._guard:
            self._unwanted, self._forced = True, self._forced or force
            if self._stop is not None:
                # RACE: its loop may be closed just now.
                with suppress(RuntimeError):
                    self._stop()
            elif self._uncut:
                self._held_off = True
            elif self._thread is not None:
                # It is raised at that thread's next line of Python.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(Stopped)
                )


def _nothing() -> None:
    """To call this is to let come what was sent to this thread."""
