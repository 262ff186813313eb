"""The only place of queuectl that knows the operating system.

`native` chooses `posix` or `windows` once; everything here works the same on both. What costs time to
import lies in modules of its own, to be imported where it is used: `queuectl.system.process` (start a
command, kill its tree) and `queuectl.system.signals` (hear the wish to stop). All paths are `str`.
"""

from __future__ import annotations

from queuectl.system.clock import monotonic, now, sleep
from queuectl.system.files import (
    NotARegularFile,
    file_stamp,
    make_folder,
    names_in,
    read_end,
    read_file,
    remove,
    remove_all,
    remove_folder,
    replace,
)
from queuectl.system.flushing import sync_descriptor, sync_folder, unflushed
from queuectl.system.machine import host_name, is_interactive, process_id
from queuectl.system.native import (
    FOLDERS_TELL,
    REMOVES_AT_ONCE,
    SHARES_LOCKS,
    WAIT_SLICE,
    exit_status,
    is_locked,
    is_there,
    is_unread,
    is_written,
    may_write,
    open_plainly,
    open_to_append,
    open_to_read,
)
from queuectl.system.patience import is_lack, is_transient, with_patience
from queuectl.system.writing import Overwritten, write_file, write_files

__all__ = [
    "FOLDERS_TELL",
    "REMOVES_AT_ONCE",
    "SHARES_LOCKS",
    "WAIT_SLICE",
    "NotARegularFile",
    "Overwritten",
    "exit_status",
    "file_stamp",
    "host_name",
    "is_interactive",
    "is_lack",
    "is_locked",
    "is_there",
    "is_transient",
    "is_unread",
    "is_written",
    "make_folder",
    "may_write",
    "monotonic",
    "names_in",
    "now",
    "open_plainly",
    "open_to_append",
    "open_to_read",
    "process_id",
    "read_end",
    "read_file",
    "remove",
    "remove_all",
    "remove_folder",
    "replace",
    "sleep",
    "sync_descriptor",
    "sync_folder",
    "unflushed",
    "with_patience",
    "write_file",
    "write_files",
]
