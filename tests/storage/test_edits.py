"""hold, release and edit, by the library: jobs that wait, changed where they lie."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

import pytest

from queuectl import system
from queuectl.errors import Conflict, DamagedRecord, InvalidInput, NoSuchJob, QueueError
from queuectl.index import Filter
from queuectl.queue.store import Store
from queuectl.spool import Place, Spool
from tests.support.spools import START, Desk, failing


class TestEdit:
    def test_gives_fields_other_values_and_keeps_the_rest(self, desk: Desk) -> None:
        desk.add("a", tags=["t"], env={"A": "1"}, meta={"k": [1]})
        before = desk.record("pending", "a")
        desk.clock.advance(60)
        desk.queue.edit("a", {"command": ["y"], "priority": 7, "tags": None})
        after = desk.record("pending", "a")
        assert after.pop("updated_at") > before.pop("updated_at")
        del before["tags"]
        assert after == {**before, "command": ["y"], "priority": 7}
        row = desk.row("a")
        assert (row["command"], row["priority"], row["tags"]) == (["y"], 7, [])

    def test_of_one_that_waits_for_its_retry_the_attempts_stay(self, desk: Desk) -> None:
        desk.add("a")
        desk.run_once(failing(desk.clock))
        desk.queue.edit("a", {"timeout": 5.0})
        record = desk.record("failed", "a")
        assert (record["attempts"], record["timeout"], len(record["history"])) == (1, 5.0, 1)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"command": ""}, "command: a command cannot be empty"),
            ({"command": None}, "command"),
            ({"priority": "high"}, "priority"),
            ({"id": "b"}, "'id' is no field that can be changed"),
            ({"attempts": 0}, "'attempts' is no field that can be changed"),
            ({"state": "dead"}, "'state' is no field that can be changed"),
            ({"nope": 1}, "'nope' is no field that can be changed"),
            ({"run_at": "soon"}, "run_at: 'soon' is not an RFC 3339 time"),
            ({"command": "x" * 2**20}, "larger than max_job_bytes"),
            ({"meta": {"x": object()}}, "a job's fields are JSON values"),
            ({"command": "\ud800"}, "a job's fields are JSON values|not valid Unicode|command"),
        ],
    )
    def test_to_no_job_is_refused_and_changes_nothing(
        self, desk: Desk, changes: dict[str, Any], told: str
    ) -> None:
        desk.add("a")
        before = desk.path("pending", "a.json").read_bytes()
        with pytest.raises(InvalidInput, match=told):
            desk.queue.edit("a", changes)
        assert desk.path("pending", "a.json").read_bytes() == before

    @pytest.mark.parametrize("verb", ["hold", "release", "edit"])
    def test_only_what_waits_can_be_changed(self, desk: Desk, verb: str) -> None:
        act = {
            "hold": lambda: desk.queue.hold(["a"]),
            "release": lambda: desk.queue.release(["a"]),
            "edit": lambda: desk.queue.edit("a", {"priority": 1}),
        }[verb]
        with pytest.raises(NoSuchJob):
            act()
        desk.add("a")
        with desk.worker() as worker:
            worker._claim()
            with pytest.raises(Conflict, match="is processing"):
                act()
        desk.run_once()
        desk.look()
        if desk.folder_of("a") == ["done"]:
            with pytest.raises(Conflict, match="is completed"):
                act()

    def test_a_file_that_is_no_job_is_told(self, desk: Desk) -> None:
        desk.add("a")
        desk.drop("a.json", b"{")
        with pytest.raises(DamagedRecord):
            desk.queue.edit("a", {"priority": 1})
        assert desk.path("pending", "a.json").read_bytes() == b"{"

    def test_what_somebody_saves_meanwhile_is_not_written_over(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")
        mine = b'{"id": "a", "command": "mine"}'
        read = Spool.read_sound

        def then_saved(spool: Spool, *args: Any) -> Any:
            found = read(spool, *args)
            desk.path("pending", "a.json").write_bytes(mine)
            return found

        monkeypatch.setattr(Spool, "read_sound", then_saved)
        with pytest.raises(Conflict, match="just been moved or changed"):
            desk.queue.edit("a", {"priority": 1})
        assert desk.path("pending", "a.json").read_bytes() == mine

    def test_it_runs_as_edited_and_when(self, desk: Desk) -> None:
        desk.add("a", run_at="2999-01-01T00:00:00Z")
        desk.queue.edit("a", {"run_at": None})
        ran: list[Any] = []
        desk.run_once(lambda job, setting: ran.append(job.command) or failing(desk.clock)(job, setting))
        assert ran == ["echo hi"]

    def test_a_job_can_be_made_to_wait_for_another(self, desk: Desk) -> None:
        desk.add("a", "b")
        desk.queue.edit("a", {"after": ["b"]})
        assert desk.row("a")["held_by"] == "after"
        desk.queue.edit("a", {"after": None})
        assert desk.row("a")["held_by"] is None


class TestRelease:
    def test_of_one_that_is_not_held_is_refused(self, desk: Desk) -> None:
        desk.add("a", "b")
        desk.add("child", after=["a"])
        with pytest.raises(Conflict, match="is not held"):
            desk.queue.release(["b"])
        with pytest.raises(Conflict, match="--anyway"):
            desk.queue.release(["child"])

    def test_anyway_drops_what_it_waits_for(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("child", after=["a"], hold=True)
        desk.queue.release(["child"])
        assert desk.row("child")["held_by"] == "after"
        desk.queue.release(["child"], anyway=True)
        assert desk.row("child")["held_by"] is None
        assert "after" not in desk.record("pending", "child")

    def test_all_or_none(self, desk: Desk) -> None:
        desk.add("a", hold=True)
        desk.add("b")
        with pytest.raises(Conflict):
            desk.queue.release(["a", "b"])
        assert desk.row("a")["held_by"] == "hold"


def test_an_index_that_cannot_be_written_is_no_reason_to_write_the_file_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add("a", after=[])
    written: list[str] = []
    put_over = Spool.put_over

    def count(spool: Spool, prepared: str, place: Place, **options: Any) -> None:
        written.append(place.job_id)
        put_over(spool, prepared, place, **options)

    def fail(job_ids: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(Spool, "put_over", count)
    monkeypatch.setattr(desk.store.index, "unlink", fail)
    desk.queue.hold(["a"])
    assert written == ["a"]
    assert not desk.store.index.in_memory
    assert desk.row("a")["held_by"] == "hold"


def test_a_hold_outlives_the_index_and_tells_its_time(desk: Desk) -> None:
    desk.add("a")
    desk.clock.advance(5)
    desk.queue.hold(["a"])
    desk.queue.reindex()
    record = desk.record("pending", "a")
    assert (record["hold"], desk.row("a")["held_by"]) == (True, "hold")
    assert desk.clock() == START + 5


class TestLasts:
    """What is said to be done is not undone by a power cut."""

    @pytest.fixture
    def synced(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        found: list[str] = []
        monkeypatch.setattr(system, "sync_folder", lambda path: found.append(os.path.basename(path)))
        return found

    def test_an_edit_a_hold_and_a_release(self, desk: Desk, synced: list[str]) -> None:
        desk.add("a")
        for act in (
            lambda: desk.queue.hold(["a"]),
            lambda: desk.queue.edit("a", {"priority": 1}),
            lambda: desk.queue.release(["a"]),
            lambda: desk.queue.act(desk.queue.choose("hold", Filter())),
            lambda: desk.queue.act(desk.queue.choose("release", Filter())),
        ):
            synced.clear()
            act()
            assert "pending" in synced

    @pytest.mark.parametrize(
        ("verb", "folder", "target"),
        [("retry", "dead", "pending"), ("cancel", "pending", "dead"), ("hold", "pending", "pending")],
    )
    def test_what_was_done_before_another_was_in_the_way(
        self,
        desk: Desk,
        synced: list[str],
        monkeypatch: pytest.MonkeyPatch,
        verb: str,
        folder: str,
        target: str,
    ) -> None:
        for name in ("a", "b"):
            desk.put_job(folder, name, state=folder, attempts=1)
        desk.queue.refresh()
        real = Store.stamp

        def one_only(store: Store, place: Place, *args: Any, **options: Any) -> Any:
            if place.job_id == "b":
                raise FileNotFoundError(2, "gone")
            return real(store, place, *args, **options)

        monkeypatch.setattr(Store, "stamp", one_only)
        synced.clear()
        with pytest.raises(QueueError) as caught:
            getattr(desk.queue, verb)(["a", "b"])
        assert "done before: a" in (caught.value.hint or "")
        assert target in synced
