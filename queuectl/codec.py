"""Job records as bytes: what people and their tools write comes in, pretty-printed JSON goes out. Pure.

PowerShell 5.1 writes UTF-16 with a byte order mark (`>`, Out-File) or UTF-8 with one; all are read. Errors
say the field, the line and the column.
"""

from __future__ import annotations

import codecs
import re
from difflib import get_close_matches
from typing import Any, NoReturn, Optional

import msgspec

from queuectl.errors import InvalidInput
from queuectl.job import KEPT_FIELDS, USER_FIELDS, Job, problem_of

_DECODER = msgspec.json.Decoder(Job)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_AT_BYTE = re.compile(r"^(?:JSON is malformed: )?(.*) \(byte (\d+)\)$", re.S)
_AT_PATH = re.compile(r"^(.*) - at `\$(.*)`$", re.S)
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.S)
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.S)


def is_blank(data: bytes) -> bool:
    """Whether a file of these bytes holds nothing yet: empty, a byte order mark, or white space."""
    return not data.strip(b" \t\r\n\0\xff\xfe\xef\xbb\xbf")


def decode_text(data: bytes) -> str:
    """Bytes that a person's tools wrote, as text.

    Raises:
        InvalidInput: neither UTF-8 nor UTF-16 with a byte order mark.
    """
    encoding = "utf-16" if data[:2] in _UTF16 else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        raise InvalidInput(
            f"not text in UTF-8{_place(before, len(before))}", hint="save the file as UTF-8"
        ) from None


def decode_job(data: bytes) -> Job:
    """The job that a file of these bytes holds.

    Raises:
        InvalidInput: it holds none; says what is wrong and where.
    """
    return _decode(decode_text(data))


def decode_jobs(data: bytes) -> list[Job]:
    """The jobs in `data`: one object, an array of objects, or JSON Lines.

    Raises:
        InvalidInput: one of them is no job; says which and where.
    """
    text = decode_text(data)
    start = text.lstrip()[:1]
    if start == "[":
        return _decode_array(text)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(
        line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in lines
    ):
        return [_decode(line, label=f"line {number}: ") for number, line in enumerate(lines, 1)]
    return [_decode(text)]


def _decode_array(text: str) -> list[Job]:
    try:
        items = msgspec.json.decode(text.encode(), type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        _refuse(text, error, "")
    return [_decode(bytes(item).decode(), label=f"job {n}: ") for n, item in enumerate(items, 1)]


def _decode(text: str, label: str = "") -> Job:
    try:
        job = _DECODER.decode(text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        _refuse(text, error, label)
    if problem := problem_of(job):
        where = _place(text, _field_offset(text, problem.field))
        raise InvalidInput(f"{label}{problem.field}: {problem.text}{where}")
    return job


def _refuse(text: str, error: Exception, label: str) -> NoReturn:
    if isinstance(error, RecursionError):
        raise InvalidInput(f"{label}nested too deeply to be a job") from None
    message = str(error)
    if match := _UNKNOWN.match(message.split(" - at ", maxsplit=1)[0]):
        raise _unknown_field(text, match[1], label) from None
    if match := _MISSING.match(message.split(" - at ", maxsplit=1)[0]):
        hint = 'the smallest job is {"command": "echo hi"}' if match[1] == "command" else None
        raise InvalidInput(f"{label}the field {match[1]!r} is missing", hint=hint) from None
    if match := _AT_BYTE.match(message):
        offset = len(text.encode()[: int(match[2])].decode("utf-8", "ignore"))
        raise InvalidInput(f"{label}not JSON: {match[1]}{_place(text, offset)}") from None
    if match := _AT_PATH.match(message):
        path = match[2].lstrip(".")
        field = re.split(r"[.\[]", path, maxsplit=1)[0]
        where = _place(text, _field_offset(text, field))
        raise InvalidInput(f"{label}{path}: {_plain(match[1])}{where}") from None
    if "truncated" in message:
        raise InvalidInput(f"{label}not JSON: it ends too early{_place(text, len(text))}") from None
    raise InvalidInput(f"{label}{_plain(message)}") from None


def _plain(message: str) -> str:
    text = message.replace("`", "").replace(" | null", "")
    return text[:1].lower() + text[1:]


def _unknown_field(text: str, name: str, label: str) -> InvalidInput:
    close = get_close_matches(name, [*USER_FIELDS, *KEPT_FIELDS], n=1)
    hint = f"did you mean {close[0]!r}?" if close else "your own data goes into 'meta'"
    where = _place(text, _field_offset(text, name))
    return InvalidInput(f"{label}unknown field {name!r}{where}", hint=hint)


def _field_offset(text: str, name: str) -> Optional[int]:
    quoted = msgspec.json.encode(name).decode()
    match = re.search(re.escape(quoted) + r"\s*:", text)
    return match.start() if match else None


def _place(text: str, offset: Optional[int]) -> str:
    if offset is None:
        return ""
    before = text[:offset]
    return f" at line {before.count(chr(10)) + 1}, column {offset - before.rfind(chr(10))}"


def encode_job(job: Job) -> bytes:
    """The record as it is stored: JSON that a person can open in Notepad."""
    return msgspec.json.format(msgspec.json.encode(job), indent=2) + b"\n"


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
