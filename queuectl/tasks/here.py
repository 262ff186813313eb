"""Tasks in the thread of whoever runs the worker: for tests, whose patches are to reach them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, Optional

from queuectl.engine import Conditions, End, not_started
from queuectl.job import Job
from queuectl.system import now
from queuectl.tasks import output
from queuectl.tasks.calling import Call, call
from queuectl.tasks.task import Task


class Here:
    """An `Engine`, which has run what it starts when it returns."""

    def __init__(self, tasks: Mapping[str, Task[Any, Any]]) -> None:
        self._tasks = tasks
        self.error: Optional[BaseException] = None
        """What a task has raised last."""

    def start(self, job: Job, conditions: Conditions) -> HereRun:
        """As `Engine.start`."""
        one = Call(
            job, conditions.root, conditions.log_path, conditions.tidings, now(), conditions.traceparent
        )
        # Each time: a test's own capture replaces the streams again and again.
        with output.installed():
            return HereRun(_beside_a_loop(partial(call, self._tasks, one, raised=self._note)))

    def _note(self, error: BaseException) -> None:
        self.error = error
        if isinstance(error, KeyboardInterrupt):
            # Who tests wants the tests to end.
            raise error

    def start_error(self, job: Job, conditions: Conditions, error: OSError) -> str:
        """As `Engine.start_error`."""
        return not_started(error)

    def close(self) -> None:
        """As `Engine.close`."""


def _beside_a_loop(call: Callable[[], End]) -> End:
    """Call it here; in a thread of its own where an event loop runs here, within which none can begin."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(call).result()


class HereRun:
    """A `Running` that is over."""

    def __init__(self, end: End) -> None:
        self._end = end
        self.ended = False

    def is_over(self) -> bool:
        """As `Running.is_over`."""
        return True

    def ends_within(self, seconds: float) -> bool:
        """As `Running.ends_within`."""
        return True

    def wait(self) -> End:
        """As `Running.wait`."""
        self.ended = True
        return self._end

    def kill(self, *, force: bool) -> None:
        """As `Running.kill`."""
