"""A person's hands on a spool whose workers run, real programs this time: what they say, what comes of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Callable

import pytest

from queuectl.spool.layout import FOLDERS
from tests.support.invariants import check
from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, WINDOWS, Program, Running, wipe
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

Figure = Callable[[str, int], None]


@pytest.fixture
def spool(program: Program) -> Program:
    """A spool whose workers look often, so that nothing here depends on events."""
    program.make(poll_interval="0.1", backoff_base="0.1")
    return program


def is_sound(program: Program, ledger: Ledger, *ids: str) -> None:
    """Nothing lost, nothing beside itself, nothing left to mend once the workers have gone."""
    assert ledger.overlaps() == []
    # What was written into an index that was deleted is behind, and read again.
    assert [line for line in program.ok("doctor").lines if "index.sqlite3: rows" not in line] == []
    program.ok("status")
    check(program.spool, ids)


def stopped(program: Program, worker: Running) -> str:
    """What the workers have said until they were stopped: no traceback, whatever was done to them."""
    program.ok("worker", "stop")
    ended = worker.end()
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    return ended.err


def rename(source: Path, target: Path) -> None:
    try:
        os.rename(source, target)
    except PermissionError:
        if not WINDOWS:
            raise
        pytest.skip("a folder with open files cannot be renamed here")


@pytest.mark.skipif(WINDOWS, reason="a lock that is held cannot be deleted there")
def test_locks_deleted_while_workers_run_cost_no_job_a_second_run(
    spool: Program, ledger: Ledger, figure: Figure
) -> None:
    """Two programs: each could take the other's workers for dead."""
    with spool.workers() as first, spool.workers() as second:
        spool.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        for _ in range(2):
            wipe(spool.spool / "locks")
            wait_until(lambda: _live(spool) == ["", "runs"], "both have taken their locks anew", PATIENCE)
        spool.drop("next.json", ledger.job("next"))
        spool.wait_in("done", "next")
        spool.drop("cancelled.json", ledger.job("cancelled", "hold"))
        ledger.wait_started("cancelled")
        spool.ok("cancel", "cancelled")
        ledger.wait_dead("cancelled")
        ledger.let_go("runs")
        spool.wait_in("done", "runs")
        spool.ok("worker", "stop")
        said = [one.end() for one in (first, second)]
    assert [one.code for one in said] == [0, 0]
    assert "recovered" not in said[0].err + said[1].err
    assert (ledger.runs("runs"), ledger.runs("next")) == (1, 1)
    is_sound(spool, ledger, "runs", "next", "cancelled")
    figure("person in the folder: real programs", 2)


def _live(program: Program) -> list[str]:
    """What each worker that is known to live runs."""
    return sorted(row["job"] or "" for row in program.json("worker", "list"))


@pytest.mark.parametrize("how", ["renamed", pytest.param("deleted", marks=pytest.mark.slow)])
def test_a_spool_that_goes_ends_its_workers_with_a_clear_message(
    spool: Program, ledger: Ledger, how: str, figure: Figure
) -> None:
    elsewhere = spool.here / "elsewhere"
    with spool.workers(2) as worker:
        spool.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        if how == "renamed":
            rename(spool.spool, elsewhere)
        elif WINDOWS:
            pytest.skip("what is open cannot be deleted there")
        else:
            wipe(spool.spool)
        # At once, not only when the command has ended.
        worker.wait_for("spool has gone: the workers stop")
        ledger.let_go("runs")
        ended = worker.end()
    assert ended.code == 7
    assert "Traceback" not in ended.err
    assert ended.err.rstrip().splitlines()[-1] == f"queuectl: {spool.spool} has gone: the workers stop"
    assert not spool.spool.exists(), "nothing is made in its place"
    if how == "renamed":
        os.rename(elsewhere, spool.spool)
        assert spool.where("runs") == ["processing"]
        assert "has died with job runs" in "".join(spool.json("status")["problems"])
        spool.ok("worker", "start", "--drain")
        spool.ok("worker", "start", "--drain")
        history = spool.record("done", "runs")["history"]
        # Nothing could be recorded: at least once.
        assert [run["outcome"] for run in history] == ["crashed", "completed"]
        is_sound(spool, ledger, "runs")
    figure("person in the folder: real programs", 1)


@pytest.mark.slow
def test_workers_of_a_spool_that_another_takes_the_place_of_work_for_that_one(
    spool: Program, ledger: Ledger, figure: Figure
) -> None:
    """Both are moved before anybody looks: the workers are in the new one now, and known there."""
    other = Program(spool.here)
    other.spool = spool.here / "other"
    other.ok("enqueue", "--id", "new", "--", *ledger.command("new"))
    with spool.workers() as worker:
        spool.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        rename(spool.spool, spool.here / "elsewhere")
        rename(other.spool, spool.spool)
        wait_until(lambda: spool.json("worker", "list"), "the new spool knows its worker", PATIENCE)
        ledger.let_go("runs")
        spool.wait_in("done", "new")
        said = stopped(spool, worker)
    assert "runs  completed, but its file was taken away while it ran: not recorded" in said
    is_sound(spool, ledger, "new")
    spool.spool = spool.here / "elsewhere"
    assert spool.where("runs") == ["processing"]
    spool.ok("doctor", "--fix")
    assert spool.where("runs") == ["failed"], "it counts a crash"
    spool.ok("worker", "start", "--drain")
    is_sound(spool, ledger, "runs")
    figure("person in the folder: real programs", 1)


