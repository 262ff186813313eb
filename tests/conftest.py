"""Figures: what a sweep has counted (deaths, errors injected, jobs), told at the end of the run."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable

import pytest
from hypothesis import settings

# A red run must be red again: by default every example is the same each time.
settings.register_profile("same", derandomize=True, database=None)
settings.load_profile("same")

_FIGURE = "figure"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Call it with a name and a count, such as ("deaths at a step: enqueue", 23); equal names are
    added up."""

    def note(name: str, count: int) -> None:
        record_property(_FIGURE, [name, count])

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counted: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                for kind, value in report.user_properties:
                    if kind == _FIGURE:
                        counted[value[0]] += value[1]
    if counted:
        terminalreporter.section("figures")
        for name, count in sorted(counted.items()):
            terminalreporter.write_line(f"{count:>9,}  {name}")
