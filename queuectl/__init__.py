"""queuectl: background jobs from a folder.

A job is a JSON file, and the folder it lies in is its state. The command line and the library are the
same thing::

    from queuectl import Queue

    queue = Queue("spool")
    queue.enqueue({"command": "echo hi"}).wait()

    @queue.task
    def resize(path, width=100): ...

    resize.enqueue("a.png", width=200)      # run by: queuectl worker start --tasks photos.tasks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from queuectl.errors import JobFailed, QueueError
    from queuectl.index.filters import Filter
    from queuectl.job import Job
    from queuectl.queue import Queue
    from queuectl.state import State
    from queuectl.tasks.current import Current, current
    from queuectl.tasks.handle import Handle
    from queuectl.tasks.task import GiveUp, Task

__version__ = "0.1.0"
__all__ = [
    "Current",
    "Filter",
    "GiveUp",
    "Handle",
    "Job",
    "JobFailed",
    "Queue",
    "QueueError",
    "State",
    "Task",
    "__version__",
    "current",
]

_HOMES = {
    "Current": "queuectl.tasks.current",
    "GiveUp": "queuectl.tasks.task",
    "Handle": "queuectl.tasks.handle",
    "JobFailed": "queuectl.errors",
    "Task": "queuectl.tasks.task",
    "current": "queuectl.tasks.current",
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
