"""However workers are stopped: what runs is finished or put back, and nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, WINDOWS, Program, Running, wipe
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

SIGNALS = ["SIGBREAK"] if WINDOWS else ["SIGINT", "SIGTERM", "SIGHUP"]


def interrupt(worker: Running, name: str) -> None:
    if sys.platform == "win32":
        worker.interrupt(signal.CTRL_BREAK_EVENT)
    else:
        worker.interrupt(getattr(signal, name))


def need_console_events(program: Program) -> None:
    """A rig without a console delivers no Ctrl+Break; there is no other way to say it on Windows."""
    if sys.platform != "win32":
        return
    with program.workers(own_group=True) as worker:
        try:
            worker.interrupt(signal.CTRL_BREAK_EVENT)
            code = worker.process.wait(10)
        except (OSError, SystemError, subprocess.TimeoutExpired):
            pytest.skip("no console here that could deliver Ctrl+Break")
    if code not in (0, 130):
        pytest.skip(f"Ctrl+Break ends a process here (exit code {code}) and is not delivered to it")


def test_worker_stop_lets_the_running_job_finish(program: Program, ledger: Ledger) -> None:
    with program.workers(2) as first, program.workers(1) as second:
        program.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        with program.start("worker", "stop") as stopper:
            wait_until(lambda: "runs  started" in first.err + second.err, "who runs it is told", PATIENCE)
            idle = first if "runs  started" in second.err else second
            assert idle.end().code == 0, "who has nothing to finish stops at once"
            program.drop("late.json", ledger.job("late"))
            assert stopper.runs, "it waits until all have stopped"
            assert [row["job"] for row in program.json("worker", "list")] == ["runs"]
            assert ledger.words("runs") == ["start"]
            ledger.let_go("runs")
            assert stopper.end().code == 0
        assert (first.end().code, second.end().code) == (0, 0)
    assert program.where("runs") == ["done"]
    assert program.where("late") == ["pending"], "no more was taken"
    assert ledger.words("runs") == ["start", "end"]
    assert program.left_behind() == []
    assert "no workers run" in program.ok("worker", "stop").err


def test_worker_stop_now_kills_what_runs_at_no_attempts_cost(program: Program, ledger: Ledger) -> None:
    with program.workers(2) as worker:
        program.drop("runs.json", ledger.job("runs", "tree", max_retries=0))
        ledger.wait_started("runs")
        program.ok("worker", "stop", "--now")
        ledger.wait_dead("runs", "runs-child")
        worker.end()
    assert program.where("runs") == ["pending"]
    record = program.json("show", "runs")
    assert (record["state"], record["attempts"], record["crashes"]) == ("pending", 0, 0)
    assert program.left_behind() == []
    # And it runs again, as the first time.
    ledger.let_go("runs")
    ledger.let_go("runs-child")
    program.ok("worker", "start", "--drain")
    assert program.record("done", "runs")["attempts"] == 1
    assert ledger.words("runs") == ["start", "start", "end"]


@pytest.mark.parametrize("name", SIGNALS)
def test_one_signal_lets_the_running_job_finish(program: Program, ledger: Ledger, name: str) -> None:
    need_console_events(program)
    with program.workers(2, own_group=True) as worker:
        program.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        interrupt(worker, name)
        worker.wait_for("stopping")
        program.drop("late.json", ledger.job("late"))
        ledger.let_go("runs")
        assert worker.end().code == 0
    assert program.where("runs") == ["done"]
    assert program.where("late") == ["pending"]
    assert ledger.names() == ["runs"]
    assert program.left_behind() == []


@pytest.mark.parametrize("name", SIGNALS)
def test_two_signals_kill_the_trees_at_no_attempts_cost(program: Program, ledger: Ledger, name: str) -> None:
    need_console_events(program)
    with program.workers(2, own_group=True) as worker:
        program.drop("one.json", ledger.job("one", "tree", max_retries=0))
        program.drop("two.json", ledger.job("two", "hold"))
        ledger.wait_started("one")
        ledger.wait_started("two")
        interrupt(worker, name)
        worker.wait_for("stopping")
        assert ledger.lives("one")
        interrupt(worker, name)
        ended = worker.end()
    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.err
    ledger.wait_dead("one", "one-child", "two")
    for job_id in ("one", "two"):
        assert program.where(job_id) == ["pending"]
        assert program.json("show", job_id)["attempts"] == 0
    assert "end" not in ledger.words("one") + ledger.words("two")
    assert program.left_behind() == []


@pytest.mark.skipif(WINDOWS, reason="signals; the same code hears Ctrl+Break")
def test_a_signal_ends_an_idle_worker_and_run_at_once(program: Program, ledger: Ledger) -> None:
    with program.workers(2) as worker:
        worker.interrupt(signal.SIGINT)
        assert worker.end().code == 0
    assert program.left_behind() == []
    program.drop("runs.json", ledger.job("runs", "hold"))
    with program.start("run") as run:
        ledger.wait_started("runs")
        run.interrupt(signal.SIGTERM)
        run.wait_for("stopping")
        run.interrupt(signal.SIGTERM)
        ended = run.end()
    assert ended.code == 130
    assert program.where("runs") == ["pending"]
    assert program.left_behind() == []


@pytest.mark.skipif(WINDOWS, reason="there a folder with an open file in it cannot be taken away")
def test_workers_whose_spool_has_gone_stop_and_say_so(program: Program, ledger: Ledger) -> None:
    program.make(poll_interval="0.1")
    with program.workers(2) as worker:
        program.drop("fine.json", ledger.job("fine"))
        program.wait_in("done", "fine")
        wipe(program.spool)
        ended = worker.end()
    assert ended.code == 7
    assert "Traceback" not in ended.err
    assert "has gone" in ended.err.splitlines()[-1]
    assert not program.spool.exists(), "it is not made again behind somebody's back"
