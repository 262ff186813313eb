"""What acts on many jobs while workers take them, and numbers of what they have done."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import python
from tests.support.program import PATIENCE, Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def test_a_batch_is_cancelled_while_it_runs_and_another_goes_on(program: Program) -> None:
    slow, quick = python("import time; time.sleep(60)"), python("pass")
    jobs = [{"id": f"s{number:03}", "command": slow, "batch": "slow"} for number in range(120)]
    jobs += [{"id": f"q{number}", "command": quick, "batch": "quick"} for number in range(5)]
    program.ok("enqueue", "-", stdin=json.dumps(jobs).encode())
    with program.workers(2) as workers:
        wait_until(lambda: len(program.json("list", "--state", "processing")) == 2, "two run", PATIENCE)
        told = program.json("cancel", "--batch", "slow", "--yes")
        assert sorted(told["done"]) == [f"s{number:03}" for number in range(120)]
        assert told["skipped"] == []
        wait_until(lambda: len(program.names("done")) == 5, "the others have run", PATIENCE)
        program.ok("worker", "stop")
        assert workers.end().code == 0
    assert len(program.names("dead")) == 120
    assert program.names("processing") == []
    numbers = program.json("stats", "--since", "1h", "--by", "state")
    assert (numbers["completed"], numbers["dead"]) == (5, 120)
    assert numbers["runs"] >= 7, "those that were killed have run"
    assert numbers["failed_runs"] == 0, "to be cancelled is no failure"
    assert program.json("dlq", "purge", "--batch", "slow", "--yes")["done"] == sorted(told["done"])
    assert program.names("dead") == []
