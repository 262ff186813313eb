"""A group's file and what is kept beside it, in and out of bytes."""

from __future__ import annotations

import msgspec

from queuectl.codec import schema_of, source_of
from queuectl.complaints import Kind, complaint
from queuectl.errors import InvalidInput
from queuectl.group import Group, problem_of_group

_SMALLEST = 'the smallest group is {"limit": 1}'
_MEANT = {
    "max": "limit",
    "concurrency": "limit",
    "slots": "limit",
    "parallel": "limit",
    "throttle": "rate",
    "rate_limit": "rate",
    "enabled": "paused",
}
_GROUP = Kind("group", tuple(Group.__struct_encode_fields__), _MEANT, _SMALLEST, {})
_DECODER = msgspec.json.Decoder(Group)
_STARTS = msgspec.json.Decoder(list[str])


def decode_group(data: bytes, *, placeless: bool = False) -> Group:
    """The group that a file of these bytes holds; `placeless` where a line number would tell nobody anything.

    Raises:
        InvalidInput: it holds none; says what is wrong and where.
    """
    whole = source_of(data, smallest=_SMALLEST, placeless=placeless)
    try:
        group = _DECODER.decode(whole.text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise complaint(whole, error, _GROUP) from None
    if problem := problem_of_group(group):
        raise InvalidInput(f"{problem.field}: {problem.text}{whole.place_of_field(problem.field)}")
    return group


def checked_group(group: Group) -> Group:
    """`group`, put together by a program, through the same checks as a file.

    Raises:
        InvalidInput: one of its fields cannot be.
    """
    return decode_group(msgspec.json.encode(group), placeless=True)


def encode_group(group: Group) -> bytes:
    """The group as a person can open it in Notepad."""
    return msgspec.json.format(msgspec.json.encode(group), indent=2) + b"\n"


def decode_starts(data: bytes) -> list[str]:
    """The starts in these bytes; none where they hold none (any more)."""
    try:
        return _STARTS.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return []


def encode_starts(starts: list[str]) -> bytes:
    """Starts as they are kept."""
    return msgspec.json.encode(starts) + b"\n"


def group_schema() -> bytes:
    """JSON Schema of a group's file, for editors."""
    return schema_of(Group, "A queuectl group")
