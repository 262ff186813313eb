"""The JSON that programs rely on: field by field, type by type. A change here breaks somebody's script."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.commandline import CommandLine, LivingWorker

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z")
SUMMARY = {
    "id": str,
    "state": str,
    "command": (str, list),
    "task": (str, type(None)),
    "attempts": int,
    "crashes": int,
    "max_retries": int,
    "priority": int,
    "run_at": (str, type(None)),
    "created_at": str,
    "updated_at": str,
    "exit_code": (int, type(None)),
    "error": (str, type(None)),
    "worker": (str, type(None)),
    "tags": list,
    "group": (str, type(None)),
    "batch": (str, type(None)),
    "after": list,
    "held_by": (str, type(None)),
}
WHOLE = {
    **SUMMARY,
    "shell": (str, type(None)),
    "cwd": (str, type(None)),
    "env": dict,
    "stdin": (str, type(None)),
    "timeout": (float, int, type(None)),
    "backoff_base": (float, int, type(None)),
    "success_exit_codes": (list, type(None)),
    "no_retry_exit_codes": list,
    "meta": (dict, type(None)),
    "hold": bool,
    "unique_key": (str, type(None)),
    "on_success": (str, list, dict, type(None)),
    "on_failure": (str, list, dict, type(None)),
    "on_dead": (str, list, dict, type(None)),
    "args": list,
    "kwargs": dict,
    "hook_of": (str, type(None)),
    "schedule": (str, type(None)),
    "scheduled_at": (str, type(None)),
    "result": (dict, list, str, int, float, type(None)),
    "history": list,
    "file": str,
    "log": (str, type(None)),
}


def holds(value: dict[str, Any], contract: dict[str, Any]) -> None:
    assert set(value) == set(contract)
    for name, kind in contract.items():
        assert isinstance(value[name], kind), f"{name} is {value[name]!r}"
        assert isinstance(value[name], bool) == (kind is bool), name


def test_jobs_in_every_state(cli: CommandLine, worker: LivingWorker) -> None:
    cli.ok("enqueue", "--id", "done", "--", "x", "y")
    worker.run(0, printed=b"hi\n")
    cli.ok("enqueue", '{"id": "dead", "command": "exit 7", "max_retries": 0}')
    worker.run(7)
    cli.ok("enqueue", "--id", "failed", "--max-retries", "5", "--tag", "t", "--", "x")
    worker.run(7)
    cli.ok("enqueue", "--id", "runs", "--", "x")
    worker.claim()
    cli.ok("enqueue", "--id", "waits", "--priority", "-3", "--run-at", "2999-01-01T00:00:00+01:00", "--", "x")

    rows = {job["id"]: job for job in cli.json("list")}
    states = {
        "done": "completed",
        "dead": "dead",
        "failed": "failed",
        "runs": "processing",
        "waits": "pending",
    }
    assert {name: job["state"] for name, job in rows.items()} == states
    for job in rows.values():
        holds(job, SUMMARY)
        assert MOMENT.fullmatch(job["created_at"])
        assert MOMENT.fullmatch(job["updated_at"])
    assert rows["done"]["command"] == ["x", "y"]
    assert (rows["done"]["exit_code"], rows["done"]["error"], rows["done"]["attempts"]) == (0, None, 1)
    assert rows["dead"]["command"] == "exit 7"
    assert (rows["dead"]["exit_code"], rows["dead"]["error"]) == (7, "exit code 7")
    assert (rows["dead"]["max_retries"], rows["failed"]["max_retries"]) == (0, 5)
    assert rows["done"]["max_retries"] == 3, "the setting's, where the job has none"
    assert MOMENT.fullmatch(rows["failed"]["run_at"]), "when its retry is due"
    assert rows["failed"]["tags"] == ["t"]
    assert rows["runs"]["worker"] == worker.name
    assert {job["worker"] for name, job in rows.items() if name != "runs"} == {None}
    assert rows["waits"]["run_at"] == "2998-12-31T23:00:00.000Z"
    assert rows["waits"]["priority"] == -3

    assert cli.json("dlq", "list") == [rows["dead"]]
    for name, state in states.items():
        shown = cli.json("show", name)
        holds(shown, WHOLE)
        folder = "done" if state == "completed" else state
        place = (folder, worker.name) if name == "runs" else (folder,)
        assert Path(shown["file"]) == cli.spool.joinpath(*place, f"{name}.json")
        assert os.path.isabs(shown["file"])
        assert {key: shown[key] for key in SUMMARY} == rows[name]
    assert cli.json("dlq", "show", "dead") == cli.json("show", "dead")
    shown = cli.json("show", "done")
    assert Path(shown["log"]).read_bytes() == b"hi\n"
    (run,) = shown["history"]
    assert (run["outcome"], run["attempt"], run["exit_code"], run["worker"]) == (
        "completed",
        1,
        0,
        worker.name,
    )
    assert MOMENT.fullmatch(run["started_at"])
    assert MOMENT.fullmatch(run["finished_at"])

    status = cli.json("status")
    assert set(status) == {"spool", "counts", "workers", "paused", "problems"}
    assert status["spool"] == str(cli.spool)
    assert status["counts"] == {"pending": 1, "processing": 1, "completed": 1, "failed": 1, "dead": 1}
    assert list(status["counts"]) == ["pending", "processing", "completed", "failed", "dead"]
    assert status["paused"] is False
    assert status["problems"] == []
    (row,) = status["workers"]
    assert set(row) == {"name", "pid", "host", "job", "since", "job_since", "percent", "progress"}
    assert (row["name"], row["pid"], row["job"]) == (worker.name, os.getpid(), "runs")
    assert worker.name.startswith(f"{row['host']}-{row['pid']}-")
    assert MOMENT.fullmatch(row["since"])
    assert cli.json("worker", "list") == [row]

    cli.ok("pause")
    (cli.spool / "pending" / "folder.json").mkdir()
    status = cli.json("status")
    assert status["paused"] is True
    (problem,) = status["problems"]
    assert "pending/folder.json" in problem


def test_a_dropped_file(cli: CommandLine) -> None:
    """The smallest job, which says nothing of itself."""
    cli.ok("init")
    cli.drop("hi.json", b'{"command": "echo hi"}')
    (listed,) = cli.json("list")
    holds(listed, SUMMARY)
    assert (listed["id"], listed["state"], listed["command"]) == ("hi", "pending", "echo hi")
    shown = cli.json("show", "hi")
    holds(shown, WHOLE)
    assert {key: shown[key] for key in SUMMARY} == listed


def test_an_idle_worker_and_none(cli: CommandLine) -> None:
    cli.ok("init")
    with LivingWorker(cli.spool):
        (row,) = cli.json("worker", "list")
        assert row["job"] is None
    assert cli.json("worker", "list") == []
    assert cli.json("status")["workers"] == []


def test_empty_lists(cli: CommandLine) -> None:
    assert cli.json("list") == []
    assert cli.json("dlq", "list") == []
    assert cli.json("run") == []
    assert cli.json("doctor") == []


def test_enqueue(cli: CommandLine) -> None:
    lines = b'{"id": "one", "command": "x"}\n{"command": "y"}\n'
    answer = json.loads(cli.ok("enqueue", "-", "--json", stdin=lines).out)
    assert [set(row) for row in answer] == [{"id", "file"}] * 2
    assert answer[0] == {"id": "one", "file": str(cli.spool / "pending" / "one.json")}
    assert Path(answer[1]["file"]) == cli.spool / "pending" / f"{answer[1]['id']}.json"
    assert Path(answer[1]["file"]).exists()


def test_config(cli: CommandLine) -> None:
    assert cli.json("config", "get") == {
        "max_retries": 3,
        "backoff_base": 2,
        "backoff_max": 3600,
        "backoff_jitter": 0,
        "timeout": None,
        "max_crashes": 3,
        "poll_interval": 1,
        "settle_time": 10,
        "shell": None,
        "max_job_bytes": 1048576,
        "log_max_bytes": 10485760,
        "keep_done": None,
        "keep_done_count": None,
        "keep_done_bytes": None,
        "keep_dead": None,
        "keep_dead_count": None,
        "keep_dead_bytes": None,
        "keep_logs": None,
        "traces": "off",
    }
    cli.ok("config", "set", "timeout", "1.5m")
    assert cli.json("config", "get", "timeout") == {"timeout": 90}


def test_doctor(cli: CommandLine) -> None:
    cli.ok("init")
    cli.drop("notes.txt", b"milk")
    result = cli("doctor", "--json")
    assert result.code == 1
    findings = json.loads(result.out)
    assert [set(finding) for finding in findings] == [{"text", "fixed"}]
    assert "pending/notes.txt" in findings[0]["text"]
    assert findings[0]["fixed"] is False


@pytest.mark.parametrize(
    ("code", "kind", "args"),
    [
        (2, "invalid_input", ("enqueue", "--json", "{}")),
        (2, "invalid_input", ("list", "--json", "--limit", "many")),
        (2, "invalid_input", ("list", "--json", "--state", "lost")),
        (2, "invalid_input", ("status", "--watch", "--json")),
        (3, "no_such_job", ("show", "--json", "nobody")),
        (4, "conflict", ("dlq", "show", "known", "--json")),
        (4, "conflict", ("enqueue", "--json", "--id", "known", "--", "x")),
    ],
)
def test_errors_are_json_on_stderr(cli: CommandLine, code: int, kind: str, args: tuple[str, ...]) -> None:
    cli.ok("enqueue", "--id", "known", "--", "x")
    result = cli(*args)
    assert (result.code, result.out) == (code, "")
    error = json.loads(result.err)
    assert set(error) == {"error", "message", "hint", "exit_code"}
    assert (error["error"], error["exit_code"]) == (kind, code)
    assert isinstance(error["message"], str)
    assert error["hint"] is None or isinstance(error["hint"], str)


def test_what_belongs_to_the_program_behind_two_dashes_is_not_ours(cli: CommandLine) -> None:
    """Its --json does not make our errors JSON."""
    line = cli.fails(2, "enqueue", "--timeout", "soon", "--", "x", "--json")
    assert "soon" in line


def test_stdout_is_plain_ascii_whatever_a_job_is_called(cli: CommandLine) -> None:
    cli.ok("enqueue", "--id", "überprüfung-测试", "--", "x")
    out = cli.ok("list", "--json").out
    assert out.isascii()
    assert json.loads(out)[0]["id"] == "überprüfung-测试"
