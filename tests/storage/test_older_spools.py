"""A spool of each released format must load for ever (after pueue); the fixtures are never changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from queuectl import Queue
from queuectl.queue.store import Store
from queuectl.worker import Hands, Worker

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
