"""queuectl: background jobs from a folder.

A job is a JSON file, and the folder it lies in is its state. The command line and the library are the
same thing::

    from queuectl import Queue

    with Queue.open("spool") as queue:
        queue.enqueue([{"command": "echo hi"}])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from queuectl.errors import QueueError
    from queuectl.index.filters import Filter
    from queuectl.job import Job
    from queuectl.queue import Queue
    from queuectl.state import State

__version__ = "0.1.0"
__all__ = ["Filter", "Job", "Queue", "QueueError", "State", "__version__"]

_HOMES = {
    "Filter": "queuectl.index.filters",
    "Job": "queuectl.job",
    "Queue": "queuectl.queue",
    "QueueError": "queuectl.errors",
    "State": "queuectl.state",
}


def __getattr__(name: str) -> Any:
    # PEP 562: `queuectl status` must not pay for what only the library's users need.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
