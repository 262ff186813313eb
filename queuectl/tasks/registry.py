"""The queues of this program that tasks are registered with."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Protocol

from queuectl.tasks.task import Task


class HasRegistered(Protocol):
    """A queue, as whoever looks for tasks knows it."""

    @property
    def root(self) -> str:
        """The spool's absolute path."""

    @property
    def tasks(self) -> Mapping[str, Task[Any, Any]]:
        """What is registered with it, by name."""


_known: weakref.WeakSet[Any] = weakref.WeakSet()


def note(queue: HasRegistered) -> None:
    """A task is registered with this one."""
    _known.add(queue)


def queues() -> list[HasRegistered]:
    """All that still are."""
    return list(_known)
