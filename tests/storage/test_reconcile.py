"""The index follows what people do to the folders; only looking moves no file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from queuectl import Queue
from queuectl.index import Entry, Index, staging
from queuectl.queue import survey
from queuectl.queue.intake import settle_drops
from queuectl.queue.reconcile import reconcile_some
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from queuectl.state import State
from tests.support.invariants import check
from tests.support.spools import START, Desk

FOLDERS = ["pending", "failed", "done", "dead"]
STATES = {"pending": "pending", "failed": "failed", "done": "completed", "dead": "dead"}


LIMITS = {
    "at once": {},
    "piece by piece": {"_PIECE": 1, "_MOST_LATER": 1, "MOST_STAGED": 1},
    "kept aside to the end": {"_PIECE": 1, "_MOST_LATER": 1},
}


@pytest.fixture(autouse=True, params=LIMITS)
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million files are looked at in pieces, which is to make no difference."""
    limits = LIMITS[request.param]
    for name, limit in limits.items():
        assert hasattr(survey, name)
        monkeypatch.setattr(survey, name, limit)
    if limits:
        monkeypatch.setattr(staging, "_PIECE", 1)


def test_a_dropped_file_is_a_job_named_after_its_file(desk: Desk) -> None:
    desk.drop("hello.json", {"command": ["echo", "hi"], "priority": 3, "tags": ["a", "b"]})
    row = desk.row("hello")
    assert (row["state"], row["command"], row["priority"], row["tags"]) == (
        "pending",
        ["echo", "hi"],
        3,
        ["a", "b"],
    )
    assert (row["attempts"], row["max_retries"], row["worker"], row["run_at"]) == (0, 3, None, None)


def test_the_files_name_wins_over_the_id_in_it(desk: Desk) -> None:
    desk.drop("hello.json", {"id": "other", "command": "x"})
    assert desk.ids() == ["hello"]
    assert desk.queue.show("hello")["id"] == "hello"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_dropped_file_may_be_of_any_encoding(desk: Desk, encoding: str) -> None:
    desk.drop("hello.json", '{\r\n "command": "echo ü"\r\n}\r\n'.encode(encoding))
    assert desk.row("hello")["command"] == "echo ü"


def test_an_edit_is_seen(desk: Desk) -> None:
    desk.drop("a.json", {"command": "one"})
    assert desk.row("a")["command"] == "one"
    desk.drop("a.json", {"command": "another"})
    assert desk.row("a")["command"] == "another"


def test_an_edit_of_the_same_length_is_seen_by_its_time(desk: Desk) -> None:
    path = desk.drop("a.json", {"command": "one"})
    os.utime(path, (START, START))
    assert desk.row("a")["command"] == "one"
    os.utime(desk.drop("a.json", {"command": "two"}), (START + 1, START + 1))
    assert desk.row("a")["command"] == "two"


def test_a_deleted_file_is_no_job_any_more(desk: Desk) -> None:
    desk.add("a", "b")
    desk.path("pending", "a.json").unlink()
    assert desk.ids() == ["b"]
    assert desk.queue.status().counts["pending"] == 1


@pytest.mark.parametrize(("source", "target"), list(permutations(FOLDERS, 2)))
def test_a_file_moved_by_hand_is_in_its_new_state(desk: Desk, source: str, target: str) -> None:
    desk.put_job(source, "a", state=STATES[source])
    assert desk.row("a")["state"] == STATES[source]
    desk.drag("a", source, target)
    assert desk.row("a")["state"] == STATES[target]
    assert desk.queue.locate("a").state.value == STATES[target]
    assert desk.queue.status().problems == []
    check(desk.root, ["a"])


@pytest.mark.parametrize("source", ["failed", "done", "dead"])
def test_a_file_dragged_to_pending_is_shown_as_if_it_had_never_run(desk: Desk, source: str) -> None:
    desk.put_job(source, "a", state=STATES[source], attempts=4, error="e", run_at="2099-01-01T00:00:00Z")
    desk.drag("a", source, "pending")
    row = desk.row("a")
    assert (row["attempts"], row["error"], row["run_at"]) == (0, None, None)


