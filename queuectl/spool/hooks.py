"""`hooks/`: `on_success.json`, `on_failure.json`, `on_dead.json`, job files run for every job's end."""

from contextlib import suppress
from typing import TYPE_CHECKING, Optional

from queuectl import system
from queuectl.errors import InvalidInput, NoSuchHook
from queuectl.names import EVENTS, event_named
from queuectl.spool import layout
from queuectl.spool.named import Home, NamedFile, NamedFiles, Version

if TYPE_CHECKING:
    from queuectl.job import Job

SAVE_PATIENCE = 0.5
"""Seconds that are waited for somebody who saves a hook just now, if it has not been read before."""
_STEP = 0.02


class HookFiles(NamedFiles):
    """Those of one spool."""

    what = "hook"

    def __init__(self, spool: Home) -> None:
        super().__init__(spool, layout.HOOKS, NoSuchHook)
        self._good: dict[str, Job] = {}
        """By its event, each hook as it was last read."""
        self._waited: Optional[NamedFile] = None
        """What has been waited for in vain."""

    def key(self, name: str) -> str:
        """As `NamedFiles.key`: the event, however its file spells it."""
        return event_named(name) or name

    def read(self, file: NamedFile, *, patience: float = 2.0) -> "Job":
        """The job in this file.

        Raises:
            InvalidInput: it holds none, somebody else may change it, or there is no such event.
            OSError: it cannot be read just now.
        """
        from queuectl.codec import decode_hook

        if event_named(file.name) is None:
            raise InvalidInput(f"no event {file.name!r}", hint=f"there are {', '.join(EVENTS)}")
        return decode_hook(self.bytes_of(file, patience=patience))

    def current(self, event: str, *, settle_time: float, now: float) -> Optional["Job"]:
        """The hook of this event; None where there is none.

        Where its file was written less than `settle_time` seconds before `now`, and is no hook, somebody
        saves it just now: it is what it was before. One that was not read before is waited for, not longer
        than `SAVE_PATIENCE` seconds.

        Raises:
            InvalidInput, OSError: as `read` and `found`.
        """
        end = system.monotonic() + SAVE_PATIENCE
        while (file := self.found().get(event)) is not None:
            try:
                self._good[event] = found = self.read(file, patience=SAVE_PATIENCE)
                return found
            except (InvalidInput, OSError) as error:
                # RACE: one that is not there any more is deleted, or another takes its place.
                if abs(now - file.written) >= settle_time and not isinstance(error, FileNotFoundError):
                    raise
                if event in self._good:
                    return self._good[event]
                if self._waited == file or system.monotonic() >= end:
                    self._waited = file
                    raise
            system.sleep(_STEP)
        self._good.pop(event, None)
        return None

    def version_of(self, event: str) -> Optional[Version]:
        """The version of the file of this event; None where it cannot be told."""
        with suppress(OSError):
            file = self.found().get(event)
            return None if file is None else file.version
        return None
