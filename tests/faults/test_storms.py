"""Storms: workers killed -9 and frozen at any moment while jobs come in by every way.

The slow form rages for a minute; `QUEUECTL_STORM_SECONDS=3600 pytest -m slow tests/faults/test_storms.py` for
as long as you like. The seed is fixed, but which moment a kill meets is up to the machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import pytest

from tests.support.program import WINDOWS
from tests.support.storms.altered import Altered
from tests.support.storms.storm import Storm, Weather

pytestmark = pytest.mark.e2e

SEED = 20261124
SECONDS = float(os.environ.get("QUEUECTL_STORM_SECONDS", "60"))
LIMIT = SECONDS * 2 + 240

THREADS, PROCESSES = "--count", "--processes"
SHOWER = Weather(1.5, processes=3, enqueue=0.4, kill=0.3, freeze=0.5, longest=0.3)
GALE = Weather(SECONDS)
if WINDOWS:
    # Where processes start slowly, those that write down the runs too.
    GALE = GALE._replace(processes=4, drop=0.4, enqueue=4.0, batch=5, kill=4.0)

Figure = Callable[[str, int], None]


def weather_it(here: Path, weather: Weather) -> tuple[Storm, list[str]]:
    """A storm to its end; and what is wrong."""
    with Storm(Altered(here), weather, SEED) as storm:
        storm.rage()
        storm.calm()
        return storm, storm.faults()


def tell(storm: Storm, figure: Figure) -> None:
    for name, count in storm.counts.items():
        figure(f"storm: {name}", count)


# There a worker that is killed at the wrong moment can leave a command behind that was not started yet; it
# does nothing, but whoever waits for the end of all processes of the tests waits for it too.
@pytest.mark.skipif(WINDOWS, reason="one of the slow tests on Windows")
def test_a_shower(tmp_path: Path, figure: Figure) -> None:
    """The small form: a few workers, some kills."""
    storm, faults = weather_it(tmp_path, SHOWER)
    assert faults == [], f"seed {SEED}: {storm.counts}"
    assert storm.counts["kills"] > 0
    tell(storm, figure)


@pytest.mark.skipif(WINDOWS, reason="one of the slow tests on Windows")
@pytest.mark.slow
@pytest.mark.parametrize("tasks", [THREADS, PROCESSES])
def test_a_shower_on_tasks(tmp_path: Path, figure: Figure, tasks: str) -> None:
    """Every other job is a Python function, which its worker calls, or a process beside it."""
    storm, faults = weather_it(tmp_path, SHOWER._replace(seconds=2.5, tasks=tasks))
    assert faults == [], f"seed {SEED}: {storm.counts}"
    assert storm.counts["kills"] > 0
    tell(storm, figure)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("tasks", [THREADS, PROCESSES])
def test_nothing_is_lost_of_tasks_either(tmp_path: Path, figure: Figure, tasks: str) -> None:
    storm, faults = weather_it(tmp_path, GALE._replace(seconds=SECONDS / 2, tasks=tasks))
    assert faults == [], f"seed {SEED}: {storm.counts}"
    assert storm.counts["kills"] > 0
    assert storm.counts["crashes"] > 0, "no kill has met a running job"
    tell(storm, figure)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT)
def test_nothing_is_lost_and_nothing_runs_beside_itself(tmp_path: Path, figure: Figure) -> None:
    """Eight programs, thousands of jobs: exactly those that were acknowledged are there, and have run."""
    storm, faults = weather_it(tmp_path, GALE)
    assert faults == [], f"seed {SEED}: {storm.counts}"
    assert storm.counts["kills"] > 0
    assert storm.counts["crashes"] > 0, "no kill has met a running job"
    tell(storm, figure)


# The controls: careless workers, at whom the same storm must find fault.

ROUNDS = 8
"""How often a control may rage until the fault is found: on a busy machine one may be too short."""
DOWNPOUR = Weather(4.0, processes=4, drop=0.04, killed_enqueue=None, freeze=None, kill=0.3, longest=3.0)
if WINDOWS:
    DOWNPOUR = DOWNPOUR._replace(seconds=15.0, drop=0.4, enqueue=4.0, batch=5, kill=6.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alteration", "faults", "tasks"),
    [
        # What is taken from under a living worker may also get lost, or there may be two of it.
        ("blind_to_life", ("overlapped", "lost", "nobody's", "lies in 2 places"), None),
        ("blind_to_life", ("overlapped", "lost", "nobody's", "lies in 2 places"), THREADS),
        *(
            pytest.param(
                "blind_to_commands",
                ("overlapped",),
                tasks,
                marks=pytest.mark.skipif(WINDOWS, reason="on Windows a command dies with its worker"),
            )
            for tasks in (None, PROCESSES)
        ),
        # Of a job that two take at once there may be two, whether or not its runs happen to meet.
        ("no_claim_lock", ("overlapped", "lies in 2 places"), None),
        ("write_after_remove", ("lost",), None),
    ],
)
def test_a_storm_finds_fault_with_a_careless_worker(
    tmp_path: Path, alteration: str, faults: tuple[str, ...], tasks: Optional[str]
) -> None:
    with Storm(Altered(tmp_path), DOWNPOUR._replace(tasks=tasks), SEED) as storm:
        storm.program = storm.program.altered(alteration)
        for _ in range(ROUNDS):
            storm.rage()
            storm.break_off()
            found = storm.faults()
            if any(fault in one for one in found for fault in faults):
                return
    pytest.fail(f"seed {SEED}: {storm.counts}; {found}")
