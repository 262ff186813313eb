"""What a job may say of others: what it waits for, its group, its batch, its unique key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from queuectl.codec import decode_job, encode_job
from queuectl.errors import InvalidInput
from queuectl.job import After, Job, is_first, parents, skipped
from queuectl.state import State
from tests.support.spools import START


def decoded(**fields: Any) -> Job:
    return decode_job(json.dumps({"command": "x", **fields}).encode())


def test_the_ways_to_say_what_it_waits_for() -> None:
    job = decoded(after=["a", {"id": "b", "on": "failure"}, {"batch": "import 1", "on": "any"}])
    assert parents(job) == [After(id="a"), After(id="b", on="failure"), After(batch="import 1", on="any")]
    assert decode_job(encode_job(job)) == job


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"after": "a"}, "after: expected a list, got text"),
        ({"after": [7]}, "after"),
        ({"after": [{"on": "any"}]}, "after: give one of 'id' and 'batch'"),
        ({"after": [{"id": "a", "batch": "b"}]}, "after: give one of 'id' and 'batch'"),
        ({"after": [{"id": "a", "on": "luck"}]}, "after: 'luck' is not one of success, failure, any"),
        ({"after": ["a/b"]}, "after: an id cannot contain '/'"),
        ({"id": "a", "after": ["a"]}, "after: it would wait for itself"),
        ({"batch": "b", "after": [{"batch": "b"}]}, "after: it would wait for itself"),
        ({"after": [{"id": "a", "when": "x"}]}, "when"),
        ({"group": "a/b"}, "group: a group's name cannot contain '/'"),
        ({"group": "con"}, "group: 'con' is the name of a device"),
        ({"batch": ""}, "batch: a batch's name cannot be empty"),
        ({"batch": "a\nb"}, "batch: a batch's name cannot be empty or contain control characters"),
        ({"unique_key": "x" * 201}, "unique_key: a unique key's name has at most 200 characters"),
        ({"hold": "yes"}, "hold: expected true or false, got text"),
    ],
)
def test_what_it_cannot_say_is_told(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        decoded(**fields)
    assert told in str(refusal.value)


def test_what_it_waits_for_counts_before_its_first_run() -> None:
    assert is_first(Job(command="x"))
    assert not is_first(Job(command="x", attempts=1))
    assert not is_first(Job(command="x", crashes=1))
    assert not is_first(Job(command="x", state=State.FAILED))


def test_one_that_is_skipped_is_done_without_a_run() -> None:
    job = skipped(Job(id="a", command="x"), now=START, why="not needed")
    assert (job.state, job.attempts, job.exit_code, job.error) == (State.COMPLETED, 0, None, None)
    assert [(run.outcome, run.error) for run in job.history] == [("skipped", "not needed")]
