"""Commands on Linux and macOS: one session and process group each. `windows_process` has the same names."""

from __future__ import annotations

import errno
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import IO, Callable, NamedTuple, Optional, Union

from queuectl.system.native import open_to_append, seal_descriptors
from queuectl.system.process_input import only_os_errors, standard_input

# This also tells mypy which platforms the module is for.
assert sys.platform != "win32"

_STREAMS = 2
"""The last number of the standard streams."""
_PAUSES = (0.0002, 0.002)
"""Seconds between looks whether a command has ended, where nothing tells: the first, and the most."""
_RESTORED = [signal.SIGPIPE, signal.SIGXFSZ]
"""What Python ignores, and a command must not."""


class Process:
    """A command that was started, and its process group. One thread waits; any thread may kill."""

    def __init__(self, pid: int, reap: Callable[[bool], Optional[int]]) -> None:
        """`reap` takes the ended command from the system, waiting for its end if told so: its exit code, None
        if it has not ended.
        """
        self.pid = pid
        self._reap = reap
        self._guard = threading.Lock()
        self._killed = False
        self._code: Optional[int] = None

    def wait(self) -> int:
        """Block until the command itself has ended; its exit code, or minus the signal that ended it.

        After a kill was asked for, what is left of its group by then is killed too.
        """
        if self._code is None:
            self._await_end()
        with self._guard:
            if self._code is None:
                if self._killed:
                    self._signal_group(signal.SIGKILL)
                self._code = self._reap(True)
            assert self._code is not None
            return self._code

    def ends_within(self, seconds: float) -> bool:
        """Whether the command itself ends within so many seconds; `wait` then tells how."""
        try:
            # Older kernels, and systems besides Linux, know none.
            ended = getattr(os, "pidfd_open", _no_pidfd)(self.pid)
        except OSError:
            return self._ends_within(seconds)
        try:
            poll = select.poll()
            poll.register(ended, select.POLLIN)
            return bool(poll.poll(math.ceil(seconds * 1000)))
        finally:
            os.close(ended)

    def is_over(self) -> bool:
        """Whether the command itself has ended; False where only `wait` can tell (older Pythons on macOS)."""
        return hasattr(os, "waitid") and self._has_ended()

    def _ends_within(self, seconds: float) -> bool:
        end, pause = time.monotonic() + seconds, _PAUSES[0]
        while not self._has_ended():
            if time.monotonic() >= end:
                return False
            time.sleep(pause)
            pause = min(2 * pause, _PAUSES[1])
        return True

    def _has_ended(self) -> bool:
        if hasattr(os, "waitid"):
            try:
                return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
            except ChildProcessError:
                return True
        code = self._reap(False)
        if code is None:
            return False
        self._reap = lambda _: code
        return True

    @property
    def ended(self) -> bool:
        """Whether `wait` has seen the end of the command."""
        return self._code is not None

    def kill(self, *, force: bool) -> None:
        """Ask the whole group to end (SIGTERM), or end it (``force``: SIGKILL). After the end: nothing.

        A program that has left the group (setsid) is not reached.
        """
        with self._guard:
            if self._code is None:
                self._killed = True
                self._signal_group(signal.SIGKILL if force else signal.SIGTERM)

    def _await_end(self) -> None:
        # The ended command stays a zombie until it is reaped under the guard: so long nobody else can get
        # its pid, and `kill` cannot hit a stranger.
        if hasattr(os, "waitid"):
            # ChildProcessError: somebody else has reaped it; `_reap` knows what to make of that.
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            # macOS before Python 3.13. A pid is not given out again within the moment to the guard.
            code = self._reap(True)
            self._reap = lambda _: code

    def _signal_group(self, number: int) -> None:
        # macOS answers PermissionError when only the zombie is left of the group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class _Start(NamedTuple):
    """One command that is to be started; the streams are open descriptors."""

    argv: list[str]
    cwd: str
    env: Mapping[str, str]
    stdin: Union[int, IO[bytes]]
    log: int
    stdout: int
    inherit: Optional[int]


