"""What a command tells of itself, in files that its environment names: how far it is, and what came of it.

They lie in `tmp/` under the name of its worker, new ones for each run: no run can be told what another has
written, not even by what that has left running, and what a death leaves there goes with the rest of the dead
worker's files. Named after the job, in `logs/`, they would have to be looked for and removed before each run.
"""

import os
import re
from contextlib import suppress
from typing import Any, NamedTuple, Optional

from queuectl import system
from queuectl.errors import InvalidInput
from queuectl.spool.place import LARGEST_RESULT

_LARGEST_PROGRESS = 64 * 1024
_LONGEST_TEXT = 200
_HUNDRED = 100
_PATIENCE = 0.1
# Compiled by `re` when it is first needed.
_PERCENT = r"(?a)(\d{1,3}(?:[.,]\d{1,9})?)(?: *%|(?=\s)|\Z)(.*)"


class Tidings(NamedTuple):
    """Where one run may write them."""

    result: str
    progress: str
    refused: str
    """Where a result that cannot be kept in the record comes to lie."""


class Result(NamedTuple):
    """What a run has left: any JSON, None if nothing; `problem` says why it could not be taken."""

    value: Any = None
    problem: Optional[str] = None


class Progress(NamedTuple):
    """How far a run is."""

    percent: Optional[float] = None
    text: str = ""


def take(tidings: Tidings) -> Result:
    """What the run that has just ended has left; its files are gone then."""
    # Asked first: most commands leave nothing, and to be refused takes longer.
    if os.path.lexists(tidings.progress):
        _remove(tidings.progress)
    if not os.path.lexists(tidings.result):
        return Result()
    try:
        data, _ = system.read_file(tidings.result, LARGEST_RESULT)
    except OSError as error:
        return _set_aside(tidings, error.strerror or str(error))
    try:
        value = parse_result(data)
    except InvalidInput as error:
        return _set_aside(tidings, str(error))
    _remove(tidings.result)
    return Result(value)


def _remove(path: str) -> None:
    # One that somebody looks at (Windows) goes with its worker's other files.
    with suppress(OSError):
        system.remove(path, patience=_PATIENCE)


def _set_aside(tidings: Tidings, why: str) -> Result:
    # The second name is free, whatever lies at the first.
    for place in (tidings.refused, f"{tidings.refused}.{os.path.basename(tidings.result)}"):
        try:
            # A folder or a link is moved as it is, not what is in it or behind it.
            system.replace(tidings.result, place)
        except OSError:
            continue
        return Result(problem=f"{why}; it lies in {place}")
    return Result(problem=f"{why}; it cannot be moved out of {tidings.result}")


def parse_result(data: bytes) -> Any:
    """The value that a file of these bytes holds; None if it is blank.

    Raises:
        InvalidInput: it holds none that can be kept in a record, and be read from there again.
    """
    # Lazily, as all of msgspec: most commands leave no result.
    import msgspec

    from queuectl.checks import problem_of
    from queuectl.codec import decode_job, decode_text, encode_job, is_blank
    from queuectl.complaints import complaint
    from queuectl.job import Job
    from queuectl.source import Source

    if len(data) > LARGEST_RESULT:
        raise InvalidInput(f"larger than {LARGEST_RESULT} bytes")
    if is_blank(data):
        return None
    text = decode_text(data)
    try:
        value = msgspec.json.decode(text.encode())
        size = len(msgspec.json.encode(value))
    except RecursionError:
        raise InvalidInput("nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise complaint(Source(text, text), error) from None
    if size > LARGEST_RESULT:
        raise InvalidInput(f"larger than {LARGEST_RESULT} bytes in UTF-8")
    job = Job(command="x", result=value)
    if problem := problem_of(job):
        raise InvalidInput(problem.text)
    # Our own reader has the last word.
    decode_job(encode_job(job))
    return value


def read_progress(path: str) -> Optional[Progress]:
    """How far the run is that writes to this file; None if that cannot be told just now."""
    try:
        data, _ = system.read_file(path, _LARGEST_PROGRESS, patience=0.0)
    except OSError:
        return None
    return parse_progress(data)


def parse_progress(data: bytes) -> Optional[Progress]:
    """What the last line says, or all of it where that is one JSON object; None if it is silly."""
    if len(data) > _LARGEST_PROGRESS:
        return None
    try:
        text = _decoded(data).strip()
    except InvalidInput:
        return None
    if not text:
        return None
    line = text.splitlines()[-1].strip()
    if text.startswith("{"):
        return _from_json(text) or _from_json(line)
    return _from_words(line)


def _decoded(data: bytes) -> str:
    if data.isascii() and b"\0" not in data:
        # `status` need not import a decoder for that.
        return data.decode()
    from queuectl.codec import decode_text

    return decode_text(data)


def _from_words(line: str) -> Optional[Progress]:
    match = re.match(_PERCENT, line)
    if match is None:
        return None if _is_number(line) else _progress(None, line)
    return _progress(float(match[1].replace(",", ".")), match[2])


def _is_number(line: str) -> bool:
    try:
        float(line)
    except ValueError:
        return False
    return True


def _from_json(text: str) -> Optional[Progress]:
    from json import loads

    try:
        told = loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not {"percent", "text"} & told.keys():
        return None
    percent, words = told.get("percent"), told.get("text")
    if not isinstance(words, (str, type(None))) or isinstance(percent, bool):
        return None
    return _progress(percent, words or "") if isinstance(percent, (int, float, type(None))) else None


def _progress(percent: Optional[float], text: str) -> Optional[Progress]:
    # Also not a number: that is neither.
    if percent is not None and not 0 <= percent <= _HUNDRED:
        return None
    return Progress(percent, " ".join(text.split())[:_LONGEST_TEXT])
