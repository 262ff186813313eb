"""Folders that need not be looked into: large ones that have not changed, or of which a program hears."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional
from unittest.mock import patch

import pytest

from queuectl import locks, system
from queuectl import sweep as sweeps
from queuectl.queue import looks
from queuectl.queue.looks import GRAIN, HEARSAY, OLDEST, Looks
from queuectl.queue.store import Store
from queuectl.queue.survey import Survey
from queuectl.spool import Spool
from queuectl.state import State
from queuectl.sweep import Sweep
from tests.support.spools import Desk, Heard

OWNER = "box-1-0-abc"
pytestmark = pytest.mark.usefixtures("_large")


@pytest.fixture
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any folder counts as a large one."""
    monkeypatch.setattr(looks, "FEW", 0)


@pytest.fixture
def folders_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "FOLDERS_TELL", True)


@contextmanager
def looked_into(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[State]]:
    seen: set[State] = set()
    real = Spool.scan_state
    with monkeypatch.context() as patch:
        patch.setattr(Spool, "scan_state", lambda spool, state: (seen.add(state), real(spool, state))[1])
        yield seen


def look(desk: Desk, *, owner: Optional[str] = None) -> None:
    looks = Looks(desk.store, desk.clock(), owner=owner, spare=True)
    for _ in Survey(desk.store, desk.clock(), looks=looks).steps():
        pass


