"""What a command tells of itself, in files that its environment names: how far it is, and what came of it.

They lie in `tmp/` under the name of its worker, new ones for each run: no run can be told what another has
written, not even by what that has left running, and what a death leaves there goes with the rest of the dead
worker's files. Named after the job, in `logs/`, they would have to be looked for and removed before each run.
"""

import math
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Optional

from queuectl import system
from queuectl.errors import InvalidInput
from queuectl.spool.place import LARGEST_RESULT

_LARGEST_PROGRESS = 64 * 1024
_LONGEST_TEXT = 200
_HUNDRED = 100
_TAIL = 4096
"""Bytes that are read of the end of a larger one, or up to twice as many: its last line counts."""
_PATIENCE, _LONG_PATIENCE = 0.1, 1.0
"""Seconds for what holds up nothing, and for a result: something left running may hold it for ever."""
_TRIES = 2
"""Names that are tried for a result that is refused: `Paths.beside` looks beyond one that is not there."""
# Compiled by `re` when it is first needed.
_PERCENT = r"(?a)(\d{1,3}(?:[.,]\d{1,9})?)(?: *%|(?=\s)|\Z)(.*)"


class Tidings(NamedTuple):
    """Where one run may write them."""

    result: str
    progress: str
    refused: Sequence[str]
    """Where one that cannot be kept in the record comes to lie: at the first of these that is free."""


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
    forget_progress(tidings.progress)
    if not system.is_there(tidings.result):
        return Result()
    try:
        data, _ = system.read_file(tidings.result, LARGEST_RESULT, patience=_LONG_PATIENCE)
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
        system.remove_all(path, patience=_PATIENCE)


def _set_aside(tidings: Tidings, why: str) -> Result:
    free, patience = [one for one in tidings.refused if not os.path.lexists(one)], _LONG_PATIENCE
    # Of a job that goes on leaving such the last one is kept, beside the first ones.
    for place in free[:_TRIES] or tidings.refused[-1:]:
        try:
            system.make_folder(os.path.dirname(place))
            system.remove_all(place, patience=_PATIENCE)
            # A folder or a link is moved as it is, not what is in it or behind it.
            system.replace(tidings.result, place, patience=patience)
        except OSError:
            # Under another name it may go, unless somebody holds it: it is all that the command has left.
            patience = 0.0
            continue
        return Result(problem=f"{why}; it lies in {place}")
    return Result(problem=f"{why}; it cannot be moved out of {tidings.result}")


def keep(value: Any, tidings: Optional[Tidings]) -> Result:
    """What a function has returned, as a record can keep it; what it cannot is set aside, as `take` does."""
    if value is None:
        return Result()
    import msgspec

    try:
        data = msgspec.json.encode(value)
    except Exception as error:  # noqa: BLE001 (what is in it may have a say in that, and fail)
        return Result(problem=f"JSON has no form for it: {error}")
    # It would be written as null, and nobody told.
    if b"null" in data and (number := _number_unknown(msgspec.to_builtins(value))) is not None:
        return Result(problem=f"JSON has no form for it: the number {number} is in it")
    try:
        return Result(parse_result(data))
    except InvalidInput as error:
        if tidings is None:
            return Result(problem=str(error))
        with suppress(OSError), open(tidings.result, "xb", opener=system.open_plainly) as file:
            file.write(data)
        return _set_aside(tidings, str(error))


def _number_unknown(value: Any) -> Optional[float]:
    """A number in this that JSON does not know (nan, inf), if there is one."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, float) and not math.isfinite(one):
            return one
        if isinstance(one, (dict, list, tuple)):
            todo.extend(one.values() if isinstance(one, dict) else one)
    return None


def parse_result(data: bytes) -> Any:
    """The value that a file of these bytes holds; None if it is blank.

    Raises:
        InvalidInput: it holds none that can be kept in a record, and be read from there again.
    """
    # Lazily, as all of msgspec: most commands leave no result.
    from queuectl.checks import problem_of
    from queuectl.codec import decode_job, decode_text, encode_job, is_blank
    from queuectl.job import Job

    if len(data) > LARGEST_RESULT:
        raise InvalidInput(f"larger than {LARGEST_RESULT} bytes")
    if is_blank(data):
        return None
    job = Job(command="x", result=_json_of(decode_text(data)))
    if problem := problem_of(job):
        raise InvalidInput(problem.text)
    # Our own reader has the last word.
    decode_job(encode_job(job))
    return job.result


def _json_of(text: str) -> Any:
    import msgspec

    from queuectl.complaints import complaint
    from queuectl.source import Source

    try:
        value = msgspec.json.decode(text.encode())
        size = len(msgspec.json.encode(value))
    except RecursionError:
        raise InvalidInput("nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise complaint(Source(text, text), error) from None
    if size > LARGEST_RESULT:
        raise InvalidInput(f"larger than {LARGEST_RESULT} bytes in UTF-8")
    return value


def tell_progress(path: str, percent: float, text: str) -> None:
    """Write into this file how far a run is; no error where that cannot be done: the run goes on."""
    line = f"{min(max(percent, 0.0), 100.0):.2f}% {' '.join(text.split())}\n"
    with suppress(OSError), open(path, "ab", opener=system.open_plainly) as file:
        file.write(line.encode("utf-8", "replace"))


def forget_progress(path: str) -> None:
    """Its run has ended: how far that was is of no use any more."""
    # Asked first: most tell nothing, and to be refused takes longer.
    if system.is_there(path):
        _remove(path)


def read_progress(path: str) -> Optional[Progress]:
    """How far the run is that writes to this file; None if that cannot be told just now."""
    try:
        data, _ = system.read_file(path, _LARGEST_PROGRESS, patience=0.0)
        if len(data) > _LARGEST_PROGRESS:
            return parse_end(system.read_end(path, _TAIL, patience=0.0))
    except OSError:
        return None
    return parse_progress(data)


def parse_progress(data: bytes) -> Optional[Progress]:
    """What the last whole line says, or all of it where that is one JSON object; None if it is silly."""
    try:
        text = _decoded(data)
    except InvalidInput:
        return None
    line = _last_line(text)
    return _from_json(text) or _from_json(line) if text.lstrip().startswith("{") else _from_words(line)


def parse_end(data: bytes) -> Optional[Progress]:
    """The same of the end of a long file, which begins anywhere, but not within a character of UTF-16."""
    # What PowerShell appends to is of that, and says so at its beginning alone.
    text = data.decode("utf-16-le" if b"\0" in data else "utf-8", "replace")
    line = _last_line(text.partition("\n")[2])
    return _from_json(line) if line.startswith("{") else _from_words(line)


def _last_line(text: str) -> str:
    """The last one that is whole, or the only one: one without its end may be half written."""
    lines = [line for line in text.splitlines(keepends=True) if line.strip()]
    if len(lines) > 1 and not lines[-1].endswith(("\n", "\r")):
        lines.pop()
    return lines[-1].strip() if lines else ""


def _decoded(data: bytes) -> str:
    if data.isascii() and b"\0" not in data:
        # `status` need not import a decoder for that.
        return data.decode()
    from queuectl.codec import decode_text

    return decode_text(data)


def _from_words(line: str) -> Optional[Progress]:
    match = re.match(_PERCENT, line)
    if match is None:
        return None if not line or _is_number(line) else _progress(None, line)
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
