"""What follows from how a run ended: the next state, and the wait before it. Pure: it only decides.

After procrastinate, whose retry strategies return a decision for others to carry out.
"""

from __future__ import annotations

from typing import NamedTuple

from queuectl.state import State


class Policy(NamedTuple):
    """The limits that hold for one job: its own fields, else the settings."""

    max_retries: int
    backoff_base: float
    backoff_max: float
    backoff_jitter: float
    max_crashes: int


class Decision(NamedTuple):
    """Where the job goes; `delay` is the wait in seconds before it may run again (0 unless it failed)."""

    state: State
    delay: float = 0.0


def backoff(policy: Policy, count: int, luck: float) -> float:
    """Seconds to wait after the `count`-th failure: `base ** count`, capped, spread by the jitter.

    `luck` is a random number in [0, 1). A jitter of 0.1 makes the wait up to 10 % shorter or longer. Where
    the power is beyond a float it is the cap (as stamina clamps it).
    """
    try:
        delay = min(float(policy.backoff_base) ** count, policy.backoff_max)
    except OverflowError:
        delay = policy.backoff_max
    spread = 1.0 + policy.backoff_jitter * (2.0 * luck - 1.0)
    return min(max(delay * spread, 0.0), policy.backoff_max)


def after_failure(policy: Policy, *, failures: int, retryable: bool, luck: float) -> Decision:
    """What follows the `failures`-th failed run (1 is the first)."""
    if not retryable or failures > policy.max_retries:
        return Decision(State.DEAD)
    return Decision(State.FAILED, backoff(policy, failures, luck))


def after_crash(policy: Policy, *, crashes: int, luck: float) -> Decision:
    """What follows the `crashes`-th run whose worker died in it (1 is the first)."""
    if crashes >= policy.max_crashes:
        return Decision(State.DEAD)
    return Decision(State.FAILED, backoff(policy, crashes, luck))
