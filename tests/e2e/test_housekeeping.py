"""Workers that keep house, and what people do beside them, with real programs."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest

from queuectl.moment import format_moment
from queuectl.system import now
from tests.support.commands import python
from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, Program, started
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def ended(program: Program, job_id: str, ago: float, folder: str = "done") -> None:
    state = "completed" if folder == "done" else folder
    at = format_moment(now() - ago)
    record = {"id": job_id, "command": "x", "state": state, "attempts": 1, "crashes": 0}
    path = program.spool / folder / f"{job_id}.json"
    path.write_text(json.dumps({**record, "created_at": at, "updated_at": at}), encoding="utf-8")
    (program.spool / "logs" / f"{job_id}.log").write_text(job_id, encoding="utf-8")


def test_workers_delete_what_is_kept_no_longer_and_nothing_else(program: Program) -> None:
    program.make()
    for number in range(120):
        ended(program, f"old-{number}", 40 * 86400)
    ended(program, "young", 60)
    ended(program, "dead", 40 * 86400, "dead")
    (program.spool / "dead" / "bad.json").write_text("{", encoding="utf-8")
    (program.spool / "dead" / "bad.error.txt").write_text("no job", encoding="utf-8")
    with program.workers(2) as workers, program.workers(1) as others:
        program.ok("enqueue", "--id", "runs", "--", *python("print('hi')"))
        wait_until(lambda: program.where("runs") == ["done"], "a job has run", PATIENCE)
        assert len(program.names("done")) == 122
        program.ok("config", "set", "keep_done", "30d")
        wait_until(lambda: len(program.names("done")) == 2, "the old ones are gone", PATIENCE)
        assert sorted(program.names("done")) == ["runs.json", "young.json"]
        kept = ["dead.log", "runs.log", "young.log"]
        wait_until(lambda: sorted(program.names("logs")) == kept, "their logs, which go last", PATIENCE)
        assert {job["id"] for job in program.json("list")} == {"bad", "dead", "runs", "young"}
        program.ok("config", "set", "keep_dead_count", "0")
        wait_until(lambda: "dead.json" not in program.names("dead"), "the dead one is gone", PATIENCE)
        assert sorted(program.names("dead")) == ["bad.error.txt", "bad.json"]
        program.ok("worker", "stop")
        assert (workers.end().code, others.end().code) == (0, 0)
    assert program.json("doctor") == []
    assert program.left_behind() == []


def test_a_job_goes_in_its_time_though_nothing_happens(program: Program) -> None:
    program.make(keep_done="1s")
    with program.workers() as workers:
        program.ok("enqueue", "--id", "a", "--", *python("print('hi')"))
        wait_until(lambda: program.where("a") == ["done"], "it has run", PATIENCE)
        wait_until(lambda: program.where("a") == [], "it is gone", PATIENCE)
        workers.wait_for("1 completed job deleted")
        program.ok("worker", "stop")
        workers.end()
    assert program.names("logs") == []


def test_jobs_run_once_while_all_that_has_ended_is_deleted_exported_and_archived(
    program: Program, ledger: Ledger
) -> None:
    program.make(keep_done="0")
    ids = [f"job-{number}" for number in range(12)]
    with program.workers(2) as workers:
        for job_id in ids:
            program.ok("enqueue", "--id", job_id, "--", *ledger.command(job_id))
            if job_id in ("job-4", "job-8"):
                program.ok("prune", "--keep", "2", "--yes")
                program.ok("archive")
                program.ok("export", "all.jsonl", "--replace", "--logs")
        wait_until(lambda: ledger.names() == sorted(ids) and not program.names("pending"), "all", PATIENCE)
        program.ok("worker", "stop")
        assert workers.end().code == 0
    assert [ledger.runs(job_id) for job_id in ids] == [1] * len(ids)
    for path in (program.spool / "archive").glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None


def test_a_queue_moves_to_another_folder(program: Program, ledger: Ledger) -> None:
    program.ok("enqueue", "--id", "done", "--", *ledger.command("done"))
    program.ok("run")
    program.ok("enqueue", "--id", "waits", "--", *ledger.command("waits"))
    program.ok("export", "queue.jsonl", "--logs")
    other = str(program.here / "other")
    program.ok("--spool", other, "import", "queue.jsonl", spool=False)
    ran = program.ok("--spool", other, "run", "--json", spool=False).json
    assert [job["id"] for job in ran] == ["waits"]
    assert (ledger.runs("done"), ledger.runs("waits")) == (1, 1)


def test_an_export_that_nobody_reads_to_its_end_has_failed(program: Program) -> None:
    """Else `queuectl export | head` would look like all jobs to who keeps it."""
    program.make()
    for number in range(1000):
        ended(program, f"job-{number}", 60)
    command = [sys.executable, "-m", "queuectl", "--spool", str(program.spool), "export"]
    with started(command, env=program.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        assert json.loads(export.stdout.readline())["id"].startswith("job-")
        export.stdout.close()
        (told,) = export.stderr.read().splitlines()
    assert export.returncode == 7
    assert told.startswith(b"queuectl: cannot write to standard output: ")
    assert b"what it got of the export is cut" in told
