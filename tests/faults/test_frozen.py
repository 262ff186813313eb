"""A worker that stops for a while (SIGSTOP, Ctrl+Z, a suspended machine) and then goes on.

It holds its locks all the time, so nobody takes it for dead, however long it lasts: no job runs twice.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from queuectl.queue import Queue
from tests.support.invariants import check
from tests.support.ledger import Ledger
from tests.support.program import Running
from tests.support.storms.altered import STOPPED, Altered
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform == "win32", reason="no signal stops a process on Windows"),
]

LONG = 0.8
"""Seconds: longer than poll_interval, settle_time and every pause of the workers here."""
Figure = Callable[[str, int], None]


@pytest.fixture
def program(tmp_path: Path) -> Altered:
    program = Altered(tmp_path)
    with Queue.open(str(program.spool)) as queue:
        for name, value in (("poll_interval", "0.2"), ("settle_time", "0.2"), ("backoff_base", "0.1")):
            queue.set_config(name, value)
    return program


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def freeze(worker: Running) -> None:
    worker.interrupt(signal.SIGSTOP)


def thaw(worker: Running) -> None:
    worker.interrupt(signal.SIGCONT)


def stays(condition: Callable[[], object], seconds: float = LONG) -> bool:
    """Whether the condition holds all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            return False
        time.sleep(0.05)
    return True


def all_ran_once(program: Altered, ledger: Ledger, *names: str) -> None:
    """Each of these is done, after one run, and was never taken for crashed."""
    records = [program.record("done", name) for name in names]
    assert [(one["attempts"], one["crashes"]) for one in records] == [(1, 0)] * len(names)
    assert [ledger.runs(name) for name in names] == [1] * len(names)
    assert ledger.overlaps() == []
    assert program.left_behind() == []
    check(program.spool, names)


def test_a_worker_frozen_in_the_middle_of_a_run_keeps_its_job(
    program: Altered, ledger: Ledger, figure: Figure
) -> None:
    """Its command ends meanwhile; another worker works all the time and leaves that job alone."""
    with program.workers() as frozen:
        program.drop("long.json", ledger.job("long", "hold"))
        ledger.wait_started("long")
        freeze(frozen)
        with program.workers() as witness:
            names = [f"job-{number}" for number in range(5)]
            for name in names:
                program.drop(f"{name}.json", ledger.job(name))
            program.wait_in("done", *names)
            ledger.let_go("long")
            ledger.wait_dead("long")
            assert stays(lambda: program.where("long") == ["processing"])
            assert program.json("status")["counts"]["processing"] == 1
            thaw(frozen)
            program.wait_in("done", "long")
            program.ok("worker", "stop")
            assert [witness.end().code, frozen.end().code] == [0, 0]
    all_ran_once(program, ledger, "long", *names)
    figure("frozen and continued: moments", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "held", "told"),
    [
        ("stop_at_claim", "claim.lock", "cannot claim just now"),
        ("stop_before_claim", "claim.lock", "cannot claim just now"),
        ("stop_in_index", "index.sqlite3", "cannot be used just now"),
    ],
)
def test_a_worker_frozen_at_a_claim_holds_others_up_but_nothing_is_lost(
    program: Altered, ledger: Ledger, moment: str, held: str, told: str, figure: Figure
) -> None:
    """It holds a lock of all: enqueue and other workers wait for it, and say so if it is in vain."""
    where = program.here / "stopped"
    impatient, names = program.altered("impatient"), [f"job-{number}" for number in range(6)]
    frozen_one = program.altered(moment, **{STOPPED: str(where)})
    with impatient.workers() as witness, frozen_one.workers() as frozen:
        for name in names:
            program.drop(f"{name}.json", ledger.job(name, "run", 0.2))
        wait_until(where.exists, "it has come to that step")
        witness.wait_for(told)
        ledger.wait_dead(*names)
        answer = impatient.call(
            "enqueue", "-", stdin=json.dumps({"id": "late", **ledger.job("late")}).encode()
        )
        # The files decide: with the lock of claims free, a job is taken in though no index tells of it.
        assert answer.code == 5 or (answer.code == 0 and held != "claim.lock")
        # Another process of the same program may wait for the index with the lock of claims in its hand.
        assert held in answer.err or "claim.lock" in answer.err or answer.code == 0
        names += answer.lines
        assert program.where("late") == ["pending"] * (answer.code == 0)
        assert [len(program.where(name)) for name in names] == [1] * len(names)
        started = ledger.names()
        assert held != "claim.lock" or stays(lambda: ledger.names() == started)
        thaw(frozen)
        program.wait_in("done", *names)
        program.ok("worker", "stop")
        assert [witness.end().code, frozen.end().code] == [0, 0]
    all_ran_once(program, ledger, *names)
    figure("frozen and continued: moments", 1)


@pytest.mark.slow
def test_a_worker_frozen_between_the_record_of_a_run_and_its_move_is_left_alone(
    program: Altered, ledger: Ledger, figure: Figure
) -> None:
    """Others go on, and nobody finishes that move for it."""
    where = program.here / "stopped"
    with program.altered("stop_at_settle", **{STOPPED: str(where)}).workers() as frozen:
        program.drop("recorded.json", ledger.job("recorded"))
        wait_until(where.exists, "its run is recorded")
        with program.workers() as witness:
            program.drop("other.json", ledger.job("other"))
            program.wait_in("done", "other")
            assert stays(lambda: program.where("recorded") == ["processing"])
            thaw(frozen)
            program.wait_in("done", "recorded")
            program.ok("worker", "stop")
            assert [witness.end().code, frozen.end().code] == [0, 0]
    all_ran_once(program, ledger, "recorded", "other")
    figure("frozen and continued: moments", 1)


@pytest.mark.slow
def test_one_that_is_killed_while_it_is_frozen_is_dead(program: Altered, ledger: Ledger) -> None:
    where = program.here / "stopped"
    with program.altered("stop_at_claim", **{STOPPED: str(where)}).workers() as frozen:
        program.drop("claimed.json", ledger.job("claimed"))
        wait_until(where.exists, "it has claimed")
        frozen.kill()
    with program.workers() as witness:
        program.wait_in("done", "claimed")
        program.ok("worker", "stop")
        assert witness.end().code == 0
    record = program.record("done", "claimed")
    assert (record["attempts"], record["crashes"], ledger.runs("claimed")) == (1, 1, 1)
    check(program.spool, ["claimed"])


@pytest.mark.slow
def test_the_control_a_worker_that_takes_the_frozen_for_dead_is_noticed(
    program: Altered, ledger: Ledger
) -> None:
    with program.workers() as frozen:
        program.drop("long.json", ledger.job("long", "hold"))
        ledger.wait_started("long")
        freeze(frozen)
        with program.altered("blind_to_life").workers():
            assert not stays(lambda: program.where("long") == ["processing"] and ledger.runs("long") == 1, 10)
        thaw(frozen)
        ledger.let_go("long")
        ledger.wait_dead("long")
