"""Order and limits with real workers of several programs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from queuectl.moment import parse_moment
from tests.support.commands import python
from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

MEET = """
import os, sys, time
folder, name, most = sys.argv[1:]
path = os.path.join(folder, name)
open(path, "x").close()
met = len(os.listdir(folder))
time.sleep(0.1)
os.unlink(path)
sys.exit(met > int(most))
"""
"""Fails where more of its kind run at once than there may."""


def test_a_limit_holds_over_all_programs(program: Program, tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    program.ok("group", "set", "g", "--limit", "2")
    usual = {"group": "g", "max_retries": 0}
    jobs = [
        {"id": f"j{number:02}", "command": python(MEET, str(room), str(number), "2"), **usual}
        for number in range(24)
    ]
    program.ok("enqueue", "-", stdin=json.dumps(jobs).encode())
    with program.workers(3) as one, program.workers(3) as other:
        wait_until(
            lambda: len(program.names("done")) + len(program.names("dead")) == 24, "all have run", PATIENCE
        )
        program.ok("worker", "stop")
        assert (one.end().code, other.end().code) == (0, 0)
    assert program.names("dead") == []


def test_a_chain_goes_from_worker_to_worker_without_waiting_for_a_look(
    program: Program, ledger: Ledger
) -> None:
    program.make(poll_interval="30")
    with program.workers(2) as workers, program.workers(1) as others:
        chain = [
            ledger.job(f"c{number}", id=f"c{number}", after=[f"c{number - 1}"] if number else [])
            for number in range(6)
        ]
        program.ok("enqueue", "-", stdin=json.dumps(chain).encode())
        program.wait_in("done", *(f"c{number}" for number in range(6)), deadline=20)
        program.ok("worker", "stop")
        workers.end(), others.end()
    ends = [program.record("done", f"c{number}")["history"][0] for number in range(6)]
    assert all(one["finished_at"] <= two["started_at"] for one, two in zip(ends, ends[1:])), (
        "each after the one before"
    )


def test_a_group_that_is_resumed_and_a_job_that_is_released_start_at_once(program: Program) -> None:
    program.make(poll_interval="30")
    program.ok("group", "pause", "g")
    program.ok("enqueue", "--id", "grouped", "--group", "g", "--", *python(""))
    program.ok("enqueue", "--id", "held", "--hold", "--", *python(""))
    with program.workers() as workers:
        program.ok("enqueue", "--id", "free", "--", *python(""))
        program.wait_in("done", "free")
        assert program.where("grouped") == program.where("held") == ["pending"]
        program.ok("group", "resume", "g")
        program.wait_in("done", "grouped", deadline=20)
        program.ok("release", "held")
        program.wait_in("done", "held", deadline=20)
        program.ok("worker", "stop")
        workers.end()


def test_a_rate_lets_so_many_start_and_then_the_next(program: Program) -> None:
    program.ok("group", "set", "g", "--rate", "2/2s")
    program.put(*({"id": f"r{number}", "group": "g", "command": python("")} for number in range(5)))
    with program.workers(2) as workers:
        program.wait_in("done", *(f"r{number}" for number in range(5)))
        program.ok("worker", "stop")
        log = workers.end().err
    assert len(re.findall(r"started \(attempt 1\)", log)) == 5
    starts = sorted(program.record("done", f"r{number}")["history"][0]["started_at"] for number in range(5))
    moments = [parse_moment(one) for one in starts]
    # A start is later than its claim, on a busy machine by a good part of a second.
    assert all(later - first >= 1.0 for first, later in zip(moments, moments[2:]))


def test_a_batch_its_completion_job_and_a_part_that_fails(program: Program, ledger: Ledger) -> None:
    parts = [ledger.job(f"p{number}", id=f"p{number}", batch="b") for number in range(8)]
    parts.append({"id": "bad", "command": python("raise SystemExit(1)"), "batch": "b", "max_retries": 0})
    parts.append(
        {"id": "alarm", "command": ledger.command("alarm"), "after": [{"batch": "b", "on": "failure"}]}
    )
    parts.append({"id": "fin", "command": ledger.command("fin"), "after": [{"batch": "b"}]})
    program.ok("enqueue", "-", stdin=json.dumps(parts).encode())
    with program.workers(2) as workers:
        program.wait_in("done", "alarm")
        assert program.where("fin") == ["pending"], "one of the batch is dead"
        program.ok("edit", "fin", "--after-any", "batch:b")
        program.wait_in("done", "fin", *(f"p{number}" for number in range(8)))
        program.ok("worker", "stop")
        workers.end()
    assert (ledger.runs("fin"), ledger.runs("alarm")) == (1, 1)
