"""Looking at workers and jobs that run, and steering them from another terminal."""

from __future__ import annotations

import json
import sys

import pytest

from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def test_cancel_and_timeout_kill_the_whole_process_tree(program: Program, ledger: Ledger) -> None:
    with program.workers(3) as worker:
        program.drop("cancelled.json", ledger.job("cancelled", "tree"))
        program.drop("late.json", ledger.job("late", "tree", timeout=6, max_retries=0))
        program.drop("waits.json", ledger.job("waits", run_at="2999-01-01T00:00:00Z"))
        ledger.wait_started("cancelled")
        assert ledger.lives("cancelled-child")
        ledger.wait_started("late")

        workers = program.json("worker", "list")
        assert len(workers) == 3
        busy = {row["job"]: row for row in workers}
        assert "cancelled" in busy
        assert all(row["name"].startswith(f"{row['host']}-{row['pid']}-") for row in workers)
        assert all(isinstance(row["pid"], int) and row["since"].endswith("Z") for row in workers)
        status = program.json("status")
        assert {row["name"] for row in status["workers"]} == {row["name"] for row in workers}
        assert "cancelled" in {row["job"] for row in status["workers"]}
        row = next(job for job in program.json("list", "--state", "processing") if job["id"] == "cancelled")
        assert (row["state"], row["worker"]) == ("processing", busy["cancelled"]["name"])

        program.ok("cancel", "cancelled", "waits")
        ledger.wait_dead("cancelled", "cancelled-child")
        assert program.where("cancelled") == ["dead"]
        assert program.where("waits") == ["dead"]
        record = program.record("dead", "cancelled")
        assert (record["error"], record["history"][-1]["outcome"]) == ("cancelled", "cancelled")
        assert program.call("cancel", "cancelled").code == 4

        program.wait_in("dead", "late")
        ledger.wait_dead("late", "late-child")
        record = program.record("dead", "late")
        assert record["error"] == "timed out after 6 s"
        assert record["history"][-1]["outcome"] == "timeout"

        # The workers go on with other jobs.
        program.drop("next.json", ledger.job("next"))
        program.wait_in("done", "next")
        program.ok("worker", "stop")
        assert worker.end().code == 0
    assert "end" not in ledger.words("cancelled") + ledger.words("late")
    assert ledger.names() == ["cancelled", "cancelled-child", "late", "late-child", "next"]
    assert program.left_behind() == []


def test_a_pause_holds_new_jobs_back_until_resume(program: Program, ledger: Ledger) -> None:
    with program.workers() as worker:
        program.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        program.ok("pause")
        assert program.json("status")["paused"] is True
        program.drop("held.json", ledger.job("held"))
        ledger.let_go("runs")
        # What runs is finished, and that would make room for the other.
        program.wait_in("done", "runs")
        wait_until(lambda: program.json("status")["counts"]["pending"] == 1, "the drop was seen", PATIENCE)
        assert ledger.runs("held") == 0
        drained = program.ok("worker", "start", "--drain")
        assert ledger.runs("held") == 0, "another worker starts nothing either"
        assert "held" not in drained.err
        program.ok("resume")
        program.wait_in("done", "held")
        assert program.json("status")["paused"] is False
        program.ok("worker", "stop")
        assert worker.end().code == 0


def test_logs_follow_a_running_job_and_the_worker_can_be_quiet(program: Program, ledger: Ledger) -> None:
    code = "import sys, time, os\nprint('one', flush=True)\nwhile not os.path.exists(sys.argv[1]):"
    code += " time.sleep(.01)\nprint('two', flush=True)\nsys.exit(5)"
    go = program.here / "go"
    command = [sys.executable, "-I", "-S", "-c", code, str(go)]
    program.make()
    with program.workers(1, "--quiet") as worker:
        program.drop("talks.json", {"command": command, "max_retries": 0})
        program.drop("fine.json", ledger.job("fine"))
        wait_until(lambda: program.path("logs", "talks.log").exists(), "it talks", PATIENCE)
        with program.start("logs", "talks", "--follow") as follower:
            wait_until(lambda: "one" in follower.out, "the first line is followed", PATIENCE)
            assert follower.runs
            go.touch()
            followed = follower.end()
        assert followed.code == 0
        assert followed.lines == ["one", "two"]
        assert program.ok("logs", "talks").lines == ["one", "two"]
        program.wait_in("done", "fine")
        assert program.ok("logs", "fine").out == ""
        program.ok("worker", "stop")
        log = worker.end()
    assert [line for line in log.err.splitlines() if "talks" not in line] == [], "only what needs an eye"
    assert "dead" in log.err
    assert "exit code 5" in log.err


