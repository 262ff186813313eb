"""Python functions as jobs, by real workers: in their threads, and in processes beside them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, WINDOWS, Program, Running
from tests.support.tasks import MODULE, Tasks
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

THREADS, PROCESSES = "--count", "--processes"
both = pytest.mark.parametrize("mode", [THREADS, PROCESSES])
signals = pytest.mark.skipif(WINDOWS, reason="signals; `worker stop` does the same there")

EXECUTOR = """
from concurrent.futures import ThreadPoolExecutor
executor = ThreadPoolExecutor(1)


@queue.task
def waits_for_a_thread(name):
    '''Python waits for that thread, too, before it ends.'''
    executor.submit(time.sleep, 600)
    return runs(name, hears_nothing)


@queue.task
def forks():
    '''The exit code of a copy of this process that returns, as this does.'''
    copy = os.fork()
    if copy == 0:
        print("copied")
        return None
    end = time.monotonic() + 20
    while time.monotonic() < end:
        ended, status = os.waitpid(copy, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.01)
    os.kill(copy, signal.SIGKILL)
    return "it goes on"


@queue.task
def ends_a_copy():
    '''As `multiprocessing.Process.terminate` does it.'''
    copy = os.fork()
    if copy == 0:
        time.sleep(600)
        os._exit(1)
    os.kill(copy, signal.SIGTERM)
    return os.waitpid(copy, 0)[1]


@queue.task
def leaves_a_copy(name, other):
    def work(path):
        copy = os.fork()
        if copy == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            os.setsid()
            time.sleep(600)
        ledger_job.note(path, "copy", str(copy))
        while not os.path.exists(os.path.join(LEDGER, other + ".txt")):
            time.sleep(0.01)
    return runs(name, work)
