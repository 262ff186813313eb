"""Retries with backoff, the dead letter queue, and what a setting or a job's own field changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.support.ledger import Ledger
from tests.support.program import Program

pytestmark = pytest.mark.e2e


def moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def waits(history: list[dict[str, Any]]) -> list[float]:
    return [moment(b["started_at"]) - moment(a["finished_at"]) for a, b in zip(history, history[1:])]


def test_a_job_that_fails_is_retried_later_and_later_then_dead_then_retried_from_there(
    program: Program, ledger: Ledger
) -> None:
    base = 0.6
    program.ok("config", "set", "max_retries", "2")
    program.ok("config", "set", "backoff_base", str(base))
    with program.workers(2) as worker:
        program.drop("fails.json", ledger.job("fails", "run", 0, 7))
        program.drop("steep.json", ledger.job("steep", "run", 0, 7, max_retries=1, backoff_base=1.2))
        program.drop("hopeless.json", ledger.job("hopeless", "run", 0, 42, no_retry_exit_codes=[42]))
        program.drop("fine.json", ledger.job("fine", "run", 0, 3, success_exit_codes=[0, 3]))
        program.drop("missing.json", {"command": ["no-such-program-anywhere"], "max_retries": 0})
        program.wait_in("dead", "fails", "steep", "hopeless", "missing")
        program.wait_in("done", "fine")

        record = program.record("dead", "fails")
        assert (record["state"], record["attempts"], record["crashes"]) == ("dead", 3, 0)
        assert (record["exit_code"], record["error"]) == (7, "exit code 7")
        assert [run["attempt"] for run in record["history"]] == [1, 2, 3]
        assert {(run["outcome"], run["exit_code"]) for run in record["history"]} == {("failed", 7)}
        first, second = waits(record["history"])
        # 0.6 and 0.6 ** 2; never early (a clock's grain aside), and soon after.
        assert base - 0.01 <= first < base + 10
        assert base**2 - 0.01 <= second < base**2 + 10
        assert ledger.words("fails") == ["start", "end"] * 3

        (wait,) = waits(program.record("dead", "steep")["history"])
        assert wait >= 1.19
        assert ledger.runs("hopeless") == 1
        assert program.record("done", "fine")["exit_code"] == 3
        assert program.record("dead", "missing")["error"] == "program not found: no-such-program-anywhere"

        rows = {job["id"]: job for job in program.json("dlq", "list")}
        assert set(rows) == {"fails", "steep", "hopeless", "missing"}
        assert (rows["fails"]["attempts"], rows["fails"]["max_retries"]) == (3, 2)
        shown = program.json("dlq", "show", "fails")
        assert [run["attempt"] for run in shown["history"]] == [1, 2, 3]

        # `config set` acts on what is queued already; a retry begins anew.
        program.ok("config", "set", "max_retries", "1")
        program.ok("dlq", "retry", "fails", "hopeless")
        ledger.wait_started("fails", 5)
        program.wait_in("dead", "fails", "hopeless")
        record = program.record("dead", "fails")
        assert (record["attempts"], len(record["history"])) == (2, 5)
        assert [run["attempt"] for run in record["history"]] == [1, 2, 3, 1, 2]
        assert ledger.runs("fails") == 5
        assert ledger.runs("hopeless") == 2

        assert program.ok("dlq", "purge", "--yes", "fails").code == 0
        assert program.call("show", "fails").code == 3
        assert "fails.log" not in program.names("logs")
        assert len(program.json("dlq", "list")) == 3
        program.ok("dlq", "purge", "--yes")
        assert program.names("dead") == []
        program.ok("worker", "stop")
        log = worker.end()
    assert log.code == 0
    for words in ("fails  failed in", "exit code 7; retry in 0.6 s", "retry in 0.36 s", "fails  dead after"):
        assert words in log.err
    assert ledger.overlaps() == []
    assert program.left_behind() == []
