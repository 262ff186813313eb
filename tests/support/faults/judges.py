"""What must hold of a spool after each verb, however the process that did it has ended (see `scenarios`).

Every judge is told the spool, what the process has said, and whether it came to its end by itself.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from json import dumps
from pathlib import Path
from typing import Optional

from queuectl.queue import Queue
from tests.support.faults import crasher
from tests.support.faults.afterwards import carry_on, fire, places, rows, run_all
from tests.support.invariants import check, job_files

SETTINGS = {"timeout": "33", "poll_interval": "0.5"}
"""Of the spools that have settings: what was set before the verb."""
CHANGES = {"max_retries": "7", "backoff_base": "5"}
"""What `set_config` sets, in this order."""
STATES = {
    "waits": "pending",
    "failed": "failed",
    "done": "done",
    "dead": "dead",
    "other": "dead",
    "bad": "dead",
    "mended": "dead",
}
"""Where each job of a spool in the middle of its life lies."""
FIVE = ("first", "second", "third", "fourth", "fifth")
"""One job, and those of a batch."""
NO_HOOK = "no hook"
"""Said where it is told that a hook is not run, or that nobody can know whether there is one."""
NO_JOB = b'{"comand": "x"}'
PERSON = b'{"command": ["person"], "state": "completed", "attempts": 1}'
"""A file that a person has put where a job's file is to go."""


def judge_init(spool: Path, said: list[str], ended: bool) -> None:
    """What is there of it becomes a spool, and works."""
    assert said == (["made"] if ended else said)
    with Queue.open(str(spool)) as queue:
        queue.enqueue([{"id": "job", "command": ["x"]}])
    carry_on(spool)
    assert run_all(spool) == ["job"]
    check(spool, ["job"])


def judge_enqueue(ids: Sequence[str], spool: Path, said: list[str], ended: bool) -> None:
    """What was acknowledged is there and runs; what was not is there whole or not at all."""
    carry_on(spool)
    check(spool, said)
    there = places(spool)
    assert set(there) <= set(ids)
    assert set(there.values()) <= {"pending"}
    assert run_all(spool) == sorted(there)
    check(spool, said)
    if ended:
        assert said == list(ids)


def judge_run(ends_in: str, spool: Path, said: list[str], ended: bool, *, before: int = 0) -> None:
    """From the claim to the worker's end: the job is run, once if it was recorded, and its limits hold.

    `before` is how many runs it had behind it. A run that ends in `pending` is one that was cut short.
    """
    carry_on(spool)
    check(spool, ["job"])
    (found,) = rows(spool, "job")
    recorded = [run["outcome"] for run in found["history"]]
    assert found["crashes"] == recorded.count("crashed") <= 1
    assert found["attempts"] == len(recorded) - found["crashes"]
    new = found["attempts"] - before
    if new:
        assert (new, said.count("ran job")) == (1, 1), "no run is recorded that was not"
        assert found["state"] == ends_in != "pending"
    else:
        assert found["state"] in ("pending", "failed")
    if ended:
        assert (found["state"], found["crashes"]) == (ends_in, 0), "without a crash there is none"
    final = found["state"] in ("completed", "dead")
    assert run_all(spool) == ([] if final else ["job"])
    check(spool, ["job"])
    assert places(spool) == {"job": "dead" if found["state"] == "dead" else "done"}


def judge_left(ends_in: str, data: bytes, spool: Path, said: list[str], ended: bool) -> None:
    """As `judge_run`, of a job that leaves this: it is in the record of the run, or lies beside the log."""
    carry_on(spool)
    (found,) = rows(spool, "job")
    ran = [run["outcome"] for run in found["history"]] in (["completed"], ["failed"])
    assert found["result"] is None or (ran and dumps(found["result"]).encode() == data)
    beside = {path.name: path.read_bytes() for path in (spool / "logs").iterdir()}
    beside.pop("job.log", None)
    assert len(beside) <= 1, "nothing strays"
    for name, kept in beside.items():
        # What a command has not synced, a power cut may take.
        assert name.startswith("job.result") and len(kept) <= len(data)
    if ended and ran and "left it" in said:
        assert found["result"] is not None or list(beside.values()) == [data]
    judge_run(ends_in, spool, said, ended)


