"""What a run tells: each failure at once, and at its end the figures: what a sweep has counted (deaths,
errors injected, jobs)."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, settings

from queuectl import pytest_plugin
from queuectl.config import SETTINGS
from queuectl.layers import variable
from tests.support.orphans import end_orphans
from tests.support.program import PYCACHE

# A red run must be red again: by default every example is the same each time, however busy the machine is.
settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

# What whoever runs the tests has set for queuectl is none of them; nor does a child inherit it.
for _name in SETTINGS:
    os.environ.pop(variable(_name), None)

if sys.dont_write_bytecode:
    # Else each process of each run would rewrite and compile every test anew: half a minute together.
    sys.dont_write_bytecode, sys.pycache_prefix = False, PYCACHE

_FIGURE = "figure"
_LONG = ("e2e", "faults", "races", "docs")
"""The folders whose tests take seconds rather than milliseconds."""
_SWEEP_LIMIT = 600
"""Seconds for a slow test that states no limit of its own: that of the others it passes on a busy machine."""


@pytest.fixture(autouse=os.name == "nt")
def no_orphans() -> Iterator[None]:
    """What a program that a test has killed had not started yet is ended (see `orphans`)."""
    yield
    end_orphans()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Call it with a name and a count, such as ("deaths at a step: enqueue", 23); equal names are
    added up."""

    def note(name: str, count: int) -> None:
        record_property(_FIGURE, [name, count])

    return note


class _Failures:
    """Tells each failure as it happens: pytest keeps them for its end, which a run that is out of time
    does not reach. (In xdist's workers there is no terminal to tell it on.)"""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.section(f"{report.nodeid} ({report.when})", "-")
            self._terminal.write_line(report.longreprtext[-6_000:])


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are processors: many tests wait for timers and for programs of their own."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 * cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first: one that is begun last keeps all waiting.

    xdist gives each of its processes a stretch of this list to begin with. That of the last has no long ones:
    they often wait, and the processor has something to do meanwhile.
    """
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SWEEP_LIMIT))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.path.parent.name in _LONG]
    chosen, share, of_long = {*long}, -(-len(items) // count), max(1, count - 1)
    quick = iter([item for item in items if item not in chosen])
    items.clear()
    for number in range(of_long):
        first = long[number::of_long]
        items += [*first, *islice(quick, max(0, share - len(first)))]
    items += quick


@pytest.hookimpl(trylast=True)  # after the terminal is there
def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.has_plugin("queuectl"):
        # Not installed, as pytest would find it.
        config.pluginmanager.register(pytest_plugin, "queuectl")
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Failures(terminal))


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
