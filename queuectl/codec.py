"""Job records as bytes: what people and their tools write comes in, pretty-printed JSON goes out. Pure.

PowerShell 5.1 writes UTF-16 with a byte order mark (`>`, Out-File) or UTF-8 with one; all are read. Errors
say the field, the line and the column.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn

import msgspec

from queuectl.checks import problem_of, problem_of_hook
from queuectl.errors import InvalidInput
from queuectl.job import Job, renamed
from queuectl.source import Source

_DECODER = msgspec.json.Decoder(Job)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_ALWAYS_SHOWN = 32 * 1024
"""Bytes up to which a record is indented whatever is in it."""
ONE_EACH = "a file in pending holds one job; of several: queuectl enqueue --file F"


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
        place = Source(before, before).place(len(before))
        raise InvalidInput(f"not text in UTF-8{place}", hint="save the file as UTF-8") from None


def source_of(data: bytes, *, smallest: str, placeless: bool = False) -> Source:
    """The text of a file that holds one thing; `placeless` where a line number would tell nobody anything.

    Raises:
        InvalidInput: it holds nothing (the hint says what the `smallest` would be), or no text.
    """
    if is_blank(data):
        raise InvalidInput("empty", hint=smallest, blank=True)
    text = decode_text(data)
    return Source(text, None if placeless else text)


def _refuse_markless() -> NoReturn:
    raise InvalidInput("UTF-16 or UTF-32 without a byte order mark", hint="save the file as UTF-8")


def decode_job(data: bytes) -> Job:
    """The job that a file of these bytes holds.

    Raises:
        InvalidInput: it holds none; says what is wrong and where.
    """
    try:
        job = _DECODER.decode(data)
        if problem_of(job) is None:
            return job
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        # Another encoding, or to be explained.
        pass
    return _decode_text_of(data)


def decode_hook(data: bytes) -> Job:
    """The job that a hook's file of these bytes holds.

    Raises:
        InvalidInput: it holds none, or one that is to be no hook.
    """
    job = decode_job(data)
    if problem := problem_of_hook(job):
        raise InvalidInput(f"{problem.field}: {problem.text}")
    return job


def _decode_text_of(data: bytes) -> Job:
    source = source_of(data, smallest='the smallest job is {"command": "echo hi"}')
    try:
        return decode_one(source)
    except InvalidInput as error:
        if source.text.lstrip()[:1] == "[" or "trailing characters" in error.message:
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
        return [decode_one(source) for source in lines]
    return [decode_one(Source(text, text))]


def named_as(job: Job, job_id: str) -> Job:
    """The job of a file that is called so, whatever id its record has.

    Raises:
        InvalidInput: under this name it would wait for itself.
    """
    if job.id == job_id:
        return job
    named = renamed(job, job_id)
    if named.after and (problem := problem_of(named)):
        raise InvalidInput(f"{problem.field}: {problem.text}", hint="rename the file, or change the field")
    return named


def checked(job: Job) -> Job:
    """`job`, whose fields were put together by a program, through the same checks as a file.

    Raises:
        InvalidInput: one of them cannot be.
    """
    return decode_one(Source(msgspec.json.encode(job).decode(), None))


def _lines(text: str) -> Iterator[Source]:
    start = 0
    # Not splitlines: JSON allows what Unicode calls a line break within a string.
    for line in text.split("\n"):
        yield Source(line, text, start)
        start += len(line) + 1


def _decode_array(text: str) -> list[Job]:
    try:
        items = msgspec.json.decode(text.encode(), type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        _refuse(Source(text, text), error)
    jobs: list[Job] = []
    end = 0
    for item in items:
        one = bytes(item).decode()
        start = text.index(one, end)
        jobs.append(decode_one(Source(one, text, start)))
        end = start + len(one)
    return jobs


def decode_one(source: Source) -> Job:
    """The job in this text, which stands in a larger one perhaps.

    Raises:
        InvalidInput: it is none; says where in the whole.
    """
    try:
        job = _DECODER.decode(source.text.encode())
        problem = problem_of(job)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        _refuse(source, error)
    if problem:
        from queuectl.complaints import complaint_of

        raise complaint_of(source, problem)
    return job


def _refuse(source: Source, error: Exception) -> NoReturn:
    from queuectl.complaints import complaint

    raise complaint(source, error) from None


def encode_job(job: Job) -> bytes:
    """The record as it is stored: JSON that a person can open in Notepad.

    Numbers nested deeply would be written out as mostly white space: where that makes much of a record, it is
    left out, so that what was accepted by its size without any can be read back.
    """
    compact = msgspec.json.encode(job)
    shown = msgspec.json.format(compact, indent=2)
    return (shown if len(shown) <= max(2 * len(compact), _ALWAYS_SHOWN) else compact) + b"\n"


def job_size(job: Job) -> int:
    """The bytes of the job without white space and without what its runs have left in it."""
    return len(msgspec.json.encode(msgspec.structs.replace(job, history=[], result=None)))


def job_to_dict(job: Job) -> dict[str, Any]:
    """The whole record as plain data, with every field, for `--json`."""
    stored: dict[str, Any] = msgspec.to_builtins(job)
    fields = zip(Job.__struct_fields__, Job.__struct_encode_fields__)
    return {shown: stored.get(shown, getattr(job, field)) for field, shown in fields if shown != "$schema"}


def job_schema() -> bytes:
    """JSON Schema of a job file."""
    return schema_of(Job, "A queuectl job")


_ONE_OF_THEM = {"oneOf": [{"required": ["command"]}, {"required": ["task"]}]}
"""What the types alone do not tell of a job."""


# A program that makes many spools, such as tests, spends much of its time in here otherwise.
@cache
def schema_of(kind: type[msgspec.Struct], title: str) -> bytes:
    """JSON Schema of a kind of file, for editors that complete and check as one types."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    components.get("Job", {}).update(_ONE_OF_THEM)
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **schema,
        "$defs": components,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
