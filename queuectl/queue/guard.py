"""Around each verb of `Queue`: a damaged index is healed, what the system refuses is told in our words."""

from __future__ import annotations

import os
import sqlite3
from functools import wraps
from typing import Any, Callable, Protocol, TypeVar, cast

from queuectl.errors import system_error
from queuectl.index import trouble, usable_error
from queuectl.queue.store import Store
from queuectl.spool import layout

Method = TypeVar("Method", bound=Callable[..., Any])


class HasStore(Protocol):
    """What a guarded method belongs to."""

    @property
    def store(self) -> Store:
        """Of the thread that calls."""


def guarded(method: Method) -> Method:
    """Get round an index that cannot be used and call the method again, which has touched no file by then.

    A damaged one is built anew, for any other reason one in memory does for this call. What else the system
    refuses becomes an error that says so.
    """

    @wraps(method)
    def wrapped(self: HasStore, *args: Any, **keywords: Any) -> Any:
        try:
            try:
                return method(self, *args, **keywords)
            except sqlite3.Error as error:
                path = os.path.join(self.store.spool.root, layout.INDEX)
                if self.store.index.in_memory:
                    raise usable_error(error, path) from error
                if not self.store.heal(error):
                    self.store.index.leave_disk(trouble(error, path))
                return method(self, *args, **keywords)
        except BrokenPipeError:
            # Of a command's own output: whoever reads has seen enough.
            raise
        except OSError as error:
            raise system_error(error) from error

    return cast("Method", wrapped)
