"""What follows at a moment from a schedule and its past, decided without a clock or a disk."""

from __future__ import annotations

from datetime import timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.due import LATE, due_moments, fired, fires_at, next_firing, settled
from queuectl.job import Job
from queuectl.moment import format_moment, parse_moment
from queuectl.names import CATCH_UP, OVERLAP
from queuectl.recurrence import Recurrence
from queuectl.schedule import (
    MOST_KEPT,
    Record,
    Schedule,
    begun,
    job_id,
    job_of,
    name_problem,
    recurrence_of,
)
from tests.support.spools import START

MINUTE, HOUR = 60.0, 3600.0


def schedule(**fields: Any) -> Schedule:
    return Schedule(**{"every": HOUR, "job": Job(command="x"), **fields})


def record(**fields: Any) -> Record:
    return msgspec.structs.replace(begun(schedule(), START), **fields)


def stamps(*moments: float) -> list[str]:
    return [format_moment(one) for one in moments]


def after(due: list[float], *, now: float, active: bool = False, known: Any = None, **fields: Any) -> Record:
    return settled("s", schedule(**fields), known or record(), due, now=now, active=active).record


class TestMissedMoments:
    """Those that are more than a minute late: no worker ran."""

    DUE = tuple(START + HOUR * number for number in range(1, 6))
    NOW = DUE[-1] + HOUR / 2

    @pytest.mark.parametrize(
        ("fields", "made"),
        [
            ({}, DUE[-1:]),
            ({"catch_up": "once"}, DUE[-1:]),
            ({"catch_up": "skip"}, ()),
            ({"catch_up": "all", "overlap": "allow"}, DUE),
            ({"catch_up": "all", "overlap": "allow", "catch_up_limit": 2}, DUE[-2:]),
            ({"catch_up": "all", "overlap": "allow", "catch_up_limit": 0}, ()),
        ],
    )
    def test_are_made_up_for_as_it_says(self, fields: dict[str, Any], made: tuple[float, ...]) -> None:
        found = after(list(self.DUE), now=self.NOW, **fields)
        assert found.firing == stamps(*made)
        assert found.since == format_moment(self.DUE[-1]), "and never asked about again"

    def test_one_after_the_other(self) -> None:
        found = after(list(self.DUE), now=self.NOW, catch_up="all", overlap="queue")
        assert (found.firing, found.queued) == (stamps(self.DUE[0]), stamps(*self.DUE[1:]))

    @pytest.mark.parametrize("catch_up", ["skip", "once"])
    def test_one_that_is_on_time_stands_for_them(self, catch_up: str) -> None:
        found = after(list(self.DUE), now=self.DUE[-1] + LATE, catch_up=catch_up)
        assert found.firing == stamps(self.DUE[-1])

    def test_what_is_left_out_is_noted(self) -> None:
        found = after(list(self.DUE), now=self.NOW, catch_up="skip")
        assert found.note == f"{format_moment(self.DUE[0])} and 4 more: left out, no worker ran"


class TestOverlap:
    """While its last job waits or runs."""

    DUE = START + HOUR

    @pytest.mark.parametrize(
        ("overlap", "firing", "queued", "stops"),
        [
            ("skip", [], [], False),
            ("queue", [], [DUE], False),
            ("stop", [], [DUE], True),
            ("allow", [DUE], [], False),
        ],
    )
    def test_as_it_says(self, overlap: str, firing: list[float], queued: list[float], stops: bool) -> None:
        found = settled("s", schedule(overlap=overlap), record(), [self.DUE], now=self.DUE, active=True)
        assert (found.record.firing, found.record.queued) == (stamps(*firing), stamps(*queued))
        assert found.stops == stops
        left_out = found.record.note is not None
        assert left_out == (overlap == "skip")

    @pytest.mark.parametrize("overlap", OVERLAP)
    def test_where_none_does_it_fires(self, overlap: str) -> None:
        found = settled("s", schedule(overlap=overlap), record(), [self.DUE], now=self.DUE, active=False)
        assert (found.record.firing, found.stops) == (stamps(self.DUE), False)

    def test_what_waits_comes_when_that_has_ended_and_in_its_order(self) -> None:
        known = record(queued=stamps(1, 2))
        assert after([], now=self.DUE, active=True, known=known, overlap="queue") == known
        found = after([self.DUE], now=self.DUE, known=known, overlap="queue")
        assert (found.firing, found.queued) == (stamps(1), stamps(2, self.DUE))

    def test_of_those_that_wait_for_a_stopped_one_only_the_latest_counts(self) -> None:
        found = after([self.DUE], now=self.DUE, active=True, known=record(queued=stamps(1)), overlap="stop")
        assert found.queued == stamps(self.DUE)

        assert found.note is not None, "the one that was to come is told"

    @pytest.mark.parametrize(
        ("overlap", "firing", "queued"),
        [("allow", [1, 2, 3], []), ("stop", [], [3]), ("queue", [], [1, 2, 3])],
    )
    def test_what_waits_does_as_it_says_now(
        self, overlap: str, firing: list[float], queued: list[float]
    ) -> None:
        known = record(queued=stamps(1, 2, 3))
        found = after([], now=self.DUE, active=True, known=known, overlap=overlap)
        assert (found.firing, found.queued) == (stamps(*firing), stamps(*queued))

    def test_a_stop_is_asked_for_until_it_has_come(self) -> None:
        waits = record(queued=stamps(1))
        assert settled("s", schedule(overlap="stop"), waits, [], now=self.DUE, active=True).stops

    def test_no_more_wait_than_can_be_kept(self) -> None:
        known = record(queued=stamps(*range(MOST_KEPT)))
        found = after([self.DUE], now=self.DUE, active=True, known=known, overlap="queue")
        assert (found.queued, "wait already" in (found.note or "")) == (known.queued, True)

    def test_two_at_once_overlap_too(self) -> None:
        found = after([self.DUE, self.DUE + 1], now=self.DUE + 1, overlap="skip")
        assert found.firing == stamps(self.DUE)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=30, unique=True).map(sorted),
    st.sampled_from(CATCH_UP),
    st.sampled_from(OVERLAP),
    st.booleans(),
    st.integers(0, 20),
)
def test_each_moment_is_settled_once(
    minutes: list[int], catch_up: str, overlap: str, active: bool, limit: int
) -> None:
    due = [START + MINUTE * one for one in minutes]
    fields: dict[str, Any] = {"catch_up": catch_up, "overlap": overlap, "catch_up_limit": limit}
    found = after(due, now=due[-1] + 30, active=active, **fields)
    settled_ones = [*found.firing, *found.queued]
    assert settled_ones == sorted(set(settled_ones)), "in order, none twice"
    assert set(settled_ones) <= set(stamps(*due))
    assert found.since == format_moment(due[-1])
    if not active and overlap != "allow":
        assert len(found.firing) <= 1
    if active and overlap != "allow":
        assert found.firing == []


