from __future__ import annotations

import errno
import os
import sys

import pytest

from queuectl import system
from queuectl.system import clock

WINDOWS = sys.platform == "win32"


def passing(winerror: int = 32) -> OSError:
    """What the system says of a file that somebody holds open."""
    return OSError(0, "held", None, winerror) if WINDOWS else OSError(errno.EBUSY, "held")


class FakeClock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = 100.0
        self.pauses: list[float] = []
        monkeypatch.setattr(clock, "monotonic", lambda: self.time)
        monkeypatch.setattr(clock, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds


class Action:
    """Raises each of ``errors`` once, then returns "done"; raises ``always`` for good."""

    def __init__(self, *errors: OSError, always: OSError | None = None) -> None:
        self.errors = list(errors)
        self.always = always
        self.calls = 0

    def __call__(self, *_: object) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        if self.always is not None:
            raise self.always
        return "done"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    return FakeClock(monkeypatch)


def test_what_passes_is_waited_for(fake: FakeClock) -> None:
    assert system.with_patience(Action(passing(), passing())) == "done"
    assert fake.pauses == [0.001, 0.002]


def test_what_lasts_is_raised_when_the_patience_is_over(fake: FakeClock) -> None:
    denial = passing()
    with pytest.raises(OSError, match="held") as caught:
        system.with_patience(Action(always=denial), patience=2.0)
    assert caught.value is denial
    assert sum(fake.pauses) == pytest.approx(2.0)
    assert max(fake.pauses) == 0.05


def test_without_patience_there_is_one_try(fake: FakeClock) -> None:
    action = Action(always=passing())
    with pytest.raises(OSError, match="held"):
        system.with_patience(action, patience=0)
    assert (action.calls, fake.pauses) == (1, [])


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOSPC, errno.EEXIST])
def test_another_error_is_raised_at_once(fake: FakeClock, number: int) -> None:
    action = Action(always=OSError(number, "no"))
    with pytest.raises(OSError, match="no"):
        system.with_patience(action)
    assert action.calls == 1


@pytest.mark.skipif(not WINDOWS, reason="winerror")
@pytest.mark.parametrize("winerror", [5, 32, 33, 1224])
def test_the_passing_errors_of_windows(winerror: int) -> None:
    assert system.is_transient(passing(winerror))
    assert not system.is_transient(passing(2))


@pytest.mark.skipif(WINDOWS, reason="errno")
def test_a_permission_error_on_posix_is_final() -> None:
    assert system.is_transient(OSError(errno.ETXTBSY, ""))
    assert not system.is_transient(OSError(errno.EACCES, ""))


def test_replace_has_patience(monkeypatch: pytest.MonkeyPatch, fake: FakeClock) -> None:
    action = Action(passing(), passing())
    monkeypatch.setattr(os, "replace", action)
    system.replace("a", "b")
    assert action.calls == 3


def test_replace_gives_up_on_a_lasting_denial(monkeypatch: pytest.MonkeyPatch, fake: FakeClock) -> None:
    monkeypatch.setattr(os, "replace", Action(always=passing()))
    with pytest.raises(OSError, match="held"):
        system.replace("a", "b", patience=0.3)
    assert sum(fake.pauses) == pytest.approx(0.3)
