"""A process dies at its n-th step, for each n until it ends by itself; then another one carries on.

The children are real processes that die without a word (`os._exit` in an audit hook); what follows is done
in this process, which knows no more of theirs than their files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from queuectl import system
from queuectl.queue import Queue
from queuectl.queue.doctor import examine
from queuectl.queue.recovery import recover
from queuectl.runner import COMPLETED, Outcome
from queuectl.worker import Worker
from tests.support import crasher
from tests.support.invariants import check
from tests.support.program import ROOT, environment

MOST_STEPS = 200
LATER = 10_000.0
"""Seconds: every retry is due by then, and what lies in tmp/ belongs to nobody any more."""


class Death(NamedTuple):
    """A spool after the child has died at its n-th step."""

    spool: Path
    step: int
    said: list[str]


def die(spool: Path, action: str, step: int, variant: str = "sound") -> tuple[int, list[str]]:
    env = environment()
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env["PYTHONPATH"]])
    child = subprocess.run(
        [sys.executable, crasher.__file__, str(spool), action, str(step), variant],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert child.returncode in (0, crasher.DIED), child.stderr.decode("utf-8", "replace")
    return child.returncode, child.stdout.decode().split("\n")[:-1]


def deaths(before: Path, action: str, *, stride: int = 1, variant: str = "sound") -> Iterator[Death]:
    """A copy of the spool ``before`` for every step (or each ``stride``-th) at which the action dies."""
    for step in range(1, MOST_STEPS, stride):
        spool = before.with_name(f"{action}-{step}")
        shutil.copytree(before, spool)
        code, said = die(spool, action, step, variant)
        yield Death(spool, step, said)
        if code == 0:
            assert step > 3, "the steps were not noticed"
            return
        shutil.rmtree(spool)
    raise AssertionError(f"not at its end after {MOST_STEPS} steps")


def make(spool: Path, *jobs: dict[str, Any]) -> Path:
    with Queue.open(str(spool)) as queue:
        if jobs:
            queue.enqueue([{"command": ["x"], **job} for job in jobs])
    return spool


def carry_on(spool: Path) -> None:
    """What the next worker, and in time a doctor, make of it; doing it twice is doing it once."""
    with Queue.open(str(spool), create=False) as queue:
        recover(queue.store, system.now(), 0.5)
        after_once = _picture(spool)
        assert recover(queue.store, system.now(), 0.5) == []
        assert _picture(spool) == after_once
        for path in (spool / "tmp").iterdir():
            os.utime(path, (0, 0))
        examine(queue.store, fix=True)
        assert examine(queue.store, fix=True) == []


def _picture(spool: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(spool)): path.read_bytes()
        for folder in ("pending", "processing", "done", "failed", "dead")
        for path in (spool / folder).rglob("*")
        if path.is_file()
    }


def run_all(spool: Path) -> list[str]:
    """Run what is left, whenever it is due; the ids."""
    ran: list[str] = []

    def run(job: Any, setting: Any) -> Outcome:
        ran.append(job.name)
        return Outcome(COMPLETED, 0, None, system.now(), system.now())

    with Queue.open(str(spool), create=False) as queue:
        queue.refresh()
        worker = Worker(queue.store, "host-1-1-later")
        worker.hands = worker.hands._replace(now=lambda: system.now() + LATER)
        worker.runner.run = run  # type: ignore[method-assign]
        worker.start()
        while worker.run_once():
            pass
        worker.close()
    return ran


def places(spool: Path) -> dict[str, str]:
    """Of each id, the folder that its file lies in."""
    return {path.stem: path.relative_to(spool).parts[0] for path in _records(spool)}


def _records(spool: Path) -> list[Path]:
    folders = ("pending", "processing", "done", "failed", "dead")
    return [path for folder in folders for path in (spool / folder).rglob("*.json")]


def row(spool: Path, job_id: str) -> dict[str, Any]:
    with Queue.open(str(spool), create=False) as queue:
        return queue.show(job_id)


def test_enqueue(tmp_path: Path) -> None:
    """What was acknowledged is there and runs; what was not is there whole or not at all."""
    for death in deaths(make(tmp_path / "spool"), "enqueue"):
        carry_on(death.spool)
        check(death.spool, death.said)
        there = set(places(death.spool))
        assert there <= {"first", "second"}
        assert sorted(run_all(death.spool)) == sorted(there)
        check(death.spool, death.said)
    assert death.said == ["first", "second"]


@pytest.mark.parametrize("action", ["complete", pytest.param("fail", marks=pytest.mark.slow)])
def test_a_run(tmp_path: Path, action: str) -> None:
    """From the claim to the worker's end: the job is run, once if it was recorded, and its limits hold."""
    before = make(tmp_path / "spool", {"id": "job", "max_retries": 1})
    for death in deaths(before, action):
        carry_on(death.spool)
        check(death.spool, ["job"])
        found = row(death.spool, "job")
        ran = death.said.count("ran job")
        recorded = [run["outcome"] for run in found["history"]]
        assert found["crashes"] == recorded.count("crashed") <= 1
        assert found["attempts"] == len(recorded) - found["crashes"]
        if found["attempts"]:
            assert ran == 1, "no run is recorded that was not"
        if action == "complete" and found["attempts"]:
            assert found["state"] == "completed"
            assert run_all(death.spool) == []
        else:
            assert found["state"] in ("pending", "failed")
            assert run_all(death.spool) == ["job"]
        check(death.spool, ["job"])
        assert places(death.spool) == {"job": "done"}
        assert os.listdir(death.spool / "processing") == []
        assert os.listdir(death.spool / "locks") == ["claim.lock"]
    assert death.said == ["ran job"]
    assert row(death.spool, "job")["crashes"] == 0, "without a crash there is none"


