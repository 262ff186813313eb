"""The lines of an export: a job's record, whole, with its state, and behind it perhaps its log. Pure."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Optional

import msgspec

from queuectl.codec import decode_one
from queuectl.errors import InvalidInput
from queuectl.job import Job
from queuectl.source import Source
from queuectl.state import State

_FOLDER = "folder"
"""In a record: where it lay, if that is not what its state says."""
RESTS = {state.folder: state for state in (State.COMPLETED, State.DEAD)}
"""The folders that `folder` may name: there a job may lie that has not ended."""


class LogLine(msgspec.Struct, omit_defaults=True):
    """What a job's command has printed; as text where it is some."""

    log: Optional[str] = None
    text: Optional[str] = None
    base64: Optional[str] = None

    @property
    def data(self) -> bytes:
        """The bytes of the log. Raises ValueError."""
        return (self.text or "").encode() if self.base64 is None else b64decode(self.base64, validate=True)


class _Mark(msgspec.Struct):
    folder: Optional[str] = None


def job_line(job: Job, lies: State) -> bytes:
    """The line of a job that is to lie in this state's folder."""
    line = msgspec.json.encode(job)
    if job.state is not lies:
        line = msgspec.json.encode({**_fields(line), _FOLDER: lies.folder})
    return line + b"\n"


def log_line(job_id: str, data: bytes) -> bytes:
    """The line of this job's log."""
    try:
        line = LogLine(log=job_id, text=data.decode())
    except UnicodeDecodeError:
        line = LogLine(log=job_id, base64=b64encode(data).decode())
    return msgspec.json.encode(line) + b"\n"


def read_log(text: str) -> Optional[LogLine]:
    """The log in this line; None where it holds none."""
    try:
        line = msgspec.json.decode(text.encode(), type=LogLine)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        # What is wrong with it is told by who takes it for a job.
        return None
    return None if line.log is None else line


def read_job(text: str) -> tuple[Job, State]:
    """The job in this line, and the state in whose folder it is to lie. One that ran waits.

    Raises:
        InvalidInput: it holds none.
    """
    folder = _folder_in(text)
    if folder is None:
        job = decode_one(Source(text, None))
        state = State.PENDING if job.state is State.PROCESSING else job.state
        return msgspec.structs.replace(job, state=state), state
    if folder not in RESTS:
        raise InvalidInput(f"folder: {folder!r} is not one of {', '.join(RESTS)}")
    fields = _fields(text.encode())
    del fields[_FOLDER]
    return decode_one(Source(msgspec.json.encode(fields).decode(), None)), RESTS[folder]


def _folder_in(text: str) -> Optional[str]:
    if f'"{_FOLDER}"' not in text:
        return None
    try:
        return msgspec.json.decode(text.encode(), type=_Mark).folder
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _fields(line: bytes) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(line, type=dict[str, msgspec.Raw])
