"""What must hold of a spool after housekeeping, however the process that did it has ended."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

from queuectl.queue import Queue
from tests.support.faults import crasher
from tests.support.faults.afterwards import carry_on, places, rows, run_all
from tests.support.faults.judges import NO_JOB, STATES
from tests.support.invariants import check

ENDED = ("dead", "done", "other")
"""Jobs of a spool in the middle of its life that have ended, and may go."""
PLACES = {**STATES, "parent": "done", "child": "pending"}
STAY = {name: folder for name, folder in PLACES.items() if name not in ENDED}
LOGS = {"failed.log", "parent.log"}
IMPORTED = {"first": "done", "second": "failed", "third": "pending"}
"""What the file from elsewhere holds, and where it belongs."""


def judge_prune(verb: str, spool: Path, said: list[str], ended: bool) -> None:
    """A job is whole where it was, or gone; no other is touched; and again, it goes through."""
    carry_on(spool)
    now = places(spool)
    check(spool, now, attempts_matter=False)
    assert STAY.items() <= now.items() <= PLACES.items()
    assert said == ([verb] if ended and verb == "prune" else said)
    if ended:
        assert now == STAY
        assert _logs(spool) == LOGS
    getattr(crasher, verb)(str(spool))
    check(spool, STAY, attempts_matter=False)
    assert places(spool) == STAY
    assert (spool / "dead" / "bad.json").read_bytes() == NO_JOB
    # Of a job whose file went before its log did, that stays, for `keep_logs`.
    assert ended or _logs(spool) <= {*LOGS, *(f"{name}.log" for name in ENDED)}
    assert run_all(spool) == ["child", "failed", "waits"]


def judge_archive(spool: Path, said: list[str], ended: bool) -> None:
    """Each job is whole in its place or in the zip file, never in it twice; and again, all are in there."""
    carry_on(spool)
    now = places(spool)
    check(spool, now, attempts_matter=False)
    assert STAY.items() <= now.items() <= PLACES.items()
    away = _put_away(spool)
    assert {*now, *away} == {*PLACES, "before"}
    if ended:
        assert (now, away, said) == (STAY, ["before", *ENDED], ["archive"])
    crasher.archive(str(spool))
    assert places(spool) == STAY
    assert _put_away(spool) == ["before", *ENDED]
    assert sorted(path.suffix for path in (spool / "archive").iterdir()) == [".lock", ".zip"]
    assert run_all(spool) == ["child", "failed", "waits"]


def _put_away(spool: Path) -> list[str]:
    """The jobs in the zip file, each once, whole, and with its log."""
    (path,) = (spool / "archive").glob("*.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = Counter(archive.namelist())
        assert set(names.values()) == {1}, f"twice: {names}"
        ids = sorted(Path(name).stem for name in names if name.endswith(".json"))
        records = {f"{_folder(job_id)}/{job_id}.json" for job_id in ids}
        assert {f"logs/{job_id}.log" for job_id in ids} | records == set(names)
        for job_id in ids:
            record = json.loads(archive.read(f"{_folder(job_id)}/{job_id}.json"))
            assert (record["id"], len(record["history"])) == (job_id, 1)
            assert archive.read(f"logs/{job_id}.log") == job_id.encode()
    return ids


def _folder(job_id: str) -> str:
    return PLACES.get(job_id, "done")


def judge_import(spool: Path, said: list[str], ended: bool) -> None:
    """What was acknowledged is there; what was not is there whole or not at all, and can follow."""
    carry_on(spool)
    check(spool, said)
    now = places(spool)
    assert now.items() <= IMPORTED.items()
    if ended:
        assert (now, said) == (IMPORTED, sorted(IMPORTED))
    with (spool / "from-elsewhere.jsonl").open("rb") as file, Queue.open(str(spool), create=False) as queue:
        done = queue.house.import_(file, skip_existing=True)
    assert sorted(done.skipped) == sorted(now)
    check(spool, IMPORTED)
    assert places(spool) == IMPORTED
    (first,) = rows(spool, "first")
    assert (first["attempts"], len(first["history"])) == (1, 1)
    assert (spool / "logs" / "first.log").read_bytes() == b"hi\n"
    assert run_all(spool) == ["second", "third"], "what has run is not run again"
    check(spool, IMPORTED)


def _logs(spool: Path) -> set[str]:
    return {path.name for path in (spool / "logs").iterdir()}
