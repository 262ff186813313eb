"""When a look at the folders may be left out, and by which changes it is told that it may not."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing
from typing import Any, Callable

import pytest

from queuectl import system
from queuectl.doorbell import Rings
from queuectl.events import nobody
from queuectl.queue.store import Store
from queuectl.quiet import LONGEST, Quiet
from queuectl.shift import Plan, Shift
from queuectl.supervisor import Supervisor
from queuectl.sweep import Sweep
from tests.support.spools import Desk

WORKER = "host-1-1-abc"
OTHER = "host-2-1-def"
BY_TIME = Rings(frozenset(), asked=False, rung=False)

tells = pytest.mark.skipif(not system.FOLDERS_TELL, reason="folders do not tell that they have changed")


@pytest.fixture
def still(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A spool with a worker that rests, and a job in each folder; nothing has changed for long."""
    for folder, state in (("pending", "pending"), ("done", "completed"), ("dead", "dead")):
        desk.put_job(folder, state, state=state, run_at="2999-01-01T00:00:00Z")
    (desk.root / "processing" / WORKER).mkdir()
    monkeypatch.setattr(system, "now", lambda: time.time() + 10)
    return desk


def looked_at(desk: Desk) -> Quiet:
    quiet = Quiet(desk.store)
    quiet.begin([WORKER])
    quiet.keep()
    return quiet


@tells
def test_where_nothing_has_happened_it_holds(still: Desk) -> None:
    assert looked_at(still).holds()


@pytest.mark.skipif(system.FOLDERS_TELL, reason="folders tell here")
def test_where_folders_do_not_tell_it_never_holds(still: Desk) -> None:
    assert not looked_at(still).holds()


def remake(desk: Desk) -> None:
    shutil.rmtree(desk.root / "failed")
    (desk.root / "failed").mkdir()


def set_config(desk: Desk) -> None:
    with closing(Store.open(str(desk.root))) as other:
        other.index.set_setting("poll_interval", "5")


CHANGES: dict[str, Callable[[Desk], Any]] = {
    "a drop": lambda desk: desk.drop("new.json"),
    "a waiting job deleted": lambda desk: desk.path("pending", "pending.json").unlink(),
    "a job dragged into failed": lambda desk: desk.drag("dead", "dead", "failed"),
    "an ended job deleted": lambda desk: desk.path("done", "completed.json").unlink(),
    "a file in the worker's folder": lambda desk: desk.drop("a.json", folder=f"processing/{WORKER}"),
    "the worker's folder deleted": lambda desk: (desk.root / "processing" / WORKER).rmdir(),
    "another worker": lambda desk: (desk.root / "processing" / OTHER).mkdir(),
    "a request": lambda desk: desk.drop(f"{WORKER}.stop", b"", "locks"),
    "a pause": lambda desk: (desk.root / "paused.txt").touch(),
    "a folder made anew": remake,
    "a folder missing": lambda desk: (desk.root / "tmp").rmdir(),
    "a setting": set_config,
    "no index": lambda desk: [os.unlink(path) for path in desk.root.glob("index.sqlite3*")],
}


@tells
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_ends_it(still: Desk, change: Callable[[Desk], Any]) -> None:
    quiet = looked_at(still)
    assert quiet.holds()
    change(still)
    assert not quiet.holds()


@tells
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_in_the_middle_of_the_look_ends_it(still: Desk, change: Callable[[Desk], Any]) -> None:
    quiet = Quiet(still.store)
    quiet.begin([WORKER])
    change(still)
    quiet.keep()
    assert not quiet.holds()


@tells
def test_while_two_changes_could_bear_one_time_it_does_not_hold(
    still: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "now", time.time)
    still.drop("new.json")
    assert not looked_at(still).holds()


@tells
def test_where_a_worker_of_another_program_may_die_it_does_not_hold(still: Desk) -> None:
    (still.root / "processing" / OTHER).mkdir()
    assert not looked_at(still).holds()