"""


@pytest.fixture
def tasks(tmp_path: Path, ledger: Ledger, program: Program) -> Tasks:
    program.make(poll_interval="0.1", backoff_base="0")
    return Tasks(tmp_path, ledger, EXECUTOR)


def started(program: Program, mode: str, count: int = 1, *options: str) -> Running:
    """Workers, once they have started."""
    before = set(program.names("processing"))
    worker = program.start("worker", "start", "--tasks", MODULE, mode, str(count), *options)
    wait_until(
        lambda: len(set(program.names("processing")) - before) == count or not worker.runs,
        "the workers have started",
        PATIENCE,
    )
    assert worker.runs, worker.end()
    return worker


def counts(program: Program, job_id: str) -> tuple[int, int]:
    record = program.json("show", job_id)
    return record["attempts"], record["crashes"]


@both
def test_files_beside_them_that_bear_names_of_what_we_import_are_not_taken_for_it(
    program: Program, tasks: Tasks, tmp_path: Path, mode: str
) -> None:
    for name in ("click", "msgspec", "portalocker"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')")
    program.drop("job.json", tasks.job("quick", "job"))
    program.ok("worker", "start", "--drain", "--tasks", MODULE, mode, "1")
    assert program.names("done") == ["job.json"]


@both
def test_they_run_are_tried_again_and_leave_their_results(
    program: Program, ledger: Ledger, tasks: Tasks, mode: str
) -> None:
    jobs = {f"job-{number}": tasks.job("quick", f"job-{number}", 0.0, number == 2) for number in range(6)}
    for name, job in jobs.items():
        program.drop(f"{name}.json", job)
    program.drop("command.json", ledger.job("command"))
    with started(program, mode, 2) as worker:
        program.wait_in("done", *jobs, "command")
        program.ok("worker", "stop")
        assert worker.end().code == 0
    for name in jobs:
        record = program.record("done", name)
        assert (record["result"], record["attempts"]) == (name, 2 if name == "job-2" else 1)
        assert f"{name} runs" in program.ok("logs", name).out
    assert "ValueError: the first time" in program.ok("logs", "job-2").out
    assert program.left_behind() == []


def test_one_that_crashes_its_process_fails_and_others_go_on(
    program: Program, ledger: Ledger, tasks: Tasks
) -> None:
    with started(program, PROCESSES, 2) as worker:
        program.drop("goes-on.json", tasks.job("hold", "goes-on"))
        ledger.wait_started("goes-on")
        program.drop("crashes.json", tasks.job("leaves" if WINDOWS else "crashes", max_retries=1))
        program.wait_in("dead", "crashes")
        program.drop("later.json", tasks.job("quick", "later"))
        program.wait_in("done", "later")
        assert ledger.words("goes-on") == ["start"]
        ledger.let_go("goes-on")
        program.wait_in("done", "goes-on")
        program.ok("worker", "stop")
        assert worker.end().code == 0
    told = "exit code 7" if WINDOWS else "killed by SIGSEGV"
    assert program.record("dead", "crashes")["error"] == f"its process has ended: {told}"
    assert counts(program, "crashes") == (2, 0), "failed attempts, and its worker lives"
    assert program.left_behind() == []


@both
@pytest.mark.skipif(WINDOWS, reason="there nothing forks")
def test_a_copy_that_a_task_forks_ends_with_the_task(program: Program, tasks: Tasks, mode: str) -> None:
    """It would record its end as well, and run the next ones beside us."""
    program.drop("forks.json", tasks.job("forks", priority=1))
    for number in range(5):
        program.drop(f"next-{number}.json", tasks.job("quick", f"next-{number}"))
    program.ok("worker", "start", "--tasks", MODULE, mode, "1", "--drain")
    assert program.record("done", "forks")["result"] == 0
    assert program.ok("logs", "forks").out == "copied\n"
    assert {tuple(program.where(f"next-{number}")) for number in range(5)} == {("done",)}
    assert {counts(program, f"next-{number}") for number in range(5)} == {(1, 0)}
    assert program.left_behind() == []


@both
@pytest.mark.skipif(WINDOWS, reason="there nothing forks")
def test_who_ends_a_copy_does_not_mean_its_worker(program: Program, tasks: Tasks, mode: str) -> None:
    with started(program, mode, 2) as worker:
        for number in range(6):
            program.drop(f"ends-{number}.json", tasks.job("ends_a_copy"))
        program.wait_in("done", *(f"ends-{number}" for number in range(6)))
        if mode == THREADS:
            results = {program.record("done", f"ends-{number}")["result"] for number in range(6)}
            assert results == {signal.SIGTERM}
        program.ok("worker", "stop")
        ended = worker.end()
    assert (ended.code, ended.err.count("stopping")) == (0, 0), ended.err
    assert program.left_behind() == []


@pytest.mark.skipif(WINDOWS, reason="there nothing forks")
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_copy_that_is_left_running_keeps_none_of_its_workers(
    program: Program, ledger: Ledger, tasks: Tasks, how: str
) -> None:
    """They are of several processes, each of which learns from a pipe that another one has ended."""
    with started(program, THREADS, 2) as worker:
        program.drop("one.json", tasks.job("leaves_a_copy", "one", "two"))
        program.drop("two.json", tasks.job("leaves_a_copy", "two", "one"))
        try:
            program.wait_in("done", "one", "two")
            if how == "kill":
                worker.kill()
            else:
                program.ok("worker", "stop")
                assert worker.end().code == 0
            wait_until(lambda: program.json("worker", "list") == [], "all have ended", PATIENCE)
        finally:
            for name in ("one", "two"):
                os.kill(copy_of(ledger, name), signal.SIGKILL)


def copy_of(ledger: Ledger, name: str) -> int:
    lines = (ledger.folder / f"{name}.txt").read_text().splitlines()
    (line,) = [one for one in lines if one.startswith("copy")]
    return int(line.split()[-1])


@pytest.mark.skipif(WINDOWS, reason="there the process dies with its worker")
def test_one_that_outlives_its_worker_is_not_run_beside_itself(
    program: Program, ledger: Ledger, tasks: Tasks
) -> None:
    with started(program, PROCESSES) as dying:
        program.drop("long.json", tasks.job("hold", "long"))
        ledger.wait_started("long")
        dying.kill()
    with started(program, PROCESSES, 2) as worker:
        program.drop("other.json", tasks.job("quick", "other"))
        program.wait_in("done", "other")
        assert ledger.lives("long")
        assert program.where("long") == ["processing"]
        ledger.let_go("long")
        program.wait_in("done", "long")
        program.ok("worker", "stop")
        worker.end()
    assert ledger.words("long") == ["start", "end", "start", "end"], "its first end nobody could record"
    assert counts(program, "long") == (1, 1)
    assert program.left_behind() == []


def test_a_worker_that_is_killed_takes_its_task_with_it_and_that_is_a_crash(
    program: Program, ledger: Ledger, tasks: Tasks
) -> None:
    with started(program, PROCESSES if WINDOWS else THREADS) as dying:
        program.drop("long.json", tasks.job("hold", "long"))
        ledger.wait_started("long")
        dying.kill()
    ledger.wait_dead("long")
    ledger.let_go("long")
    with started(program, THREADS) as worker:
        program.wait_in("done", "long")
        program.ok("worker", "stop")
        worker.end()
    assert ledger.words("long") == ["start", "start", "end"]
    assert counts(program, "long") == (1, 1)
    assert program.left_behind() == []


@both
def test_worker_stop_lets_what_runs_come_to_its_end(
    program: Program, ledger: Ledger, tasks: Tasks, mode: str
) -> None:
    with started(program, mode) as worker:
        program.drop("runs.json", tasks.job("hold", "runs"))
        ledger.wait_started("runs")
        with program.start("worker", "stop") as stopper:
            worker.wait_for("stopping")
            program.drop("late.json", tasks.job("quick", "late"))
            ledger.let_go("runs")
            assert stopper.end().code == 0
        assert worker.end().code == 0
    assert program.where("runs") == ["done"]
    assert program.where("late") == ["pending"]
    assert program.left_behind() == []


@both
def test_worker_stop_now_ends_what_runs_at_no_attempts_cost(
    program: Program, ledger: Ledger, tasks: Tasks, mode: str
) -> None:
    with started(program, mode, 2) as worker:
        program.drop("runs.json", tasks.job("hold", "runs", max_retries=0))
        ledger.wait_started("runs")
        program.ok("worker", "stop", "--now")
        worker.end()
    ledger.wait_dead("runs")
    assert program.where("runs") == ["pending"]
    assert counts(program, "runs") == (0, 0)
    assert "end" not in ledger.words("runs")
    assert program.left_behind() == []


@pytest.mark.parametrize(
    ("how", "task"),
    [
        pytest.param("signals", "waits_for_a_thread", marks=signals),
        ("stop", "stuck"),
        pytest.param("signals", "stuck", marks=[signals, pytest.mark.slow]),
        pytest.param("stop", "waits_for_a_thread", marks=pytest.mark.slow),
    ],
)
def test_one_that_does_not_stop_ends_with_its_program_and_is_put_back(
    program: Program, ledger: Ledger, tasks: Tasks, task: str, how: str
) -> None:
    """Though no thread can be ended, nor Python while one goes on."""
    with started(program, THREADS) as worker:
        program.drop("runs.json", tasks.job(task, "runs", max_retries=0))
        wait_until(lambda: "deaf" in ledger.words("runs"), "it is deaf", PATIENCE)
        if how == "signals":
            worker.interrupt(signal.SIGINT)
            worker.wait_for("stopping")
            worker.interrupt(signal.SIGINT)
        else:
            program.ok("worker", "stop", "--now")
        ended = worker.end()
    assert ended.code == (130 if how == "signals" else 0), ended.err
    assert "does not stop; it ends with this program" in ended.err
    assert "Traceback" not in ended.err
    ledger.wait_dead("runs")
    assert program.where("runs") == ["processing"], "it was owned as long as it went on"
    # Whoever comes next puts it back. A worker without its task does not run it, and says so.
    drained = program.ok("worker", "start", "--drain")
    assert "recovered" in drained.err
    assert f"a job waits for the task {MODULE}.{task}" in drained.err
    assert program.where("runs") == ["pending"]
    assert counts(program, "runs") == (0, 0)
    assert program.left_behind() == []


@both
def test_a_timeout_ends_it_and_the_next_one_runs(
    program: Program, ledger: Ledger, tasks: Tasks, mode: str
) -> None:
    program.drop("long.json", tasks.job("hold", "long", timeout=0.2, max_retries=0, priority=1))
    program.drop("next.json", tasks.job("quick", "next"))
    program.ok("worker", "start", "--tasks", MODULE, mode, "1", "--drain")
    assert program.record("dead", "long")["error"] == "timed out after 0.2 s"
    ledger.wait_dead("long")
    assert program.where("next") == ["done"]
    assert program.left_behind() == []


def test_one_that_does_not_heed_its_timeout_is_waited_for(
    program: Program, ledger: Ledger, tasks: Tasks
) -> None:
    """Its job is not run a second time meanwhile, by nobody."""
    with started(program, THREADS) as worker, started(program, THREADS) as other:
        program.drop("deaf.json", tasks.job("stuck", "deaf", timeout=0.2, max_retries=1))
        wait_until(
            lambda: (
                "it is waited for" in program.ok("logs", "deaf").out
                if (program.spool / "logs" / "deaf.log").exists()
                else False
            ),
            "its log says so",
            PATIENCE,
        )
        assert program.where("deaf") == ["processing"]
        ledger.let_go("deaf")
        program.wait_in("done", "deaf")
        program.ok("worker", "stop")
        assert (worker.end().code, other.end().code) == (0, 0)
    history = program.record("done", "deaf")["history"]
    assert [run["outcome"] for run in history] == ["timeout", "completed"]
    assert "overlap" not in ledger.words("deaf")


@both
def test_cancel_ends_it(program: Program, ledger: Ledger, tasks: Tasks, mode: str) -> None:
    with started(program, mode) as worker:
        program.drop("runs.json", tasks.job("hold", "runs"))
        ledger.wait_started("runs")
        program.ok("cancel", "runs")
        program.wait_in("dead", "runs")
        ledger.wait_dead("runs")
        program.drop("next.json", tasks.job("quick", "next"))
        program.wait_in("done", "next")
        program.ok("worker", "stop")
        assert worker.end().code == 0
    assert program.record("dead", "runs")["error"] == "cancelled"
    assert program.left_behind() == []


@both
def test_how_far_it_is_is_shown(program: Program, ledger: Ledger, tasks: Tasks, mode: str) -> None:
    with started(program, mode) as worker:
        program.drop("tells.json", tasks.job("tells", "tells"))

        def told() -> bool:
            rows = program.json("worker", "list")
            return [(row["job"], row["percent"], row["progress"]) for row in rows] == [
                ("tells", 40.0, "almost half")
            ]

        ledger.wait_started("tells")
        wait_until(told, "worker list tells", PATIENCE)
        ledger.let_go("tells")
        program.wait_in("done", "tells")
        program.ok("worker", "stop")
        worker.end()
    assert program.left_behind() == []


def test_a_drain_ends_where_nobody_can_run_what_waits_and_says_so(
    program: Program, ledger: Ledger, tasks: Tasks
) -> None:
    program.drop("nobodys.json", {"task": "no.such.task"})
    program.drop("quick.json", tasks.job("quick", "quick"))
    program.drop("command.json", ledger.job("command"))
    drained = program.ok("worker", "start", "--drain", "--tasks", MODULE)
    assert "a job waits for the task no.such.task, which no worker here can run" in drained.err
    assert (program.where("quick"), program.where("command")) == (["done"], ["done"])
    assert program.where("nobodys") == ["pending"]
    assert program.left_behind() == []


@both
@signals
def test_a_module_without_an_end_can_be_interrupted(
    program: Program, tasks: Tasks, tmp_path: Path, mode: str
) -> None:
    (tmp_path / "endless.py").write_text("open('begun', 'w').close()\nimport time\ntime.sleep(600)\n")
    with program.start("worker", "start", "--tasks", "endless", mode, "2") as worker:
        wait_until((tmp_path / "begun").exists, "it is imported", PATIENCE)
        # Of two that come at once one may be lost.
        wait_until(lambda: worker.interrupt(signal.SIGTERM) or not worker.runs, "it has ended", PATIENCE)
    assert program.names("processing") == []
