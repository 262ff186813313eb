"""What the workers of a program can run besides commands, and by what means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, NamedTuple, Optional

from queuectl.engine import Engine
from queuectl.names import HOST_SUFFIX
from queuectl.spool import Spool


class Skills(NamedTuple):
    """Of all workers of one process."""

    tasks: frozenset[str] = frozenset()
    """The names of the functions that they may call."""
    engine: Callable[[str], Optional[Engine]] = lambda worker: None
    """What calls them for the worker of this name."""


def learn(
    spool: Spool,
    modules: Sequence[str],
    *,
    processes: bool,
    first: str,
    gives_up: Callable[[], bool] = lambda: False,
) -> Skills:
    """What these modules let workers do; with `processes` each worker has one beside it. `first` is the name
    of a worker. `gives_up` tells whether a process that is being started is not to be waited for.

    Raises:
        InvalidInput: a module cannot be imported, or they register nothing for this spool.
        QueueError, OSError: a process for tasks cannot be started.
    """
    if not modules:
        return Skills()
    if processes:
        return _in_processes(spool, modules, first, gives_up)
    from queuectl.tasks.inside import Inside
    from queuectl.tasks.loading import load

    tasks = load(modules, spool.root)
    return Skills(frozenset(tasks), lambda worker: Inside(tasks))


def _in_processes(spool: Spool, modules: Sequence[str], first: str, gives_up: Callable[[], bool]) -> Skills:
    from queuectl.tasks.hosts import Host, Hosts, Program

    def program(worker: str) -> Program:
        lock_path = spool.lock_path(worker + HOST_SUFFIX)
        return Program(spool.root, modules, spool.tmp.new("host.txt"), lock_path, gives_up)

    # It says what it can do; it is not started for that alone.
    ready = {first: Host(program(first))}
    names = frozenset(ready[first].tasks)
    return Skills(names, lambda worker: Hosts(program(worker), ready.pop(worker, None)))