@pytest.mark.parametrize("data", [b"rubbish", b""])
@pytest.mark.parametrize("folder", ["pending", "failed"])
def test_a_job_that_is_none_any_more_is_not_listed_as_one(desk: Desk, folder: str, data: bytes) -> None:
    desk.put_job(folder, "a")
    desk.queue.refresh()
    desk.drop("a.json", data, folder)
    assert desk.ids() == []
    assert len(desk.queue.status().problems) == 1
    told = desk.queue.status()
    desk.queue.reindex()
    assert desk.queue.status() == told


def test_what_is_no_job_and_is_dragged_back_to_pending_is_dead_no_more(desk: Desk) -> None:
    desk.drop("a.json", b"rubbish", "dead")
    desk.queue.refresh()
    desk.drag("a", "dead", "pending")
    assert desk.queue.status().counts["dead"] == 0
    check(desk.root, [])


def test_a_look_moves_and_writes_no_file(desk: Desk) -> None:
    desk.drop("a.json")
    desk.drop("b.json", b"no job")
    desk.drop("c.json.txt")
    desk.put_job("done", "a")
    before = desk.files()
    desk.clock.advance(1000)
    desk.queue.status()
    desk.queue.jobs()
    desk.queue.reindex()
    assert desk.files() == before


class TestWhatIsNoJob:
    def problems(self, desk: Desk) -> list[str]:
        return desk.queue.status().problems

    @pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b" \r\n", b"\xff\xfe"])
    def test_an_empty_file_waits_for_its_content(self, desk: Desk, data: bytes) -> None:
        desk.drop("new.json", data)
        assert self.problems(desk) == ["pending/new.json: empty: waiting for its content"]
        assert desk.ids() == []

    def test_an_unreadable_file_in_pending_is_told_and_left(self, desk: Desk) -> None:
        desk.drop("bad.json", b"{")
        assert self.problems(desk) == [
            "pending/bad.json: no job: not JSON: it ends too early at line 1, column 2"
        ]
        assert desk.files() == {"pending": ["bad.json"]}

    @pytest.mark.parametrize("folder", ["done", "dead"])
    def test_an_unreadable_file_elsewhere_is_a_row_that_says_so(self, desk: Desk, folder: str) -> None:
        desk.drop("bad.json", b"{", folder)
        row = desk.row("bad")
        assert row["state"] == STATES[folder]
        assert "not JSON" in row["error"]

    def test_the_note_beside_a_dead_file_is_what_is_wrong_with_it(self, desk: Desk) -> None:
        desk.drop("bad.json", b"{", "dead")
        desk.drop("bad.error.txt", b"my reason\r\n\r\nmore", "dead")
        assert desk.row("bad")["error"] == "my reason"

    def test_a_job_without_json_in_its_name_is_told(self, desk: Desk) -> None:
        desk.drop("backup")
        desk.drop("notes.txt")
        assert self.problems(desk) == [
            "pending/backup: not named like a job: a job's file ends in .json",
            "pending/notes.txt: not named like a job: a job's file ends in .json",
        ]

    @pytest.mark.parametrize(
        "name", ["desktop.ini", "Thumbs.db", "~$a.json", ".a.json", "a.json.tmp", "a.part"]
    )
    def test_what_the_system_leaves_there_is_passed_over(self, desk: Desk, name: str) -> None:
        desk.drop(name)
        assert (self.problems(desk), desk.ids()) == ([], [])

    def test_a_file_beside_the_workers_is_told(self, desk: Desk) -> None:
        desk.drop("a.json", folder="processing")
        assert self.problems(desk) == [
            "processing/a.json: no worker owns a file that lies here; move it to pending"
        ]

    def test_a_folder_is_never_entered(self, desk: Desk) -> None:
        desk.drop("inner.json", folder="pending/a.json")
        assert self.problems(desk) == [
            "pending/a.json: not a plain file (a folder, link or device): never followed"
        ]
        assert desk.ids() == []

    def test_a_link_is_never_followed(self, desk: Desk, tmp_path: Path) -> None:
        (tmp_path / "outside.json").write_text('{"command": "x"}')
        _link(tmp_path / "outside.json", desk.path("pending", "a.json"))
        desk.clock.advance(1000)
        assert desk.look() == []
        assert "never followed" in self.problems(desk)[0]
        assert (desk.ids(), desk.run_once()) == ([], False)

    def test_a_link_to_nowhere_is_none_either(self, desk: Desk) -> None:
        _link(desk.root / "nowhere", desk.path("pending", "a.json"))
        assert "never followed" in self.problems(desk)[0]

    @pytest.mark.timeout(10)
    def test_a_fifo_blocks_nobody(self, desk: Desk) -> None:
        if not hasattr(os, "mkfifo"):
            pytest.skip("Windows has no FIFOs in folders")
        os.mkfifo(desk.path("pending", "a.json"))
        desk.clock.advance(1000)
        assert desk.look() == []
        assert "never followed" in self.problems(desk)[0]
        assert desk.run_once() is False

    def test_a_huge_file_is_not_read_to_its_end(self, desk: Desk) -> None:
        desk.queue.set_config("max_job_bytes", "1000")
        desk.drop("big.json", {"command": "x", "meta": {"a": "b" * 2000}})
        (problem,) = self.problems(desk)
        assert "larger than max_job_bytes (1000 bytes)" in problem

    def test_deep_nesting_is_told(self, desk: Desk) -> None:
        desk.drop("deep.json", b'{"command": "x", "meta": {"a": ' + b'{"a":' * 50_000)
        (problem,) = self.problems(desk)
        assert "nested too deeply" in problem

    @pytest.mark.parametrize("data", [{"exit_code": 10**30}, {"priority": 2**70}, {"meta": {"n": 10**30}}])
    def test_no_number_in_a_file_stops_the_queue(self, desk: Desk, data: dict[str, Any]) -> None:
        desk.drop("big.json", {"command": "x", **data})
        desk.drop("a.json")
        assert "a" in desk.ids()

    @pytest.mark.parametrize("seconds", [1e12, -86400.0, -11_644_473_600.0])
    def test_a_file_of_an_absurd_date_is_listed_as_any(self, desk: Desk, seconds: float) -> None:
        path = desk.drop("old.json")
        try:
            os.utime(path, (seconds, seconds))
        except (OSError, OverflowError):
            pytest.skip("this file system has no such time")
        assert desk.ids() == ["old"]
        assert desk.run_once() is True

    def test_many_are_not_all_told(self, desk: Desk) -> None:
        for number in range(60):
            desk.drop(f"note-{number:02}.txt")
        problems = self.problems(desk)
        assert len(problems) == 51
        assert problems[-1] == "and 10 more like these"

    def test_what_has_been_mended_is_told_no_more(self, desk: Desk) -> None:
        desk.drop("a.json", b"{")
        assert self.problems(desk) != []
        desk.drop("a.json")
        assert (self.problems(desk), desk.ids()) == ([], ["a"])


