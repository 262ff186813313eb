from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Optional
from unittest.mock import patch

import pytest

from queuectl.errors import SpoolUnusable
from queuectl.index import Entry, Index, Oddity, filters, shown
from queuectl.index import base as index_base
from queuectl.index import connection as index_connection
from queuectl.index import making as index_making
from queuectl.index.base import HELD
from queuectl.index.filters import ALL, Filter
from queuectl.queue.store import Store
from queuectl.state import State
from tests.support.spools import START, Desk

FILTERS = [
    ALL,
    Filter(states=(State.FAILED, State.DEAD)),
    Filter(group="g", tag="t", changed_before=START, changed_since=START),
    Filter(command_like="x", error_like="x", held=True),
]


def entry(job_id: str, **changes: Any) -> Entry:
    plain = Entry(
        id=job_id,
        fold=job_id.lower(),
        state="pending",
        worker=None,
        mtime_ns=1,
        size=1,
        priority=0,
        due=None,
        created=START,
        command='"x"',
        attempts=0,
        crashes=0,
        max_retries=None,
        run_at=None,
        created_at=None,
        updated_at=None,
        exit_code=None,
        error=None,
        tags="",
    )
    return plain._replace(**changes)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with closing(Index(str(tmp_path / "index.sqlite3"), str(tmp_path / "lock"))) as one:
        yield one


def ready(index: Index, limit: int = 10) -> list[str]:
    return [one.id for one in index.ready(limit)]


class TestTheOrderOfClaims:
    def test_priority_then_age_then_name(self, index: Index) -> None:
        index.put(
            [
                entry("young", created=START + 1),
                entry("b"),
                entry("a"),
                entry("high", priority=5, created=START + 9),
                entry("low", priority=-1, created=START - 9),
            ]
        )
        assert ready(index) == ["high", "a", "b", "young", "low"]
        assert ready(index, 2) == ["high", "a"]

    def test_what_waits_to_be_retried_takes_its_turn(self, index: Index) -> None:
        index.put([entry("new", created=START + 1), entry("old", state="failed")])
        assert ready(index) == ["old", "new"]

    def test_nothing_else_is_ready(self, index: Index) -> None:
        states = ["processing", "completed", "dead"]
        index.put([entry(state, state=state) for state in states])
        assert ready(index) == []

    def test_what_is_not_due_is_not_ready_until_it_is_promoted(self, index: Index) -> None:
        index.put([entry("later", due=START + 5, priority=9), entry("much", due=START + 50), entry("now")])
        assert ready(index) == ["now"]
        assert index.next_due() == START + 5
        assert index.promote(START + 4.9) == START + 5
        assert index.promote(START + 5) == START + 50
        assert ready(index) == ["later", "now"]
        assert index.next_due() == START + 50

    def test_what_is_postponed_is_passed_over(self, index: Index) -> None:
        index.put([entry("a"), entry("b")])
        index.postpone("a", START, 0.5, "held by somebody", START)
        assert [(row.id, row.stuck_since, row.stuck_why) for row in index.stuck()] == [
            ("a", START, "held by somebody")
        ]
        assert ready(index) == ["b"]
        assert index.next_due() == START + 0.5
        index.promote(START + 1)
        assert ready(index) == ["a", "b"]

    def test_what_comes_next_is_told_soonest_first(self, index: Index) -> None:
        index.put(
            [entry("now"), entry("b", due=START + 9), entry("a", due=START + 5), entry("c", due=START + 5)]
        )
        index.put([entry("over", state="completed")])
        assert [row.id for row in index.coming(9)] == ["a", "c", "b"]
        assert [row.id for row in index.coming(2)] == ["a", "c"]
        index.put([entry("held", due=HELD), entry("parked", due=index_base.PARKED)])
        assert [row.id for row in index.coming(9)] == ["a", "c", "b"], "of these nobody knows when"

    @pytest.mark.parametrize(
        "asked", ["ready", "promote", "has_ready", "has_lanes", "stuck", "runs_crashed", "coming"]
    )
    def test_costs_the_same_however_many_wait(self, index: Index, asked: str) -> None:
        answers: dict[str, Callable[[], bool]] = {
            "ready": lambda: len(ready(index, 2)) == 2,
            "promote": lambda: index.promote(START) == START + 1,
            "has_ready": lambda: index.has_ready(START),
            "has_lanes": lambda: not index.has_lanes(),
            "stuck": lambda: index.stuck() == [],
            "coming": lambda: len(index.coming(9)) == 9,
            "runs_crashed": lambda: not index.runs_crashed("host-1-", "-abc"),
        }

        def steps() -> int:
            taken: list[None] = []
            index._sql.set_progress_handler(lambda: taken.append(None), 10)
            assert answers[asked]()
            index._sql.set_progress_handler(None, 0)
            return len(taken)

        index.put(entry(f"few-{number}", due=None if number % 2 else START + 1) for number in range(20))
        few = steps()
        index.put(entry(f"many-{number}", due=None if number % 2 else START + 1) for number in range(2000))
        assert steps() <= few + 2

    def test_nothing_is_due_in_an_empty_index(self, index: Index) -> None:
        assert index.next_due() is None