@pytest.mark.skipif(os.sep == "\\", reason="folders tell nothing there")
@pytest.mark.usefixtures("folders_tell")
class TestAFolderThatHasNotChanged:
    def looked_at(self, desk: Desk, *, owner: Optional[str] = None) -> None:
        desk.add("a")
        desk.put_job("done", "b", state="completed")
        look(desk, owner=owner)

    def test_is_not_looked_into_again(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked_at(desk)
        with looked_into(monkeypatch) as seen:
            look(desk)
        assert not {State.PENDING, State.COMPLETED} & seen
        assert sorted(desk.ids()) == ["a", "b"]

    def test_is_where_it_holds_few(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(looks, "FEW", 1)
        self.looked_at(desk)
        with looked_into(monkeypatch) as seen:
            look(desk)
        assert {State.PENDING, State.COMPLETED} <= seen

    @pytest.mark.parametrize("change", ["drop", "delete", "drag", "replace"])
    def test_is_when_it_changes(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
        self.looked_at(desk)
        if change == "drop":
            desk.drop("new.json")
        elif change == "delete":
            desk.path("pending", "a.json").unlink()
        elif change == "drag":
            desk.drag("a", "pending", "dead")
        else:
            (desk.root / "pending").rename(desk.root / "aside")
            (desk.root / "pending").mkdir()
        with looked_into(monkeypatch) as seen:
            look(desk)
        assert State.PENDING in seen
        assert {row["id"]: row["state"] for row in desk.queue.jobs()} == {
            "b": "completed",
            **{"drop": {"a": "pending", "new": "pending"}, "drag": {"a": "dead"}}.get(change, {}),
        }

    def test_just_before_the_look_is_not_known_to_be_the_same(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of two changes within one tick of its clock, a look may have seen the first alone."""
        changed = os.stat(desk.root / "pending").st_ctime
        desk.clock.advance(changed + GRAIN - 0.1 - desk.clock())
        self.looked_at(desk)
        with looked_into(monkeypatch) as seen:
            look(desk)
        assert State.PENDING in seen

    def test_is_where_its_time_is_put_back(self, desk: Desk) -> None:
        """As by `rsync -a`, or by `touch`."""
        self.looked_at(desk)
        before = os.stat(desk.root / "pending")
        desk.drop("new.json")
        os.utime(desk.root / "pending", ns=(before.st_atime_ns, before.st_mtime_ns))
        look(desk)
        assert sorted(desk.ids()) == ["a", "b", "new"]

    def test_is_where_as_many_have_come_as_gone(self, desk: Desk) -> None:
        self.looked_at(desk)
        desk.path("pending", "a.json").rename(desk.path("pending", "c.json"))
        desk.path("done", "b.json").rename(desk.path("done", "d.json"))
        look(desk)
        assert sorted(desk.ids()) == ["c", "d"]

    def test_by_a_program_that_has_been_told_of_others_since(self, desk: Desk) -> None:
        """An edit in its place is known by its event alone, and more may have come than it has seen to."""
        desk.add("a", "b", "c")
        sweep = Sweep(desk.store, Heard())
        sweep.look((), [])
        assert sweep.pause > 0
        for name in "abc":
            desk.drop(f"{name}.json", {"command": "edited", "priority": 7})
        with patch.object(sweeps, "SLICE", 1):
            sweep.hasten()
            sweep.look([(State.PENDING, f"{name}.json") for name in "abc"], [])
        assert {row["priority"] for row in desk.queue.jobs()} == {7}

    def test_is_where_there_is_more_to_see_to(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that is no job yet may be written to, which changes no folder."""
        desk.drop("empty.json", b"")
        self.looked_at(desk)
        desk.path("pending", "empty.json").write_bytes(b'{"command": "true"}')
        look(desk)
        assert sorted(desk.ids()) == ["a", "b", "empty"]

    def test_is_after_a_while_by_a_workers_program(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Jobs that were edited in their places are seen at last, even where no event told of them."""
        self.looked_at(desk, owner=OWNER)
        desk.clock.advance(OLDEST - 1)
        with looked_into(monkeypatch) as seen:
            look(desk, owner=OWNER)
        assert State.PENDING not in seen
        desk.clock.advance(2)
        with looked_into(monkeypatch) as seen:
            look(desk, owner=OWNER)
        assert State.PENDING in seen

    def test_is_by_a_system_whose_folders_tell_nothing(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.looked_at(desk)
        monkeypatch.setattr(system, "FOLDERS_TELL", False)
        with looked_into(monkeypatch) as seen:
            look(desk)
        assert State.PENDING in seen

    def test_is_when_the_index_is_built_anew(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked_at(desk)
        with looked_into(monkeypatch) as seen:
            assert desk.queue.reindex() == 2
        assert State.PENDING in seen


class TestAFolderThatAWorkersProgramHearsOf:
    @pytest.fixture
    def heard(self, desk: Desk) -> Iterator[locks.HeldLock]:
        held = locks.try_lock(desk.store.spool.lock_path(f"{OWNER}.lock"))
        assert held is not None
        desk.add("a")
        look(desk, owner=OWNER)
        yield held
        held.release()

    def test_is_left_to_it(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, heard: locks.HeldLock) -> None:
        desk.drop("new.json")
        with looked_into(monkeypatch) as seen:
            look(desk)
        assert State.PENDING not in seen

    def test_until_that_has_died(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, heard: locks.HeldLock
    ) -> None:
        heard.release()
        desk.drop("new.json")
        look(desk)
        assert sorted(desk.ids()) == ["a", "new"]

    def test_for_a_while(self, desk: Desk, heard: locks.HeldLock) -> None:
        """It looks at all from time to time, unless it hangs."""
        desk.drop("new.json")
        desk.clock.advance(HEARSAY + 1)
        look(desk)
        assert sorted(desk.ids()) == ["a", "new"]

    def test_even_if_others_look_into_it_too(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, heard: locks.HeldLock
    ) -> None:
        monkeypatch.setattr(looks, "FEW", 10)
        look(desk)
        monkeypatch.setattr(looks, "FEW", 0)
        desk.drop("new.json")
        with looked_into(monkeypatch) as seen:
            look(desk)
        assert State.PENDING not in seen

    def test_whose_first_look_somebody_else_was_in_the_middle_of(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, heard: locks.HeldLock
    ) -> None:
        other = looks.Looks(desk.store, desk.clock(), owner=None, spare=False)
        other.begin(State.PENDING)
        look(desk, owner=OWNER)
        other.keep()
        assert {one.owner for one in desk.store.index.looks() if one.folder == "pending"} == {OWNER}

    def test_is_looked_into_by_itself(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, heard: locks.HeldLock
    ) -> None:
        desk.drop("new.json")
        look(desk, owner=OWNER)
        assert sorted(desk.ids()) == ["a", "new"]


@pytest.mark.parametrize("row", ["('pending', 'x', 1, char(0), 1.0)", "('pending', 'x', 1, '../../x', 'y')"])
def test_nonsense_in_the_index_is_passed_over(desk: Desk, row: str) -> None:
    desk.add("a")
    desk.store.index._sql.execute(f"INSERT OR REPLACE INTO looks VALUES {row}")
    assert desk.store.index.looks() == []


def test_nobody_waits_to_write_one(desk: Desk) -> None:
    desk.add("a")
    with Store.open(str(desk.root)) as other, other.index.transaction():
        began = system.monotonic()
        look(desk)
        assert system.monotonic() - began < 2