class TestJitter:
    def test_a_moment_always_draws_the_same_wait_within_its_bounds(self) -> None:
        waits = {fires_at("s", START + one, 60.0) - START - one for one in range(100)}
        assert min(waits) >= 0
        assert max(waits) < 60
        assert len(waits) > 90
        assert fires_at("s", START, 60.0) == fires_at("s", START, 60.0) != fires_at("t", START, 60.0)

    def test_one_comes_when_its_wait_is_over(self) -> None:
        one = schedule(jitter=600.0)
        recurrence = recurrence_of(one, timezone.utc, START)
        comes = next_firing("s", one, recurrence, START)
        assert comes == fires_at("s", START + HOUR, 600.0) > START + HOUR
        assert due_moments("s", one, recurrence, START, comes - 0.01) == []
        assert due_moments("s", one, recurrence, START, comes) == [START + HOUR]

    @given(st.floats(0, 7200), st.sampled_from([60.0, 100.0, 3600.0]))
    def test_asked_at_whatever_moments_each_comes_once_and_in_order(self, step: float, every: float) -> None:
        one = schedule(every=every, jitter=every, catch_up="all", overlap="allow", catch_up_limit=100)
        recurrence = recurrence_of(one, timezone.utc, START)
        now, since, met = START, START, list[float]()
        while now < START + 3 * HOUR:
            now += max(step, 7.0)
            if due := due_moments("s", one, recurrence, since, now):
                met += due
                since = due[-1]
        assert met == [START + every * number for number in range(1, len(met) + 1)]
        assert all(fires_at("s", moment, every) <= now for moment in met)


def test_the_job_of_a_moment() -> None:
    job = job_of("nightly", schedule(job=Job(command="x", tags=["t"])), START)
    assert (job.id, job.schedule, job.tags) == ("nightly-20270115T080000Z", "nightly", ["t"])
    assert parse_moment(job.scheduled_at or "") == START


def test_moments_that_are_told_apart_have_ids_that_are() -> None:
    recurrence = Recurrence(None, 1.0, begin=START + 0.5)
    assert len({job_id("s", START + 0.5 + number) for number in range(100)}) == 100
    assert next_firing("s", schedule(every=1.0), recurrence, START) == START + 0.5


def test_what_is_known_of_its_jobs_has_an_end() -> None:
    known = record(firing=stamps(START), jobs=[str(one) for one in range(200)])
    found = fired(known, ["new"], known.jobs, 1)
    assert (len(found.jobs), found.jobs[-1], found.firing, found.fired) == (MOST_KEPT, "new", [], 1)
    assert found.last_due == format_moment(START)


def test_none_that_is_held_up_by_the_wait_of_another_counts_as_missed() -> None:
    """Of moments that are closer than their jitter."""
    one = schedule(every=None, cron="* * * * *", timezone="UTC", jitter=3600.0, overlap="allow")
    recurrence = recurrence_of(one, timezone.utc, START)
    known, now, made = record(), START, list[str]()
    while now < START + 6 * HOUR:
        now += 10
        due = due_moments("s", one, recurrence, parse_moment(known.since), now)
        known = settled("s", one, known, due, now=now, active=False).record
        made += known.firing
        known = fired(known, [], [], 0)
    assert known.note is None
    expected = stamps(*(START + MINUTE * number for number in range(1, len(made) + 1)))
    assert made == expected
    assert len(made) > 200


@pytest.mark.parametrize("name", ["", "a/b", "con", "a" * 180, ".x"])
def test_a_name_that_its_jobs_could_not_have_is_none(name: str) -> None:
    assert name_problem(name)


def test_a_name_leaves_room_for_the_moment() -> None:
    longest = "a" * 178
    assert name_problem(longest) is None
    assert len(job_id(longest, START) + "-9999") <= 200
