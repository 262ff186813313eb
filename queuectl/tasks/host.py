"""What calls tasks with `--processes`: `serve` with ROOT LOCK MODULE..., one a worker.

It reads a run a line on standard input, and says how it ended in a line on standard output; both are JSON.
What the tasks print goes to the logs of their jobs, also where it is no Python that prints.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn, Optional

import msgspec

from queuectl import system
from queuectl.engine import End
from queuectl.errors import QueueError
from queuectl.job import Job
from queuectl.system.signals import hear
from queuectl.tasks.calling import Call, Stopped, call
from queuectl.tasks.loading import load
from queuectl.tidings import Tidings

_STEP = 0.5
"""Seconds between looks whether the modules have been imported."""


class Request(msgspec.Struct):
    """One run, as the worker asks for it."""

    job: Job
    spool: str
    log_path: str
    tidings: Optional[tuple[str, str, list[str]]]
    now: float
    traceparent: Optional[str] = None


class Reply(msgspec.Struct, omit_defaults=True):
    """How it ended; the first one says what can be called."""

    error: Optional[str] = None
    result: Any = None
    refused: Optional[str] = None
    for_good: bool = False
    tasks: Optional[list[str]] = None
    hint: Optional[str] = None


def main(root: str, lock: int, modules: list[str]) -> int:
    """Serve until there is nothing more to read; the exit code. `lock` is an open file, or -1 for none."""
    null = os.open(os.devnull, os.O_RDWR)
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb", 0) as replies:
        # What a task reads or prints must not come between us and the worker.
        os.dup2(null, 0)
        os.dup2(2, 1)
        _keep_to_us([requests.fileno(), replies.fileno(), *([lock] if lock >= 0 else [])], null)
        hear(signal.SIGTERM, _stop)
        try:
            with _ending_with_worker(requests.fileno()):
                tasks = load(modules, root)
        except QueueError as error:
            _say(replies, Reply(error=error.message, hint=error.hint))
            return 1
        reply = Reply(tasks=sorted(tasks))
        while True:
            # First: a log that is held open stays (Windows). What a thread prints between two is nobody's.
            os.dup2(null, 1)
            os.dup2(null, 2)
            if not _say(replies, reply):
                return 1
            line = requests.readline()
            if not line:
                return 0
            reply = _serve(tasks, msgspec.json.decode(line, type=Request))


def _keep_to_us(ours: list[int], null: int) -> None:
    """Neither programs that a task starts nor copies of us that it forks get these open files: one of those
    would answer in our place, or own our worker's jobs for as long as it lives.
    """

    def part() -> None:
        for number in ours:
            os.dup2(null, number, inheritable=False)

    for number in ours:
        os.set_inheritable(number, False)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=part)


@contextmanager
def _ending_with_worker(requests: int) -> Iterator[None]:
    """End if that dies within the block: what is imported may have no end. On Windows we do so anyway."""
    over = threading.Event()

    def watch() -> None:
        from queuectl.system.process import hangs_up_within

        while not over.is_set():
            if hangs_up_within(requests, _STEP) and not over.is_set():
                os._exit(1)

    if system.SHARES_LOCKS:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _say(replies: IO[bytes], reply: Reply) -> bool:
    """Whether there is somebody to hear it."""
    data = memoryview(msgspec.json.encode(reply) + b"\n")
    try:
        while data:
            data = data[replies.write(data) :]
    except OSError:
        return False
    return True


def _serve(tasks: Any, request: Request) -> Reply:
    job, (result, progress, refused) = request.job, request.tidings or ("", "", [])
    told = Tidings(result, progress, refused)
    one = Call(job, request.spool, request.log_path, told, request.now, request.traceparent)
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
        log = system.open_plainly(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
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


def _stop() -> NoReturn:
    raise Stopped


def serve() -> NoReturn:
    """Be such a program, by what it was told."""
    # Not ended in the usual way: what a task has left running, a thread for example, must not hold it up.
    try:
        code = main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
    except Stopped:
        code = 1
    _flush()
    os._exit(code)
