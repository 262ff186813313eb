"""What recurs, with real workers: each moment has one job, whoever works, dies or is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from queuectl.moment import parse_moment
from tests.support.commands import python
from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def put(program: Program, name: str, **fields: Any) -> Path:
    """A schedule that a person has saved."""
    path = program.spool / "schedules" / f"{name}.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def moments(program: Program, name: str) -> list[float]:
    """Those of its jobs, wherever they lie."""
    jobs = [job["id"] for job in program.json("list") if job["id"].startswith(f"{name}-")]
    return sorted(parse_moment(program.json("show", job_id)["scheduled_at"]) for job_id in jobs)


def test_many_programs_make_one_job_of_each_moment_though_one_of_them_is_killed(
    program: Program, ledger: Ledger
) -> None:
    program.make()
    job = {"command": ledger.command("tick")}
    with program.workers(2) as first, program.workers(1) as second, program.workers(1) as third:
        put(program, "tick", every="1s", overlap="allow", catch_up="all", job=job)
        wait_until(lambda: len(program.names("done")) >= 2, "two have run", PATIENCE)
        first.kill()
        reached = len(program.names("done")) + 3
        wait_until(lambda: len(program.names("done")) >= reached, "three more have run", PATIENCE)
        program.ok("schedule", "pause", "tick")
        wait_until(lambda: program.names("pending") == [], "all have run", PATIENCE)
        program.ok("worker", "stop")
        assert (second.end().code, third.end().code) == (0, 0)
    found = moments(program, "tick")
    assert len(found) >= 5
    steps = [round(two - one, 3) for one, two in zip(found, found[1:])]
    assert steps == [1.0] * (len(found) - 1), "each moment once, and none left out"


def test_a_schedule_that_is_dropped_edited_and_deleted_while_workers_run(program: Program) -> None:
    with program.workers() as workers:
        path = put(program, "s", every=1, overlap="allow", job={"command": "echo one"})
        wait_until(lambda: program.names("done"), "one has run", PATIENCE)
        put(program, "s", every=1, overlap="allow", job={"command": "echo two"})
        wait_until(
            lambda: any(job["command"] == "echo two" for job in program.json("list")), "edited", PATIENCE
        )
        path.write_text("{", encoding="utf-8")
        workers.wait_for("schedules/s.json: not JSON")
        assert any("schedules/s.json" in line for line in program.json("status")["problems"])
        path.unlink()
        wait_until(lambda: not program.json("schedule", "list"), "deleted", PATIENCE)
        program.ok("worker", "stop")
        assert workers.end().code == 0
    assert program.left_behind() == []


def test_the_job_knows_its_moment(program: Program) -> None:
    code = "import os; print(os.environ['QUEUECTL_SCHEDULE'], os.environ['QUEUECTL_SCHEDULED_AT'])"
    program.make()
    put(program, "s", every=1, job={"command": python(code)})
    with program.workers() as workers:
        wait_until(lambda: program.names("done"), "one has run", PATIENCE)
        job_id = program.names("done")[0][: -len(".json")]
        record = program.record("done", job_id)
        assert program.ok("logs", job_id).out.split() == ["s", record["scheduled_at"]]
        program.ok("worker", "stop")
        workers.end()


def test_stop_ends_the_command_that_runs_and_the_next_one_follows(program: Program, ledger: Ledger) -> None:
    program.make()
    with program.workers() as workers:
        put(program, "s", every="1s", overlap="stop", job={"command": ledger.command("s", "tree")})
        ledger.wait_started("s", times=2)
        put(program, "s", every="1s", overlap="stop", paused=True, job={"command": "x"})
        program.ok("worker", "stop", "--now")
        workers.end()
    assert ledger.overlaps() == []
    dead = [program.record("dead", name) for name in program.names("dead")]
    assert {record["error"] for record in dead} == {"cancelled"}


def test_a_drain_makes_up_for_what_was_missed_and_ends(program: Program) -> None:
    program.ok("schedule", "add", "s", "--cron", "0 0 1 1 *", "--timezone", "UTC", "--", *python(""))
    program.ok("schedule", "add", "t", "--cron", "0 0 1 1 *", "--catch-up", "skip", "--", *python(""))
    program.ok("run")
    for name in ("s", "t"):
        path = program.spool / "schedules" / "state" / f"{name}.json"
        record = json.loads(path.read_bytes())
        path.write_text(json.dumps({**record, "since": "2020-06-01T00:00:00.000Z"}), encoding="utf-8")
    made = program.json("run")
    assert [job["id"][:2] for job in made] == ["s-"]
    assert made[0]["id"].endswith("0101T000000Z")
    assert program.json("run") == []
