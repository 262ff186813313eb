"""Job files by the ten thousand: what is read is a job that can be written and read again; no other error."""

from __future__ import annotations

import codecs
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queuectl.codec import decode_job, decode_jobs, encode_job, is_blank, named_as
from queuectl.errors import InvalidInput
from queuectl.job import (
    KEPT_FIELDS,
    USER_FIELDS,
    Job,
    Run,
    accepted,
    cancelled,
    claimed,
    crashed,
    finished,
    parents,
    retried,
)
from queuectl.state import State
from tests.support.hostile.zoo import RECORD, large, small

Figure = Callable[[str, int], None]

SEED = 20270115
PATIENCE = 1.0
"""Seconds of this thread's own time for one file of some KB, a hundred times what it takes."""
NOW = 1_800_000_000.0
PROFILE = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def read(data: bytes) -> bool:
    """Read it as a worker and as the command line do; whether it is a job."""
    began = time.thread_time()
    try:
        job = decode_job(data)
    except InvalidInput:
        _refused_as_several(data)
        is_blank(data)
        read_as_job = False
    else:
        assert not is_blank(data)
        assert decode_jobs(data) == [job]
        _can_live(job)
        read_as_job = True
    assert time.thread_time() - began < PATIENCE, f"slow: {data[:200]!r}"
    return read_as_job


def _refused_as_several(data: bytes) -> None:
    try:
        jobs = decode_jobs(data)
    except InvalidInput:
        return
    for job in jobs:
        _comes_back(job)


def _can_live(job: Job) -> None:
    """Whatever becomes of it, its record is one that we read, unless its name alone forbids it."""
    _comes_back(job)
    try:
        named_as(job, "a")
    except InvalidInput:
        assert any(one.id == "a" for one in parents(job))
        return
    run = Run(outcome="failed", attempt=None, worker="w", exit_code=1, error="exit code 1")
    for state in (State.COMPLETED, State.FAILED, State.DEAD):
        _comes_back(finished(job, run, state=state, run_at=NOW, now=NOW))
    _comes_back(crashed(job, run, state=State.FAILED, run_at=None, now=NOW))
    for made in (accepted(job, job_id="a", now=NOW), retried(job, now=NOW), claimed(job, now=NOW)):
        _comes_back(made)
    _comes_back(cancelled(job, now=NOW))


def _comes_back(job: Job) -> None:
    assert decode_job(encode_job(job)) == job


# Bytes, mutated


PIECES = [
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"\xfe",
        b"\xef\xbb\xbf",
    ),
    *(
        b"\\u0000",
        b"\\ud800",
        b"\\udc00",
        b"\\u",
        b"\\x",
        b"NaN",
        b"1e999",
        b"-0",
        b"1e-999",
        b"9" * 30,
        b"null",
    ),
    *(b"true", b"/*", b"//", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b'{"a":1}'),
    *(f'"{name}":'.encode() for name in (*USER_FIELDS, *KEPT_FIELDS, "zzz", "comand")),
]


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """One of the seeds with a few cuts, doublings, insertions and flips."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        way = chance.randrange(6)
        if way == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif way == 1:
            del data[at : at + chance.choice((1, 1, 2, 8, 64, 10_000))]
        elif way == 2:
            data[at:at] = chance.choice(PIECES)
        elif way == 3:
            data[at:at] = chance.choice(PIECES) * chance.choice((2, 10, 300))
        elif way == 4:
            data[at:at] = data[at : at + chance.randrange(60)]
        else:
            other = chance.choice(seeds)
            data[at:] = other[chance.randrange(len(other) + 1) :]
    return bytes(data)


def read_mutations(count: int, seed: int) -> int:
    """How many of them were jobs."""
    chance = random.Random(seed)
    seeds = [animal.data for animal in small() if len(animal.data) < 3000] + [RECORD] * 20
    seeds += [encode_job(decode_job(RECORD)), b"[" + RECORD + b"," + RECORD + b"]", RECORD + b"\n" + RECORD]
    return sum(read(mutated(chance, seeds)) for _ in range(count))


# Trees, mutated


class Pairs(list):  # type: ignore[type-arg]
    """An object as a list of pairs: a name may come twice."""


NAMES = (*USER_FIELDS, *KEPT_FIELDS, "outcome", "attempt", "zzz", "", "a", "\ud800", "x\0y")
LEAVES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**32, 2**63, 2**64, 10**9, 10**9 + 1, 0.5, -0.0, 5e-324, 1e308),
    *(float("inf"), float("-inf"), float("nan"), "", " ", "a", "\0", "\n", "\ud800", "\x1b[31m", "ü", "🎉"),
    *(
        "2027-01-01T09:00:00Z",
        "2016-12-31T23:59:60Z",
        "9999-12-31T23:59:59.999999999-23:59",
        "pending",
        "DONE",
    ),
    *("sh", "cmd", "con", "..", "a/b", "x" * 300),
)
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1")


def tree(chance: random.Random, depth: int = 0) -> Any:
    way = chance.randrange(8) if depth < 4 else 7
    if way == 0:
        return [tree(chance, depth + 1) for _ in range(chance.randrange(4))]
    if way == 1:
        names = [chance.choice(NAMES) for _ in range(chance.randrange(4))]
        return Pairs((name, tree(chance, depth + 1)) for name in names)
    return chance.choice(LEAVES)


def written(value: Any, ascii_only: bool) -> str:
    """The tree as JSON, or nearly."""
    if isinstance(value, Pairs):
        inner = (f"{written(name, ascii_only)}: {written(one, ascii_only)}" for name, one in value)
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(written(one, ascii_only) for one in value)}]"
    return json.dumps(value, ensure_ascii=ascii_only)


def grown(chance: random.Random, pairs: Pairs) -> Pairs:
    """A job's tree in which a few values, names and places are others."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at, way = chance.randrange(len(pairs)), chance.randrange(5)
        if way == 0:
            pairs[at] = (pairs[at][0], tree(chance))
        elif way == 1 and len(pairs) > 1:
            del pairs[at]
        elif way == 2:
            pairs[at] = (chance.choice(NAMES), pairs[at][1])
        elif way == 3:
            pairs.insert(at, (chance.choice(NAMES), tree(chance)))
        else:
            pairs.append(pairs[at])
    return pairs


