"""Commands on Windows: one Job Object each. `posix_process` has the same names."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import pywintypes
import win32api
import win32job

from queuectl.system import windows
from queuectl.system.process_input import only_os_errors, standard_input
from queuectl.system.windows_command import command_line

# This also tells mypy which platforms the module is for.
assert sys.platform == "win32"

_CREATE_SUSPENDED = 0x00000004
_PROCESS_TERMINATE = 0x0001
_PROCESS_SET_QUOTA = 0x0100
_PROCESS_SUSPEND_RESUME = 0x0800


class Process:
    """A command that was started, and its Job Object. One thread waits; any thread may kill."""

    def __init__(self, popen: subprocess.Popen[bytes], job: Any) -> None:
        self.pid: int = popen.pid
        self._popen = popen
        self._job = job
        self._guard = threading.Lock()
        self._killed = False
        self._code: Optional[int] = None

    def wait(self) -> int:
        """Block until the command itself has ended; its exit code (unsigned, 1 if it was killed).

        After a kill was asked for, what is left of its tree by then is killed too.
        """
        code = self._popen.wait()
        with self._guard:
            if self._code is None:
                self._code = code
                self._close_job()
            return self._code

    def ends_within(self, seconds: float) -> bool:
        """Whether the command itself ends within so many seconds; `wait` then tells how."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def is_over(self) -> bool:
        """Whether the command itself has ended."""
        return self._popen.poll() is not None

    @property
    def ended(self) -> bool:
        """Whether `wait` has seen the end of the command."""
        return self._code is not None

    def kill(self, *, force: bool) -> None:
        """End the whole tree at once, whatever ``force`` says: Windows has no gentle way.

        After the end of the command this does nothing.
        """
        with self._guard:
            if self._code is None:
                self._killed = True
                win32job.TerminateJobObject(self._job, 1)

    def _close_job(self) -> None:
        # A command may leave a program running on purpose (`start notepad`). After an end of its own that
        # program lives on, as on POSIX, so the job must not take it along when its handle closes.
        if not self._killed:
            _set_kill_on_close(self._job, False)
        self._job.Close()


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
    """Start a command that dies with this process; its stdout and stderr are appended to ``log_path``.

    ``argv`` is a list, whose program is looked for as `windows_command.find_program` says, or a complete
    command line. ``env`` is its whole environment, ``stdin`` what it reads (None: nothing; a number: an open
    file). With ``stdout``, an open file, that is where its standard output goes. ``inherit`` is for POSIX:
    here the command cannot outlive us. Raises OSError when it cannot be started.
    """
    line = argv if isinstance(argv, str) else command_line(argv, cwd, env)
    log = windows.open_to_append(log_path)
    try:
        with standard_input(stdin) as source, only_os_errors():
            popen = subprocess.Popen(
                line,
                cwd=cwd,
                env=dict(env),
                stdin=source,
                stdout=log if stdout is None else stdout,
                stderr=log,
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP
                | subprocess.CREATE_NO_WINDOW
                | _CREATE_SUSPENDED,
            )
    finally:
        os.close(log)
    return Process(popen, _resume_in_job(popen))


def hangs_up_within(descriptor: int, seconds: float) -> bool:
    """Never told here: who reads a command's pipe dies with it."""
    time.sleep(seconds)
    return False


def shell_argv(shell: str, command: str) -> Union[list[str], str]:
    """What to give to `start` to run ``command`` by "cmd", "powershell", "pwsh", "bash" or "sh".

    Raises OSError for a shell of another name.
    """
    if shell == "cmd":
        # A whole command line: cmd does not undo the quoting that a list would get. With /s it takes away
        # the outer quotes and nothing else.
        return f'"{os.environ.get("COMSPEC", "cmd.exe")}" /d /s /c "{command}"'
    if shell in ("sh", "bash"):
        return [shell, "-c", command]
    if shell in ("powershell", "pwsh"):
        return [shell, "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-Command", command]
    raise OSError(errno.EINVAL, f"unknown shell {shell!r}")


def default_shell() -> str:
    """The shell for a command that names none."""
    return "cmd"


def _resume_in_job(popen: subprocess.Popen[bytes]) -> Any:
    # Into the job before its first instruction, so that nothing it starts can be outside of it.
    try:
        job: Any = win32job.CreateJobObject(None, "")  # type: ignore[func-returns-value]
        _set_kill_on_close(job, True)
        access = _PROCESS_TERMINATE | _PROCESS_SET_QUOTA | _PROCESS_SUSPEND_RESUME
        handle: Any = win32api.OpenProcess(access, False, popen.pid)
        win32job.AssignProcessToJobObject(job, handle)
        _resume(int(handle))
    except BaseException as error:
        popen.kill()
        popen.wait()
        if isinstance(error, pywintypes.error):
            message = f"no Job Object for the command: {error.strerror}"
            raise OSError(0, message, None, error.winerror) from error
        raise
    return job


def _set_kill_on_close(job: Any, wanted: bool) -> None:
    limits = win32job.QueryInformationJobObject(job, win32job.JobObjectExtendedLimitInformation)
    flag = win32job.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
    basic = limits["BasicLimitInformation"]
    basic["LimitFlags"] = basic["LimitFlags"] | flag if wanted else basic["LimitFlags"] & ~flag
    win32job.SetInformationJobObject(job, win32job.JobObjectExtendedLimitInformation, limits)


def _resume(process: int) -> None:
    import ctypes
    from ctypes import wintypes

    # ResumeThread would need the handle of the first thread, which Popen has closed.
    resume = ctypes.WinDLL("ntdll").NtResumeProcess
    resume.argtypes = (wintypes.HANDLE,)
    resume.restype = wintypes.LONG
    status = resume(process)
    if status < 0:
        raise OSError(errno.EIO, f"the command could not be resumed (NTSTATUS {status & 0xFFFFFFFF:#x})")