def leave_by_a_dead_worker(spool: Path) -> Path:
    """A worker that died with one job running, one recorded but not moved, and one that somebody gave up."""
    make(spool, *({"id": job_id} for job_id in ("running", "recorded", "given_up", "torn")))
    folder = spool / "processing" / "host-1-1-dead"
    folder.mkdir()
    for job_id in ("running", "recorded", "given_up", "torn"):
        os.replace(spool / "pending" / f"{job_id}.json", folder / f"{job_id}.json")
    record = folder / "recorded.json"
    text = record.read_text(encoding="utf-8").replace('"state": "pending"', '"state": "completed"')
    record.write_text(text.replace('"attempts": 0', '"attempts": 1'), encoding="utf-8")
    (spool / "locks" / "host-1-1-dead.cancel").write_text("given_up", encoding="utf-8")
    (folder / "torn.json").write_bytes(b'{"command": ')
    for suffix in (".lock", ".run", ".stop"):
        (spool / "locks" / f"host-1-1-dead{suffix}").touch()
    return spool


def test_recovery(tmp_path: Path) -> None:
    """Recovery may itself die at any step: what it left is recovered, and no crash is counted twice."""
    before = leave_by_a_dead_worker(tmp_path / "spool")
    ids = ["running", "recorded", "given_up", "torn"]
    for death in deaths(before, "recover"):
        carry_on(death.spool)
        check(death.spool, ids)
        assert places(death.spool) == {
            "running": "failed",
            "recorded": "done",
            "given_up": "dead",
            "torn": "dead",
        }
        assert [row(death.spool, job_id)["crashes"] for job_id in ids[:3]] == [1, 0, 1]
        assert (death.spool / "dead" / "torn.json").read_bytes() == b'{"command": '
        assert (death.spool / "dead" / "torn.error.txt").exists()
        assert os.listdir(death.spool / "processing") == []
        assert os.listdir(death.spool / "locks") == ["claim.lock"]
        assert run_all(death.spool) == ["running"]
    assert sorted(death.said) == sorted(ids)