class TestRows:
    def test_are_written_over_read_and_forgotten(self, index: Index) -> None:
        index.put([entry("a", priority=1), entry("b")])
        index.put([entry("a", priority=2)])
        assert index.get("a") == entry("a", priority=2)
        index.drop(["a", "never"])
        assert index.get("a") is None
        assert index.stamps() == {"b": entry("b").stamp}

    def test_are_counted_by_state(self, index: Index) -> None:
        index.put([entry("a"), entry("b"), entry("c", state="dead")])
        assert index.counts() == {"pending": 2, "processing": 0, "completed": 0, "failed": 0, "dead": 1}

    def test_of_ids_alike_are_found(self, index: Index) -> None:
        index.put([entry("Backup"), entry("other")])
        assert index.alike("backup") == ["Backup"]

    def test_are_listed_by_state_tag_and_limit(self, index: Index) -> None:
        index.put(
            [
                entry("a", tags="\nred\nblue\n"),
                entry("b", tags="\nred-ish\n"),
                entry("c", state="dead", tags="\nred\n"),
            ]
        )
        assert [one.id for one in index.entries(tag="red")] == ["a", "c"]
        assert [one.id for one in index.entries(tag="red", state=State.DEAD)] == ["c"]
        assert [one.id for one in index.entries(tag="ish")] == []
        assert [one.id for one in index.entries(tag="%")] == []
        assert len(index.entries(limit=1)) == 1
        assert index.entries(limit=0) == []

    def test_are_listed_running_first_then_waiting_then_the_latest_to_end(self, index: Index) -> None:
        index.put(
            [
                entry("ended", state="completed", updated_at="2027-01-01"),
                entry("ended-later", state="dead", updated_at="2027-01-02"),
                entry("later", state="failed", due=START + 5),
                entry("next", priority=1),
                entry("then"),
                entry("runs", state="processing"),
            ]
        )
        assert [one.id for one in index.entries()] == [
            "runs",
            "next",
            "then",
            "later",
            "ended-later",
            "ended",
        ]

    def test_of_a_block_that_fails_are_not_written(self, index: Index) -> None:
        with pytest.raises(sqlite3.Error), index.transaction():
            index.put([entry("a"), entry("b", state=None)])
        assert index.get("a") is None

    def test_are_cleared_without_the_settings(self, index: Index) -> None:
        index.put([entry("a")])
        index.put_oddities([Oddity("p", "r", 1, 1, 1.0)])
        index.set_setting("max_retries", "5")
        index.clear()
        assert (index.stamps(), index.oddities(), index.settings()) == ({}, [], {"max_retries": "5"})


RUNS: dict[str, Any] = {"state": "processing", "worker": "host-1-1-abc"}
ENDED: dict[str, Any] = {
    "state": "completed",
    "mtime_ns": 7,
    "size": 9,
    "attempts": 2,
    "crashes": 1,
    "exit_code": 3,
    "error": "e",
    "updated_at": "2027-01-15T08:00:00.000Z",
    "created_at": "2027-01-15T07:00:00.000Z",
    "created": START - 1,
}
FAILED: dict[str, Any] = {**ENDED, "state": "failed", "due": START + 9, "run_at": "2027-01-15T08:00:09.000Z"}


