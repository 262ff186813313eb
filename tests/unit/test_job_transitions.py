from __future__ import annotations

from typing import Any

import msgspec
import pytest

from queuectl.codec import decode_job, encode_job
from queuectl.job import (
    HISTORY_LIMIT,
    MOST,
    Job,
    Run,
    accepted,
    cancelled,
    claimed,
    crashed,
    dated,
    finished,
    renamed,
    retried,
    success_codes,
    wants_retry,
)
from queuectl.moment import format_moment
from queuectl.state import State

NOW = 1_800_000_000.0
STAMP = format_moment(NOW)
FAILED_RUN = Run(outcome="failed", attempt=3, exit_code=5, error="exit code 5")

WORN = Job(
    id="a",
    command="x",
    priority=7,
    run_at="2027-06-01T00:00:00Z",
    meta={"mine": 1},
    state=State.DEAD,
    attempts=2,
    crashes=1,
    created_at="2026-01-01T00:00:00Z",
    updated_at="2026-01-02T00:00:00Z",
    exit_code=5,
    error="exit code 5",
    history=[FAILED_RUN],
)
USERS = ("id", "command", "priority", "meta", "created_at")


def same(one: Job, other: Job, *fields: str) -> bool:
    return all(getattr(one, field) == getattr(other, field) for field in fields)


def test_no_transition_changes_the_record_it_is_given() -> None:
    before = msgspec.json.encode(WORN)
    for change in (
        accepted(WORN, job_id="b", now=NOW),
        retried(WORN, now=NOW),
        finished(WORN, FAILED_RUN, state=State.FAILED, run_at=NOW, now=NOW),
        crashed(WORN, FAILED_RUN, state=State.DEAD, run_at=None, now=NOW),
        cancelled(WORN, now=NOW),
    ):
        assert change != WORN
    assert msgspec.json.encode(WORN) == before


def test_an_accepted_job_has_never_run() -> None:
    job = accepted(WORN, job_id="b", now=NOW)
    assert (job.id, job.state, job.attempts, job.crashes) == ("b", State.PENDING, 0, 0)
    assert (job.exit_code, job.error, job.history) == (None, None, [])
    assert same(job, WORN, "command", "priority", "run_at", "meta", "created_at")


def test_jobs_accepted_together_keep_their_order() -> None:
    first, second = (accepted(Job(command="x"), job_id="a", now=NOW + n * 1e-6) for n in (1, 2))
    assert (first.created_at or "") < (second.created_at or "")


def test_a_retried_job_is_as_if_it_had_never_run_and_is_due_now() -> None:
    job = retried(WORN, now=NOW)
    assert (job.state, job.attempts, job.crashes, job.run_at) == (State.PENDING, 0, 0, None)
    assert (job.exit_code, job.error, job.updated_at) == (None, None, STAMP)
    assert same(job, WORN, *USERS, "history")


@pytest.mark.parametrize(
    ("state", "wants"),
    [
        (State.PENDING, False),
        (State.PROCESSING, False),
        (State.COMPLETED, True),
        (State.FAILED, True),
        (State.DEAD, True),
    ],
)
def test_a_record_stamped_as_finished_in_pending_wants_a_retry(state: State, wants: bool) -> None:
    assert wants_retry(Job(command="x", state=state)) is wants


def test_a_claimed_job_does_not_look_finished() -> None:
    job = claimed(WORN, now=NOW)
    assert not wants_retry(job)
    assert same(job, WORN, *USERS, "attempts", "crashes", "history")


def test_a_failed_run_counts_and_says_when_the_next_is_due() -> None:
    job = finished(WORN, FAILED_RUN, state=State.FAILED, run_at=NOW + 8, now=NOW)
    assert (job.state, job.attempts, job.crashes) == (State.FAILED, 3, 1)
    assert (job.due, job.exit_code, job.error, job.updated_at) == (NOW + 8, 5, "exit code 5", STAMP)
    assert job.history == [FAILED_RUN, FAILED_RUN]
    assert same(job, WORN, *USERS)


