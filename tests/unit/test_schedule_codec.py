from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import InvalidInput
from queuectl.job import Job
from queuectl.schedule import Record, Schedule
from queuectl.schedule_codec import (
    decode_record,
    decode_schedule,
    encode_record,
    encode_schedule,
    schedule_schema,
)

SMALLEST = {"every": "1h", "job": {"command": "echo hi"}}


def decoded(**fields: Any) -> Schedule:
    return decode_schedule(json.dumps({**SMALLEST, **fields}).encode())


def test_the_smallest() -> None:
    assert decoded() == Schedule(every="1h", job=Job(command="echo hi"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_however_it_was_saved(encoding: str) -> None:
    text = json.dumps({**SMALLEST, "description": "täglich"}, ensure_ascii=False)
    assert decode_schedule(text.replace("{", "{\r\n", 1).encode(encoding)).description == "täglich"


def test_it_is_written_as_it_is_read_and_without_what_only_a_job_in_the_spool_has() -> None:
    one = decoded(cron="0 3 * * *", every=None, timezone="Europe/Berlin", jitter="10m", paused=True)
    data = encode_schedule(one)
    assert decode_schedule(data) == one
    assert json.loads(data)["job"] == {"command": "echo hi"}
    assert data.count(b"\n") > 5, "for people"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"every": None}, "cron: give one of 'cron' and 'every'"),
        ({"cron": "0 3 * * *"}, "cron: give one of 'cron' and 'every' at line 1"),
        ({"every": None, "cron": "0 3 * *"}, "cron: '0 3 * *' has not the five fields"),
        ({"every": "often"}, "every: 'often' is not a duration"),
        ({"every": 0.5}, "every: must be from 1 to 1e+09 seconds"),
        ({"every": True}, "every: expected a number or text, got true or false"),
        ({"timezone": "Berlin"}, "timezone: no time zone 'Berlin'"),
        ({"start_at": "2027-01-01 09:00"}, "start_at: '2027-01-01 09:00' is not an RFC 3339 time"),
        ({"end_at": "x"}, "end_at: 'x' is not an RFC 3339 time"),
        ({"start_at": "2027-01-02T00:00:00Z", "end_at": "2027-01-01T00:00:00Z"}, "end_at: it is before"),
        ({"catch_up_limit": 101}, "catch_up_limit: "),
        ({"jitter": "2h"}, "jitter: cannot be more than 'every'"),
        ({"jitter": -1}, "jitter: must be from 0"),
        ({"catch_up": "never"}, "catch_up: 'never' is not one of skip, once, all"),
        ({"catch_up": "all"}, 'catch_up: \'all\' needs "overlap": "queue"'),
        ({"overlap": "both"}, "overlap: 'both' is not one of skip, queue, stop, allow"),
        ({"catch_up_limit": -1}, "catch_up_limit: "),
        ({"job": {}}, "job: the field 'command' is missing"),
        ({"job": {"command": ""}}, "job: command: a command cannot be empty at line 1, column"),
        ({"job": {"command": 7}}, "job: command: expected text or a list, got a whole number at line 1"),
        ({"job": {"command": "x", "tag": []}}, "job: unknown field 'tag' at line 1, column"),
        ({"job": {"command": "x", "id": "y"}}, "job: id: each of its jobs gets its own"),
        ({"job": {"command": "x", "run_at": "2027-01-01T09:00:00Z"}}, "job: run_at: each of its jobs"),
        ({"job": "echo hi"}, "job: "),
        ({"command": "x"}, "unknown field 'command'"),
        ({"interval": 7}, "unknown field 'interval'"),
        ({"paused": "no"}, "paused: expected true or false, got text"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decoded(**fields)
    assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("command", "job"),
        ("timeout", "job"),
        ("interval", "every"),
        ("tz", "timezone"),
        ("overlaps", "overlap"),
    ],
)
def test_what_was_probably_meant_is_told(name: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decoded(**{name: "x"})
    assert refusal.value.hint == f"did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"{", "not JSON: it ends too early at line 1"),
        (b"[]", "expected an object, got a list"),
        (b'{"every": "1h"}', "the field 'job' is missing"),
        (b"\xff{}", "not text in UTF-8"),
        (b'{"job": {"job": {}}, "every"', "not JSON: it ends too early"),
    ],
)
def test_what_is_no_schedule_is_told(data: bytes, told: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decode_schedule(data)
    assert told in str(refusal.value)


def test_whatever_is_nested_is_told() -> None:
    """How deep a decoder goes depends on the Python."""
    for depth in (10, 500, 3000):
        with pytest.raises(InvalidInput, match=r"not JSON|nested too deeply to be a schedule"):
            decode_schedule(b'{"job": ' * depth)


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ everyjobcn0123456789', max_size=60).map(str.encode)
)
def test_whatever_lies_there_is_a_schedule_or_told(data: bytes) -> None:
    with suppress(InvalidInput):
        decode_schedule(data)
    decode_record(data)


def test_a_record_is_written_as_it_is_read_and_a_newer_release_may_add_to_it() -> None:
    one = Record(timing="t", begun="2027-01-15T08:00:00.000Z", since="2027-01-15T08:00:00.000Z", jobs=["a"])
    data = encode_record(one)
    assert decode_record(data) == one
    assert decode_record(data.replace(b'"timing"', b'"more": 1, "timing"')) == one
    assert decode_record(b"{}") is None


@pytest.mark.parametrize(
    "changes", [{"since": "x"}, {"begun": ""}, {"queued": ["soon"]}, {"firing": ["x"]}, {"jobs": ["../../x"]}]
)
def test_a_record_whose_times_or_ids_are_none_is_none(changes: dict[str, Any]) -> None:
    known = {"timing": "t", "begun": "2027-01-15T08:00:00Z", "since": "2027-01-15T08:00:00Z"}
    assert decode_record(json.dumps(known).encode()) is not None
    assert decode_record(json.dumps({**known, **changes}).encode()) is None


def test_the_schema_says_what_an_editor_needs() -> None:
    schema = json.loads(schedule_schema())["$defs"]
    properties = schema["Schedule"]["properties"]
    assert properties["overlap"]["enum"] == ["skip", "queue", "stop", "allow"]
    assert properties["job"]["$ref"] == "#/$defs/Job" or properties["job"]["allOf"]
    assert all("description" in one for one in properties.values())
    assert "command" in schema["Job"]["properties"]
