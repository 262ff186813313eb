"""What is wrong with a job's text, and where: msgspec's errors in words that are not Python's. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, Optional

import msgspec

from queuectl.checks import MISSING, Problem
from queuectl.errors import InvalidInput
from queuectl.job import KEPT_FIELDS, USER_FIELDS
from queuectl.source import Source
from queuectl.state import STATE_NAMES

_ENUM = re.compile(r"^Invalid enum value (.*)$", re.S)
_TIMES = ("created_at", "updated_at", "run_at")
_MEANT = {
    "cmd": "command",
    "exec": "command",
    "run": "command",
    "argv": "command",
    "script": "command",
    "retries": "max_retries",
    "dir": "cwd",
    "workdir": "cwd",
    "environment": "env",
    "delay": "run_at",
    "function": "task",
    "func": "task",
    "arguments": "args",
    "params": "kwargs",
}
"""What people call a field whose name is not alike."""
_LONGEST_SLIP = 64
"""Characters beyond which a name is not a field's name with a slip of the finger."""
_AT_BYTE = re.compile(r"^(?:JSON is malformed: )?(.*) \(byte (\d+)\)$", re.S)
_AT_PATH = re.compile(r"^(.*) - at `\$(.*)`$", re.S)
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.S)
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.S)
_TYPE = re.compile(r"`([^`]*)`")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


class Kind(NamedTuple):
    """A kind of file: what it is called, its fields, what else people call them, what to do with others."""

    name: str
    fields: Sequence[str]
    meant: Mapping[str, str]
    else_hint: str
    missing: Mapping[str, str]
    """What is said of a field that it must have, and has not."""


JOB = Kind(
    "job",
    (*USER_FIELDS, *KEPT_FIELDS),
    _MEANT,
    "your own data goes into 'meta'",
    {"command": 'the smallest job is {"command": "echo hi"}'},
)


def complaint_of(source: Source, problem: Problem, before: str = "") -> InvalidInput:
    """What is wrong with a job whose types are right; `before` says where it stands."""
    if problem.text == MISSING:
        return _missing_field(source, problem.field, JOB, before)
    where = source.place_of_field(problem.field)
    return InvalidInput(f"{before}{problem.field}: {problem.text}{where}")


def complaint(source: Source, error: Exception, kind: Kind = JOB) -> InvalidInput:
    """What is wrong with a job, or another kind of file, by the error that msgspec raised of it."""
    if isinstance(error, RecursionError):
        return InvalidInput(f"nested too deeply to be a {kind.name}")
    message = str(error)
    if match := _UNKNOWN.match(message.split(" - at ", maxsplit=1)[0]):
        return _unknown_field(source, match[1], kind)
    if match := _MISSING.match(message.split(" - at ", maxsplit=1)[0]):
        return _missing_field(source, match[1], kind)
    if match := _AT_PATH.match(message):
        return _unfit_value(source, match[2].lstrip("."), match[1])
    return InvalidInput(_syntax(source, message))


def _missing_field(source: Source, name: str, kind: Kind, before: str = "") -> InvalidInput:
    where = source.place_among_others()
    return InvalidInput(f"{before}the field {name!r} is missing{where}", hint=kind.missing.get(name))


def _syntax(source: Source, message: str) -> str:
    if match := _AT_BYTE.match(message):
        offset = len(source.text.encode()[: int(match[2])].decode("utf-8", "ignore"))
        # msgspec has consumed the first of these when it counts.
        offset -= match[1] == "trailing characters"
        return f"not JSON: {match[1]}{source.place(offset)}"
    if "truncated" in message:
        return f"not JSON: it ends too early{source.place(len(source.text))}"
    return f"{_plain(message)}{source.place_among_others()}"


def _unfit_value(source: Source, path: str, message: str) -> InvalidInput:
    field = re.split(r"[.\[]", path, maxsplit=1)[0]
    what = _plain(message)
    if field in _TIMES:
        what = "not a time such as 2027-01-01T09:00:00Z"
    elif path == "env[...]":
        name = _bad_variable(source.text)
        path = "env" if name is None else f"env: {name!r}"
    return InvalidInput(f"{path}: {what}{source.place_of_field(field)}")


class _Environment(msgspec.Struct):
    """Only this field of a job: what else is in the file is skipped."""

    env: dict[str, Any] = {}


def _bad_variable(text: str) -> Optional[str]:
    """The first name in `env` whose value is not text; msgspec does not tell it."""
    try:
        env = msgspec.json.decode(text.encode(), type=_Environment).env
    except (msgspec.DecodeError, RecursionError):
        # Further on it is not even JSON, or `env` stands there twice.
        return None
    return next((name for name, value in env.items() if not isinstance(value, str)), None)


def _plain(message: str) -> str:
    """The same in words that are not Python's."""
    if match := _ENUM.match(message):
        return f"{match[1]} is not one of {STATE_NAMES}"

    def words(match: re.Match[str]) -> str:
        names = [name for name in match[1].split(" | ") if name != "null" or match[1] == "null"]
        return " or ".join(_WORDS.get(name, name) for name in names)

    text = _TYPE.sub(words, message)
    return text[:1].lower() + text[1:]


def _unknown_field(source: Source, name: str, kind: Kind) -> InvalidInput:
    close = [kind.meant[name]] if name in kind.meant else _alike(name, kind.fields)
    hint = f"did you mean {close[0]!r}?" if close else kind.else_hint
    return InvalidInput(f"unknown field {name!r}{source.place_of_field(name)}", hint=hint)


def _alike(name: str, fields: Sequence[str]) -> list[str]:
    if len(name) > _LONGEST_SLIP:
        return []
    return get_close_matches(name, fields, n=1)
