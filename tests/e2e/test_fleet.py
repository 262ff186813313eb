"""The workers of one `worker start` in several processes: to whoever started them they are one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from queuectl.names import program_of
from queuectl.system.family import cores
from tests.support.ledger import Ledger
from tests.support.program import Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(cores() < 2, reason="one process runs them all here")


@pytest.fixture
def spool(program: Program) -> Program:
    program.make()
    return program


def pids(program: Program) -> set[int]:
    return {row["pid"] for row in program.json("worker", "list")}


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def hold(program: Program, ledger: Ledger, *names: str) -> None:
    for name in names:
        program.drop(f"{name}.json", ledger.job(name, "hold"))
    for name in names:
        ledger.wait_started(name)


def test_they_are_in_several_processes_and_numbered_through(spool: Program) -> None:
    with spool.workers(3) as worker:
        wait_until(lambda: len(spool.json("worker", "list")) == 3, "they have started")
        rows = spool.json("worker", "list")
        assert len({row["pid"] for row in rows}) == 2
        # They fall together, so of jobs that have crashed one at a time is run by all of them.
        assert len({program_of(row["name"])[1] for row in rows}) == 1
        assert worker.pid in {row["pid"] for row in rows}
        assert sorted(row["name"].split("-")[-2] for row in rows) == ["1", "2", "3"]


def test_a_job_that_is_dropped_starts_in_whichever_is_free(spool: Program, ledger: Ledger) -> None:
    with spool.workers(2):
        hold(spool, ledger, "a", "b")
        running = {row["job"] for row in spool.json("worker", "list")}
        assert running == {"a", "b"}
        ledger.let_go("a")
        ledger.let_go("b")
        wait_until(lambda: spool.where("a") == spool.where("b") == ["done"], "both are done")


def test_a_drain_waits_for_all_of_them_and_for_retries_that_are_due(spool: Program, ledger: Ledger) -> None:
    spool.make(backoff_base="0")
    spool.drop("a.json", ledger.job("a", "hold"))
    spool.drop("b.json", ledger.job("b", "hold"))
    with spool.workers(2, "--drain") as worker:
        ledger.wait_started("a")
        ledger.wait_started("b")
        ledger.let_go("a")
        wait_until(lambda: spool.where("a") == ["done"], "one is done")
        # The other goes on, and what comes meanwhile is run beside it.
        spool.drop("c.json", {"command": "exit 1", "max_retries": 2})
        wait_until(lambda: spool.where("c") == ["dead"], "it has had its retries")
        assert worker.runs
        ledger.let_go("b")
        assert worker.end().code == 0
    assert spool.where("b") == ["done"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_lets_all_finish_and_a_second_kills_all(
    spool: Program, ledger: Ledger, number: signal.Signals
) -> None:
    with spool.workers(2) as worker:
        hold(spool, ledger, "a", "b")
        os.kill(worker.pid, number)
        worker.wait_for("stopping")
        assert worker.runs
        os.kill(worker.pid, number)
        assert worker.end().code == 130
    assert (spool.where("a"), spool.where("b")) == (["pending"], ["pending"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_all_of_them_are_told_is_one_wish_and_lets_them_finish(
    spool: Program, ledger: Ledger, number: signal.Signals
) -> None:
    """A terminal tells all of them, and so does systemd."""
    with spool.workers(2) as worker:
        hold(spool, ledger, "a", "b")
        for pid in pids(spool):
            os.kill(pid, number)
        worker.wait_for("stopping")
        assert worker.runs
        ledger.let_go("a")
        ledger.let_go("b")
        assert worker.end().code == 0
    assert (spool.where("a"), spool.where("b")) == (["done"], ["done"])


def test_to_ask_one_of_them_is_to_ask_all(spool: Program, ledger: Ledger) -> None:
    with spool.workers(2) as worker:
        (other,) = pids(spool) - {worker.pid}
        os.kill(other, signal.SIGTERM)
        assert worker.end().code == 0


def test_a_request_to_stop_ends_all_of_them_and_lets_them_finish(spool: Program, ledger: Ledger) -> None:
    with spool.workers(2) as worker:
        hold(spool, ledger, "a", "b")
        spool.ok("worker", "stop", "--no-wait")
        ledger.let_go("a")
        wait_until(lambda: spool.where("a") == ["done"], "one has finished")
        assert worker.runs
        ledger.let_go("b")
        assert worker.end().code == 0
    assert spool.where("b") == ["done"]


def test_a_cancel_is_heard_by_whichever_runs_the_job(spool: Program, ledger: Ledger) -> None:
    with spool.workers(2):
        hold(spool, ledger, "a", "b")
        for name in ("a", "b"):
            spool.ok("cancel", name)
        wait_until(lambda: spool.where("a") == spool.where("b") == ["dead"], "both are cancelled")


@pytest.mark.parametrize("ask", [("cancel", "b"), ("worker", "stop", "--now")], ids=["cancel", "stop"])
def test_what_is_asked_of_another_is_heard_when_the_first_has_no_workers_left(
    spool: Program, ledger: Ledger, ask: tuple[str, ...]
) -> None:
    with spool.workers(2) as worker:
        hold(spool, ledger, "a", "b")
        (first,) = [row["job"] for row in spool.json("worker", "list") if row["pid"] == worker.pid]
        other = "b" if first == "a" else "a"
        spool.ok("cancel", first)
        wait_until(lambda: spool.where(first) == ["dead"], "it is cancelled")
        os.kill(worker.pid, signal.SIGTERM)
        wait_until(lambda: worker.pid not in pids(spool), "its worker has ended")
        spool.ok(*(other if word == "b" else word for word in ask))
        worker.end()
    assert spool.where(other) == (["dead"] if ask[0] == "cancel" else ["pending"])


def test_a_job_put_into_the_folder_of_one_that_rests_goes_back(spool: Program) -> None:
    with spool.workers(2):
        wait_until(lambda: len(spool.json("worker", "list")) == 2, "they have started")
        for number, row in enumerate(spool.json("worker", "list")):
            job = spool.spool / "processing" / row["name"] / f"s{number}.json"
            job.write_text('{"command": ["true"]}')
        wait_until(lambda: spool.where("s0") == spool.where("s1") == ["done"], "they have been run")


def test_who_rests_takes_its_lock_and_its_folder_anew(spool: Program, ledger: Ledger) -> None:
    """All of them: else others take it for dead, and run what it runs once more."""
    with spool.workers(2) as worker:
        names = {row["name"] for row in spool.json("worker", "list")}
        assert len({row["pid"] for row in spool.json("worker", "list")}) == 2
        for name in names:
            (spool.spool / "locks" / f"{name}.lock").unlink()
            (spool.spool / "processing" / name).rmdir()
        wait_until(
            lambda: all((spool.spool / "locks" / f"{name}.lock").exists() for name in names), "the locks"
        )
        wait_until(lambda: names == set(os.listdir(spool.spool / "processing")), "the folders")
        hold(spool, ledger, "a", "b")
        assert {row["job"] for row in spool.json("worker", "list")} == {"a", "b"}
        ledger.let_go("a")
        ledger.let_go("b")
        wait_until(lambda: spool.where("a") == spool.where("b") == ["done"], "both are done")
        assert worker.runs


def test_a_retry_is_run_in_time_wherever_it_failed(spool: Program) -> None:
    """Only the first one knows when something is due."""
    spool.make(poll_interval="3600", backoff_base="1")
    with spool.workers(2):
        for name in ("a", "b", "c", "d"):
            spool.drop(f"{name}.json", {"command": "exit 1", "max_retries": 1})
        wait_until(lambda: all(spool.where(name) == ["dead"] for name in "abcd"), "all have been retried")


def test_the_others_die_with_the_first(spool: Program, ledger: Ledger) -> None:
    with spool.workers(2) as worker:
        hold(spool, ledger, "a", "b")
        others = pids(spool) - {worker.pid}
        os.kill(worker.pid, signal.SIGKILL)
        wait_until(lambda: all(map(is_gone, others)), "they are gone")
        ledger.let_go("a")
        ledger.let_go("b")
    spool.make(backoff_base="0")
    spool.ok("worker", "start", "--drain", "--count", "2")
    assert (spool.where("a"), spool.where("b")) == (["done"], ["done"])


def test_where_one_of_the_others_is_killed_all_stop_and_say_so(spool: Program, ledger: Ledger) -> None:
    with spool.workers(2) as worker:
        hold(spool, ledger, "a", "b")
        (other,) = pids(spool) - {worker.pid}
        os.kill(other, signal.SIGKILL)
        ledger.let_go("a")
        ledger.let_go("b")
        ended = worker.end()
    assert ended.code == 1
    assert "a process with workers has ended before its time (signal 9)" in ended.err


def test_nothing_of_them_is_left(spool: Program) -> None:
    with spool.workers(4) as worker:
        wait_until(lambda: len(spool.json("worker", "list")) == 4, "they have started")
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.end().code == 0
    assert os.listdir(spool.spool / "processing") == []
    assert [name for name in os.listdir(spool.spool / "locks") if name != "claim.lock"] == []
    assert os.listdir(spool.spool / "tmp") == []
