"""Workers that are killed outright: nothing is lost, nothing runs beside itself."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from tests.support.ledger import Ledger
from tests.support.program import WINDOWS, Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

JOBS = 120 if WINDOWS else 240


def test_two_programs_of_four_workers_run_every_dropped_job_once(program: Program) -> None:
    """Each job writes a line with the shell that the system has; one that ran twice would leave two."""
    program.make(settle_time="60")
    runs = program.here / "runs"
    runs.mkdir()
    names = [f"job-{number:03}" for number in range(JOBS)]
    with program.workers(4, "--quiet") as first, program.workers(4, "--quiet") as second:
        for name in names:
            program.drop(f"{name}.json", {"command": f'echo "ran" >>"{runs / name}.txt"'})
        program.wait_in("done", *names, deadline=100)
        counts = program.json("status")["counts"]
        assert counts == {"pending": 0, "processing": 0, "completed": JOBS, "failed": 0, "dead": 0}
        program.ok("worker", "stop")
        ended = (first.end(), second.end())
    assert [(one.code, one.err) for one in ended] == [(0, "")] * 2
    lines = {path.stem: path.read_text(encoding="utf-8").count("\n") for path in runs.iterdir()}
    assert lines == dict.fromkeys(names, 1)
    records = [program.record("done", name) for name in names]
    assert {record["attempts"] for record in records} == {1}
    who = {record["history"][0]["worker"] for record in records}
    assert len(who) > 4, "both programs have worked"
    assert program.left_behind() == []


def test_killing_a_program_in_mid_run_loses_nothing_and_overlaps_nothing(
    program: Program, ledger: Ledger
) -> None:
    program.make(backoff_base="0.1")
    count = 40 if WINDOWS else 48
    names = [f"job-{number:03}" for number in range(count)]
    with program.workers(4) as victim, program.workers(4) as witness:
        for name in names:
            program.drop(f"{name}.json", ledger.job(name, "run", 0.05))
        wait_until(lambda: len(program.names("done")) >= count // 5, "some are done", 60)
        victim.kill()
        program.wait_in("done", *names, deadline=100)
        program.ok("worker", "stop")
        assert witness.end().code == 0
    assert len(program.names("done")) == count
    assert program.names("dead") + program.names("failed") + program.names("pending") == []
    assert ledger.overlaps() == []
    records = {name: program.record("done", name) for name in names}
    for name, record in records.items():
        # A crash may cost a run; only a crash does.
        assert ledger.runs(name) in (1, 1 + record["crashes"]), name
        assert record["attempts"] == 1
    assert sum(record["crashes"] for record in records.values()) <= 4, "it had four workers"
    assert program.left_behind() == []


def test_a_command_that_outlives_its_worker_still_owns_its_job(program: Program, ledger: Ledger) -> None:
    """POSIX: it is waited for. Windows: it dies with its worker."""
    program.make(backoff_base="0.1")
    with program.workers() as victim:
        program.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        victim.kill()
    with program.workers(2) as witness:
        program.drop("other.json", ledger.job("other"))
        program.wait_in("done", "other")
        if WINDOWS:
            # Run anew, as soon as may be: the first has not ended by itself, and holds nothing any more.
            ledger.wait_started("runs", 2)
            assert ledger.words("runs") == ["start", "start"]
        else:
            assert ledger.lives("runs")
            assert program.where("runs") == ["processing"]
            problems = program.json("status")["problems"]
            assert any("runs still runs" in text and "waited for" in text for text in problems)
            # Several looks later it still has run once only.
            program.drop("another.json", ledger.job("another"))
            program.wait_in("done", "another")
            assert ledger.words("runs") == ["start"]
        ledger.let_go("runs")
        program.wait_in("done", "runs")
        witness.wait_for("runs  recovered")
        program.ok("worker", "stop")
        assert witness.end().code == 0
    record = program.record("done", "runs")
    assert (record["attempts"], record["crashes"]) == (1, 1)
    assert [run["outcome"] for run in record["history"]] == ["crashed", "completed"]
    assert ledger.overlaps() == []
    assert program.left_behind() == []


@pytest.mark.skipif(WINDOWS, reason="on Windows a command holds no lock of its worker")
def test_a_daemon_that_an_earlier_job_left_does_not_hold_up_a_later_one(
    program: Program, ledger: Ledger
) -> None:
    program.make(backoff_base="0.1")
    try:
        with program.workers() as victim:
            program.drop("starter.json", ledger.job("starter", "daemon"))
            program.wait_in("done", "starter")
            assert ledger.lives("starter-child"), "the daemon lives on after its job"
            program.drop("later.json", ledger.job("later", "run", 0.3))
            ledger.wait_started("later")
            victim.kill()
        with program.workers() as witness:
            program.wait_in("done", "later")
            assert ledger.lives("starter-child")
            program.ok("worker", "stop")
            assert witness.end().code == 0
        record = program.record("done", "later")
        assert (record["crashes"], record["attempts"]) == (1, 1)
        assert ledger.overlaps() == []
        assert program.left_behind() == []
    finally:
        ledger.let_go("starter-child")
        ledger.wait_dead("starter-child")


def test_a_job_that_kills_its_worker_each_time_ends_in_dead(program: Program, ledger: Ledger) -> None:
    program.make(max_crashes="2", backoff_base="0.1")
    mode = "hold" if WINDOWS else "crash"
    program.drop("killer.json", ledger.job("killer", mode))
    for crash in (1, 2):
        with program.workers() as worker:
            ledger.wait_started("killer", crash)
            if WINDOWS:
                worker.kill()
            worker.process.wait(30)
    with program.workers() as worker:
        program.wait_in("dead", "killer")
        program.drop("good.json", ledger.job("good"))
        program.wait_in("done", "good")
        program.ok("worker", "stop")
        assert worker.end().code == 0
    assert ledger.runs("killer") == 2
    record = program.record("dead", "killer")
    assert (record["crashes"], record["attempts"]) == (2, 0)
    assert "died while it ran" in record["error"]
    assert program.left_behind() == []

    program.ok("dlq", "retry", "killer")
    record = program.json("show", "killer")
    assert (record["state"], record["crashes"], record["attempts"]) == ("pending", 0, 0)


@pytest.mark.slow
def test_a_job_that_kills_its_worker_takes_nobody_with_it(program: Program, ledger: Ledger) -> None:
    """What runs beside it each time crashes too, and would be dead with it if they met again and again."""
    program.make(max_crashes="2", backoff_base="0.1")
    others = ["one", "two", "three"]
    for name in others:
        program.drop(f"{name}.json", ledger.job(name, "run", 2.0 if WINDOWS else 0.7, priority=1))
    program.drop("killer.json", ledger.job("killer", "hold" if WINDOWS else "crash"))
    for crash in (1, 2):
        with program.workers(4) as worker:
            ledger.wait_started("killer", crash)
            if WINDOWS:
                worker.kill()
            worker.process.wait(30)
        # Started again when all is quiet, so that the next program finds all of them at once.
        ledger.wait_dead("killer", *others)
    with program.workers(4) as worker:
        program.wait_in("dead", "killer")
        program.wait_in("done", *others)
        program.ok("worker", "stop")
        assert worker.end().code == 0
    assert (program.names("dead"), ledger.runs("killer")) == (["killer.json"], 2)
    assert max(program.record("done", name)["crashes"] for name in others) <= 1
    assert ledger.overlaps() == []
    assert program.left_behind() == []


@pytest.mark.slow
def test_killers_in_two_programs_at_once_hold_up_nobody(program: Program, ledger: Ledger) -> None:
    """Both programs are started again whenever they die, as a service is."""
    program.make(max_crashes="2", backoff_base="0.1")
    others = [f"job-{number}" for number in range(8 if WINDOWS else 24)]
    killers = ["killer-a", "killer-b"]
    for name in others:
        program.drop(f"{name}.json", ledger.job(name, "run", 0.1))
    for name in killers:
        program.drop(f"{name}.json", ledger.job(name, "hold" if WINDOWS else "crash", priority=1))
    with ExitStack() as stack:
        # One worker each: a killer whose own worker has died already would kill whoever adopted it.
        pools = [stack.enter_context(program.workers()) for _ in range(2)]

        def all_over() -> bool:
            for number, pool in enumerate(pools):
                if WINDOWS and any(ledger.lives(name) for name in killers):
                    pool.kill()
                if not pool.runs:
                    pools[number] = stack.enter_context(program.start("worker", "start"))
            return program.names("dead") == [f"{name}.json" for name in killers]

        wait_until(all_over, "the killers are dead", 100)
        program.wait_in("done", *others)
        program.ok("worker", "stop")
        assert [pool.end().code for pool in pools] == [0, 0]
    # Windows: the test kills both, perhaps before a killer could write down that it runs.
    assert all(ledger.runs(name) == 2 or WINDOWS for name in killers)
    assert ledger.overlaps() == []
    assert program.left_behind() == []


@pytest.mark.skipif(WINDOWS, reason="a signal of its own")
def test_a_command_killed_by_a_signal_says_so(program: Program) -> None:
    code = "import os; os.kill(os.getpid(), 9)"
    program.ok("enqueue", "--id", "x", "--max-retries", "0", "--", sys.executable, "-I", "-S", "-c", code)
    program.ok("worker", "start", "--drain")
    record = program.record("dead", "x")
    assert (record["exit_code"], record["error"]) == (-9, "killed by SIGKILL")
