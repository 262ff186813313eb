"""What is counted of a run, and what is told from counts."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from queuectl.job import Job, Run
from queuectl.measures import BOUNDS, DEAD, UNKNOWN, WAIT, WAIT_AGAIN, bound_of, measured, percentile
from queuectl.moment import format_moment

T = 1_800_000_000.0


def run(began: Optional[float] = T, ended: Optional[float] = T + 2, outcome: str = "completed") -> Run:
    moments = {"started_at": began, "finished_at": ended}
    told = {name: format_moment(one) for name, one in moments.items() if one is not None}
    return Run(outcome=outcome, **told)


def job(**fields: Any) -> Job:
    return Job(command="x", **fields)


def test_a_first_run_has_waited_since_it_came_in() -> None:
    found = measured(job(created_at=format_moment(T - 5), group="g"), run(), dead=False)
    assert (found.group, found.outcome, found.waited, found.ran, found.again) == (
        "g",
        "completed",
        5.0,
        2.0,
        False,
    )
    assert found.counted() == [("time:completed", bound_of(2.0), 2.0), (WAIT, bound_of(5.0), 5.0)]


def test_one_that_was_due_later_has_waited_since_then() -> None:
    late = job(created_at=format_moment(T - 500), run_at=format_moment(T - 3))
    assert measured(late, run(), dead=False).waited == 3.0
    early = job(created_at=format_moment(T - 3), run_at=format_moment(T - 500))
    assert measured(early, run(), dead=False).waited == 3.0


def test_a_further_run_is_counted_as_such() -> None:
    for again in (job(attempts=1), job(crashes=1)):
        found = measured(again, run(outcome="failed"), dead=True)
        assert found.again
        assert [what for what, _, _ in found.counted()] == ["time:failed", WAIT_AGAIN, DEAD]


def test_one_that_was_retried_by_hand_has_waited_since_then() -> None:
    late = job(
        created_at=format_moment(T - 9e5), updated_at=format_moment(T - 4), history=[run(outcome="failed")]
    )
    found = measured(late, run(), dead=False)
    assert (found.waited, found.again) == (4.0, True)


def test_what_is_not_known_is_counted_as_unknown() -> None:
    crash = measured(job(), run(began=None, outcome="crashed"), dead=False)
    assert crash.counted() == [("time:crashed", UNKNOWN, 0.0), (WAIT, UNKNOWN, 0.0)]
    assert measured(job(), run(), dead=False, created=T - 1).waited == 1.0
    assert measured(job(created_at="yesterday"), run(), dead=False).waited is None


def test_a_clock_that_was_put_back() -> None:
    found = measured(job(created_at=format_moment(T + 60)), run(T, T - 60), dead=False)
    assert (found.waited, found.ran) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0.0, 0), (0.005, 0), (0.0051, 1), (1.0, 7), (86400.0, 17), (1e9, 18)]
)
def test_bounds_are_upper_ones(seconds: float, bound: int) -> None:
    assert bound_of(seconds) == bound
    assert list(BOUNDS) == sorted(BOUNDS)


def test_percentiles() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({UNKNOWN: 5}, 0.5) is None
    assert percentile({7: 4}, 0.5) == pytest.approx(0.75)  # between 0.5 and 1
    assert percentile({7: 4}, 1.0) == 1.0
    assert percentile({0: 2}, 0.5) == pytest.approx(0.0025)
    assert percentile({0: 99, 12: 1}, 0.99) == pytest.approx(0.005)
    assert percentile({0: 50, 12: 50}, 0.75) == pytest.approx(45.0)
    assert percentile({len(BOUNDS): 1, UNKNOWN: 9}, 0.5) == BOUNDS[-1]
