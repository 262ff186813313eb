"""What calls tasks with `--processes`: `python -m queuectl.tasks.host ROOT MODULE...`, beside each worker.

It reads a run a line on standard input, and says how it ended in a line on standard output; both are JSON.
What the tasks print goes to the logs of their jobs, also where it is no Python that prints.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn, Optional

import msgspec

from queuectl.engine import End
from queuectl.errors import QueueError
from queuectl.job import Job
from queuectl.system import open_plainly
from queuectl.tasks.calling import Call, Stopped, call
from queuectl.tasks.loading import load
from queuectl.tidings import Tidings


class Request(msgspec.Struct):
    """One run, as the worker asks for it."""

    job: Job
    spool: str
    log_path: str
    tidings: Optional[tuple[str, str, list[str]]]
    now: float


class Reply(msgspec.Struct, omit_defaults=True):
    """How it ended; the first one says what can be called."""

    error: Optional[str] = None
    result: Any = None
    refused: Optional[str] = None
    for_good: bool = False
    tasks: Optional[list[str]] = None
    hint: Optional[str] = None


def main(root: str, modules: list[str]) -> int:
    """Serve until there is nothing more to read; the exit code."""
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb", 0) as replies:
        # What a task reads or prints must not come between us and the worker.
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(2, 1)
        signal.signal(signal.SIGTERM, _stop)
        try:
            tasks = load(modules, root)
        except QueueError as error:
            replies.write(_line(Reply(error=error.message, hint=error.hint)))
            return 1
        replies.write(_line(Reply(tasks=sorted(tasks))))
        for line in requests:
            request = msgspec.json.decode(line, type=Request)
            replies.write(_line(_serve(tasks, request)))
            # What a thread of a task prints later is nobody's; and a log that is held open stays (Windows).
            os.dup2(null, 1)
            os.dup2(null, 2)
    return 0


def _line(reply: Reply) -> bytes:
    return msgspec.json.encode(reply) + b"\n"


def _serve(tasks: Any, request: Request) -> Reply:
    job, (result, progress, refused) = request.job, request.tidings or ("", "", [])
    one = Call(job, request.spool, request.log_path, Tidings(result, progress, refused), request.now)
    _print_to(request.log_path)
    try:
        end = call(tasks, one)
    except Stopped:
        end = End(error="stopped")
    finally:
        _flush()
    return Reply(error=end.error, result=end.result, refused=end.refused, for_good=end.for_good)


def _print_to(path: str) -> None:
    try:
        log = open_plainly(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    except OSError:
        return
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def _stop(number: int, frame: object) -> NoReturn:
    raise Stopped


if __name__ == "__main__":
    # Not ended in the usual way: what a task has left running, a thread for example, must not hold it up.
    code = main(sys.argv[1], sys.argv[2:])
    _flush()
    os._exit(code)