class TestChanges:
    """`change` writes less than `put`, and leaves the same."""

    @staticmethod
    def rows(index: Index) -> list[tuple[Any, ...]]:
        jobs = index._sql.execute("SELECT * FROM jobs ORDER BY id").fetchall()
        return jobs + index._sql.execute("SELECT * FROM links ORDER BY child, parent").fetchall()

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({}, RUNS),
            ({"state": "failed", "due": None, "stuck_since": START, "stuck_why": "held"}, RUNS),
            (
                {"lane": "g", "batch": "b", "tags": "\na\n", "unique_key": "k"},
                {**RUNS, "lane": "g", "batch": "b"},
            ),
            (RUNS, ENDED),
            (RUNS, {**ENDED, "state": "dead"}),
            (RUNS, FAILED),
            ({**RUNS, "after": "success other"}, {**ENDED, "after": "success? other"}),
        ],
    )
    @pytest.mark.parametrize("knows", ["it", "another version", "nothing"])
    def test_leave_what_put_does(
        self, index: Index, tmp_path: Path, before: dict[str, Any], after: dict[str, Any], knows: str
    ) -> None:
        old = entry("a", **before)
        kept = {name: getattr(old, name) for name in ("tags", "unique_key")}
        new = entry("a", **{**kept, **after})
        with closing(Index(str(tmp_path / "other.sqlite3"), str(tmp_path / "lock"))) as other:
            for one in (index, other):
                one.put([entry("b"), entry("waits", due=HELD, after="success a")])
                if knows != "nothing":
                    one.put(
                        [old._replace(size=5, command='"of then"') if knows == "another version" else old]
                    )
            index.change([new], [old.stamp])
            other.put([new])
            assert self.rows(index) == self.rows(other)

    @pytest.mark.parametrize("parent", ["a", "/all"])
    def test_set_free_who_waits_for_one_that_ends(self, index: Index, parent: str) -> None:
        runs = [entry(one, **RUNS, batch="all") for one in ("a", "b")]
        index.put([*runs, entry("waits", due=HELD, after=f"success {parent}"), entry("other")])
        ends = [one._replace(state="completed", worker=None) for one in runs]
        index.change(ends[:1], [runs[0].stamp])
        assert ready(index) == (["other", "waits"] if parent == "a" else ["other"])
        index.change(ends[1:], [runs[1].stamp])
        assert ready(index) == ["other", "waits"]

    def test_write_no_more_than_that(self, index: Index) -> None:
        """Of a job for which nobody waits: all indices of the table, and the triggers, cost twice that."""
        index.put([entry("a"), entry("b"), entry("waits", due=HELD, after="success b")])
        asked: list[str] = []
        index._sql.set_trace_callback(asked.append)
        index.change([entry("a", **RUNS)], [entry("a").stamp])
        index._sql.set_trace_callback(None)
        written = [one.split()[0] for one in asked if "jobs" in one and not one.startswith("--")]
        assert written == ["UPDATE"]


class TestOddities:
    def test_are_remembered_and_forgotten(self, index: Index) -> None:
        first, second, third = (Oddity(path, "r", 1, 1, 1.0) for path in "abc")
        index.put_oddities([third, first])
        index.put_oddities([second, first._replace(reason="other")])
        assert index.oddities() == [first._replace(reason="other"), second, third]
        index.drop_oddities(["a", "c", "never"])
        assert index.oddities() == [second]


class TestSettings:
    def test_are_kept_and_forgotten(self, index: Index) -> None:
        index.set_setting("a", "1")
        index.set_setting("a", "2")
        assert index.settings() == {"a": "2"}
        index.unset_setting("a")
        index.unset_setting("a")
        assert index.settings() == {}