def judge_batch(spool: Path, said: list[str], ended: bool) -> None:
    """Each run is recorded, once, or counts a crash; one that had not begun counts none."""
    carry_on(spool)
    check(spool, FIVE)
    begun = [line[len("ran ") :] for line in said if line.startswith("ran ")]
    crashed = set()
    for found in rows(spool, *FIVE):
        recorded = [run["outcome"] for run in found["history"]]
        assert recorded in ([], ["completed"], ["crashed"])
        assert (found["attempts"], found["crashes"]) == (
            recorded.count("completed"),
            recorded.count("crashed"),
        )
        assert (found["state"] == "completed") == (recorded == ["completed"])
        if found["id"] in begun:
            assert recorded, f"{found['id']} has begun, and nothing tells of it"
        if recorded == ["crashed"]:
            crashed.add(found["id"])
    # It may have been about to begin.
    assert len(crashed.difference(begun)) <= 1
    if ended:
        assert (crashed, len(begun)) == (set(), 5)
    left = [name for name, folder in places(spool).items() if folder != "done"]
    assert run_all(spool) == sorted(left)
    check(spool, FIVE)
    assert set(places(spool).values()) == {"done"}


def judge_chain(spool: Path, said: list[str], ended: bool) -> None:
    """The other one runs after it, whoever has recorded its end, and runs for certain."""
    carry_on(spool)
    check(spool, ["job", "child"])
    found = {row["id"]: row for row in rows(spool, "job", "child")}
    assert found["child"]["state"] == "pending"
    assert not ended or found["job"]["state"] == "completed"
    left = [job_id for job_id, row in found.items() if row["state"] != "completed"]
    assert run_all(spool) == sorted(left)
    ends = {row["id"]: row["history"][-1]["finished_at"] for row in rows(spool, "job", "child")}
    assert ends["job"] <= ends["child"]
    assert set(places(spool).values()) == {"done"}
    check(spool, ["job", "child"])


def judge_fire(spool: Path, said: list[str], ended: bool) -> None:
    """The moment has one job, made by whoever looks next where the process did not."""
    carry_on(spool)
    fire(spool)
    (job_id,) = places(spool)
    assert said in ([], [job_id])
    assert not ended or said
    assert rows(spool, job_id)[0]["schedule"] == "yearly"
    check(spool, [job_id])
    assert run_all(spool) == [job_id]
    fire(spool)
    assert places(spool) == {job_id: "done"}
    check(spool, [job_id])


def judge_schedule(spool: Path, said: list[str], ended: bool) -> None:
    """The schedule is there whole, or, where nobody was told of it, not at all."""
    carry_on(spool)
    check(spool, [])
    with Queue.open(str(spool), create=False) as queue:
        found = queue.schedules.rows()
    assert [row["problem"] for row in found] == [None] * len(found)
    assert len(found) == (1 if said else len(found)) <= 1
    assert not ended or said


def judge_paused_schedule(spool: Path, said: list[str], ended: bool) -> None:
    """One that was paused makes no job; where nobody was told it makes that of its moment, or none."""
    judge_schedule(spool, ["yearly"], ended)
    fire(spool)
    made = list(places(spool))
    assert made == ([] if said else made)
    assert len(made) <= 1
    check(spool, made)


def judge_run_beside(spool: Path, said: list[str], ended: bool) -> None:
    """The file that a person put into the job's place stays as it is, and the job gets a free name."""
    carry_on(spool, left=not ended)
    ours = [path for path in job_files(spool) if b'"person"' not in path.read_bytes()]
    assert len(ours) == 1
    if (spool / "from-elsewhere.json").exists():
        assert places(spool)["job"] in ("pending", "failed")
        assert run_all(spool) == ["job"]
    else:
        assert (spool / "done" / "job.json").read_bytes() == PERSON
        where = ours[0].relative_to(spool).as_posix()
        # After a crash both have one name: a person must say which is which.
        assert where == "done/job-2.json" or (where == "failed/job.json" and not ended)
    if ended:
        check(spool, ["job", "job-2"])
        assert [row["state"] for row in rows(spool, "job", "job-2")] == ["completed"] * 2


def judge_take_in(spool: Path, said: list[str], ended: bool) -> None:
    """A file that is no job, one of a known name, one named like a text: each is kept, whatever dies."""
    if not ended:
        crasher.take_in(str(spool))
    carry_on(spool)
    check(spool, ["bad", "good", "known", "known-2", "notepad"])
    assert places(spool) == {
        "bad": "dead",
        "good": "pending",
        "known": "done",
        "known-2": "pending",
        "notepad": "pending",
    }
    assert (spool / "dead" / "bad.json").read_bytes() == NO_JOB
    assert b"unknown field 'comand'" in (spool / "dead" / "bad.error.txt").read_bytes()
    assert run_all(spool) == ["good", "known-2", "notepad"]
    check(spool, ["bad", "good", "known", "known-2", "notepad"])