def test_a_successful_run_leaves_no_error() -> None:
    run = Run(outcome="completed", exit_code=0)
    job = finished(WORN, run, state=State.COMPLETED, run_at=None, now=NOW)
    assert (job.state, job.attempts, job.run_at) == (State.COMPLETED, 3, None)
    assert (job.exit_code, job.error) == (0, None)


def test_a_job_that_says_not_when_it_came_in_can_be_told() -> None:
    assert dated(Job(command="x"), NOW).created_at == STAMP
    assert dated(WORN, NOW) == WORN


def test_a_crash_counts_apart_from_the_attempts() -> None:
    job = crashed(WORN, Run(outcome="crashed", error="gone"), state=State.FAILED, run_at=NOW + 4, now=NOW)
    assert (job.state, job.attempts, job.crashes) == (State.FAILED, 2, 2)
    assert (job.due, job.exit_code, job.error) == (NOW + 4, None, "gone")


def test_a_cancelled_job_rests_with_the_dead_letters_and_is_not_due() -> None:
    job = cancelled(WORN, now=NOW)
    assert (job.state, job.run_at, job.error) == (State.DEAD, None, "cancelled")
    assert same(job, WORN, *USERS, "attempts")


def test_a_renamed_job_is_the_same_but_for_its_id() -> None:
    assert renamed(WORN, "b") == msgspec.structs.replace(WORN, id="b")


@pytest.mark.parametrize("crash", [False, True])
def test_the_history_keeps_the_latest_runs(crash: bool) -> None:
    runs = [Run(outcome="failed", attempt=number) for number in range(HISTORY_LIMIT)]
    full = msgspec.structs.replace(WORN, history=runs)
    change = crashed if crash else finished
    job = change(full, FAILED_RUN, state=State.DEAD, run_at=None, now=NOW)
    assert len(job.history) == HISTORY_LIMIT
    assert job.history[-1] == FAILED_RUN
    assert job.history[0].attempt == 1


@pytest.mark.parametrize(("own", "codes"), [(None, (0,)), ([], ()), ([0, 3], (0, 3))])
def test_the_exit_codes_that_mean_success(own: list[int], codes: tuple[int, ...]) -> None:
    assert success_codes(Job(command="x", success_exit_codes=own)) == codes


def test_a_time_that_cannot_be_understood_makes_a_job_due_at_once() -> None:
    assert Job(command="x", run_at="2027-01-15T08:00:05Z").due == NOW + 5
    assert Job(command="x").due is None


@pytest.mark.parametrize("end", [finished, crashed])
def test_a_count_never_grows_beyond_what_a_record_may_hold(end: Any) -> None:
    job = Job(id="a", command="x", attempts=MOST, crashes=MOST)
    ended = end(job, Run(outcome="failed"), state=State.FAILED, run_at=None, now=NOW)
    assert (ended.attempts, ended.crashes) == (MOST, MOST)
    assert decode_job(encode_job(ended)) == ended


class TestResult:
    """Of the last run, whatever came of it, and of no other."""

    OLD = msgspec.structs.replace(WORN, result={"rows": 3})

    def test_a_run_leaves_its_own_or_none(self) -> None:
        done = finished(self.OLD, FAILED_RUN, state=State.FAILED, run_at=NOW, now=NOW, result=[1])
        assert done.result == [1]
        assert finished(self.OLD, FAILED_RUN, state=State.FAILED, run_at=NOW, now=NOW).result is None
        assert crashed(self.OLD, FAILED_RUN, state=State.DEAD, run_at=None, now=NOW).result is None

    def test_who_begins_anew_has_none(self) -> None:
        assert retried(self.OLD, now=NOW).result is None
        assert accepted(self.OLD, job_id="a", now=NOW).result is None

    def test_until_then_it_stays(self) -> None:
        for change in (claimed(self.OLD, now=NOW), cancelled(self.OLD, now=NOW), renamed(self.OLD, "b")):
            assert change.result == {"rows": 3}
