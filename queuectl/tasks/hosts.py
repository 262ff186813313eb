"""Tasks in a process of their own beside each worker, which may crash, and can be killed.

The process lives on from one task to the next: to start a Python and import what tasks need takes longer than
most of them. On POSIX it inherits a lock, as a command does: the task that it has begun still owns its job
when the worker has died. On Windows it dies with the worker.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, NamedTuple, Optional, Union

import msgspec

from queuectl import locks, system
from queuectl.commands import exit_error
from queuectl.engine import Conditions, End
from queuectl.errors import InvalidInput, QueueError
from queuectl.job import Job
from queuectl.tasks.host import Reply, Request

if TYPE_CHECKING:
    from queuectl.system.process import Process

_START = 120.0
"""Seconds that the modules with the tasks may take to be imported."""
_LEAVE = 5.0
"""Seconds that a process has to end by itself when there is nothing more to do."""
_TAIL = 2000
"""Bytes of what a process has printed that are told when it could not start."""


class Program(NamedTuple):
    """What is run, and where."""

    root: str
    modules: Sequence[str]
    boot_log: str
    """What it prints before its first task."""
    lock_path: str
    """The lock that it inherits."""


class Host:
    """One such process."""

    def __init__(self, program: Program) -> None:
        """Start it, and wait until it can serve.

        Raises:
            OSError: it cannot be started just now.
            InvalidInput: its modules cannot be imported.
            QueueError: it has ended, or has not been ready in time.
        """
        self._program = program
        self._replies: SimpleQueue[Union[bytes, int]] = SimpleQueue()
        """Lines, and in the end the exit code."""
        self._requests, self.process = self._start()
        self.tasks = self._await_greeting()

    def _start(self) -> tuple[IO[bytes], Process]:
        from queuectl.system import process as processes

        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self._lock = locks.try_lock(self._program.lock_path) if system.SHARES_LOCKS else None
        try:
            process = processes.start(
                [sys.executable, "-m", "queuectl.tasks.host", self._program.root, *self._program.modules],
                cwd=os.getcwd(),
                env=processes.own_environment(),
                stdin=theirs_in,
                stdout=theirs_out,
                log_path=self._program.boot_log,
                inherit=None if self._lock is None else self._lock.fileno(),
            )
        except BaseException:
            os.close(ours_out)
            os.close(ours_in)
            self._free_lock()
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        threading.Thread(target=self._read, args=(ours_in, process), daemon=True).start()
        return os.fdopen(ours_out, "wb", 0), process

    def _free_lock(self) -> None:
        if self._lock is not None:
            # Closed, not unlocked: an unlock would free it for the process that has inherited it.
            self._lock.close()

    def _read(self, ours: int, process: Process) -> None:
        with os.fdopen(ours, "rb") as replies:
            watcher = threading.Thread(target=self._watch, args=(process,), daemon=True)
            watcher.start()
            for line in replies:
                self._replies.put(line)
            # What a task has left running may hold the pipe open; that the process has ended is told anyway.
            watcher.join()

    def _watch(self, process: Process) -> None:
        code = process.wait()
        self._replies.put(code)

    def _await_greeting(self) -> list[str]:
        found = self.next(_START)
        told = self._printed()
        with suppress(OSError):
            system.remove(self._program.boot_log, patience=0.0)
        if isinstance(found, bytes):
            reply = msgspec.json.decode(found, type=Reply)
            if reply.tasks is not None:
                return reply.tasks
            self.close()
            raise InvalidInput(reply.error or "the tasks cannot be loaded", hint=reply.hint)
        self.close()
        why = "has not started in time" if found is None else f"has ended: {exit_error(found)}"
        raise QueueError(f"a process for tasks {why}{': ' + told if told else ''}")

    def _printed(self) -> str:
        with suppress(OSError):
            return system.read_end(self._program.boot_log, _TAIL, patience=0.0).decode("utf-8", "replace")
        return ""

    def ask(self, request: Request) -> None:
        """Have it run this. Raises OSError if it has ended."""
        data = memoryview(msgspec.json.encode(request) + b"\n")
        while data:
            data = data[self._requests.write(data) :]

    def next(self, seconds: Optional[float]) -> Union[bytes, int, None]:
        """What it says next, or its exit code; None if it says nothing for so many seconds."""
        try:
            return self._replies.get(timeout=seconds)
        except Empty:
            return None

    def close(self) -> None:
        """Have it end, by force if need be; what it has left running stays."""
        with suppress(OSError):
            self._requests.close()
        if not self.process.ends_within(_LEAVE):
            self.process.kill(force=True)
        self._free_lock()


class Hosts:
    """An `Engine` for one worker, which starts another process when one has ended."""

    def __init__(self, program: Program, ready: Optional[Host] = None) -> None:
        self._program, self._host = program, ready

    def start(self, job: Job, conditions: Conditions) -> HostRun:
        """As `Engine.start`."""
        system.make_folder(os.path.dirname(conditions.log_path))
        asked = Request(
            job,
            conditions.root,
            conditions.log_path,
            None if conditions.tidings is None else _told(conditions),
            system.now(),
        )
        for last in (False, True):
            host = self._host or self._new()
            try:
                host.ask(asked)
            except OSError:
                # It has ended since its last task: what that had left behind, perhaps.
                self.drop()
                if last:
                    raise
            else:
                return HostRun(self, host)
        raise AssertionError("the last try returns or raises")

    def _new(self) -> Host:
        try:
            self._host = Host(self._program)
        except QueueError as error:
            raise OSError(0, str(error)) from error
        return self._host

    def start_error(self, job: Job, conditions: Conditions, error: OSError) -> str:
        """As `Engine.start_error`."""
        return f"could not be started: {error.strerror or error}"

    def drop(self) -> None:
        """Have the process end; the next task gets another."""
        host, self._host = self._host, None
        if host is not None:
            host.close()

    close = drop


def _told(conditions: Conditions) -> tuple[str, str, list[str]]:
    assert conditions.tidings is not None
    result, progress, refused = conditions.tidings
    return result, progress, list(refused)


class HostRun:
    """A `Running` task in such a process."""

    def __init__(self, hosts: Hosts, host: Host) -> None:
        self._hosts, self._host = hosts, host
        self._said: Union[bytes, int, None] = None
        self._unwanted = False
        self.ended = False

    def is_over(self) -> bool:
        """As `Running.is_over`."""
        return self._said is not None

    def ends_within(self, seconds: float) -> bool:
        """As `Running.ends_within`."""
        if self._said is None:
            self._said = self._host.next(seconds)
        return self._said is not None

    def wait(self) -> End:
        """As `Running.wait`."""
        if self._said is None:
            self._said = self._host.next(None)
        self.ended = True
        said = self._said
        if self._unwanted or not isinstance(said, bytes):
            # What was to be ended with it must not go on into the next task.
            if isinstance(said, bytes):
                self._host.process.kill(force=True)
            self._hosts.drop()
        if isinstance(said, bytes):
            reply = msgspec.json.decode(said, type=Reply)
            return End(None, reply.error, reply.result, reply.refused, reply.for_good)
        assert said is not None
        return End(said, f"its process has ended: {exit_error(said)}")

    def kill(self, *, force: bool) -> None:
        """As `Running.kill`."""
        self._unwanted = True
        self._host.process.kill(force=force)
