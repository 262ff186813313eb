from __future__ import annotations

import json
from typing import Any

import pytest

from queuectl.codec import decode_job, encode_job, job_schema, job_size, job_to_dict
from queuectl.job import HISTORY_LIMIT, KEPT_FIELDS, USER_FIELDS, Job, Run
from queuectl.spool.place import ROOM
from queuectl.state import State

FULL = Job(
    schema="x",
    id="a",
    command=["x", "ü"],
    cwd="c",
    env={"A": "1"},
    stdin="in\r\n",
    priority=-1,
    run_at="2027-01-01T09:00:00Z",
    timeout=1.5,
    max_retries=0,
    backoff_base=0.5,
    success_exit_codes=[],
    no_retry_exit_codes=[64],
    tags=["t"],
    meta={"big": 123456789012345678901234567890, "deep": [{"x": None}], "exact": 0.1, "text": "é\u2028"},
    state=State.DEAD,
    attempts=4,
    crashes=1,
    created_at="c",
    updated_at="u",
    exit_code=-9,
    error="e",
    history=[Run(outcome="failed", exit_code=1), Run(outcome="crashed", error="gone")],
)


def test_a_record_comes_back_as_it_went_out() -> None:
    assert decode_job(encode_job(FULL)) == FULL


def test_meta_comes_back_with_integers_of_any_size() -> None:
    meta = decode_job(encode_job(FULL)).meta
    assert meta is not None
    assert meta["big"] == 123456789012345678901234567890


def test_a_record_can_be_read_by_a_person() -> None:
    text = encode_job(Job(id="a", command="echo übung")).decode()
    assert text == (
        "{\n"
        '  "id": "a",\n'
        '  "command": "echo übung",\n'
        '  "state": "pending",\n'
        '  "attempts": 0,\n'
        '  "crashes": 0\n'
        "}\n"
    )


def test_a_small_record_is_indented_whatever_is_in_it() -> None:
    data = encode_job(Job(id="a", command="x", meta=nested([1] * 40, 20)))
    assert data.count(b"\n") > 60
    assert len(data) > 4 * job_size(decode_job(data))


@pytest.mark.parametrize("limit", [64, 1000, 4000, 10_000, 20_000, 2**20])
@pytest.mark.parametrize("depth", [1, 8, 60, 190])
@pytest.mark.parametrize("runs", [0, HISTORY_LIMIT])
def test_what_is_small_enough_to_be_accepted_is_small_enough_to_be_read(
    limit: int, depth: int, runs: int
) -> None:
    """White space counts when it is read, and so does the history, which grows."""
    ran = Run(outcome="crashed", worker="h" * 60, started_at="s" * 24, finished_at="f" * 24, error="e" * 100)
    room = limit - job_size(Job(id="a", command="x", meta=nested([], depth)))
    job = Job(id="a", command="x", meta=nested([1] * max(0, room // 2), depth), history=[ran] * runs)
    data = encode_job(job)
    assert len(data) <= limit * 8 + ROOM
    assert decode_job(data) == job


def nested(value: Any, depth: int) -> dict[str, Any]:
    for _ in range(depth):
        value = {"k": value}
    return dict(value)


def test_plain_data_has_every_field_but_the_editors() -> None:
    shown = job_to_dict(Job(command="x"))
    assert set(shown) == {*USER_FIELDS, *KEPT_FIELDS} - {"$schema"}
    assert (shown["env"], shown["history"], shown["timeout"], shown["state"]) == ({}, [], None, "pending")


def test_plain_data_can_be_written_as_json() -> None:
    shown: Any = json.loads(json.dumps(job_to_dict(FULL)))
    assert shown["history"][0] == {"outcome": "failed", "exit_code": 1}
    assert shown["meta"] == FULL.meta


class TestSchema:
    @pytest.fixture
    def schema(self) -> dict[str, Any]:
        schema = json.loads(job_schema())
        assert isinstance(schema, dict)
        return schema

    def test_says_which_dialect_it_is_and_what_it_is_of(self, schema: dict[str, Any]) -> None:
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["title"] == "A queuectl job"

    def test_every_reference_leads_somewhere(self, schema: dict[str, Any]) -> None:
        references = _references(schema)
        assert references
        for reference in references:
            assert reference.startswith("#/$defs/")
            assert reference[len("#/$defs/") :] in schema["$defs"]

    def test_describes_every_field(self, schema: dict[str, Any]) -> None:
        fields = schema["$defs"]["Job"]["properties"]
        assert set(fields) == {*USER_FIELDS, *KEPT_FIELDS}
        bare = [name for name, field in fields.items() if not field.get("description")]
        assert bare == []

    def test_asks_for_a_command_and_allows_no_unknown_field(self, schema: dict[str, Any]) -> None:
        job = schema["$defs"]["Job"]
        assert [one["required"] for one in job["oneOf"]] == [["command"], ["task"]]
        assert job["additionalProperties"] is False

    def test_every_type_in_it_is_one_of_json_schema(self, schema: dict[str, Any]) -> None:
        known = {"null", "boolean", "object", "array", "number", "string", "integer"}
        types = [one for node in _nodes(schema) if (one := node.get("type")) and isinstance(one, str)]
        assert set(types) <= known
        assert "integer" in types

    def test_gives_the_shells_to_choose_from(self, schema: dict[str, Any]) -> None:
        assert "pwsh" in schema["$defs"]["Job"]["properties"]["shell"]["enum"]


def _nodes(tree: Any) -> list[dict[str, Any]]:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    below = [node for child in children for node in _nodes(child)]
    return [tree, *below] if isinstance(tree, dict) else below


def _references(tree: Any) -> list[str]:
    return [node["$ref"] for node in _nodes(tree) if isinstance(node.get("$ref"), str)]