def judge_recover(spool: Path, said: list[str], ended: bool) -> None:
    """What a recovery left is recovered, and no crash is counted twice."""
    ids = ["given_up", "recorded", "running", "torn"]
    carry_on(spool)
    check(spool, ids)
    assert places(spool) == {"running": "failed", "recorded": "done", "given_up": "dead", "torn": "dead"}
    assert [row["crashes"] for row in rows(spool, *ids[:3])] == [1, 0, 1]
    assert (spool / "dead" / "torn.json").read_bytes() == b'{"command": '
    assert (spool / "dead" / "torn.error.txt").exists()
    assert run_all(spool) == ["running"]
    check(spool, ids)
    # Told to people; a moved job whose index row, for example, was refused may not be told.
    assert set(said) <= {*ids, NO_HOOK}


def judge_recover_beside(spool: Path, said: list[str], ended: bool) -> None:
    """A dead worker's jobs whose names are taken where they belong get free ones; nothing is overwritten."""
    ids = ["recorded", "recorded-2", "running", "running-2"]
    carry_on(spool)
    check(spool, ids)
    assert places(spool) == {
        "recorded": "done",
        "recorded-2": "done",
        "running": "failed",
        "running-2": "failed",
    }
    for path in ("done/recorded.json", "failed/running.json"):
        assert (spool / path).read_bytes() == PERSON
    assert [row["crashes"] for row in rows(spool, "recorded-2", "running-2")] == [0, 1]
    assert run_all(spool) == ["running", "running-2"]
    check(spool, ids)
    assert set(said) <= {*ids, NO_HOOK}


def judge_people(
    verb: str, goes: Sequence[str], target: Optional[str], spool: Path, said: list[str], ended: bool
) -> None:
    """A job is where it was or where it was to go, whole, and no other has moved; again, it goes through."""
    stay = {name: folder for name, folder in STATES.items() if name not in goes}
    carry_on(spool)
    now = places(spool)
    check(spool, {*stay, *now} if target is None else STATES, attempts_matter=False)
    left = [name for name in goes if now.get(name) != target]
    assert {name: now.get(name) for name in left} == {name: STATES[name] for name in left}
    if ended:
        assert (left, said) == ([], [verb])
    if target is not None:
        for row in rows(spool, *set(goes).difference(left)):
            told = row["attempts"] if verb == "retry" else row["error"]
            assert told == (0 if verb == "retry" else "cancelled"), row["id"]
    if left:
        with Queue.open(str(spool), create=False) as queue:
            getattr(queue, verb)(left)
    check(spool, stay if target is None else STATES, attempts_matter=False)
    assert places(spool) == {**stay, **(dict.fromkeys(goes, target) if target else {})}
    carry_on(spool)
    noted = {name for name in ("bad", "mended") if places(spool).get(name) == "dead"}
    assert {path.name for path in (spool / "dead").glob("*.txt")} == {f"{name}.error.txt" for name in noted}
    waiting = [name for name, folder in places(spool).items() if folder in ("pending", "failed")]
    assert run_all(spool) == sorted(waiting)


def judge_config(spool: Path, said: list[str], ended: bool) -> None:
    """An acknowledged value holds, another is the old or the new one, and no other setting is lost."""
    carry_on(spool)
    config = _settings(spool)
    for name, value in CHANGES.items():
        assert config.get(name) in ((value,) if name in said else (None, value)), name
    if ended:
        assert said == list(CHANGES)
    judge_whole(spool, said, ended)


def judge_whole(spool: Path, said: list[str], ended: bool, *, settings: bool = True) -> None:
    """Every job is where it was, and the settings are what they were."""
    carry_on(spool)
    check(spool, STATES)
    assert places(spool) == STATES
    if settings:
        kept = _settings(spool)
        assert {name: kept.get(name) for name in SETTINGS} == SETTINGS, "a setting is lost"
    assert not ended or said
    assert run_all(spool) == ["failed", "waits"]


def judge_pause(verb: str, spool: Path, said: list[str], ended: bool) -> None:
    """The pause holds, or does not; what waits is there either way, and runs when it is over."""
    assert said == ([verb] if ended else said)
    carry_on(spool)
    check(spool, ["job"])
    with Queue.open(str(spool), create=False) as queue:
        if verb in said:
            assert queue.paused is (verb == "pause")
        if queue.paused:
            assert run_all(spool) == []
        queue.resume()
    assert os.listdir(spool / "pending") == ["job.json"]
    assert run_all(spool) == ["job"]
    check(spool, ["job"])


def _settings(spool: Path) -> Mapping[str, str]:
    """What was set, as text; what the disk did not give back is in the index that was set aside."""
    found: dict[str, str] = {}
    for path in spool.glob("index.sqlite3.damaged-*Z"):
        with closing(sqlite3.connect(path)) as aside:
            found.update(aside.execute("SELECT name, value FROM config"))
    with Queue.open(str(spool), create=False) as queue:
        return {**found, **queue.store.index.settings()}
