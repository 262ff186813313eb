"""Tasks in a process of their own beside each worker, which may crash, and can be killed.

The process lives on from one task to the next: to start a Python and import what tasks need takes longer than
most of them. On POSIX it inherits a lock, as a command does: the task that it has begun still owns its job
when the worker has died. On Windows it dies with the worker.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, Queue
from typing import IO, TYPE_CHECKING, Callable, NamedTuple, Optional, Union

import msgspec

from queuectl import locks, system
from queuectl.commands import exit_error
from queuectl.engine import Conditions, End, not_started
from queuectl.errors import InvalidInput, QueueError
from queuectl.job import Job
from queuectl.tasks.host import Reply, Request
from queuectl.tidings import Tidings, forget_progress

if TYPE_CHECKING:
    from queuectl.system.process import Process

_HOST = ("queuectl.tasks.host", "serve")
_START = 120.0
"""Seconds that the modules with the tasks may take to be imported."""
_STEP = 0.25
"""Seconds between looks whether somebody still waits for that."""
_LEAVE = 5.0
"""Seconds that a process has to end by itself when there is nothing more to do."""
_LAST_WORDS = 1.0
"""Seconds for which what a process has said before its end is still read."""
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
    gives_up: Callable[[], bool] = lambda: False
    """Whether nobody wants to wait any more until it has imported its modules."""


class Host:
    """One such process."""

    def __init__(self, program: Program) -> None:
        """Start it, and wait until it can serve.

        Raises:
            OSError: it cannot be started just now, or nobody wants to wait for it.
            InvalidInput: its modules cannot be imported.
            QueueError: it has ended, or has not been ready in time.
        """
        self._program = program
        self._lock: Optional[locks.HeldLock] = None
        # Not a SimpleQueue, whose wait for a few microseconds may never end (Python 3.9 and 3.10).
        self._replies: Queue[Union[Reply, int]] = Queue()
        """What it says, and in the end its exit code."""
        self._requests, self.process = self._start()
        try:
            self.tasks = self._await_greeting()
        except BaseException:
            # Also for Ctrl+C: who has not begun to serve has nothing to finish.
            self.process.kill(force=True)
            self.close()
            raise

    def _start(self) -> tuple[IO[bytes], Process]:
        from queuectl.system import process as processes

        program = self._program
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        requests, replies = os.fdopen(ours_out, "wb", 0), os.fdopen(ours_in, "rb")
        try:
            self._lock = locks.take_over(program.lock_path) if system.SHARES_LOCKS else None
            inherit = None if self._lock is None else self._lock.fileno()
            lock = str(-1 if inherit is None else inherit)
            process = processes.start(
                [sys.executable, *processes.python_words(*_HOST), program.root, lock, *program.modules],
                cwd=os.getcwd(),
                env=processes.own_environment(),
                stdin=theirs_in,
                stdout=theirs_out,
                log_path=program.boot_log,
                inherit=inherit,
            )
            self._listen(replies, process)
        except BaseException:
            requests.close()
            replies.close()
            self._free_lock()
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        return requests, process

    def _free_lock(self) -> None:
        if self._lock is not None:
            # Closed, not unlocked: an unlock would free it for the process that has inherited it.
            self._lock.close()

    def _listen(self, replies: IO[bytes], process: Process) -> None:
        reader = threading.Thread(target=self._read, args=(replies,), daemon=True)
        watcher = threading.Thread(target=self._watch, args=(process, reader), daemon=True)
        try:
            reader.start()
            watcher.start()
        except RuntimeError as error:
            # No room for them.
            process.kill(force=True)
            process.wait()
            raise BlockingIOError(errno.EAGAIN, str(error)) from error

    def _read(self, replies: IO[bytes]) -> None:
        with replies:
            for line in replies:
                # What its death has cut off is no reply: how it ended follows.
                with suppress(msgspec.MsgspecError, UnicodeError):
                    self._replies.put(msgspec.json.decode(line, type=Reply))

    def _watch(self, process: Process, reader: threading.Thread) -> None:
        code = process.wait()
        # First what it has said. What a task has left running may hold the pipe open, and is not waited for.
        reader.join(_LAST_WORDS)
        self._replies.put(code)

    def _await_greeting(self) -> list[str]:
        end, found = system.monotonic() + _START, None
        while found is None and system.monotonic() < end:
            if self._program.gives_up():
                raise BlockingIOError(errno.EAGAIN, "it is to stop before it has begun")
            found = self.next(_STEP)
        told = "" if isinstance(found, Reply) else self._printed()
        with suppress(OSError):
            system.remove(self._program.boot_log, patience=0.0)
        if isinstance(found, Reply):
            if found.tasks is not None:
                return found.tasks
            raise InvalidInput(found.error or "the tasks cannot be loaded", hint=found.hint)
        why = "has not started in time" if found is None else f"has ended: {exit_error(found)}"
        raise QueueError(f"a process for tasks {why}{': ' + told if told else ''}")

    def _printed(self) -> str:
        with suppress(OSError):
            # RACE: what has just died is not quite gone, and holds it still (Windows).
            return system.read_end(self._program.boot_log, _TAIL, patience=_LAST_WORDS).decode(
                "utf-8", "replace"
            )
        return ""

    def ask(self, request: Request) -> None:
        """Have it run this. Raises OSError if it has ended."""
        data = memoryview(msgspec.json.encode(request) + b"\n")
        while data:
            data = data[self._requests.write(data) :]

    @property
    def has_said(self) -> bool:
        """Whether it has said something that `next` has not told yet, or has ended."""
        return not self._replies.empty()

    @property
    def serves(self) -> bool:
        """Whether it may be asked, as far as that can be told."""
        # Nobody may have deleted its lock's file either: our job would not be its task's once we are dead.
        owned = self._lock is None or self._lock.is_current()
        return owned and not self.has_said and not self.process.is_over()

    def next(self, seconds: Optional[float]) -> Union[Reply, int, None]:
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
            conditions.traceparent,
        )
        for last in (False, True):
            if self._host is not None and not self._host.serves:
                self.drop()
            host = self._host or self._new()
            try:
                host.ask(asked)
            except OSError:
                # It has ended since its last task: what that had left behind, perhaps.
                self.drop()
                if last:
                    raise
            else:
                return HostRun(self, host, conditions.tidings)
        raise AssertionError("the last try returns or raises")

    def _new(self) -> Host:
        try:
            self._host = Host(self._program)
        except QueueError as error:
            raise OSError(0, str(error)) from error
        return self._host

    def start_error(self, job: Job, conditions: Conditions, error: OSError) -> str:
        """As `Engine.start_error`."""
        return not_started(error)

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

    def __init__(self, hosts: Hosts, host: Host, tidings: Optional[Tidings] = None) -> None:
        self._hosts, self._host = hosts, host
        self._progress = None if tidings is None else tidings.progress
        self._guard = threading.Lock()
        self._said: Union[Reply, int, None] = None
        self._unwanted = False
        self.ended = False

    def is_over(self) -> bool:
        """As `Running.is_over`."""
        return self._said is not None or self._host.has_said

    def ends_within(self, seconds: float) -> bool:
        """As `Running.ends_within`."""
        if self._said is None:
            self._said = self._host.next(seconds)
        return self._said is not None

    def wait(self) -> End:
        """As `Running.wait`."""
        if self._said is None:
            self._said = self._host.next(None)
        with self._guard:
            # From here on nobody kills it: the next task runs there.
            self.ended = True
        said = self._said
        if self._unwanted or isinstance(said, int):
            # What was to be ended with it must not go on into the next task.
            self._host.process.kill(force=True)
            self._hosts.drop()
            if self._progress is not None:
                # It has had no time for that.
                forget_progress(self._progress)
        if isinstance(said, Reply):
            return End(None, said.error, said.result, said.refused, said.for_good)
        assert said is not None
        return End(said, f"its process has ended: {exit_error(said)}")

    def kill(self, *, force: bool) -> None:
        """As `Running.kill`."""
        with self._guard:
            if not self.ended:
                self._unwanted = True
                self._host.process.kill(force=force)
