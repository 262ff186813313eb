"""`schedules/`: a file for each schedule, which a person may write; in `state/`, what is known of its past.

A record that is lost, or not to be read, begins anew: nothing is made up for, and nothing is fired twice (a
job's id tells which moment it is for).
"""

from typing import TYPE_CHECKING, Optional

from queuectl.errors import InvalidInput, NoSuchSchedule
from queuectl.spool import layout
from queuectl.spool.named import Home, NamedFile, NamedFiles

if TYPE_CHECKING:
    from queuectl.schedule import Record, Schedule


class ScheduleFiles(NamedFiles):
    """Those of one spool."""

    what = "schedule"

    def __init__(self, spool: Home) -> None:
        super().__init__(spool, layout.SCHEDULES, NoSuchSchedule)

    def read(self, file: NamedFile, *, patience: float = 2.0) -> "Schedule":
        """The schedule in this file.

        Raises:
            InvalidInput: it holds none, or somebody else may change it.
            OSError: it cannot be read just now.
        """
        from queuectl.schedule import name_problem
        from queuectl.schedule_codec import decode_schedule

        if problem := name_problem(file.name):
            raise InvalidInput(problem, hint="rename the file")
        return decode_schedule(self.bytes_of(file, patience=patience))

    def save(self, name: str, schedule: "Schedule", *, over: Optional[NamedFile] = None) -> None:
        """Write a schedule, a new one or over the one that was read. Raises as `write`."""
        from queuectl.schedule_codec import encode_schedule

        self.write(name, encode_schedule(schedule), over=over)

    def record(self, name: str) -> "Optional[Record]":
        """What is known of this one's past; None where nothing is. Raises as `kept`."""
        from queuectl.schedule_codec import decode_record

        data = self.kept(name)
        return None if data is None else decode_record(data)

    def write_record(self, name: str, record: "Record") -> None:
        """Keep this. Raises OSError."""
        from queuectl.schedule_codec import encode_record

        self.keep(name, encode_record(record))
