"""What must hold after a verb by which runs end that have hooks (see `judges`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support.faults.afterwards import carry_on, places, rows, run_all
from tests.support.invariants import check


def judge_hook(spool: Path, said: list[str], ended: bool) -> None:
    """A run that is recorded as a success has its hook, once, whoever has moved the job."""
    judge_hooks(("job",), spool, said, ended)
    assert set(places(spool).values()) == {"done"}


def judge_hooks(ids: Sequence[str], spool: Path, said: list[str], ended: bool) -> None:
    """Each run that is recorded, of these jobs, has its hook, once, or it is told that it has none."""
    carry_on(spool)
    check(spool, ids)
    runs = _judge_runs(ids, spool, said)
    assert runs or not ended
    run_all(spool)
    assert _judge_runs(ids, spool, said) >= len(ids)
    check(spool, list(places(spool)))


def _judge_runs(ids: Sequence[str], spool: Path, said: list[str]) -> int:
    """How many runs these jobs have had."""
    others = [job_id for job_id in places(spool) if job_id not in ids]
    made = Counter(row["hook_of"] for row in rows(spool, *others)) if others else Counter()
    assert set(made) <= set(ids)
    recorded = {row["id"]: len(row["history"]) for row in rows(spool, *ids)}
    for job_id, runs in recorded.items():
        # What the system refuses is told; the job is recorded all the same.
        assert made[job_id] == runs or (made[job_id] < runs and "no hook" in said), job_id
    return sum(recorded.values())
