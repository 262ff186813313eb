from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.errors import InvalidInput
from queuectl.group import UNLIMITED, Group, Rate, Slots, moments_of, parse_rate, slots, with_starts
from queuectl.group_codec import decode_group, decode_starts, encode_group, encode_starts, group_schema
from tests.support.spools import START


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/min", Rate(10, 60.0)),
        ("10/m", Rate(10, 60.0)),
        (" 2 / S ", Rate(2, 1.0)),
        ("500/day", Rate(500, 86400.0)),
        ("1/hour", Rate(1, 3600.0)),
        ("1/90s", Rate(1, 90.0)),
        ("3/2h30m", Rate(3, 9000.0)),
    ],
)
def test_a_rate(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "10", "/min", "0/min", "10/", "10/0s", "-1/s", "1.5/s", "99999/s", "1/moon"]
)
def test_what_is_no_rate_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate such as 10/min"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("group", "running", "starts", "expected"),
    [
        (Group(), 99, [], Slots(UNLIMITED)),
        (Group(paused=True, limit=5), 0, [], Slots(0)),
        (Group(limit=2), 0, [], Slots(2)),
        (Group(limit=2), 1, [], Slots(1)),
        (Group(limit=2), 2, [], Slots(0)),
        (Group(limit=2), 3, [], Slots(0)),
        (Group(rate="2/min"), 9, [], Slots(2)),
        (Group(rate="2/min"), 0, [START - 30], Slots(1)),
        (Group(rate="2/min"), 0, [START - 60, START - 30], Slots(1)),
        (Group(rate="2/min"), 0, [START - 50, START - 30], Slots(0, START + 10)),
        (Group(rate="9/min", limit=3), 2, [], Slots(1)),
        (Group(rate="1/min", limit=3), 3, [START], Slots(0)),
    ],
)
def test_how_many_may_start(group: Group, running: int, starts: list[float], expected: Slots) -> None:
    assert slots(group, running, starts, START) == expected


@given(st.lists(st.floats(0.0, 40.0), max_size=60), st.integers(1, 5), st.sampled_from([1.0, 10.0, 60.0]))
def test_in_no_time_of_its_length_more_start_than_the_rate_says(
    waits: list[float], most: int, seconds: float
) -> None:
    group, now = Group(rate=f"{most}/{seconds:g}s"), START
    kept, started = list[str](), list[float]()
    for wait in waits:
        now += wait
        found = slots(group, 0, moments_of(kept, now), now)
        if found.free:
            started.append(now)
            kept = with_starts(kept, group, now, 1)
        else:
            assert found.opens is not None
            assert now < found.opens <= now + seconds
    # Kept to the millisecond.
    for first, last in zip(started, started[most:]):
        assert last - first >= seconds - 0.002


def test_it_opens_when_it_says() -> None:
    group = Group(rate="2/min")
    kept = with_starts(with_starts([], group, START, 1), group, START + 10, 1)
    opens = slots(group, 0, moments_of(kept, START + 20), START + 20).opens
    assert opens == START + 60
    assert slots(group, 0, moments_of(kept, opens), opens).free == 1


def test_a_clock_that_was_set_back_closes_a_group_no_longer_than_its_time() -> None:
    group, ahead = Group(rate="1/min"), START + 1e8
    kept = with_starts([], group, ahead, 1)
    # What seems to come is no start.
    assert slots(group, 0, moments_of(kept, START), START).free == 1
    kept = with_starts(kept, group, START, 1)
    opens = slots(group, 0, moments_of(kept, START + 1), START + 1).opens
    assert opens == START + 60
    assert slots(group, 0, moments_of(kept, opens), opens).free == 1


def test_of_a_group_without_a_rate_no_starts_are_kept() -> None:
    assert with_starts(["x"], Group(limit=1), START, 3) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"limit": 0}, "limit: "),
        ({"limit": "many"}, "limit: expected a whole number, got text"),
        ({"rate": "often"}, "rate: 'often' is not a rate such as 10/min"),
        ({"paused": 1}, "paused: expected true or false"),
        ({"concurrency": 1}, "unknown field 'concurrency'"),
        ({"limits": 1}, "did you mean 'limit'?"),
    ],
)
def test_what_is_no_group_is_told(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decode_group(json.dumps(fields).encode())
    assert told in str(refusal.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff{}", b"7"])
def test_neither_is_what_is_no_object(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_group(data)


def test_it_is_written_as_it_is_read() -> None:
    group = Group(limit=3, rate="10/min", paused=True, description="Videos")
    assert decode_group(encode_group(group)) == group
    assert decode_group(encode_group(group).decode().encode("utf-16")) == group
    assert decode_starts(encode_starts(["a"])) == ["a"]
    assert decode_starts(b"{}") == decode_starts(b"") == []
    assert "limit" in json.loads(group_schema())["$defs"]["Group"]["properties"]
