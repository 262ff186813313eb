"""A Python function that is registered with a queue: called as ever, or enqueued as a job.

After huey and RQ for the decorator, Django's tasks for `using`, procrastinate for `enqueue_async`.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Callable, Generic, Optional, Protocol, TypeVar, cast

from queuectl.errors import InvalidInput
from queuectl.tasks.plain import plain_arguments

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    from queuectl.job import Job
    from queuectl.tasks.handle import Handle

    P = ParamSpec("P")
else:
    # Python 3.9 has no other; only type checkers tell the difference.
    P = TypeVar("P")
R = TypeVar("R")
_LONGEST_DELAY = 1e9
_OURS = frozenset({"task", "args", "kwargs"})


class GiveUp(Exception):
    """Raised by a task: it has failed for good, and is not to be tried again."""


class HasTasks(Protocol):
    """The queue that a task is registered with, as its tasks know it."""

    @property
    def root(self) -> str:
        """The spool's absolute path."""

    def moment(self) -> float:
        """The time now, in seconds since the epoch."""

    def add(self, job: Mapping[str, Any], *, if_exists: str) -> Handle:
        """Enqueue one job."""


class Task(Generic[P, R]):
    """A registered function. `name` is what a job's file says in `task`."""

    def __init__(
        self, queue: HasTasks, function: Callable[P, R], name: str, fields: Mapping[str, Any]
    ) -> None:
        """`fields` are those of its jobs, as in their files; `delay` in seconds, or as text (`10m`).

        Raises:
            InvalidInput: there is no such field, or it cannot have this value, or the name cannot be one.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            # Called, it would do nothing, and be a success.
            raise InvalidInput(
                f"{name} is a generator, which runs only where somebody asks for what it yields"
            )
        self.queue, self.function, self.name = queue, function, name
        self._fields = dict(fields)
        self._if_exists = str(self._fields.pop("if_exists", "refuse"))
        self._delay = _seconds(self._fields.pop("delay", None))
        if clash := _OURS.intersection(self._fields):
            raise InvalidInput(f"{min(clash)}: a task's job gets this from the call: leave it out")
        # The same checks as for a file: a slip shows where it is made, and not when something is enqueued.
        _checked({**self._fields, "task": name})
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def using(self, **fields: Any) -> Task[P, R]:
        """The same task with other fields for the jobs that are enqueued by it: `priority`, `delay`, ...

        `delay` is a time to wait, in seconds or as text (`10m`). `if_exists` says what becomes of a second
        job with a `unique_key`: it is refused (`refuse`), takes the other's place (`replace`), or is left
        out (`return`).

        Raises:
            InvalidInput: as when a function is registered.
        """
        kept: dict[str, Any] = {**self._fields, "if_exists": self._if_exists}
        if self._delay is not None:
            kept["delay"] = self._delay
        return Task(self.queue, self.function, self.name, {**kept, **fields})

    def job(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """The job that would be enqueued, as its file has it: for `Queue.enqueue` of many at once, or a hook.

        Raises:
            InvalidInput: an argument has no form in JSON.
            TypeError: the function cannot be called so.
        """
        self._refuse_unfit(args, kwargs)
        given = plain_arguments(self.name, args, kwargs)
        made = {**self._fields, "task": self.name, **given}
        if self._delay is not None:
            from queuectl.moment import format_moment

            made["run_at"] = format_moment(self.queue.moment() + self._delay)
        return made

    def _refuse_unfit(self, args: Any, kwargs: Any) -> None:
        try:
            signature = inspect.signature(self.function)
        except ValueError:
            # Of a function that is not written in Python this may be unknown.
            return
        signature.bind(*args, **kwargs)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle:
        """Have a worker call it: the job's handle. Once this returns the job outlives a power cut.

        Raises:
            InvalidInput, TypeError: as `job`.
            Conflict: another job has its id or its unique key.
            SpoolUnusable: the disk is full, or the spool cannot be written.
        """
        return self.queue.add(self.job(*args, **kwargs), if_exists=self._if_exists)

    async def enqueue_async(self, *args: P.args, **kwargs: P.kwargs) -> Handle:
        """As `enqueue`, without holding up the event loop meanwhile."""
        import asyncio

        made = self.job(*args, **kwargs)
        return await asyncio.to_thread(self.queue.add, made, if_exists=self._if_exists)


def name_of(function: Callable[..., Any]) -> str:
    """What a function is registered under, if nothing else is said: its module's name and its own."""
    return f"{_module_of(function)}.{function.__qualname__}".replace(" ", "")


def _module_of(function: Callable[..., Any]) -> str:
    module = function.__module__
    if module != "__main__":
        return module
    # A worker imports it under its real name.
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        return main.__spec__.name
    return os.path.splitext(os.path.basename(getattr(main, "__file__", None) or "__main__"))[0]


def register(known: dict[str, Task[Any, Any]], task: Task[Any, Any]) -> None:
    """Take this one in among those of its queue.

    Raises:
        InvalidInput: another function is registered under its name.
    """
    other = known.get(task.name)
    # The same function again: its module was loaded anew, or is `__main__` as well.
    if other is not None and _origin(other) != _origin(task):
        raise InvalidInput(f"two functions are registered as the task {task.name!r}", hint="give one a name=")
    known[task.name] = task


def _origin(task: Task[Any, Any]) -> tuple[str, str]:
    return _module_of(task.function), task.function.__qualname__


def _seconds(delay: Any) -> Optional[float]:
    if delay is None:
        return None
    try:
        from queuectl.moment import parse_duration

        seconds = parse_duration(delay) if isinstance(delay, str) else float(delay)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= _LONGEST_DELAY:
        raise InvalidInput(f"delay cannot be {delay!r}: it is a time in seconds, or text such as 90s or 10m")
    return seconds


def _checked(fields: Mapping[str, Any]) -> Job:
    from json import dumps

    from queuectl.codec import decode_job

    try:
        return decode_job(dumps(fields).encode())
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"a job's fields are JSON values: {error}") from error


def function_of(task: Any) -> Callable[..., Any]:
    """The function of a task, or the function itself."""
    return cast("Callable[..., Any]", task.function if isinstance(task, Task) else task)
