"""Workers are killed again and again, at any moment, while jobs come in."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.invariants import check
from tests.support.ledger import Ledger
from tests.support.program import WINDOWS, Program, Running
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

JOBS = 60 if WINDOWS else 200
KILLS = 8 if WINDOWS else 25
SEED = 20261124


def test_nothing_is_lost_and_nothing_runs_beside_itself(tmp_path: Path) -> None:
    program, ledger, chance = Program(tmp_path), Ledger(tmp_path / "ledger"), random.Random(SEED)
    program.ok("config", "set", "backoff_base", "0.1")
    program.ok("config", "set", "max_crashes", "1000")
    program.ok("config", "set", "poll_interval", "0.2")
    names = [f"job-{number:03}" for number in range(JOBS)]
    waiting = list(names)
    with ExitStack() as stack:

        def start() -> Running:
            return stack.enter_context(program.workers(2, "--quiet"))

        alive = [start(), start()]
        for _ in range(KILLS):
            for _ in range(-(-JOBS // KILLS)):
                if waiting:
                    name = waiting.pop()
                    program.drop(f"{name}.json", ledger.job(name, "run", round(chance.uniform(0, 0.2), 2)))
            time.sleep(chance.uniform(0.0, 0.5))
            alive.pop(chance.randrange(2)).kill()
            alive.append(start())
        wait_until(lambda: len(program.names("done")) == JOBS, "every job is done", 100)
        program.ok("worker", "stop")
        assert [worker.end().code for worker in alive] == [0, 0]
    assert ledger.overlaps() == []
    crashes = 0
    for name in names:
        record = program.record("done", name)
        crashes += record["crashes"]
        assert record["attempts"] == 1
        assert 1 <= ledger.runs(name) <= 1 + record["crashes"], name
        assert [run["outcome"] for run in record["history"]] == ["crashed"] * record["crashes"] + [
            "completed"
        ]
    assert crashes > 0, "no kill has met a running job"
    assert program.names("processing") == []
    assert program.left_behind() == []
    check(program.spool, names)
