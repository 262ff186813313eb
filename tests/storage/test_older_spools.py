"""A spool of each released format must load for ever (after pueue); the fixtures are never changed.

One of a newer format is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from queuectl import Queue
from queuectl.cli import run
from queuectl.errors import SpoolUnusable
from queuectl.hands import Hands
from queuectl.queue.recovery import recover
from queuectl.queue.store import Store
from queuectl.spool.making import make_spool
from queuectl.state import State
from queuectl.worker import Worker
from tests.support.invariants import check
from tests.support.spools import Clock, Desk

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture(params=sorted(path.name for path in FIXTURES.glob("spool-*")))
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / request.param, tmp_path / "spool"))


def test_a_spool_of_an_older_release_is_read(spool: Path) -> None:
    with Queue.open(str(spool)) as queue:
        status = queue.status()
        jobs = {job["id"]: job for job in queue.jobs()}
        assert queue.show("waits")["meta"] == {"ticket": 17}
        assert [run["outcome"] for run in queue.show("ran")["history"]] == ["crashed", "completed"]
    assert status.counts == {"pending": 2, "processing": 0, "completed": 1, "failed": 1, "dead": 2}
    assert status.problems == []
    assert (jobs["waits"]["priority"], jobs["waits"]["tags"]) == (2, ["nightly"])
    assert (jobs["retries"]["attempts"], jobs["retries"]["run_at"]) == (1, "2026-11-24T22:00:04.000Z")
    assert jobs["given-up"]["max_retries"] == 0
    assert "unknown field 'comand'" in jobs["no-job"]["error"]


def test_and_its_jobs_run(spool: Path) -> None:
    with Queue.open(str(spool)) as queue:
        queue.refresh()
        queue.set_config("max_retries", "1")
    with Store.open(str(spool)) as store:
        # A day later: the retry is due, and it is the last.
        worker = Worker(store, "host-2-1-abc", Hands(now=lambda: 1_795_900_000.0))
        worker.start()
        ran = 0
        while worker.run_once():
            ran += 1
        worker.close()
    assert ran == 3
    with Queue.open(str(spool)) as queue:
        states = {job["id"]: job["state"] for job in queue.jobs()}
        assert queue.show("retries")["attempts"] == 2
    assert states["waits"] == states["dropped"] == "completed"
    assert states["retries"] == "dead"


class TestAWholeSpoolOfFormat1:
    """All that one holds: an index with settings, logs, a note, and a worker that died with two jobs."""

    WORKER = "host-2-2-def"
    SETTINGS: Final = {"max_retries": 5, "backoff_base": 3, "timeout": 90, "max_crashes": 2}

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Iterator[Desk]:
        shutil.copytree(FIXTURES / "format-1", tmp_path / "spool")
        # A day after its last job came in.
        with Desk(tmp_path / "spool", Clock(1_796_000_000.0)) as desk:
            yield desk

    def test_has_all_that_a_spool_can_hold(self) -> None:
        """What a checkout leaves out is not tested."""
        whole, worker = FIXTURES / "format-1", self.WORKER
        names = {path.relative_to(whole).as_posix() for path in whole.rglob("*")}
        assert names >= {"format.txt", "index.sqlite3", "logs/ran.log", "dead/no-job.error.txt"}
        assert names >= {f"processing/{worker}/runs.json", f"locks/{worker}.lock", f"locks/{worker}.run"}

    def test_is_read_with_its_settings(self, desk: Desk) -> None:
        config = desk.queue.get_config()
        assert {name: config[name] for name in self.SETTINGS} == self.SETTINGS
        status = desk.queue.status()
        assert status.counts == {"pending": 1, "processing": 2, "completed": 1, "failed": 1, "dead": 3}
        (problem,) = status.problems
        assert f"worker {self.WORKER} has died" in problem
        aside = [path.name for path in desk.root.glob("index.sqlite3.*")]
        assert aside, "it is kept beside the new one"
        assert all(name.startswith("index.sqlite3.version-1-") for name in aside)

    def test_has_its_jobs(self, desk: Desk) -> None:
        jobs = {job["id"]: job for job in desk.queue.jobs()}
        ran = desk.queue.show("ran")
        assert (ran["meta"], [run["outcome"] for run in ran["history"]]) == ({"ticket": 17}, ["completed"])
        assert Path(ran["log"]).read_bytes() == b"ran says hello\n"
        assert (jobs["waits"]["priority"], desk.queue.show("waits")["cwd"]) == (3, "work")
        assert (jobs["fails"]["attempts"], jobs["fails"]["max_retries"]) == (1, 5)
        assert (jobs["given-up"]["exit_code"], jobs["given-up"]["max_retries"]) == (7, 0)
        assert jobs["stopped"]["error"] == "cancelled"
        assert "unknown field 'comand'" in jobs["no-job"]["error"]
        assert jobs["runs"]["command"] == ["backup", "--all"]

    def test_recovers_the_jobs_of_its_dead_worker(self, desk: Desk) -> None:
        recovered = {job.job_id: job for job in recover(desk.store, desk.clock(), 0.5)}
        assert recovered.keys() == {"runs", "recorded"}
        assert (recovered["runs"].state, recovered["runs"].delay) == (State.FAILED, 3)
        assert desk.record("failed", "runs")["crashes"] == 1
        assert desk.record("done", "recorded")["attempts"] == 1
        assert not list((desk.root / "locks").glob(f"{self.WORKER}.*"))
        check(desk.root, ["runs", "recorded", "ran", "fails", "given-up", "stopped", "waits", "no-job"])

    def test_is_worked_to_its_end(self, desk: Desk) -> None:
        recover(desk.store, desk.clock(), 0.5)
        desk.clock.advance(10)
        while desk.run_once():
            pass
        assert sorted(desk.ids("completed")) == ["fails", "ran", "recorded", "runs", "waits"]
        assert sorted(desk.ids("dead")) == ["given-up", "no-job", "stopped"]


@pytest.mark.parametrize("text", ["A spool of queuectl, format 2\r\n", "A spool of queuectl, format 10"])
@pytest.mark.parametrize(
    "call", [["status"], ["enqueue", "--", "x"], ["worker", "start"], ["init"], ["doctor"]]
)
def test_a_spool_of_a_newer_format_is_refused_and_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, call: list[str]
) -> None:
    spool = tmp_path / "spool"
    make_spool(str(spool))
    (spool / "format.txt").write_text(text)
    (spool / "done").rmdir()
    (spool / "pending" / "a.json").write_text('{"command": "x", "from": "the future"}')
    before = {path: path.stat().st_mtime_ns for path in spool.rglob("*")}
    monkeypatch.setenv("QUEUECTL_SPOOL", str(spool))
    assert run(call) == 7
    assert {path: path.stat().st_mtime_ns for path in spool.rglob("*")} == before


def test_a_spool_that_says_nonsense_of_its_format_is_refused(tmp_path: Path) -> None:
    make_spool(str(tmp_path))
    (tmp_path / "format.txt").write_text("mine")
    with pytest.raises(SpoolUnusable, match="does not say which format"):
        Queue.open(str(tmp_path))


def test_a_spool_that_does_not_say_is_of_the_first_format(tmp_path: Path) -> None:
    make_spool(str(tmp_path))
    (tmp_path / "format.txt").unlink()
    with Queue.open(str(tmp_path)) as queue:
        queue.enqueue([{"id": "a", "command": "x"}])