def start(
    argv: Union[Sequence[str], str],
    *,
    cwd: str,
    env: Mapping[str, str],
    stdin: Union[bytes, int, None],
    log_path: str,
    stdout: Optional[int] = None,
    inherit: Optional[int] = None,
) -> Process:
    """Start a command in a session of its own; its stdout and stderr are appended to ``log_path``.

    ``env`` is its whole environment, ``stdin`` what it reads (None: nothing; a number: an open file). With
    ``stdout``, an open file, that is where its standard output goes. ``inherit`` is the one open
    file it shares with us: a lock (flock) on it is held until the command has ended as well. Raises
    OSError when it cannot be started; TypeError for a command line (``str``), which only Windows has.
    """
    if isinstance(argv, str):
        raise TypeError("a command line as one string exists on Windows only")
    if not argv:
        raise OSError(errno.EINVAL, "there is no program to start")
    log = open_to_append(log_path)
    try:
        with standard_input(stdin) as source, only_os_errors():
            wanted = _Start(list(argv), cwd, env, source, log, log if stdout is None else stdout, inherit)
            if _is_plain(wanted):
                # A system that cannot begin a session so says it in this way.
                with suppress(NotImplementedError):
                    return _spawn(wanted)
            return _open(wanted)
    finally:
        os.close(log)


def _is_plain(wanted: _Start) -> bool:
    """Whether `posix_spawn` can do it: it looks for no program and changes no folder."""
    if wanted.stdin != subprocess.DEVNULL or wanted.stdout != wanted.log or "/" not in wanted.argv[0]:
        return False
    # Where a standard stream of ours is closed, another file has its number.
    if min(wanted.log, _null()) <= _STREAMS or not _seal():
        return False
    try:
        return os.path.samestat(os.stat(wanted.cwd), os.stat(os.curdir))
    except OSError:
        return False


def _spawn(wanted: _Start) -> Process:
    """Like `_open`, and cheaper (`benchmarks/run.py starting`)."""
    actions: list[tuple[int, int, int]] = [
        (os.POSIX_SPAWN_DUP2, _null(), 0),
        (os.POSIX_SPAWN_DUP2, wanted.log, 1),
        (os.POSIX_SPAWN_DUP2, wanted.log, 2),
    ]
    if wanted.inherit is not None:
        # Under another number: of two that are the same not every system takes the mark to be closed.
        other = _STREAMS + 1 if wanted.inherit != _STREAMS + 1 else _STREAMS + 2
        actions.append((os.POSIX_SPAWN_DUP2, wanted.inherit, other))
    pid = os.posix_spawn(
        wanted.argv[0], wanted.argv, wanted.env, file_actions=actions, setsid=True, setsigdef=_RESTORED
    )
    return Process(pid, lambda waits: _reap(pid, waits))


def _no_pidfd(pid: int) -> int:
    raise OSError(errno.ENOSYS, "this system has no descriptors of processes")


def _reap(pid: int, waits: bool) -> Optional[int]:
    try:
        ended, status = os.waitpid(pid, 0 if waits else os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None
    except ChildProcessError:
        # As subprocess has it: how it ended is lost.
        return 0


def _open(wanted: _Start) -> Process:
    popen = subprocess.Popen(
        wanted.argv,
        cwd=wanted.cwd,
        env=dict(wanted.env),
        stdin=wanted.stdin,
        stdout=wanted.stdout,
        stderr=wanted.log,
        start_new_session=True,
        pass_fds=() if wanted.inherit is None else (wanted.inherit,),
    )
    return Process(popen.pid, lambda waits: popen.wait() if waits else popen.poll())


@cache
def _seal() -> bool:
    """Keep to ourselves what whoever started us has left open, which Popen closes; whether that was told."""
    return seal_descriptors()


@cache
def _null() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def hangs_up_within(descriptor: int, seconds: float) -> bool:
    """Whether nobody writes into this pipe any more, or stops to within so many seconds."""
    poll = select.poll()
    # For nothing but the end of what can be read.
    poll.register(descriptor, 0)
    return bool(poll.poll(math.ceil(seconds * 1000)))


def shell_argv(shell: str, command: str) -> Union[list[str], str]:
    """What to give to `start` to run ``command`` by "sh", "bash", "powershell" or "pwsh".

    Raises FileNotFoundError for "cmd", OSError for a shell of another name.
    """
    if shell == "sh":
        return ["/bin/sh", "-c", command]
    if shell == "bash":
        return ["bash", "-c", command]
    if shell in ("powershell", "pwsh"):
        return [shell, "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-Command", command]
    if shell == "cmd":
        raise FileNotFoundError(errno.ENOENT, "the shell 'cmd' exists on Windows only", "cmd")
    raise OSError(errno.EINVAL, f"unknown shell {shell!r}")


def default_shell() -> str:
    """The shell for a command that names none."""
    return "sh"