class TestTheFile:
    """What becomes of an index that cannot be used: set aside, and built anew from the files."""

    @pytest.fixture
    def spool(self, tmp_path: Path) -> Path:
        with Desk(tmp_path / "spool") as desk:
            desk.add(*(f"job-{number:03}" for number in range(60)), tags=["t" * 50])
            desk.queue.set_config("max_retries", "7")
            desk.queue.refresh()
        return tmp_path / "spool"

    def assert_as_new(self, spool: Path, *, max_retries: Optional[int] = None) -> None:
        with Desk(spool) as desk:
            assert len(desk.ids()) == 60
            assert desk.queue.status().counts["pending"] == 60
            assert desk.run_once() is True
            if max_retries is not None:
                assert desk.queue.get_config()["max_retries"] == max_retries

    def set_aside(self, spool: Path) -> list[str]:
        return sorted(
            path.name
            for path in spool.glob("index.sqlite3.damaged-*")
            if path.name[-3:] not in ("wal", "shm")
        )

    def test_a_sound_one_is_kept(self, spool: Path) -> None:
        self.assert_as_new(spool, max_retries=7)
        assert self.set_aside(spool) == []

    def test_one_that_was_deleted(self, spool: Path) -> None:
        (spool / "index.sqlite3").unlink()
        self.assert_as_new(spool, max_retries=3)

    def test_one_that_was_deleted_without_its_journal(self, spool: Path) -> None:
        (spool / "index.sqlite3").unlink()
        (spool / "index.sqlite3-wal").write_bytes(os.urandom(4096))
        self.assert_as_new(spool)

    @pytest.mark.parametrize(
        "data", [b"hello", b"SQLite format 3\0" + b"\xff" * 5000, bytes(range(256)) * 64]
    )
    def test_one_of_other_bytes(self, spool: Path, data: bytes) -> None:
        (spool / "index.sqlite3").write_bytes(data)
        self.assert_as_new(spool, max_retries=3)
        (name,) = self.set_aside(spool)
        assert (spool / name).read_bytes() == data

    def test_an_empty_one(self, spool: Path) -> None:
        (spool / "index.sqlite3").write_bytes(b"")
        self.assert_as_new(spool, max_retries=3)

    @pytest.mark.parametrize("share", [0.02, 0.25, 0.5, 0.75, 0.95])
    def test_one_that_ends_too_early(self, spool: Path, share: float) -> None:
        data = (spool / "index.sqlite3").read_bytes()
        (spool / "index.sqlite3").write_bytes(data[: int(len(data) * share)])
        self.assert_as_new(spool)

    @pytest.mark.parametrize("page", [1, 3, 4, 8, 10])
    def test_one_with_a_page_of_rubbish(self, spool: Path, page: int) -> None:
        data = bytearray((spool / "index.sqlite3").read_bytes())
        size = int.from_bytes(data[16:18], "big")
        if (page + 1) * size > len(data):
            pytest.skip("the index has fewer pages")
        data[page * size : (page + 1) * size] = b"\xa5" * size
        (spool / "index.sqlite3").write_bytes(bytes(data))
        self.assert_as_new(spool)

    def test_one_without_its_tables(self, spool: Path) -> None:
        with closing(sqlite3.connect(spool / "index.sqlite3")) as connection:
            connection.execute("DROP TABLE jobs")
            connection.commit()
        self.assert_as_new(spool, max_retries=7)

    @pytest.mark.parametrize("version", [0, 1, 99])
    def test_one_of_another_version_leaves_its_settings(self, spool: Path, version: int) -> None:
        with closing(sqlite3.connect(spool / "index.sqlite3")) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
            connection.commit()
        self.assert_as_new(spool, max_retries=7)
        assert (spool / f"index.sqlite3.version-{version}").exists() or list(
            spool.glob(f"*version-{version}*")
        )

    def test_settings_of_another_version_that_are_unknown_here_do_no_harm(self, spool: Path) -> None:
        with closing(sqlite3.connect(spool / "index.sqlite3")) as connection:
            connection.execute("INSERT INTO config VALUES ('from_the_future', 'x'), ('timeout', 'soon')")
            connection.execute("PRAGMA user_version = 99")
            connection.commit()
        self.assert_as_new(spool, max_retries=7)

    def test_one_that_others_hold_open_does_not_stop_the_work(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def held(source: str, target: str, **_: Any) -> None:
            raise PermissionError(13, "held by somebody", source)

        (spool / "index.sqlite3").write_bytes(b"rubbish")
        with monkeypatch.context() as patch:
            patch.setattr(index_making.system, "replace", held)
            desk = Desk(spool)
        with desk:
            assert desk.store.index.in_memory
            assert len(desk.ids()) == 60
            assert (spool / "index.sqlite3").read_bytes() == b"rubbish"
            with pytest.raises(SpoolUnusable, match="cannot be changed"):
                desk.queue.set_config("max_retries", "1")

    def test_one_that_many_open_at_once_is_made_once(self, spool: Path) -> None:
        (spool / "index.sqlite3").write_bytes(b"rubbish")
        barrier, errors = threading.Barrier(6), []

        def open_it() -> None:
            barrier.wait()
            try:
                Store.open(str(spool)).close()
            except Exception as error:  # noqa: BLE001 (told below)
                errors.append(error)

        threads = [threading.Thread(target=open_it) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(self.set_aside(spool)) == 1

    def test_on_a_spool_that_cannot_be_written_it_is_in_memory(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (spool / "index.sqlite3").unlink()
        monkeypatch.setattr(index_making.os, "access", lambda *_: False)
        with closing(Store.open(str(spool))) as store:
            assert store.index.in_memory
        assert not (spool / "index.sqlite3").exists()


class Died(BaseException):
    """What a process that dies at a step leaves undone."""


class TestSettingsWhileTheIndexIsReplaced:
    """They are in the index alone: whatever happens to it, what was acknowledged holds."""

    @pytest.fixture
    def spool(self, tmp_path: Path) -> Path:
        with Desk(tmp_path / "spool") as desk:
            desk.add("a")
            desk.queue.set_config("max_retries", "1")
            desk.queue.refresh()
        return tmp_path / "spool"

    def damage(self, spool: Path) -> None:
        with closing(sqlite3.connect(spool / "index.sqlite3")) as connection:
            connection.execute("UPDATE jobs SET priority = 'zzz'")
            connection.commit()

    def max_retries(self, spool: Path) -> Any:
        with Desk(spool) as desk:
            assert desk.ids() == ["a"]
            return desk.queue.get_config()["max_retries"]

    def set_max_retries(self, spool: Path, value: str) -> None:
        with Desk(spool) as desk:
            desk.queue.set_config("max_retries", value)

    def test_a_replacement_that_was_refused_overrides_none_that_came_later(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def held(source: str, target: str, **_: Any) -> None:
            raise PermissionError(13, "held by somebody", source)

        self.damage(spool)
        with monkeypatch.context() as patch:
            patch.setattr(index_making.system, "replace", held)
            assert self.max_retries(spool) == 1
        assert not (spool / "index.sqlite3.new").exists()
        self.set_max_retries(spool, "9")
        assert self.max_retries(spool) == 9

    def test_nor_does_one_whose_maker_died(self, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def died(*_: Any, **__: Any) -> None:
            raise Died

        self.damage(spool)
        with monkeypatch.context() as patch:
            patch.setattr(index_making.system, "replace", died)
            with pytest.raises(Died):
                self.max_retries(spool)
        assert (spool / "index.sqlite3.new").exists()
        self.set_max_retries(spool, "9")
        assert self.max_retries(spool) == 9

    @pytest.mark.skipif(sys.platform == "win32", reason="there an open index is not set aside")
    def test_one_is_not_written_to_an_index_that_is_just_set_aside(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.damage(spool)
        real = index_making._set_aside
        other = threading.Thread(target=self.set_max_retries, args=(spool, "9"))

        def meanwhile(path: str, why: str) -> None:
            other.start()
            # It waits for us, so that nothing can be waited for here; without the lock this is enough.
            other.join(0.5)
            real(path, why)

        monkeypatch.setattr(index_making, "_set_aside", meanwhile)
        with Desk(spool) as desk:
            assert desk.ids() == ["a"]
            other.join(30)
            assert self.max_retries(spool) == 9

    @pytest.mark.skipif(sys.platform == "win32", reason="there an open index is not set aside")
    @pytest.mark.parametrize("step", range(1, 12))
    @pytest.mark.parametrize("how", ["damaged", "version"])
    def test_a_death_at_any_step_loses_none_of_those_in_the_journal(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch, how: str, step: int
    ) -> None:
        steps = iter(range(1, 100))

        def counted(real: Any) -> Any:
            def acting(path: str, *args: Any, **options: Any) -> Any:
                if "index.sqlite3" in path and next(steps) == step:
                    raise Died
                return real(path, *args, **options)

            return acting

        # Held open meanwhile, or the last to close it would empty the journal.
        with closing(sqlite3.connect(spool / "index.sqlite3")) as holder:
            holder.execute("SELECT * FROM config").fetchone()
            self.set_max_retries(spool, "9")
            if how == "version":
                holder.execute("PRAGMA user_version = 99")
            else:
                self.damage(spool)
            with monkeypatch.context() as patch:
                for name in ("replace", "remove"):
                    patch.setattr(index_making.system, name, counted(getattr(index_making.system, name)))
                with pytest.raises(Died):
                    self.max_retries(spool)
            assert self.max_retries(spool) == 9
        assert self.max_retries(spool) == 9

    def test_one_that_could_not_be_moved_in_lends_its_settings(
        self, spool: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = index_making.system.replace

        def held(source: str, target: str, **options: Any) -> None:
            if source.endswith(".new"):
                raise PermissionError(13, "held by somebody", source)
            real(source, target, **options)

        self.damage(spool)
        with monkeypatch.context() as patch:
            patch.setattr(index_making.system, "replace", held)
            assert self.max_retries(spool) == 1
        assert self.max_retries(spool) == 1


class TestAReadOnlySpool:
    """With real permissions; a superuser who may write anywhere cannot tell."""

    @pytest.fixture
    def spool(self, tmp_path: Path) -> Iterator[Path]:
        with Desk(tmp_path / "spool") as desk:
            desk.add("a", "b")
            desk.queue.set_config("max_retries", "7")
            desk.drop("new.json")
        folders = [tmp_path / "spool", *(path for path in (tmp_path / "spool").iterdir() if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        if os.access(folders[0], os.W_OK):
            for folder in folders:
                folder.chmod(0o755)
            pytest.skip("this user may write anywhere")
        yield folders[0]
        for folder in folders:
            folder.chmod(0o755)

    @pytest.mark.parametrize("mode", [0o644, 0o444])
    def test_can_be_looked_at(self, spool: Path, mode: int) -> None:
        (spool / "index.sqlite3").chmod(mode)
        with Desk(spool) as desk:
            assert sorted(desk.ids()) == ["a", "b", "new"]
            assert desk.queue.status().counts["pending"] == 3
            assert desk.row("a")["max_retries"] == 7

    def test_cannot_be_added_to(self, spool: Path) -> None:
        with Desk(spool) as desk, pytest.raises(SpoolUnusable, match="cannot"):
            desk.add("c")


class TestAList:
    def test_is_of_one_moment(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """A job that moves on meanwhile is neither missing nor there twice."""
        desk.add("waits")
        desk.put_job("processing/host-1-1-abc", "runs")
        desk.queue.refresh()
        real = shown.entry_from

        def moved_meanwhile(row: Any) -> Entry:
            monkeypatch.undo()
            with Store.open(str(desk.root)) as other:
                waits = other.index.get("waits")
                assert waits is not None
                other.index.put([waits._replace(state="processing", worker="host-1-1-abc")])
            return real(row)

        monkeypatch.setattr(shown, "entry_from", moved_meanwhile)
        assert [(one.id, one.state) for one in desk.store.index.entries()] == [
            ("runs", "processing"),
            ("waits", "pending"),
        ]

    @pytest.mark.parametrize("where", FILTERS, ids=str)
    def test_of_a_few_reads_no_more_than_these(self, desk: Desk, where: Filter) -> None:
        """Else that of twenty would take a second with a million jobs."""
        connection = desk.store.index._sql
        filters.prepare(connection, where)
        for query in shown._shown(where, ["photos.resize", "don't"]):
            values = {**filters.values(where), "most": 20}
            steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
            assert not any(step.startswith("SCAN jobs") and "INDEX" not in step for step in steps), steps
            # What is of one moment may be sorted among itself; of the two that are merged, at most twenty
            # each.
            assert "UNION ALL" in query or "USE TEMP B-TREE FOR ORDER BY" not in steps


def test_rows_in_no_order_are_damage(index: Index) -> None:
    """Damage of a page can have them so, and who asks for the next ones would go round in a circle."""
    index.put([entry("a"), entry("b"), entry("c")])
    assert [one for one, _ in index.stamps_after("", State.PENDING, 2)] == ["a", "b"]
    assert [one for one, _ in index.stamps_after("b", State.PENDING, 2)] == ["c"]

    class Circle:
        def execute(self, *_: object) -> list[tuple[object, ...]]:
            return [("b", "pending", None, 1, 1), ("a", "pending", None, 1, 1)]

    with patch.object(index, "_sql", Circle()), pytest.raises(sqlite3.DatabaseError, match="no order"):
        index.stamps_after("", State.PENDING, 2)


class TestTheLogOfWrites:
    """Who commits is not to wait for the disk: whoever minds workers sees to the log before it is long."""

    @pytest.fixture
    def index(self, desk: Desk) -> Index:
        desk.store.index.put([entry(f"job{number}", error="x" * 4000) for number in range(1200)])
        return desk.store.index

    def test_is_moved_into_the_file_where_it_is_long(self, index: Index) -> None:
        assert index_base._logged(index._path) > index_connection.MUCH_LOGGED
        index.tidy(START)
        assert index_base._logged(index._path) < 100_000
        assert index.counts()["pending"] == 1200
        # Who asks for the looks at a folder is told nothing else by it.
        assert [look.folder for look in index.looks()] == [""]

    def test_is_left_where_it_is_short(self, desk: Desk) -> None:
        desk.store.index.put([entry("a")])
        before = index_base._logged(desk.store.index._path)
        assert before > 0
        desk.store.index.tidy(START)
        assert index_base._logged(desk.store.index._path) == before

    def test_while_somebody_reads_or_writes_is_no_error(self, desk: Desk, index: Index) -> None:
        with closing(sqlite3.connect(index._path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM jobs").fetchone()
            index.tidy(START)
            assert other.execute("SELECT count(*) FROM jobs").fetchone() == (1200,)
            other.execute("COMMIT")
            other.execute("BEGIN IMMEDIATE")
            index.tidy(START)
            other.execute("COMMIT")
        assert index.counts()["pending"] == 1200

    def test_of_one_in_memory_there_is_none(self, desk: Desk) -> None:
        desk.store.index.leave_disk("of a reason")
        desk.store.index.tidy(START)

    def test_no_commit_moves_it_before_it_is_much_longer(self, index: Index) -> None:
        limit = index._sql.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
        assert limit * 4096 == index_connection.MOST_LOGGED * 4096 > 3 * index_connection.MUCH_LOGGED

    def test_is_seen_to_without_giving_up_what_we_have_locked(self, index: Index) -> None:
        """POSIX frees all locks of a process on a file when it closes any descriptor of it."""
        asks = (
            "import sqlite3, sys\n"
            "index = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
            "try: index.execute('BEGIN IMMEDIATE')\n"
            "except sqlite3.OperationalError as error: print(error)\n"
        )
        with closing(Index(index._path, f"{index._path}.lock")) as other, index.transaction():
            other.tidy(START)
            told = subprocess.run(
                [sys.executable, "-c", asks, index._path], capture_output=True, text=True, check=True
            )
        assert told.stdout.strip() == "database is locked"
