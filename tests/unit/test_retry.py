from __future__ import annotations

from typing import Any

import pytest

from queuectl.retry import Decision, Policy, after_crash, after_failure, backoff
from queuectl.state import State


def policy(**changes: Any) -> Policy:
    return Policy(3, 2, 3600, 0, 3)._replace(**changes)


def fail(number: int, **changes: Any) -> Decision:
    return after_failure(policy(**changes), failures=number, retryable=True, luck=0.5)


class TestMaxRetries:
    def test_three_retries_are_four_runs(self) -> None:
        states = [fail(number).state for number in (1, 2, 3, 4)]
        assert states == [State.FAILED, State.FAILED, State.FAILED, State.DEAD]

    def test_no_retry_is_one_run(self) -> None:
        assert fail(1, max_retries=0) == Decision(State.DEAD, 0.0)

    def test_beyond_the_limit_it_stays_dead(self) -> None:
        assert fail(9).state is State.DEAD

    def test_an_exit_code_that_forbids_a_retry_ends_it_at_the_first_run(self) -> None:
        decision = after_failure(policy(), failures=1, retryable=False, luck=0.5)
        assert decision == Decision(State.DEAD, 0.0)


class TestBackoff:
    @pytest.mark.parametrize(("number", "delay"), [(1, 2), (2, 4), (3, 8), (10, 1024)])
    def test_is_base_to_the_power_of_the_failures(self, number: int, delay: float) -> None:
        assert backoff(policy(), number, 0.5) == delay

    def test_is_capped(self) -> None:
        assert backoff(policy(), 12, 0.5) == 3600
        assert backoff(policy(backoff_max=5), 3, 0.5) == 5
        assert backoff(policy(backoff_max=0), 3, 0.5) == 0

    @pytest.mark.parametrize(("base", "delay"), [(0, 0), (1, 1), (0.5, 0.125), (1.5, 3.375)])
    def test_takes_any_base(self, base: float, delay: float) -> None:
        assert backoff(policy(backoff_base=base), 3, 0.5) == delay

    def test_a_power_beyond_a_float_is_the_cap(self) -> None:
        assert backoff(policy(backoff_base=1e9), 10_000, 0.5) == 3600

    @pytest.mark.timeout(5)
    @pytest.mark.parametrize("base", [10, 1_000_000])
    def test_a_huge_power_of_a_whole_number_takes_no_time(self, base: int) -> None:
        assert backoff(policy(backoff_base=base), 1_000_000_000, 0.5) == 3600

    def test_jitter_spreads_it_to_both_sides(self) -> None:
        spread = [backoff(policy(backoff_jitter=0.1), 3, luck) for luck in (0.0, 0.5, 1.0)]
        assert spread == pytest.approx([7.2, 8.0, 8.8])

    def test_jitter_never_goes_over_the_cap_or_below_zero(self) -> None:
        assert backoff(policy(backoff_jitter=1), 20, 1.0) == 3600
        assert backoff(policy(backoff_jitter=1), 20, 0.0) == 0

    def test_a_failed_job_waits_so_long(self) -> None:
        assert fail(2) == Decision(State.FAILED, 4)


class TestCrashes:
    def test_the_third_is_the_last(self) -> None:
        states = [after_crash(policy(), crashes=number, luck=0.5).state for number in (1, 2, 3, 4)]
        assert states == [State.FAILED, State.FAILED, State.DEAD, State.DEAD]

    def test_they_are_followed_by_a_wait_too(self) -> None:
        assert after_crash(policy(), crashes=2, luck=0.5) == Decision(State.FAILED, 4)

    def test_they_do_not_ask_max_retries(self) -> None:
        assert after_crash(policy(max_retries=0), crashes=1, luck=0.5).state is State.FAILED

    def test_one_may_be_too_many(self) -> None:
        assert after_crash(policy(max_crashes=1), crashes=1, luck=0.5).state is State.DEAD
