"""The names of the running system: the one place where `posix` or `windows` is chosen for files and names."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from queuectl.system.windows import (
        FOLDERS_TELL,
        REMOVES_AT_ONCE,
        SHARES_LOCKS,
        WAIT_SLICE,
        exit_status,
        is_link,
        is_locked,
        is_terminal,
        is_transient,
        is_written,
        machine_name,
        make_one_folder,
        make_writable,
        may_write,
        open_for_reading,
        open_plainly,
        seal_descriptors,
        start_writing,
        sync_descriptor,
        sync_folder,
    )
else:
    from queuectl.system.posix import (
        FOLDERS_TELL,
        REMOVES_AT_ONCE,
        SHARES_LOCKS,
        WAIT_SLICE,
        exit_status,
        is_link,
        is_locked,
        is_terminal,
        is_transient,
        is_written,
        machine_name,
        make_one_folder,
        make_writable,
        may_write,
        open_for_reading,
        open_plainly,
        seal_descriptors,
        start_writing,
        sync_descriptor,
        sync_folder,
    )

__all__ = [
    "FOLDERS_TELL",
    "REMOVES_AT_ONCE",
    "SHARES_LOCKS",
    "WAIT_SLICE",
    "exit_status",
    "is_link",
    "is_locked",
    "is_terminal",
    "is_transient",
    "is_written",
    "machine_name",
    "make_one_folder",
    "make_writable",
    "may_write",
    "open_for_reading",
    "open_plainly",
    "seal_descriptors",
    "start_writing",
    "sync_descriptor",
    "sync_folder",
]