def _link(target: Path, link: Path) -> None:
    try:
        os.symlink(target, link)
        os.lstat(link)
    except OSError:
        pytest.skip("no symbolic links here (Windows without the privilege)")


class TestRebuild:
    @pytest.fixture
    def busy(self, desk: Desk) -> Desk:
        """A spool with something of everything, all of it known to the index."""
        desk.add("a", "b", priority=2)
        desk.add("later", run_at="2099-01-01T00:00:00Z")
        desk.drop("dropped.json", {"command": ["x"], "tags": ["t"]})
        desk.drop("bad.json", b"{")
        desk.put_job("done", "ok", state="completed", attempts=1, exit_code=0)
        desk.put_job("failed", "again", state="failed", attempts=1, run_at="2027-01-15T08:00:08Z")
        desk.put_job("dead", "gone", state="dead", attempts=4, error="exit code 1")
        desk.put_job("processing/host-1-1-old", "orphan", state="pending")
        desk.drop("note.txt")
        desk.queue.refresh()
        return desk

    def told(self, desk: Desk) -> tuple[Any, ...]:
        return desk.queue.status(), desk.queue.jobs()

    def test_of_an_index_that_is_emptied_tells_the_same(self, busy: Desk) -> None:
        before = self.told(busy)
        assert busy.queue.reindex() == 8
        assert self.told(busy) == before

    def test_of_an_index_that_was_deleted_tells_the_same(self, busy: Desk) -> None:
        before = self.told(busy)
        busy.close()
        for path in busy.root.glob("index.sqlite3*"):
            path.unlink()
        with Desk(busy.root, busy.clock) as again:
            assert self.told(again) == before

    def test_locks_and_logs_may_be_deleted_with_it(self, busy: Desk) -> None:
        before = self.told(busy)
        busy.close()
        for folder in ("locks", "logs"):
            for path in (busy.root / folder).iterdir():
                path.unlink()
            (busy.root / folder).rmdir()
        for path in busy.root.glob("index.sqlite3*"):
            path.unlink()
        with Desk(busy.root, busy.clock) as again:
            assert self.told(again) == before

    def test_keeps_the_settings(self, busy: Desk) -> None:
        busy.queue.set_config("max_retries", "7")
        busy.queue.reindex()
        assert busy.queue.get_config()["max_retries"] == 7


