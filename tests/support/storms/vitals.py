"""What a process takes of its machine: memory, open files, threads. Without psutil, so: a bit by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple, Optional


class Vitals(NamedTuple):
    """Of one process at one moment; None is what this system does not tell."""

    kib: int
    """Memory in use (resident, working set), in KiB."""
    handles: Optional[int]
    """Open files; on Windows open handles of every kind."""
    threads: Optional[int]


def vitals(pid: int) -> Vitals:
    """What this process takes now.

    Raises OSError when there is no such process (any more).
    """
    if sys.platform == "win32":
        return _windows(pid)
    if os.path.isdir("/proc/self/fd"):
        return _linux(pid)
    return _other(pid)


def _linux(pid: int) -> Vitals:
    told: dict[str, str] = {}
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            told[name] = value.strip()
    if "VmRSS" not in told:
        raise ProcessLookupError(f"{pid} has ended")
    kib = int(told["VmRSS"].split()[0])
    return Vitals(kib, len(os.listdir(f"/proc/{pid}/fd")), int(told["Threads"]))


def _other(pid: int) -> Vitals:
    ps = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True)
    if ps.returncode != 0:
        raise ProcessLookupError(f"{pid} has ended")
    return Vitals(int(ps.stdout), None, None)


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _STILL_ACTIVE = 259

    class _ThreadEntry(ctypes.Structure):
        _fields_ = (
            ("size", wintypes.DWORD),
            ("usage", wintypes.DWORD),
            ("thread", wintypes.DWORD),
            ("owner", wintypes.DWORD),
            ("base_priority", wintypes.LONG),
            ("delta_priority", wintypes.LONG),
            ("flags", wintypes.DWORD),
        )

    def _windows(pid: int) -> Vitals:
        import win32api
        import win32process

        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        try:
            process = win32api.OpenProcess(0x1000 | 0x0010, False, pid)
        except win32api.error as error:
            raise ProcessLookupError(f"{pid} has ended") from error
        if win32process.GetExitCodeProcess(process) != _STILL_ACTIVE:
            # Whoever has started it keeps its remains.
            raise ProcessLookupError(f"{pid} has ended")
        count = wintypes.DWORD()
        kernel.GetProcessHandleCount(wintypes.HANDLE(int(process)), ctypes.byref(count))
        memory = win32process.GetProcessMemoryInfo(process)["WorkingSetSize"]
        win32api.CloseHandle(process)
        return Vitals(memory // 1024, count.value or None, _windows_threads(kernel, pid))

    def _windows_threads(kernel: ctypes.WinDLL, pid: int) -> Optional[int]:
        kernel.CreateToolhelp32Snapshot.restype = wintypes.HANDLE
        snapshot = wintypes.HANDLE(kernel.CreateToolhelp32Snapshot(4, 0))
        entry = _ThreadEntry(size=ctypes.sizeof(_ThreadEntry))
        found = 0
        more = kernel.Thread32First(snapshot, ctypes.byref(entry))
        while more:
            found += entry.owner == pid
            more = kernel.Thread32Next(snapshot, ctypes.byref(entry))
        kernel.CloseHandle(snapshot)
        return found or None
