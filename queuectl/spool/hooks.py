"""`hooks/`: `on_success.json`, `on_failure.json`, `on_dead.json`, job files run for every job's end."""

from typing import TYPE_CHECKING

from queuectl.errors import InvalidInput, NoSuchHook
from queuectl.spool import layout
from queuectl.spool.named import Home, NamedFile, NamedFiles

if TYPE_CHECKING:
    from queuectl.job import Job


class HookFiles(NamedFiles):
    """Those of one spool."""

    what = "hook"

    def __init__(self, spool: Home) -> None:
        super().__init__(spool, layout.HOOKS, NoSuchHook)

    def read(self, file: NamedFile, *, patience: float = 2.0) -> "Job":
        """The job in this file.

        Raises:
            InvalidInput: it holds none, somebody else may change it, or there is no such event.
            OSError: it cannot be read just now.
        """
        from queuectl.codec import decode_job
        from queuectl.hook import EVENTS, event_named

        if event_named(file.name) is None:
            raise InvalidInput(f"no event {file.name!r}", hint=f"there are {', '.join(EVENTS)}")
        return decode_job(self.bytes_of(file, patience=patience))