def test_taking_in_drops(tmp_path: Path) -> None:
    """A file that is no job, one of a known name, one named like a text: each is kept, whatever dies."""
    before = make(tmp_path / "spool")
    bad, good = b'{"comand": "x"}', b'{"command": ["x"], "id": "known"}'
    (before / "done" / "known.json").write_bytes(b'{"command": ["x"], "id": "known", "state": "completed"}')
    (before / "pending" / "bad.json").write_bytes(bad)
    (before / "pending" / "known.json").write_bytes(good)
    (before / "pending" / "notepad.json.txt").write_bytes(b'{"command": ["x"]}')
    for death in deaths(before, "take_in"):
        assert die(death.spool, "take_in", 0)[0] == 0
        carry_on(death.spool)
        check(death.spool, ["bad", "known", "known-2", "notepad"])
        assert places(death.spool) == {
            "bad": "dead",
            "known": "done",
            "known-2": "pending",
            "notepad": "pending",
        }
        assert (death.spool / "dead" / "bad.json").read_bytes() == bad
        note = (death.spool / "dead" / "bad.error.txt").read_text(encoding="utf-8")
        assert "unknown field 'comand'" in note
        assert sorted(run_all(death.spool)) == ["known-2", "notepad"]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["retry", "cancel", "purge"])
def test_what_people_do(tmp_path: Path, action: str) -> None:
    """Each verb may die: a job is then where it was or where it was to go, whole; again, it goes through."""
    spool = make(tmp_path / "spool", *({"id": one} for one in ("waits", "failed", "done", "dead", "other")))
    stamps = {"failed": "failed", "done": "completed", "dead": "dead", "other": "dead"}
    for job_id, state in stamps.items():
        path = spool / "pending" / f"{job_id}.json"
        text = path.read_text(encoding="utf-8").replace('"state": "pending"', f'"state": "{state}"')
        path.write_text(text.replace('"attempts": 0', '"attempts": 4'), encoding="utf-8")
        os.replace(path, spool / ("done" if state == "completed" else state) / f"{job_id}.json")
    goes = {"retry": ["dead", "done"], "cancel": ["waits", "failed"], "purge": ["dead", "other"]}[action]
    stay = {"waits", *stamps} - set(goes)
    untouched = {name: folder for name, folder in places(spool).items() if name in stay}
    target = {"retry": "pending", "cancel": "dead", "purge": None}[action]
    for death in deaths(spool, action):
        carry_on(death.spool)
        now = places(death.spool)
        check(death.spool, list(now) if action == "purge" else ["waits", *stamps], attempts_matter=False)
        assert {name: folder for name, folder in now.items() if name in stay} == untouched
        left = [name for name in goes if now.get(name) != target]
        if left:
            with Queue.open(str(death.spool), create=False) as queue:
                getattr(queue, action)(left)
        check(death.spool, stay if action == "purge" else ["waits", *stamps], attempts_matter=False)
        after = places(death.spool)
        assert [after.get(name) for name in goes] == [target, target]
        if action == "retry":
            assert [row(death.spool, name)["attempts"] for name in goes] == [0, 0]


# The controls: careless variants, of which the same sweep must find fault with at least one death.


@pytest.mark.parametrize(
    ("variant", "action"),
    [("write_in_place", "complete"), ("copy_then_remove", "complete"), ("move_then_stamp", "complete")],
)
def test_a_careless_variant_is_noticed(tmp_path: Path, variant: str, action: str) -> None:
    before = make(tmp_path / "spool", {"id": "job", "max_retries": 1})
    faults: list[str] = []
    for death in deaths(before, action, variant=variant):
        try:
            carry_on(death.spool)
            check(death.spool, ["job"])
            found = row(death.spool, "job")
            if "ran job" in death.said and found["state"] == "completed":
                assert found["attempts"] == 1
            assert set(run_all(death.spool)) <= {"job"}
            assert places(death.spool) == {"job": "done"}
        except Exception as error:  # noqa: BLE001  whatever finds fault
            faults.append(f"{death.step}: {error}")
            break
    assert faults, f"{variant} died at every step and nothing was found"
