"""What a program that was killed may leave behind on Windows: a command's process that it had made and not
started yet. It never runs, and never ends either: whoever waits for all of a run's processes waits for ever.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

killed: set[int] = set()
"""The process ids of the programs that tests have killed."""


def end_orphans() -> None:
    """End the children of those, at the end of a test: until then nothing is done about them."""
    if not killed:
        return
    parents, killed_now = dict(parents_of_all()), killed.copy()
    killed.clear()
    for child, parent in parents.items():
        if parent in killed_now and parent not in parents:
            try:
                os.kill(child, signal.SIGTERM)
            except OSError:
                # It was about to end.
                continue


def parents_of_all() -> Iterator[tuple[int, int]]:
    """The id of each process, and its parent's."""
    if sys.platform != "win32":
        return
    import ctypes
    from ctypes import wintypes

    class Entry(ctypes.Structure):
        """PROCESSENTRY32W"""

        _fields_ = [
            ("size", wintypes.DWORD),
            ("usage", wintypes.DWORD),
            ("process_id", wintypes.DWORD),
            ("heap", ctypes.c_size_t),
            ("module", wintypes.DWORD),
            ("threads", wintypes.DWORD),
            ("parent_id", wintypes.DWORD),
            ("priority", wintypes.LONG),
            ("flags", wintypes.DWORD),
            ("name", wintypes.WCHAR * 260),
        ]

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateToolhelp32Snapshot.restype = wintypes.HANDLE
    kernel.Process32FirstW.argtypes = kernel.Process32NextW.argtypes = [
        wintypes.HANDLE,
        ctypes.POINTER(Entry),
    ]
    kernel.CloseHandle.argtypes = [wintypes.HANDLE]
    snapshot = kernel.CreateToolhelp32Snapshot(2, 0)  # TH32CS_SNAPPROCESS
    entry = Entry(size=ctypes.sizeof(Entry))
    try:
        more = kernel.Process32FirstW(snapshot, ctypes.byref(entry))
        while more:
            yield entry.process_id, entry.parent_id
            more = kernel.Process32NextW(snapshot, ctypes.byref(entry))
    finally:
        kernel.CloseHandle(snapshot)
