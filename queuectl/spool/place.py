"""Where a job's file lies, and what was read there."""

from typing import TYPE_CHECKING, NamedTuple, Optional

from queuectl.errors import InvalidInput
from queuectl.names import SUFFIX
from queuectl.state import State

if TYPE_CHECKING:
    from queuectl.job import Job

LARGEST_RESULT = 64 * 1024
"""Bytes up to which what a command leaves as its result is kept in the record."""
ROOM = 64 * 1024 + 2 * LARGEST_RESULT
"""Bytes that a record may have over its job's size, for its runs and the result of the last."""
LARGEST = 64 * 2**20
"""Bytes up to which we read a record that was a job once, whatever the setting is now."""


class FileChanged(OSError):
    """A file is not the version any more that it was read in."""


class Place(NamedTuple):
    """Where a job's file lies."""

    state: State
    job_id: str
    worker: Optional[str] = None
    file_name: Optional[str] = None
    """The file's own name where it is not `<id>.json`, as in `job.json.txt`."""

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.file_name or self.job_id + SUFFIX


class Read(NamedTuple):
    """A job as read from its file.

    `version` is the (mtime_ns, size) of what was read; `faithful` is False when the record gives another id
    than its file's name, which wins.
    """

    job: "Job"
    version: tuple[int, int]
    faithful: bool


def too_large(limit: int) -> InvalidInput:
    """What is said of a job of more than `limit` bytes."""
    return InvalidInput(
        f"larger than max_job_bytes ({limit} bytes)",
        hint="put large data into a file of its own and name that in the command",
    )
