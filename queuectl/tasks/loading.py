"""Which functions the workers of a program may call: those that the modules named by `--tasks` register."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from queuectl.errors import InvalidInput
from queuectl.tasks import output
from queuectl.tasks.registry import queues
from queuectl.tasks.task import Task, register


def load(modules: Sequence[str], root: str) -> dict[str, Task[Any, Any]]:
    """The tasks that these modules, and what they import, register for the spool at `root`.

    They find the spool in QUEUECTL_SPOOL, and what they print while a task runs goes into the job's log.

    Raises:
        InvalidInput: one cannot be imported, or none of them registers any task for this spool, or they
            register two by one name.
    """
    os.environ["QUEUECTL_SPOOL"] = root
    # As `python -m` has it: the folder that one is in, first.
    if sys.path[0] not in ("", os.getcwd()):
        sys.path.insert(0, os.getcwd())
    output.install()
    for name in modules:
        _import(name)
    found: dict[str, Task[Any, Any]] = {}
    others: list[str] = []
    for queue in queues():
        if is_same_folder(queue.root, root):
            for task in queue.tasks.values():
                register(found, task)
        elif queue.tasks:
            others.append(queue.root)
    if not found:
        named = ", ".join(modules)
        where = f", but for {others[0]}" if others else ""
        raise InvalidInput(
            f"{named}: no task is registered for the spool {root}{where}",
            hint="Queue() without a path is the worker's spool; functions are registered with @queue.task",
        )
    return found


def _import(name: str) -> None:
    try:
        import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in _parents(name):
            raise InvalidInput(
                f"there is no module {error.name!r} here",
                hint="start the worker in the folder that it lies in",
            ) from None
        line = traceback.format_exception_only(type(error), error)[-1].strip()
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise InvalidInput(
            f"the module {name} cannot be imported: {line} ({last.filename}, line {last.lineno})",
            hint=f'python -c "import {name}" shows more',
        ) from error


def _parents(name: str) -> list[str]:
    words = name.split(".")
    return [".".join(words[:number]) for number in range(1, len(words) + 1)]


def is_same_folder(one: str, other: str) -> bool:
    """Whether both paths lead to the same folder, whether it is there or not."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))
