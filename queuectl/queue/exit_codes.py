"""The one number by which a script is told how the jobs that it has waited for have ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from queuectl import system
from queuectl.errors import NoSuchJob
from queuectl.state import State

FAILED, JOB_TIMED_OUT, NOT_STARTED, SIGNALLED = 1, 124, 127, 128
"""Exit codes as a shell and `timeout` have them."""


def exit_code_of(row: dict[str, Any]) -> int:
    """What a script is told of a job that has ended: as if it had run the command itself.

    0 is success and nothing else, whatever the command's own code was.
    """
    if row["state"] is None:
        return NoSuchJob.exit_code
    if row["state"] == State.COMPLETED.value:
        return 0
    code: Optional[int] = row["exit_code"]
    if row["outcome"] == "timeout":
        return JOB_TIMED_OUT
    if row["outcome"] != "failed" or row.get("task") is not None:
        return FAILED
    if code is None:
        return NOT_STARTED
    return system.exit_status(SIGNALLED - code if code < 0 else code) or FAILED


def exit_code_of_all(rows: Sequence[dict[str, Any]]) -> int:
    """That of the first that failed, in their order."""
    return next((code for code in map(exit_code_of, rows) if code), 0)
