"""Processes that want the same thing at the same moment, and readers among movers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from queuectl.queue import Queue
from tests.support.invariants import check
from tests.support.racers import Race, fail_once


def fill(spool: Path, count: int) -> list[str]:
    ids = [f"job-{number:03}" for number in range(count)]
    with Queue.open(str(spool)) as queue:
        queue.enqueue([{"id": job_id, "command": ["x"]} for job_id in ids])
    return ids


def test_four_processes_claim_each_job_once(race: Race) -> None:
    ids = fill(race.spool, 200)
    answers = race.run("claim", 4)
    assert sorted(job_id for ran in answers for job_id in ran) == ids
    assert sum(bool(ran) for ran in answers) > 1, "it was no race"
    check(race.spool, ids)
    records = [json.loads((race.spool / "done" / f"{job_id}.json").read_bytes()) for job_id in ids]
    assert {(record["attempts"], record["crashes"], len(record["history"])) for record in records} == {
        (1, 0, 1)
    }


def test_a_claim_without_a_lock_is_noticed(race: Race) -> None:
    """The control: the same race with a careless claim must show jobs that ran twice."""
    fill(race.spool, 80)
    answers = race.run("claim", 4, "careless")
    twice = [
        job_id for job_id, runs in Counter(job_id for ran in answers for job_id in ran).items() if runs > 1
    ]
    assert twice


def test_of_eight_that_enqueue_one_id_one_succeeds(race: Race) -> None:
    """Also when the ids differ in case only, which is no difference on Windows."""
    with Queue.open(str(race.spool)):
        pass
    rounds = 12
    answers = race.run("enqueue", 8, str(rounds))
    for turn, codes in enumerate(zip(*answers)):
        assert sorted(codes) == [0] + [4] * 7
        winner = codes.index(0)
        job_id = f"job-{turn}" if winner % 2 else f"JOB-{turn}"
        record = json.loads((race.spool / "pending" / f"{job_id}.json").read_bytes())
        assert record["command"] == ["x", str(winner)], "the record is the winner's"
    assert len(list((race.spool / "pending").iterdir())) == rounds
    check(race.spool, [])


def test_readers_among_movers_see_every_job_once_and_stop_nobody(race: Race) -> None:
    """`list`, `status` and `show` while jobs are claimed, fail, are retried at once and succeed."""
    ids = fill(race.spool, 60)
    looks = 0
    with Queue.open(str(race.spool)) as queue:
        queue.set_config("backoff_base", "0")

        def look() -> None:
            nonlocal looks
            looks += 1
            assert sorted(job["id"] for job in queue.jobs()) == ids
            assert sum(queue.status().counts.values()) == len(ids)
            job_id = ids[looks % len(ids)]
            assert queue.show(job_id)["id"] == job_id

        answers = race.run("fail_once", 3, meanwhile=look)
        assert looks > 5
        look()
        # Nobody sweeps here: the row that a reader wrote just after its file had moved stays until this look.
        answers.append(fail_once(str(race.spool), 9))
        look()
        assert queue.status().counts["completed"] == len(ids)
    assert sorted(job_id for ran in answers for job_id in ran) == sorted(ids * 2)
    check(race.spool, ids)
