"""Who looks after workers in a process of which another one tells when to look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from queuectl.doorbell import Rings
from queuectl.events import nobody
from queuectl.minder import Minder
from queuectl.queue.requests import FINISH, KILL
from queuectl.shift import Plan, Shift
from queuectl.spool import Spool
from tests.support.spools import Desk

WORKER = "host-1-1-abc"
ASKED = Rings(frozenset(), asked=True)
RUNG = Rings(frozenset(), asked=False)
BY_TIME = Rings(frozenset(), asked=False, rung=False)


@pytest.fixture
def minder(desk: Desk) -> Iterator[Minder]:
    """Of one worker, which runs nothing."""
    shift = Shift(str(desk.root), Plan(helps=True), nobody)
    with desk.worker(name=WORKER) as worker:
        shift.crew.workers.append(worker)
        yield Minder(shift, desk.store)


@pytest.mark.parametrize("rings", [ASKED, BY_TIME], ids=["told", "by time"])
def test_a_request_is_heard(desk: Desk, minder: Minder, rings: Rings) -> None:
    desk.ask(WORKER, ".stop", KILL)
    minder.attempt(rings)
    assert minder.shift.stops == 2


def test_who_stops_hears_what_else_is_asked_though_nobody_tells(desk: Desk, minder: Minder) -> None:
    """The first process may have no workers left, and look no more."""
    desk.ask(WORKER, ".stop", FINISH)
    minder.attempt(ASKED)
    assert minder.shift.stops == 1
    desk.ask(WORKER, ".stop", KILL)
    minder.attempt(RUNG)
    assert minder.shift.stops == 2


@pytest.mark.parametrize("wish", [FINISH, KILL])
def test_who_stops_does_not_look_again_at_once_because_the_request_still_lies_there(
    desk: Desk, minder: Minder, wish: str
) -> None:
    """It did, one look after the other: a whole core, for as long as what ran went on."""
    desk.ask(WORKER, ".stop", wish)
    minder.attempt(ASKED)
    assert minder.shift.bell.wait(0).rung, "it looks once more, for what it has just begun"
    minder.attempt(RUNG)
    assert not minder.shift.bell.wait(0).rung


def test_a_request_is_heard_though_a_folder_cannot_be_made(
    desk: Desk, minder: Minder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    desk.ask(WORKER, ".stop", KILL)
    monkeypatch.setattr(Spool, "make_worker_folder", full)
    minder.attempt(ASKED)
    assert minder.shift.stops == 2


def test_a_lock_and_a_folder_that_were_deleted_are_made_anew(desk: Desk, minder: Minder) -> None:
    minder.shift.crew._next_check = 0.0
    (desk.root / "processing" / WORKER).rmdir()
    minder.attempt(ASKED)
    assert (desk.root / "processing" / WORKER).is_dir()


def test_who_stops_makes_no_folder(desk: Desk, minder: Minder) -> None:
    """Its workers are just closing theirs."""
    minder.shift.stop()
    (desk.root / "processing" / WORKER).rmdir()
    minder.attempt(ASKED)
    assert not (desk.root / "processing" / WORKER).exists()
    (desk.root / "processing" / WORKER).mkdir()


def test_a_worker_in_whose_folder_somebody_has_put_a_job_looks(desk: Desk, minder: Minder) -> None:
    before = minder.shift.turns.number
    minder.attempt(ASKED)
    assert minder.shift.turns.number == before
    desk.path(f"processing/{WORKER}", "a.json").write_text("{}")
    minder.attempt(ASKED)
    assert minder.shift.turns.number == before + 1
    desk.path(f"processing/{WORKER}", "a.json").unlink()


def test_it_sleeps_while_all_rest(minder: Minder) -> None:
    assert minder.patience() <= 1.0
    minder.shift.turns._resting[WORKER] = None  # type: ignore[assignment]
    assert minder.patience() == float("inf")