def read_trees(count: int, seed: int) -> int:
    """How many of them were jobs."""
    chance, jobs = random.Random(seed), 0
    for _ in range(count):
        pairs = grown(chance, Pairs(_paired(json.loads(RECORD))))
        text = written(pairs, chance.random() < 0.5)
        encoding = chance.choice(ENCODINGS)
        surrogates = "replace" if encoding == "latin-1" else chance.choice(("surrogatepass", "replace"))
        jobs += read(text.encode(encoding, surrogates))
    return jobs


def _paired(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        yield name, Pairs(_paired(inner)) if isinstance(inner, dict) else inner


# Values of each field, thought out by hypothesis

texts = st.text(max_size=12) | st.sampled_from([leaf for leaf in LEAVES if isinstance(leaf, str)])
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


class TestAnyBytes:
    def test_that_were_a_job_once_are_one_or_are_refused(self, figure: Figure) -> None:
        count = 4000
        jobs = read_mutations(count, SEED)
        assert 0 < jobs < count, "both kinds were tried"
        figure("fuzz: job files", count)

    @pytest.mark.slow
    @pytest.mark.parametrize("part", range(4))
    def test_many_that_were_a_job_once(self, part: int, figure: Figure) -> None:
        count = 25_000
        read_mutations(count, SEED + 1 + part)
        figure("fuzz: job files", count)

    def test_of_the_largest_files_cut_anywhere_are_read_in_no_time(self, figure: Figure) -> None:
        chance = random.Random(SEED)
        for animal in large():
            read(animal.data[: chance.randrange(2**20)])
            figure("fuzz: job files", 1)

    def test_in_a_file_of_two_encodings_are_refused(self) -> None:
        half = RECORD.decode()
        for one in (codecs.BOM_UTF16_LE + half.encode("utf-16-le"), RECORD):
            for two in (half.encode("utf-16-le"), half.encode("utf-16-be"), RECORD[::-1], b"\0" * 7):
                assert not read(one + two)


class TestTrees:
    def test_of_json_are_jobs_or_are_refused(self, figure: Figure) -> None:
        count = 2500
        jobs = read_trees(count, SEED)
        assert 0 < jobs < count, "both kinds were tried"
        figure("fuzz: job files", count)

    @pytest.mark.slow
    @pytest.mark.parametrize("part", range(4))
    def test_of_json_by_the_thousand(self, part: int, figure: Figure) -> None:
        count = 20_000
        read_trees(count, SEED + 1 + part)
        figure("fuzz: job files", count)

    @settings(PROFILE, max_examples=60)
    @given(field=st.sampled_from(NAMES), value=values)
    def test_of_one_field_are_jobs_or_are_refused(self, field: str, value: Any) -> None:
        read(json.dumps({"command": "x", field: value}).encode())

    @pytest.mark.slow
    @settings(PROFILE, max_examples=3000)
    @given(fields=st.dictionaries(st.sampled_from(NAMES), values, max_size=4))
    def test_of_some_fields_are_jobs_or_are_refused(self, fields: dict[str, Any]) -> None:
        read(json.dumps({"command": "x", **fields}).encode())


def test_a_reader_that_lets_another_error_escape_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: one kind of error that is not translated is found by these tries."""
    from queuectl import complaints

    real = complaints.complaint

    def careless(source: Any, error: Exception) -> InvalidInput:
        if isinstance(error, RecursionError):
            raise error
        return real(source, error)

    monkeypatch.setattr(complaints, "complaint", careless)
    deep = next(animal for animal in small() if animal.name == "only-brackets")
    with pytest.raises(RecursionError):
        read(deep.data)
