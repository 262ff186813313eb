"""Job records as bytes: what people and their tools write comes in, pretty-printed JSON goes out. Pure.

PowerShell 5.1 writes UTF-16 with a byte order mark (`>`, Out-File) or UTF-8 with one; all are read. Errors
say the field, the line and the column.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn, Optional

import msgspec

from queuectl.errors import InvalidInput
from queuectl.job import KEPT_FIELDS, USER_FIELDS, Job, problem_of
from queuectl.state import STATE_NAMES

_DECODER = msgspec.json.Decoder(Job)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_ENUM = re.compile(r"^Invalid enum value (.*)$", re.S)
_TIMES = ("created_at", "updated_at", "run_at")
_MEANT = {
    "cmd": "command",
    "exec": "command",
    "run": "command",
    "args": "command",
    "argv": "command",
    "script": "command",
    "retries": "max_retries",
    "dir": "cwd",
    "workdir": "cwd",
    "environment": "env",
    "delay": "run_at",
}
"""What people call a field whose name is not alike."""
ONE_EACH = "a file in pending holds one job; of several: queuectl enqueue --file F"
_AT_BYTE = re.compile(r"^(?:JSON is malformed: )?(.*) \(byte (\d+)\)$", re.S)
_AT_PATH = re.compile(r"^(.*) - at `\$(.*)`$", re.S)
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.S)
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.S)
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}\[\]]', re.S)
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


class _Source(NamedTuple):
    """The text of one job, and where in the whole input it begins; None where a place says nothing."""

    text: str
    whole: Optional[str]
    start: int = 0

    def place(self, offset: Optional[int]) -> str:
        if offset is None or self.whole is None:
            return ""
        at = self.start + offset
        line = self.whole.count("\n", 0, at) + 1
        return f" at line {line}, column {at - self.whole.rfind(chr(10), 0, at)}"

    def place_among_others(self) -> str:
        return self.place(0) if self.text != self.whole else ""

    def place_of_field(self, name: str) -> str:
        return self.place(_field_offset(self.text, name))


def is_blank(data: bytes) -> bool:
    """Whether a file of these bytes holds nothing yet: empty, a byte order mark, or white space."""
    return not data.strip(b" \t\r\n\0\xff\xfe\xef\xbb\xbf")


def decode_text(data: bytes) -> str:
    """Bytes that a person's tools wrote, as text.

    Raises:
        InvalidInput: neither UTF-8 nor UTF-16 with a byte order mark.
    """
    if data[:4] in _UTF32:
        encoding = "utf-32"
    elif b"\0" in data[:4]:
        encoding = "utf-16" if data[:2] in _UTF16 else _refuse_markless()
    else:
        encoding = "utf-16" if data[:2] in _UTF16 else "utf-8"
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        place = _Source(before, before).place(len(before))
        raise InvalidInput(f"not text in UTF-8{place}", hint="save the file as UTF-8") from None


def _refuse_markless() -> NoReturn:
    raise InvalidInput("UTF-16 or UTF-32 without a byte order mark", hint="save the file as UTF-8")


def decode_job(data: bytes) -> Job:
    """The job that a file of these bytes holds.

    Raises:
        InvalidInput: it holds none; says what is wrong and where.
    """
    text = decode_text(data)
    try:
        return _decode(_Source(text, text))
    except InvalidInput as error:
        if text.lstrip()[:1] == "[" or "trailing characters" in error.message:
            raise InvalidInput(error.message, hint=ONE_EACH) from None
        raise


def decode_jobs(data: bytes) -> list[Job]:
    """The jobs in `data`: one object, an array of objects, or JSON Lines.

    Raises:
        InvalidInput: one of them is no job; says which and where.
    """
    text = decode_text(data)
    if text.lstrip()[:1] == "[":
        return _decode_array(text)
    lines = [source for source in _lines(text) if source.text.strip()]
    if len(lines) > 1 and all(source.text.strip()[0] + source.text.strip()[-1] == "{}" for source in lines):
        return [_decode(source) for source in lines]
    return [_decode(_Source(text, text))]


def checked(job: Job) -> Job:
    """`job`, whose fields were put together by a program, through the same checks as a file.

    Raises:
        InvalidInput: one of them cannot be.
    """
    return _decode(_Source(msgspec.json.encode(job).decode(), None))


def _lines(text: str) -> Iterator[_Source]:
    start = 0
    # Not splitlines: JSON allows what Unicode calls a line break within a string.
    for line in text.split("\n"):
        yield _Source(line, text, start)
        start += len(line) + 1


def _decode_array(text: str) -> list[Job]:
    try:
        items = msgspec.json.decode(text.encode(), type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        _refuse(_Source(text, text), error)
    jobs: list[Job] = []
    end = 0
    for item in items:
        one = bytes(item).decode()
        start = text.index(one, end)
        jobs.append(_decode(_Source(one, text, start)))
        end = start + len(one)
    return jobs


def _decode(source: _Source) -> Job:
    try:
        job = _DECODER.decode(source.text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        _refuse(source, error)
    if problem := problem_of(job):
        raise InvalidInput(f"{problem.field}: {problem.text}{source.place_of_field(problem.field)}")
    return job


def _refuse(source: _Source, error: Exception) -> NoReturn:
    raise _told(source, error) from None


def _told(source: _Source, error: Exception) -> InvalidInput:
    if isinstance(error, RecursionError):
        return InvalidInput("nested too deeply to be a job")
    message = str(error)
    if match := _UNKNOWN.match(message.split(" - at ", maxsplit=1)[0]):
        return _unknown_field(source, match[1])
    if match := _MISSING.match(message.split(" - at ", maxsplit=1)[0]):
        hint = 'the smallest job is {"command": "echo hi"}' if match[1] == "command" else None
        return InvalidInput(f"the field {match[1]!r} is missing{source.place_among_others()}", hint=hint)
    if match := _AT_PATH.match(message):
        return _unfit_value(source, match[2].lstrip("."), match[1])
    return InvalidInput(_syntax(source, message))


def _syntax(source: _Source, message: str) -> str:
    if match := _AT_BYTE.match(message):
        offset = len(source.text.encode()[: int(match[2])].decode("utf-8", "ignore"))
        # msgspec has consumed the first of these when it counts.
        offset -= match[1] == "trailing characters"
        return f"not JSON: {match[1]}{source.place(offset)}"
    if "truncated" in message:
        return f"not JSON: it ends too early{source.place(len(source.text))}"
    return f"{_plain(message)}{source.place_among_others()}"


def _unfit_value(source: _Source, path: str, message: str) -> InvalidInput:
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


def _unknown_field(source: _Source, name: str) -> InvalidInput:
    close = [_MEANT[name]] if name in _MEANT else get_close_matches(name, [*USER_FIELDS, *KEPT_FIELDS], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "your own data goes into 'meta'"
    return InvalidInput(f"unknown field {name!r}{source.place_of_field(name)}", hint=hint)


def _field_offset(text: str, name: str) -> Optional[int]:
    """Where the outermost object has this key."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("{", "["):
            depth += 1
        elif token[0] in ("}", "]"):
            depth -= 1
        elif depth == 1 and token[2] and _unquoted(token[1]) == name:
            return token.start()
    return None


def _unquoted(literal: str) -> Optional[str]:
    try:
        return msgspec.json.decode(literal.encode(), type=str)
    except (msgspec.DecodeError, UnicodeError):
        return None


def encode_job(job: Job) -> bytes:
    """The record as it is stored: JSON that a person can open in Notepad."""
    return msgspec.json.format(msgspec.json.encode(job), indent=2) + b"\n"


def job_size(job: Job) -> int:
    """The bytes of the job without white space and without the history of its runs."""
    return len(msgspec.json.encode(msgspec.structs.replace(job, history=[])))


def job_to_dict(job: Job) -> dict[str, Any]:
    """The whole record as plain data, with every field, for `--json`."""
    stored: dict[str, Any] = msgspec.to_builtins(job)
    fields = zip(Job.__struct_fields__, Job.__struct_encode_fields__)
    return {shown: stored.get(shown, getattr(job, field)) for field, shown in fields if shown != "$schema"}


def job_schema() -> bytes:
    """JSON Schema of a job file, for editors that complete and check as one types."""
    (schema,), components = msgspec.json.schema_components([Job], ref_template="#/$defs/{name}")
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A queuectl job",
        **schema,
        "$defs": components,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
