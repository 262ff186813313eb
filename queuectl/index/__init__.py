"""All SQL: the index of the spool behind `status` and `list`, the order of claims, and the config table.

The index is a projection of the files. Its rows are written after the files have moved, so every reader
expects it to be behind (see `reconcile`), and deleting it loses no job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from queuectl.index.ended import OLDEST, Ended, latest_at
from queuectl.index.filters import ALL, Filter, checked, is_meant
from queuectl.index.lanes import Lanes
from queuectl.index.notes import Notes
from queuectl.index.rows import (
    STUCK_AFTER,
    EndedRow,
    Entry,
    Look,
    Match,
    Oddity,
    Position,
    Stamp,
    command_of,
    written_command,
)
from queuectl.index.settings import Settings
from queuectl.index.shown import Shown
from queuectl.index.trouble import is_damage, trouble, usable_error
from queuectl.index.whereabouts import Whereabouts

if TYPE_CHECKING:
    from queuectl.index.gauges import Gauges
    from queuectl.index.runs import Runs

__all__ = [
    "ALL",
    "OLDEST",
    "STUCK_AFTER",
    "EndedRow",
    "Entry",
    "Filter",
    "Index",
    "Look",
    "Match",
    "Oddity",
    "Position",
    "Stamp",
    "checked",
    "command_of",
    "is_damage",
    "is_meant",
    "latest_at",
    "trouble",
    "usable_error",
    "written_command",
]


class Index(Whereabouts, Lanes, Notes, Shown, Ended, Settings):
    """A connection to the index; one a thread."""

    _runs: Optional[Runs] = None

    @property
    def runs(self) -> Runs:
        """The numbers of runs that have ended."""
        # Lazily: `status` does not ask.
        from queuectl.index.runs import Runs

        if self._runs is None or self._runs.connection is not self._sql:
            self._runs = Runs(self._sql, self.transaction)
        return self._runs

    @property
    def gauges(self) -> Gauges:
        """What is measured now and then."""
        from queuectl.index.gauges import Gauges

        return Gauges(self._sql)

    def clear(self) -> None:
        """Forget every job, but no setting.

        Raises:
            Busy, SpoolUnusable: the index cannot be written.
        """
        self.refuse_in_memory()
        with self.transaction():
            self._sql.execute("DELETE FROM jobs")
            self._sql.execute("DELETE FROM oddities")
            self._sql.execute("DELETE FROM links")
            self._sql.execute("DELETE FROM looks")