class TestALookAtAFewNames:
    def some(self, desk: Desk, *names: tuple[State, str]) -> Any:
        return reconcile_some(desk.store, names, desk.clock())

    def indexed(self, desk: Desk) -> dict[str, str]:
        return {entry.id: entry.state for entry in desk.store.index.entries()}

    def test_takes_in_a_drop(self, desk: Desk) -> None:
        desk.drop("a.json")
        desk.drop("b.json")
        assert self.some(desk, (State.PENDING, "a.json")) == []
        assert self.indexed(desk) == {"a": "pending"}

    def test_forgets_what_was_deleted(self, desk: Desk) -> None:
        desk.add("a", "b")
        desk.path("pending", "a.json").unlink()
        self.some(desk, (State.PENDING, "a.json"))
        assert self.indexed(desk) == {"b": "pending"}

    def test_finds_what_was_moved(self, desk: Desk) -> None:
        desk.add("a")
        desk.drag("a", "pending", "dead")
        self.some(desk, (State.PENDING, "a.json"))
        assert self.indexed(desk) == {"a": "dead"}

    def test_takes_a_job_that_was_dragged_back(self, desk: Desk) -> None:
        desk.put_job("dead", "a", state="dead", attempts=4)
        desk.queue.refresh()
        desk.drag("a", "dead", "pending")
        self.some(desk, (State.PENDING, "a.json"))
        assert desk.row("a")["state"] == "pending"

    def test_knows_a_second_file_of_a_known_id(self, desk: Desk) -> None:
        desk.put_job("done", "a")
        desk.queue.refresh()
        desk.drop("a.json")
        (unsettled,) = self.some(desk, (State.PENDING, "a.json"))
        assert unsettled.reason == "a second file of this id"
        assert self.indexed(desk) == {"a": "completed"}

    def test_remembers_and_forgets_what_is_odd(self, desk: Desk) -> None:
        desk.drop("note.txt")
        self.some(desk, (State.PENDING, "note.txt"))
        assert [one.path for one in desk.store.index.oddities()] == ["pending/note.txt"]
        desk.path("pending", "note.txt").unlink()
        self.some(desk, (State.PENDING, "note.txt"))
        assert desk.store.index.oddities() == []

    def test_reads_of_what_is_odd_only_what_it_is_about(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else ten thousand bad files, which are set aside one by one, would take the square of that."""
        desk.drop("note.txt")
        self.some(desk, (State.PENDING, "note.txt"))
        desk.drop("bad.json", b"{")
        monkeypatch.setattr(Index, "oddities", None)
        (bad,) = self.some(desk, (State.PENDING, "bad.json"))
        desk.clock.advance(3600)
        assert settle_drops(desk.store, [bad], desk.clock())[0]
        monkeypatch.undo()
        assert [one.path for one in desk.store.index.oddities()] == ["pending/note.txt"]

    def test_asks_the_index_about_many_at_once(self, desk: Desk) -> None:
        names = [f"job{number}.json" for number in range(80)]
        for name in names:
            desk.drop(name)
        asked: list[str] = []
        desk.store.index._sql.set_trace_callback(asked.append)
        self.some(desk, *((State.PENDING, name) for name in names))
        desk.store.index._sql.set_trace_callback(None)
        assert len([sql for sql in asked if sql.startswith("SELECT")]) <= 5
        assert len(desk.ids("pending")) == 80

    def test_does_the_same_as_a_look_at_all(self, desk: Desk) -> None:
        names = ["a.json", "b.json.txt", "bad.json", "note.txt", "empty.json"]
        for name in names:
            desk.drop(name, b"{" if "bad" in name else b"" if "empty" in name else None)
        some = self.some(desk, *((State.PENDING, name) for name in names))
        odd = desk.store.index.oddities()
        rows = desk.store.index.entries()
        desk.store.index.clear()
        every = reconcile_all(desk.store, desk.clock())
        assert sorted(one.place for one in some) == sorted(one.place for one in every)
        assert (desk.store.index.oddities(), desk.store.index.entries()) == (odd, rows)


@pytest.mark.parametrize(
    ("known", "folder"), [("A", "done"), ("A", "processing/host-1-1-abc"), ("e\u0301", "dead")]
)
def test_a_drop_alike_a_known_job_is_renamed_by_an_index_that_knows_nothing_yet_too(
    desk: Desk, known: str, folder: str
) -> None:
    """Files tell: which of the two comes first must not hang on what the index remembers."""
    desk.put_job(
        folder, known, state="completed" if folder == "done" else "dead" if folder == "dead" else "pending"
    )
    drop = "a" if known == "A" else "\xe9"
    desk.drop(f"{drop}.json", {"command": "mine"})
    assert [one.job_id for one in desk.look()] == [f"{drop}-2"]
    assert desk.folder_of(known) == [folder.split("/", maxsplit=1)[0]]


def test_two_in_failed_and_done_that_differ_in_case_only_are_told_and_left(desk: Desk) -> None:
    """Both were known to somebody: a person must say which is which."""
    desk.put_job("done", "Backup", state="completed")
    desk.queue.refresh()
    desk.put_job("failed", "bACKUP", state="failed", attempts=1)
    before = desk.files()
    assert desk.look() == []
    assert desk.files() == before
    assert desk.queue.status().problems == [
        "failed/bACKUP.json: a second file of this id: its name differs in case only"
    ]
    assert desk.run_once() is False


class TestNewFilesOfOneName:
    """Of which no row tells yet: a backup that was restored, an index that was deleted."""

    @pytest.mark.parametrize("folders", list(permutations(FOLDERS, 2)), ids="-".join)
    def test_the_one_that_has_gone_farther_is_shown_and_the_other_is_told(
        self, desk: Desk, folders: tuple[str, str]
    ) -> None:
        for folder in folders:
            desk.put_job(folder, "a", state=STATES[folder], attempts=1)
        before = desk.files()
        desk.store.index.clear()
        status = desk.queue.status()
        shown = min(folders, key=["done", "failed", "dead", "pending"].index)
        (other,) = set(folders) - {shown}
        assert [(row["id"], row["state"]) for row in desk.queue.jobs()] == [("a", STATES[shown])]
        assert [line for line in status.problems if line.startswith(f"{other}/a.json: a second file")]
        assert desk.files() == before

    @pytest.mark.skipif(os.sep == "\\", reason="names that differ in case are one here")
    def test_two_drops_that_differ_in_case_only_are_both_run(self, desk: Desk) -> None:
        desk.drop("a.json")
        desk.drop("A.json")
        assert len(desk.look()) == 1
        assert len(desk.ids()) == 2
        assert len({one.lower() for one in desk.ids()}) == 2


def test_what_others_tell_while_a_look_reads_is_not_overwritten(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are written at the end, and a job may have been claimed meanwhile."""
    desk.drop("a.json")
    real = staging.Staging.merge

    def claimed_meanwhile(self: staging.Staging) -> Iterator[list[Entry]]:
        monkeypatch.undo()
        with Store.open(str(desk.root)) as other:
            reconcile_all(other, desk.clock())
            other.index.postpone("a", desk.clock(), 60.0, "of a reason", desk.clock())
        yield from real(self)

    monkeypatch.setattr(staging.Staging, "merge", claimed_meanwhile)
    reconcile_all(desk.store, desk.clock())
    assert [one.id for one in desk.store.index.stuck()] == ["a"]


def test_a_look_writes_the_first_rows_soon_and_then_ever_more_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To merge a few rows into many writes nearly all of the index again."""
    for name, limit in (("_PIECE", 1), ("_MOST_LATER", 1), ("_LEAST_STAGED", 2), ("MOST_STAGED", 8)):
        monkeypatch.setattr(survey, name, limit)
    for number in range(30):
        desk.drop(f"job-{number}.json")
    sizes: list[int] = []
    real = staging.Staging.merge

    def noting(self: staging.Staging) -> Iterator[list[Entry]]:
        sizes.append(self.size)
        yield from real(self)

    monkeypatch.setattr(staging.Staging, "merge", noting)
    reconcile_all(desk.store, desk.clock())
    assert [size for size in sizes if size] == [2, 2, 4, 8, 8, 6]
    assert len(desk.ids()) == 30


@pytest.mark.skipif(os.sep == "\\", reason="names that differ in case are one here")
def test_a_drop_goes_by_no_job_that_came_in_meanwhile_and_differs_in_case_only(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of the drop is still kept aside then. Who was told its id keeps it, the drop gets another."""
    real = staging.Staging.merge

    def enqueued_meanwhile(self: staging.Staging) -> Iterator[list[Entry]]:
        with Queue(desk.root, create=False, now=desk.clock) as other:
            if other.store.index.get("a") is None:
                other.enqueue([{"command": "x", "id": "a"}])
        yield from real(self)

    # Into an empty index a job comes after a look at everything, which would find the drop.
    desk.queue.enqueue([{"command": "x", "id": "kept"}])
    for name in ("A", "b"):
        desk.drop(f"{name}.json")
    monkeypatch.setattr(staging.Staging, "merge", enqueued_meanwhile)
    left = reconcile_all(desk.store, desk.clock())
    assert [one.place.job_id for one in left] == ["A"]
    assert sorted(desk.store.index.stamps()) == ["a", "b", "kept"]
    desk.look()
    assert sorted(desk.ids()) == ["A-2", "a", "b", "kept"]


def kept_aside(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows are kept aside, each time that some are added."""
    sizes: list[int] = []
    real = staging.Staging.add

    def noting(self: staging.Staging, rows: Sequence[Entry]) -> None:
        real(self, rows)
        sizes.append(self.size)

    monkeypatch.setattr(staging.Staging, "add", noting)
    return sizes


def test_a_look_keeps_few_bytes_in_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows may hold long commands."""
    for name, limit in (("_PIECE", 1), ("_MOST_LATER", 1), ("MOST_STAGED", 100), ("_MOST_BYTES", 3000)):
        monkeypatch.setattr(survey, name, limit)
    for number in range(10):
        desk.drop(f"job-{number}.json", {"command": "x" * 1000})
    sizes = kept_aside(monkeypatch)
    reconcile_all(desk.store, desk.clock())
    assert len(desk.ids()) == 10
    assert max(sizes) == 3


def test_a_look_keeps_few_rows_in_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files there are: those of a million would not fit."""
    monkeypatch.setattr(survey, "_PIECE", 3)
    monkeypatch.setattr(survey, "MOST_STAGED", 6)
    monkeypatch.setattr(survey, "_MOST_LATER", 100)
    for number in range(20):
        desk.drop(f"job-{number}.json")
    sizes = kept_aside(monkeypatch)
    reconcile_all(desk.store, desk.clock())
    assert len(desk.ids()) == 20
    assert max(sizes) == 6
