"""What runs is given some time after a signal, and no more where the system would kill it all."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from queuectl import system
from queuectl.events import nobody
from queuectl.fleet import shares
from queuectl.shift import Plan, Shift


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(system, "monotonic", lambda: now[0])
    return now


def shift(patience: Optional[float]) -> Shift:
    return Shift(str(Path("nowhere")), Plan(patience=patience), nobody)


def test_after_its_time_it_is_as_if_a_second_signal_had_come(clock: list[float]) -> None:
    made = shift(60.0)
    made.signalled()
    clock[0] += 59.9
    made.lose_patience()
    assert (made.stops, made.interrupted) == (1, False)
    clock[0] += 0.1
    made.lose_patience()
    assert (made.stops, made.interrupted) == (2, True)


def test_others_have_all_the_time(clock: list[float]) -> None:
    asked, told, none = shift(60.0), shift(None), shift(60.0)
    asked.stop()
    told.signalled()
    clock[0] += 1e6
    for made in (asked, told, none):
        made.lose_patience()
    assert (asked.stops, told.stops, none.stops) == (1, 1, 0)


def test_each_process_of_a_fleet_has_it() -> None:
    assert {plan.patience for plan in shares(Plan(workers=4, patience=7.0), 4)} == {7.0}
