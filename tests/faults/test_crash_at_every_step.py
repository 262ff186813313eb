"""A process dies at its n-th step, for each n until it ends by itself; then another one carries on.

The children are real processes that die without a word (`os._exit` before a step, see `crasher`); what
follows is done in this process, which knows no more of theirs than their files.
"""

from __future__ import annotations

import sys
from typing import Any, Callable
from zlib import crc32

import pytest

from tests.support.faults import crasher
from tests.support.faults.bench import Bench
from tests.support.faults.scenarios import SCENARIOS

MOST_STEPS = 400
WINDOWS = sys.platform == "win32"
STRIDE = 30
"""Of so many steps one is tried in the fast form."""
FEW = ("enqueue many", "run to success", "recover")
"""Where each death costs the start of an interpreter, the fast form is of these."""

Make = Callable[[str], Bench]
Figure = Callable[[str, int], None]


def sweep(bench: Bench, *, first: int = 1, stride: int = 1, variant: str = "sound") -> int:
    """Die at the first step and at each stride-th from there, until the end; how many deaths that were."""
    for deaths, step in enumerate(range(first, MOST_STEPS, stride)):
        with bench.attempt(step=step, variant=variant) as (spool, ended):
            assert ended.code in (0, crasher.DIED), ended.err
            bench.judge(spool, ended, f"dead at step {step}" if ended.code else "come to its end")
        if ended.code == 0:
            assert step > 3, "the steps were not noticed"
            return deaths
    raise AssertionError(f"not at its end after {MOST_STEPS} steps")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if WINDOWS and name not in FEW else [])
        for name in SCENARIOS
    ],
)
def test_a_death_at_some_steps(name: str, bench: Make, figure: Figure) -> None:
    """A sample, which for each verb begins elsewhere."""
    first = 1 + crc32(name.encode()) % 4
    figure(f"deaths at a step: {name}", sweep(bench(name), first=first, stride=STRIDE))


@pytest.mark.timeout(900)
@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_death_at_every_step(name: str, bench: Make, figure: Figure) -> None:
    """Nothing is lost or doubled, whatever the step."""
    figure(f"deaths at a step: {name}", sweep(bench(name)))


# The controls: careless variants, of which the same sweep must find fault with at least one death.


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("variant", "name", "first"),
    [
        ("write_settings_anew", "config set", 1),
        *(
            pytest.param(*control, marks=[pytest.mark.slow] if WINDOWS else [])
            for control in (
                ("copy_then_remove", "run to success", 10),
                ("move_then_stamp", "cancel", 8),
                ("delete_before_zip", "archive", 20),
            )
        ),
        *(
            pytest.param(*control, marks=[pytest.mark.slow])
            for control in (
                ("write_in_place", "run to success", 10),
                ("move_then_stamp", "run to success", 10),
                ("move_then_stamp", "task to success", 15),
                ("write_into_pending", "enqueue many", 10),
                ("name_by_chance", "fire a schedule", 10),
                ("take_by_a_name_of_its_own", "run that leaves a result", 15),
                ("write_into_pending", "import", 20),
            )
        ),
    ],
)
def test_a_careless_variant_is_noticed(variant: str, name: str, first: int, bench: Make) -> None:
    """It does well as long as nothing dies. The sweep begins shortly before where it is careless."""
    trial = bench(name)
    with trial.attempt(variant=variant) as (spool, ended):
        trial.judge(spool, ended, "come to its end")
    with pytest.raises(AssertionError, match="dead at step"):
        sweep(trial, first=first, variant=variant)


def test_a_step_is_not_taken_by_who_dies_at_it(bench: Make) -> None:
    """The control of the controls: the first step of many leaves the spool as it was, the last does not."""
    trial = bench("enqueue")
    names: list[Any] = []
    for step in (1, 0):
        with trial.attempt(step=step) as (spool, ended):
            names.append((ended.code, ended.said, [path.name for path in (spool / "pending").iterdir()]))
    assert names == [(crasher.DIED, [], []), (0, ["first"], ["first.json"])]