@pytest.mark.slow
@pytest.mark.skipif(WINDOWS, reason="what is open cannot be deleted there")
@pytest.mark.parametrize("suffix", ["*", "", "-wal", "-shm"])
def test_the_index_deleted_while_workers_run_stops_no_job(
    spool: Program, ledger: Ledger, suffix: str, figure: Figure
) -> None:
    with spool.workers(2) as worker:
        spool.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        for path in spool.spool.glob(f"index.sqlite3{suffix}"):
            path.unlink()
        spool.drop("next.json", ledger.job("next"))
        spool.wait_in("done", "next")
        looked = spool.call("status", "--json")
        # Without its -wal alone SQLite cannot be opened, until the workers have gone that hold the old one.
        assert looked.code in ((0, 7) if suffix == "-wal" else (0,)), looked.err
        assert "Traceback" not in looked.err
        if looked.code == 0:
            assert looked.json["counts"]["processing"] == 1
        ledger.let_go("runs")
        spool.wait_in("done", "runs")
        worker.interrupt()
        ended = worker.end()
    assert (ended.code, "Traceback" in ended.err) == (0, False)
    is_sound(spool, ledger, "runs", "next")
    figure("person in the folder: real programs", 1)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_deleted_while_workers_run_is_made_again(
    spool: Program, ledger: Ledger, folder: str, figure: Figure
) -> None:
    with spool.workers(2) as worker:
        spool.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        try:
            shutil.rmtree(spool.spool / folder)
        except OSError:
            # Somebody makes a file in it just now; on Windows, what is open stays.
            pass
        wait_until((spool.spool / folder).is_dir, "it is made again", PATIENCE)
        # Half a second, in which `worker stop` would reach nobody.
        wait_until(lambda: len(_live(spool)) == 2, "the workers are known to live", PATIENCE)
        spool.drop("next.json", ledger.job("next"))
        spool.wait_in("done", "next")
        ledger.let_go("runs")
        taken = folder == "processing" and not spool.where("runs")
        if taken:
            worker.wait_for("runs  completed, but its file was taken away while it ran: not recorded")
        else:
            spool.wait_in("done", "runs")
        stopped(spool, worker)
    is_sound(spool, ledger, *(["next"] if taken else ["runs", "next"]))
    assert (ledger.runs("runs"), ledger.runs("next")) == (1, 1)
    figure("person in the folder: real programs", 1)


@pytest.mark.slow
def test_a_living_workers_folder_dragged_to_pending_is_not_a_job_and_comes_back(
    spool: Program, ledger: Ledger, figure: Figure
) -> None:
    with spool.workers() as worker:
        spool.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        (folder,) = (spool.spool / "processing").iterdir()
        away = spool.spool / "pending" / folder.name
        rename(folder, away)
        told = spool.json("status")["problems"]
        assert f"pending/{folder.name}: not a plain file (a folder, link or device): never followed" in told
        # The person takes the job out of it; it waits for the end of its own run.
        os.rename(away / "runs.json", spool.spool / "pending" / "runs.json")
        away.rmdir()
        spool.drop("next.json", ledger.job("next", priority=-1))
        ledger.let_go("runs")
        spool.wait_in("done", "runs", "next")
        said = stopped(spool, worker)
    assert "taken away while it ran" in said
    assert (ledger.runs("runs"), ledger.runs("next")) == (2, 1)
    is_sound(spool, ledger, "runs", "next")
    figure("person in the folder: real programs", 1)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["done", "logs", "locks"])
def test_a_file_in_a_folders_place_ends_the_workers_with_a_clear_message(
    spool: Program, folder: str, figure: Figure
) -> None:
    with spool.workers(2) as worker:
        rename(spool.spool / folder, spool.here / "old")
        (spool.spool / folder).write_bytes(b"")
        ended = worker.end()
    assert ended.code == 7
    assert "Traceback" not in ended.err
    assert "as a spool" in ended.err.splitlines()[-1]
    figure("person in the folder: real programs", 1)


@pytest.mark.parametrize("target", ["pending", pytest.param("failed", marks=pytest.mark.slow)])
def test_a_running_job_dragged_to_where_jobs_wait_does_not_run_beside_itself(
    spool: Program, ledger: Ledger, target: str, figure: Figure
) -> None:
    with spool.workers() as first, spool.workers() as second:
        spool.drop("runs.json", ledger.job("runs", "hold"))
        ledger.wait_started("runs")
        (path,) = spool.spool.glob("processing/*/runs.json")
        os.rename(path, spool.spool / target / "runs.json")
        # Whoever is not at it has had the time to begin with it.
        spool.drop("next.json", ledger.job("next", priority=-1))
        spool.wait_in("done", "next")
        assert (spool.where("runs"), ledger.words("runs")) == ([target], ["start"])
        ledger.let_go("runs")
        spool.wait_in("done", "runs")
        spool.ok("worker", "stop")
        assert [one.end().code for one in (first, second)] == [0, 0]
    assert ledger.words("runs") == ["start", "end"] * 2
    is_sound(spool, ledger, "runs", "next")
    figure("person in the folder: real programs", 1)