def test_a_job_may_enqueue_others_and_priority_and_time_decide(program: Program, ledger: Ledger) -> None:
    program.ok("pause")
    inner = [sys.executable, "-m", "queuectl", "enqueue", "--id", "child", "--", *ledger.command("child")]
    program.drop("parent.json", {"command": inner, "priority": 9})
    program.drop("low.json", ledger.job("low", priority=-5))
    program.drop("high.json", ledger.job("high", priority=5))
    program.ok("enqueue", "--id", "later", "--delay", "2", "--priority", "99", "--", *ledger.command("later"))
    program.ok("resume")
    log = program.ok("worker", "start", "--drain", "--log-format", "json")
    events = [json.loads(line) for line in log.err.splitlines()]
    order = [event["job_id"] for event in events if event["kind"] == "job_started"]
    assert [job_id for job_id in order if job_id != "later"] == ["parent", "high", "child", "low"]
    assert {"time", "kind", "worker", "job_id", "attempt", "seconds", "exit_code"} <= next(
        event.keys() for event in events if event["kind"] == "job_completed"
    )
    assert program.ok("logs", "parent").lines == ["child"], "QUEUECTL_SPOOL names this spool"
    assert log.out == ""

    if "later" not in order:
        assert program.where("later") == ["pending"]
        with program.workers() as worker:
            program.wait_in("done", "later")
            program.ok("worker", "stop")
            assert worker.end().code == 0
    record = program.record("done", "later")
    assert record["history"][0]["started_at"] >= record["created_at"]
    assert ledger.runs("later") == 1


def test_the_index_may_be_deleted_while_nothing_runs(program: Program, ledger: Ledger) -> None:
    fails = {"id": "fails", **ledger.job("fails", "run", 0, 9)}
    program.put(
        {"id": "waits", "command": ["x"], "run_at": "2999-01-01T00:00:00Z", "tags": ["t"]},
        {"id": "fine", **ledger.job("fine")},
        fails,
        {**fails, "id": "gone", "max_retries": 0},
    )
    program.drop("bad.json", b"{}")
    program.ok("worker", "start", "--drain", "--count", "2", "--set=backoff_base=1000", "--set=settle_time=0")
    calls = [("status",), ("list",), ("dlq", "list"), ("show", "fails"), ("config", "get")]
    before = [program.json(*call) for call in calls]
    assert before[0]["counts"] == {"pending": 1, "processing": 0, "completed": 1, "failed": 1, "dead": 2}
    for call, seen in zip(calls, before):
        for path in program.spool.glob("index.sqlite3*"):
            path.unlink()
        assert program.json(*call) == seen, call


def test_a_spool_that_was_tampered_with_is_mended(program: Program) -> None:
    program.put({"id": "one", "command": ["x"]}, {"id": "two", "command": ["x"]})
    program.ok("worker", "start", "--drain", "--quiet")
    assert program.ok("doctor").code == 0
    (program.spool / "pending" / "job.json.txt").write_text('{"command": "x"}', encoding="utf-8")
    owned = program.spool / "processing" / "host-1-1-abc123"
    owned.mkdir()
    (owned / "stray.json").write_text('{"command": "x"}', encoding="utf-8")
    sick = program.call("doctor", "--json")
    assert sick.code == 1
    left = [finding["text"] for finding in sick.json if not finding["fixed"]]
    assert any("job.json.txt" in text for text in left)
    assert any("host-1-1-abc123: its worker has died" in text for text in left)
    mended = program.ok("doctor", "--fix")
    assert "mended" in mended.out
    assert program.where("job") == ["pending"]
    assert program.where("stray") == ["failed"], "a worker that died with it counts as a crash"
    assert program.ok("doctor").lines == []


def test_reindex_and_retry_of_what_has_ended(program: Program) -> None:
    program.ok("config", "set", "max_retries", "0")
    program.ok("enqueue", "--id", "ended", "--", sys.executable, "-c", "raise SystemExit(3)")
    program.ok("worker", "start", "--drain", "--quiet")
    before = program.json("list")
    assert "indexed 1 jobs" in program.ok("reindex").err
    assert program.json("list") == before
    assert program.ok("config", "get", "max_retries").lines == ["0"], "settings are kept"
    program.ok("retry", "ended")
    assert program.where("ended") == ["pending"]
    assert program.record("pending", "ended")["attempts"] == 0
    program.ok("worker", "start", "--drain", "--quiet")
    assert [run["exit_code"] for run in program.record("dead", "ended")["history"]] == [3, 3]