@tells
def test_while_something_cannot_be_read_it_does_not_hold(still: Desk) -> None:
    """It may be mended where it lies."""
    still.drop("empty.json", b"")
    still.look()
    assert not looked_at(still).holds()


@tells
def test_what_no_folder_tells_is_looked_for_now_and_then(
    still: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet, now = looked_at(still), system.monotonic()
    monkeypatch.setattr(system, "monotonic", lambda: now + LONGEST - 1)
    assert quiet.holds()
    monkeypatch.setattr(system, "monotonic", lambda: now + LONGEST + 1)
    assert not quiet.holds()


def _refuse(*_: object) -> None:
    raise OSError(24, "Too many open files")


class TestASupervisor:
    @pytest.fixture
    def idle(self, still: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:
        """One without workers, whose last look at all is over; how often it has looked, and it."""
        (still.root / "processing" / WORKER).rmdir()
        looks, real = [], Sweep.look

        def look(sweep: Sweep, *args: Any) -> bool:
            looks.append(args[0])
            return real(sweep, *args)

        monkeypatch.setattr(Sweep, "look", look)
        shift = Shift(str(still.root), Plan(workers=0), nobody)
        supervisor = Supervisor(shift, still.store)
        supervisor.watch()
        while supervisor.look(Rings(frozenset(), asked=False)):
            pass
        looks.clear()
        supervisor.sweep._next_round = 0.0
        yield supervisor, looks
        shift.bell.close()

    @tells
    def test_leaves_the_look_out_and_sleeps(self, idle: Any) -> None:
        supervisor, looks = idle
        assert supervisor.look(BY_TIME) is False
        assert looks == []
        assert supervisor.patience() > 0

    @tells
    def test_looks_when_something_rings(self, idle: Any) -> None:
        supervisor, looks = idle
        supervisor.look(Rings(frozenset(), asked=False))
        assert len(looks) == 1

    @tells
    def test_looks_when_something_has_changed(self, idle: Any, still: Desk) -> None:
        supervisor, looks = idle
        still.drop("new.json")
        supervisor.look(BY_TIME)
        assert len(looks) == 1

    @tells
    def test_looks_where_no_events_tell(self, idle: Any) -> None:
        supervisor, looks = idle
        supervisor.shift.bell.close()
        supervisor.look(BY_TIME)
        assert len(looks) == 1

    @tells
    def test_looks_again_after_one_that_did_not_do_all(
        self, idle: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        supervisor, looks = idle
        with monkeypatch.context() as patch:
            patch.setattr(Sweep, "_tidy_up", _refuse)
            supervisor.attempt(Rings(frozenset(), asked=False))
        supervisor.attempt(BY_TIME)
        assert len(looks) == 2

    @tells
    def test_looks_again_in_an_index_that_was_mended(self, idle: Any) -> None:
        supervisor, looks = idle
        supervisor.mended()
        supervisor.look(BY_TIME)
        assert len(looks) == 1

    @tells
    def test_looks_while_there_is_work(self, idle: Any, still: Desk) -> None:
        supervisor, looks = idle
        still.store.index.put([still.store.index.get("pending")._replace(due=None)])  # type: ignore[union-attr]
        supervisor.look(BY_TIME)
        assert len(looks) == 1

    @tells
    def test_looks_when_a_job_is_due(self, idle: Any) -> None:
        supervisor, looks = idle
        supervisor.sweep.next_due = system.now() - 1
        supervisor.look(BY_TIME)
        assert len(looks) == 1

    def test_without_folders_that_tell_it_looks_each_time(
        self, idle: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        supervisor, looks = idle
        monkeypatch.setattr(system, "FOLDERS_TELL", False)
        supervisor.sweep.hasten()
        supervisor.look(Rings(frozenset(), asked=False))
        supervisor.look(BY_TIME)
        assert len(looks) == 2
