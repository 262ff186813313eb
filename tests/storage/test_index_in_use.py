"""An index that is lost, damaged or full while somebody works with it: the files tell, and no run is lost."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from typing import Any

import pytest

from queuectl import events
from queuectl.engine import Conditions
from queuectl.errors import SpoolUnusable
from queuectl.index import base, making, opening
from queuectl.job import Job
from queuectl.queue import Queue
from queuectl.queue.intake import settle_drops
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from queuectl.runner import Outcome
from tests.support.invariants import check
from tests.support.spools import Desk, Heard, during, failing, interrupted, succeeding

LIVE = "host-1-1-abc"
DAMAGE = sqlite3.DatabaseError("database disk image is malformed")


def refused(source: str, target: str, **_: Any) -> None:
    raise PermissionError(13, "held by somebody", source)


class TestAnotherIndexOfItsName:
    @pytest.mark.skipif(sys.platform == "win32", reason="there an open index is not deleted")
    @pytest.mark.parametrize("how", ["open", "follow", "heal"])
    def test_that_comes_while_we_connect_is_followed(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        """Else we would work with one that is no file any more, and see nothing of what others write."""
        index = desk.store.index
        real, left = base.connect, [2]

        def replaced_meanwhile(path: str, lock_path: str) -> Any:
            connected = real(path, lock_path)
            if left[0]:
                left[0] -= 1
                os.unlink(path)
                real(path, lock_path)[0].close()
            return connected

        monkeypatch.setattr(base, "connect", replaced_meanwhile)
        if how == "follow":
            os.unlink(desk.root / "index.sqlite3")
            index.follow()
        elif how == "heal":
            index.heal()
        else:
            desk.close()
            desk.queue = Queue(desk.root, create=False, now=desk.clock)
            index = desk.store.index
        assert left == [0]
        with Desk(desk.root, desk.clock) as other:
            other.add("a")
        index.follow()
        assert list(index.stamps()) == ["a"]

    @pytest.mark.skipif(sys.platform == "win32", reason="there an open index is not deleted")
    def test_again_and_again_is_followed_at_last(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        real = base.connect

        def replaced_meanwhile(path: str, lock_path: str) -> Any:
            connected = real(path, lock_path)
            os.unlink(path)
            real(path, lock_path)[0].close()
            return connected

        with monkeypatch.context() as patch:
            patch.setattr(base, "connect", replaced_meanwhile)
            index = Store.open(str(desk.root)).index
        desk.store.index.follow()
        desk.add("a")
        index.follow()
        assert list(index.stamps()) == ["a"]
        index.close()


class TestDamage:
    def test_that_a_worker_meets_at_a_claim_is_mended(self, desk: Desk) -> None:
        desk.add("a")
        with desk.worker(succeeding(desk.clock)) as worker:
            # The error that it meets is one of those that tell of damage.
            worker.store.index.close()
            assert worker.run_once() is True
        assert desk.folder_of("a") == ["done"]

    @pytest.mark.parametrize("how", [failing, succeeding, interrupted])
    def test_while_a_command_runs_loses_no_outcome(self, desk: Desk, how: Any) -> None:
        desk.add("a")
        with desk.worker() as worker:
            run = during(lambda job: worker.store.index.close(), how(desk.clock))
            worker.runner.run = run  # type: ignore[method-assign]
            assert worker.run_once() is True
        folder = {failing: "failed", succeeding: "done", interrupted: "pending"}[how]
        assert desk.record(folder, "a")["attempts"] == (0 if how is interrupted else 1)
        check(desk.root, ["a"])

    def test_does_not_hide_that_a_file_was_taken_away(self, desk: Desk) -> None:
        desk.add("a")
        heard = Heard()
        with desk.worker(emit=heard) as worker:

            def take(_: object) -> None:
                desk.path(f"processing/{LIVE}", "a.json").unlink()
                worker.store.index.close()

            worker.runner.run = during(take, succeeding(desk.clock))  # type: ignore[method-assign]
            assert worker.run_once() is True
        assert [one.text for one in heard.events if one.kind == events.NOTICE] == [
            "completed, but its file was taken away while it ran: not recorded"
        ]

    def test_in_the_way_of_a_record_is_waited_for(self, desk: Desk) -> None:
        """The name for what somebody made of the running job's file is one that the index must not know."""
        desk.add("a")
        with desk.worker(pause=lambda _: worker.store.heal(DAMAGE)) as worker:

            def edit(_: object) -> None:
                desk.drop("a.json", b"rubbish", f"processing/{LIVE}")
                worker.store.index.close()

            worker.runner.run = during(edit, failing(desk.clock))  # type: ignore[method-assign]
            assert worker.run_once() is True
        assert desk.record("failed", "a")["attempts"] == 1

    def test_of_which_others_hold_the_file_open_is_got_round_in_memory(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")
        desk.queue.set_config("max_retries", "7")
        with monkeypatch.context() as patch:
            patch.setattr(making.system, "replace", refused)
            assert desk.store.heal(DAMAGE) is True
        assert desk.store.index.in_memory
        assert "held by somebody" in str(desk.store.index.why_in_memory)
        assert (desk.ids(), desk.queue.get_config()["max_retries"]) == (["a"], 7)
        for change in (("set_config", "max_retries", "1"), ("unset_config", "max_retries"), ("reindex",)):
            with pytest.raises(SpoolUnusable, match="held by somebody"):
                getattr(desk.queue, change[0])(*change[1:])

    def test_does_not_take_the_settings_from_what_runs(self, desk: Desk) -> None:
        desk.queue.set_config("max_retries", "7")
        assert desk.store.config.max_retries == 7
        desk.store.index.close()
        assert desk.store.config.max_retries == 7

    def test_before_the_settings_were_read_is_told(self, desk: Desk) -> None:
        with Store.open(str(desk.root)) as store:
            store.index.close()
            with pytest.raises(sqlite3.ProgrammingError):
                store.config  # noqa: B018


class TestAnIndexInMemory:
    def test_of_a_worker_learns_of_new_jobs_at_each_claim(self, desk: Desk) -> None:
        with desk.worker(succeeding(desk.clock)) as worker:
            worker.store.index.leave_disk("of a reason")
            assert worker.run_once() is False
            desk.add("a")
            assert worker.run_once() is True

    def test_is_got_by_a_lack_of_descriptors_and_the_one_on_disk_stays(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = sorted(path.name for path in desk.root.glob("index*"))

        def lacking(path: str) -> Any:
            raise sqlite3.OperationalError("unable to open database file")

        for module in (opening, making):
            monkeypatch.setattr(module, "open_index", lacking)
        with closing(Store.open(str(desk.root))) as store:
            assert store.index.why_in_memory == "unable to open database file"
            with pytest.raises(SpoolUnusable, match="unable to open database file"):
                store.index.set_setting("timeout", "5")
        assert sorted(path.name for path in desk.root.glob("index*")) == before

    def test_is_what_a_user_gets_who_may_only_look(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def lacking(path: str) -> Any:
            raise sqlite3.OperationalError("attempt to write a readonly database")

        with monkeypatch.context() as patch:
            patch.setattr(opening, "open_index", lacking)
            patch.setattr(opening.os, "access", lambda *_: False)
            store = Store.open(str(desk.root))
        with closing(store):
            assert store.index.why_in_memory == "this user cannot write it"

    def test_tells_of_a_damaged_one_that_it_is_held_open(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And not that the spool cannot be written, which it can."""
        desk.close()
        (desk.root / "index.sqlite3").write_bytes(b"rubbish")
        with monkeypatch.context() as patch:
            patch.setattr(making.system, "replace", refused)
            store = Store.open(str(desk.root))
        with closing(store):
            assert "held by somebody" in str(store.index.why_in_memory)


@pytest.mark.skipif(os.sep == "\\", reason="on Windows a file that is open cannot be deleted")
def test_an_index_that_was_deleted_is_followed_to_the_next(desk: Desk) -> None:
    with desk.worker(succeeding(desk.clock)) as worker:
        assert worker.run_once() is False
        for path in desk.root.glob("index.sqlite3*"):
            path.unlink()
        with Desk(desk.root, desk.clock) as other:
            other.add("a")
        assert worker.run_once() is True


@pytest.mark.skipif(os.sep == "\\", reason="on Windows a file that is open cannot be deleted")
@pytest.mark.parametrize("how", ["enqueued", "renamed", "set aside", "edited while it ran"])
def test_a_name_is_chosen_by_the_index_that_is_there_now(desk: Desk, how: str) -> None:
    """Which knows of the name that differs in case only; the one that was deleted does not."""
    other_name = {"enqueued": "A", "renamed": "A-2", "set aside": "A", "edited while it ran": "A-2"}[how]

    def run(job: Job, conditions: Conditions) -> Outcome:
        desk.path("processing/host-1-1-abc", "a.json").write_bytes(b"{")
        replace()
        return succeeding(desk.clock)(job, conditions)

    def replace() -> None:
        for path in desk.root.glob("index.sqlite3*"):
            path.unlink()
        with Desk(desk.root, desk.clock) as other:
            other.add(other_name)

    if how == "enqueued":
        replace()
        desk.queue.enqueue([{"id": "a", "command": "x"}], rename=True)
    elif how == "edited while it ran":
        desk.add("a")
        with desk.worker(run) as worker:
            assert worker.run_once()
    else:
        desk.put_job("done", "a") if how == "renamed" else None
        desk.queue.refresh()
        desk.drop("a.json", b"{" if how == "set aside" else None)
        drops = reconcile_all(desk.store, desk.clock())
        desk.clock.advance(3600)
        replace()
        settle_drops(desk.store, drops, desk.clock())
    names = [path.stem for path in desk.root.glob("*/**/*.json")]
    assert len({name.lower() for name in names}) == len(names), names


class TestAFullDisk:
    def test_is_no_reason_not_to_tell_what_lies_where(self, desk: Desk) -> None:
        desk.add("a")
        sql = desk.store.index._sql
        sql.execute(f"PRAGMA max_page_count = {sql.execute('PRAGMA page_count').fetchone()[0]}")
        for number in range(200):
            desk.drop(f"b{number}.json", {"command": "x" * 200})
        status = desk.queue.status()
        assert status.counts["pending"] == 201
        assert desk.store.index.why_in_memory == "database or disk is full"
        assert len(desk.ids()) == 201

    def test_of_a_commit_leaves_no_transaction_open(self, desk: Desk) -> None:
        """All later writes would nest in it, and be gone with it."""

        class Full:
            """A connection whose first COMMIT is refused."""

            def __init__(self, sql: sqlite3.Connection) -> None:
                self._sql, self.refusals = sql, 1

            def execute(self, text: str, *values: Any) -> Any:
                if text == "COMMIT" and self.refusals:
                    self.refusals -= 1
                    raise sqlite3.OperationalError("database or disk is full")
                return self._sql.execute(text, *values)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._sql, name)

        desk.store.index._sql = Full(desk.store.index._sql)  # type: ignore[assignment]
        with pytest.raises(sqlite3.OperationalError, match="full"):
            desk.store.index.set_setting("max_retries", "1")
        desk.store.index.set_setting("max_retries", "2")
        with Desk(desk.root) as other:
            assert other.queue.get_config()["max_retries"] == 2
