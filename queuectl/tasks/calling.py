"""Calling a task: with its arguments, in a context of its own; what comes of it as an `End`."""

from __future__ import annotations

import contextvars
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Callable, NamedTuple, Optional

from queuectl.engine import End
from queuectl.job import Job, next_attempt
from queuectl.moment import format_moment
from queuectl.tasks.current import Current, be
from queuectl.tasks.output import TaskLog, print_to, reinstall
from queuectl.tasks.task import GiveUp, Task
from queuectl.tidings import Tidings, keep
from queuectl.tracing import enter

_LONGEST_ERROR = 1000
"""Characters of an error that are kept in the record; the log has all."""


class Stopped(BaseException):
    """Raised within a task that is to end: its time is over, or somebody has cancelled it.

    No `Exception`, so that a task which catches those ends all the same (as `asyncio.CancelledError`).
    """


class Call(NamedTuple):
    """One run of a task."""

    job: Job
    spool: str
    log_path: str
    tidings: Optional[Tidings]
    now: float
    traceparent: Optional[str] = None


Stoppable = Callable[[Optional[Callable[[], object]]], object]
"""Called with what stops a coroutine, from any thread, and with None when that is over."""


def call(
    tasks: Mapping[str, Task[Any, Any]],
    one: Call,
    stoppable: Stoppable = lambda stop: None,
    raised: Callable[[BaseException], object] = lambda error: None,
) -> End:
    """Call the function, and tell how it ended. What it raises is told, to `raised` too, and not raised."""
    return contextvars.copy_context().run(_call, tasks, one, stoppable, raised)


def _call(
    tasks: Mapping[str, Task[Any, Any]],
    one: Call,
    stoppable: Stoppable,
    raised: Callable[[BaseException], object],
) -> End:
    job = one.job
    log = TaskLog(one.log_path, lambda: f"\n--- attempt {next_attempt(job)}, {format_moment(one.now)} ---\n")
    reinstall()
    here = Current(job, one.spool, one.tidings and one.tidings.progress)
    # Never taken back: this context is this call's alone.
    print_to(log)
    be(here)
    if one.traceparent is not None:
        enter(one.traceparent)
    try:
        with _ending_copies(log):
            value = tasks[job.task or ""].function(*job.args, **job.kwargs)
            if inspect.isawaitable(value):
                value = _await(value, stoppable)
        kept = keep(value, one.tidings)
    except BaseException as error:  # noqa: BLE001 (also SystemExit: it must not end the worker)
        raised(error)
        _print_trace(error, log)
        return End(error=_told(error), for_good=isinstance(error, GiveUp))
    finally:
        here.end()
        log.close()
    return End(result=kept.value, refused=kept.problem, silent=log.is_blank)


@contextmanager
def _ending_copies(log: TaskLog) -> Iterator[None]:
    """A copy of this process that is forked within the block ends with it: what follows is not the copy's.

    It would record how the run has ended, and call what comes next, beside us.
    """
    ours, code = os.getpid(), 0
    try:
        yield
    except BaseException as error:
        code = 1
        if os.getpid() != ours:
            _print_trace(error, log)
        raise
    finally:
        if os.getpid() != ours:
            log.close()
            os._exit(code)


def _await(value: Any, stoppable: Stoppable) -> Any:
    # Lazily: it takes a tenth of the time in which a worker starts.
    import asyncio

    return asyncio.run(_awaited(value, stoppable))


async def _awaited(value: Any, stoppable: Stoppable) -> Any:
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    # An event loop that waits for its selector would not meet an exception from another thread.
    stoppable(lambda: loop.call_soon_threadsafe(task.cancel))
    try:
        return await value
    finally:
        stoppable(None)


def _told(error: BaseException) -> str:
    """The last line of a traceback, in the words of which no record is damaged."""
    if isinstance(error, Stopped) or _is_cancelled(error):
        return "stopped"
    text = _words_of(error) or _line_of(error)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}..."


def _is_cancelled(error: BaseException) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _words_of(error: BaseException) -> str:
    try:
        return str(error) if isinstance(error, GiveUp) else ""
    except Exception:  # noqa: BLE001 (its own __str__ fails)
        return ""


def _line_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception_only(type(error), error)).strip()
    except Exception:  # noqa: BLE001 (its own __str__ fails)
        return type(error).__name__


def _print_trace(error: BaseException, log: TaskLog) -> None:
    try:
        # From the function on: how we came to call it tells its writer nothing.
        trace = _beyond_us(error.__traceback__)
        lines = traceback.format_exception(type(error), error, trace)
        log.file.writelines(lines)
    except Exception:  # noqa: BLE001 (a full disk, an error that cannot be told: the record says enough)
        return


def _beyond_us(trace: Optional[TracebackType]) -> Optional[TracebackType]:
    found, step = trace, trace
    while step is not None:
        if step.tb_frame.f_globals is globals():
            # With those of asyncio before it, where it was awaited.
            found = step.tb_next
        step = step.tb_next
    return found or trace
