"""Hours and days by the clock on the wall, also in the nights in which it is put forward or back."""

from __future__ import annotations

from datetime import timezone
from zoneinfo import ZoneInfo

import pytest

from queuectl.moment import in_zone, parse_moment
from queuectl.parts import DAY, HOUR, Part, part_of, parts

NIGHTS = {
    "New York, back": ("America/New_York", "2026-11-01", 25, ["00:00 1", "01:00 1", "01:00 1", "02:00 1"]),
    "New York, forward": ("America/New_York", "2026-03-08", 23, ["00:00 1", "01:00 1", "03:00 1"]),
    "Lord Howe, back": (
        "Australia/Lord_Howe",
        "2026-04-05",
        24.5,
        ["00:00 1", "01:00 1", "01:30 0.5", "02:00 1"],
    ),
    "Lord Howe, forward": (
        "Australia/Lord_Howe",
        "2026-10-04",
        23.5,
        ["00:00 1", "01:00 1", "02:30 0.5", "03:00 1"],
    ),
    "Havana, midnight twice": ("America/Havana", "2024-11-03", 25, ["00:00 1", "00:00 1", "01:00 1"]),
    "Cairo, no midnight": ("Africa/Cairo", "2024-04-26", 23, ["01:00 1", "02:00 1"]),
    "Kathmandu, none": ("Asia/Kathmandu", "2026-04-24", 24, ["00:00 1", "01:00 1"]),
}


@pytest.mark.parametrize(("name", "day", "length", "hours"), NIGHTS.values(), ids=NIGHTS)
class TestANight:
    def test_has_its_hours(self, name: str, day: str, length: float, hours: list[str]) -> None:
        zone = ZoneInfo(name)
        whole = part_of(parse_moment(f"{day}T12:00:00Z"), DAY, zone)
        assert (whole.end - whole.begin) / HOUR == length
        found = [
            f"{in_zone(hour.begin, zone):%H:%M} {(hour.end - hour.begin) / HOUR:g}"
            for hour in parts(whole.begin, whole.end - 1, HOUR, zone)
        ]
        assert found[: len(hours)] == hours

    @pytest.mark.parametrize("step", [900.0, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 7 * DAY])
    def test_is_parted_without_a_gap(
        self, name: str, day: str, length: float, hours: list[str], step: float
    ) -> None:
        zone, noon = ZoneInfo(name), parse_moment(f"{day}T12:00:00Z")
        found = list(parts(noon - DAY, noon + DAY, step, zone))
        assert found[0].begin <= noon - DAY < found[0].end
        assert found[-1].begin <= noon + DAY < found[-1].end
        assert all(one.end == after.begin for one, after in zip(found, found[1:]))
        for moment in range(int(noon - DAY), int(noon + DAY), 900):
            (its,) = (one for one in found if one.begin <= moment < one.end)
            assert part_of(moment, step, zone) == its


def test_a_week_begins_on_a_monday() -> None:
    found = part_of(parse_moment("2027-01-15T00:00:00Z"), 7 * DAY, timezone.utc)
    assert found == Part(parse_moment("2027-01-11T00:00:00Z"), parse_moment("2027-01-18T00:00:00Z"))


def test_the_first_of_all_days_is_in_some_part() -> None:
    early = parse_moment("0005-06-01T00:00:00Z")
    part = part_of(early, 900 * DAY, ZoneInfo("America/New_York"))
    assert part.begin <= early < part.end
