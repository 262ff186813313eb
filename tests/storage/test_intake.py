"""Drops that need a hand: a second file of a known name, another ending, no job at all."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Optional

import pytest

from queuectl import system
from queuectl.errors import DamagedRecord
from queuectl.index import Oddity
from queuectl.queue.intake import AT_ONCE, settle_drops
from queuectl.queue.reconcile import SECOND, Unsettled
from queuectl.queue.survey import reconcile_all
from queuectl.spool import Place
from queuectl.state import State
from tests.support.invariants import check
from tests.support.spools import Desk

KNOWN_IN = ["pending", "processing/host-1-1-old", "failed", "done", "dead"]
STATES = {"pending": "pending", "failed": "failed", "done": "completed", "dead": "dead"}


def is_case_sensitive(folder: Path) -> bool:
    (folder / "Probe").touch()
    try:
        return not (folder / "pROBE").exists()
    finally:
        (folder / "Probe").unlink()


class TestASecondFileOfAKnownName:
    @pytest.mark.parametrize("folder", KNOWN_IN[1:])
    @pytest.mark.parametrize("inner", [None, "backup", "other"])
    def test_becomes_the_next_number(self, desk: Desk, folder: str, inner: Optional[str]) -> None:
        desk.put_job(folder, "backup", state=STATES.get(folder, "pending"))
        desk.queue.refresh()
        desk.drop("backup.json", {"command": "second", **({"id": inner} if inner else {})})
        settled = desk.look()
        assert [(one.old_name, one.job_id, one.reason) for one in settled] == [
            ("backup.json", "backup-2", None)
        ]
        assert desk.folder_of("backup") == [folder.split("/", 1)[0]]
        assert desk.folder_of("backup-2") == ["pending"]
        assert desk.row("backup-2")["command"] == "second"
        assert desk.look() == []
        check(desk.root, ["backup", "backup-2"])

    @pytest.mark.parametrize("folder", KNOWN_IN[1:])
    def test_becomes_the_next_number_with_no_index_to_remember_the_first(
        self, desk: Desk, folder: str
    ) -> None:
        desk.put_job(folder, "backup", state=STATES.get(folder, "pending"))
        desk.drop("backup.json", {"command": "second"})
        assert [one.job_id for one in desk.look()] == ["backup-2"]
        assert desk.folder_of("backup") == [folder.split("/", 1)[0]]

    def test_that_was_this_one_on_its_way_out_and_back_is_left(self, desk: Desk) -> None:
        desk.add("backup")
        place = Place(State.PENDING, "backup")
        mtime_ns, size = desk.store.spool.version(place)
        # What a look says that met it in pending just when a worker had claimed it, to give it back at once.
        met = Unsettled(place, SECOND, Oddity("pending/backup.json", SECOND, mtime_ns, size, 0.0))
        assert settle_drops(desk.store, [met], desk.clock()) == ([], [])
        assert desk.folder_of("backup") == ["pending"]

    def test_is_told_until_a_worker_takes_it_in(self, desk: Desk) -> None:
        desk.put_job("done", "backup", state="completed")
        desk.drop("backup.json")
        assert desk.queue.status().problems == ["pending/backup.json: a second file of this id"]

    def test_never_takes_a_name_that_is_in_use(self, desk: Desk) -> None:
        for name in ("backup", "backup-2", "backup-3"):
            desk.put_job("done", name, state="completed")
        desk.drop("backup.json")
        assert [one.job_id for one in desk.look()] == ["backup-4"]

    @pytest.mark.parametrize("folder", KNOWN_IN[1:])
    def test_that_differs_in_case_only_is_one_too(self, desk: Desk, folder: str) -> None:
        desk.put_job(folder, "Backup", state=STATES.get(folder, "pending"))
        desk.queue.refresh()
        desk.drop("bACKUP.json", {"command": "second"})
        assert [one.job_id for one in desk.look()] == ["bACKUP-2"]
        check(desk.root, ["Backup", "bACKUP-2"])

    def test_that_differs_in_case_only_in_pending_is_one_too(self, desk: Desk) -> None:
        if not is_case_sensitive(desk.root):
            pytest.skip("two such files cannot lie in one folder here")
        desk.add("Backup")
        desk.drop("bACKUP.json", {"command": "second"})
        assert [one.job_id for one in desk.look()] == ["bACKUP-2"]
        check(desk.root, ["Backup", "bACKUP-2"])

    def test_two_new_ones_that_differ_in_case_only_become_two_jobs(self, desk: Desk) -> None:
        if not is_case_sensitive(desk.root):
            pytest.skip("two such files cannot lie in one folder here")
        desk.drop("Backup.json")
        desk.drop("bACKUP.json")
        desk.look()
        names = desk.files()["pending"]
        assert len({name.lower() for name in names}) == 2
        assert len(desk.ids()) == 2

    def test_in_failed_and_done_at_once_is_told_and_left(self, desk: Desk) -> None:
        desk.put_job("failed", "a", state="failed")
        desk.put_job("done", "a", state="completed")
        before = desk.files()
        desk.look()
        assert desk.files() == before
        assert desk.queue.status().problems == [
            "failed/a.json: a second file of this id: another lies in done"
        ]


class TestAnotherEnding:
    @pytest.mark.parametrize("name", ["job.json.txt", "job.JSON", "job.Json.TXT"])
    def test_is_put_right(self, desk: Desk, name: str) -> None:
        desk.drop(name, {"command": "mine"})
        assert [(one.old_name, one.job_id, one.reason) for one in desk.look()] == [(name, "job", None)]
        assert desk.row("job")["command"] == "mine"
        assert desk.queue.status().problems == []
        if desk.files() == {"pending": ["job.JSON"]}:
            assert not is_case_sensitive(desk.root)  # Some keep the case that a name had.
        else:
            assert desk.files() == {"pending": ["job.json"]}
            assert desk.look() == []
        assert desk.run_once() is True
        assert [path.lower() for path in desk.files()["done"]] == ["job.json"]

    def test_becomes_the_next_number_when_the_name_is_known(self, desk: Desk) -> None:
        desk.put_job("done", "job", state="completed")
        desk.drop("job.json.txt")
        assert [one.job_id for one in desk.look()] == ["job-2"]

    def test_beside_the_right_one_makes_two_jobs(self, desk: Desk) -> None:
        desk.drop("job.json", {"command": "one"})
        desk.drop("job.json.txt", {"command": "two"})
        desk.look()
        desk.look()
        assert {row["id"]: row["command"] for row in desk.queue.jobs()} == {"job": "one", "job-2": "two"}

    def test_that_is_no_job_yet_is_given_time_and_then_set_aside(self, desk: Desk) -> None:
        desk.drop("job.json.txt", b"hello")
        assert desk.look() == []
        desk.clock.advance(11)
        (settled,) = desk.look()
        assert (settled.job_id, settled.reason is None) == ("job", False)
        assert desk.files() == {"dead": ["job.error.txt", "job.json"]}

    def test_by_which_it_would_wait_for_itself_is_no_job(self, desk: Desk) -> None:
        desk.drop("a.json", {"command": "echo hi", "after": ["a"]})
        desk.drop("b.json", {"command": "echo hi", "id": "c", "after": ["b"]})
        desk.look()
        desk.clock.advance(11)
        assert {one.job_id for one in desk.look()} == {"a", "b"}
        assert desk.files() == {"dead": ["a.error.txt", "a.json", "b.error.txt", "b.json"]}
        assert "after: it would wait for itself" in (desk.root / "dead" / "a.error.txt").read_text()

    @pytest.mark.parametrize("folder", ["failed", "done", "dead"])
    def test_in_any_folder_whatever_is_listed_can_be_shown(self, desk: Desk, folder: str) -> None:
        desk.drop("job.json.txt", folder=folder)
        desk.look()
        for job_id in desk.ids():
            assert desk.queue.show(job_id)["command"] == "echo hi"


BAD_NAMES = ["con.json", "NUL.txt.json", "-rf.json", "x" * 201 + ".json"]


class TestABadName:
    @pytest.fixture(params=BAD_NAMES)
    def name(self, request: pytest.FixtureRequest, desk: Desk) -> str:
        name = str(request.param)
        try:
            with open(desk.path("pending", name), "xb"):
                pass
            assert name in os.listdir(desk.root / "pending")
        except (OSError, ValueError, AssertionError):
            pytest.skip("this system cannot make a file of that name")
        return name

    def test_is_set_aside_under_a_safe_one_after_a_while(self, desk: Desk, name: str) -> None:
        desk.drop(name)
        assert desk.look() == []
        desk.clock.advance(11)
        (settled,) = desk.look()
        assert settled.reason is not None
        assert settled.old_name == name
        assert sorted(desk.files()["dead"]) == [f"{settled.job_id}.error.txt", f"{settled.job_id}.json"]

    def test_that_grows_between_the_look_and_the_lock_is_left(self, desk: Desk, name: str) -> None:
        desk.drop(name, b'{"command": ')
        assert desk.look() == []
        desk.clock.advance(11)
        unsettled = reconcile_all(desk.store, desk.clock())
        assert [one.place.name for one in unsettled] == [name]
        desk.drop(name, b'{"command": "echo')
        assert settle_drops(desk.store, unsettled, desk.clock()) == ([], [])
        assert desk.files() == {"pending": [name]}
        desk.clock.advance(11)
        assert desk.look() == [], "it waits anew"

    @pytest.mark.skipif(os.sep == "\\", reason="Windows keeps no such name")
    @pytest.mark.parametrize(
        "name", ["a:b.json", 'say "hi".json', "a\nb.json", "end .json", "back\\slash.json"]
    )
    def test_of_posix_is_set_aside_too(self, desk: Desk, name: str) -> None:
        desk.drop(name)
        desk.look()
        desk.clock.advance(11)
        assert len(desk.look()) == 1
        assert desk.queue.status().problems == []
        assert "pending" not in desk.files()

    @pytest.mark.skipif(os.sep == "\\", reason="Windows names are Unicode")
    def test_that_is_no_unicode_is_told_and_left(self, desk: Desk) -> None:
        path = os.fsencode(desk.root / "pending") + b"/a\xff.json"
        try:
            with open(path, "wb") as file:
                file.write(b"{}")
        except OSError:
            pytest.skip("this file system takes Unicode names only")
        desk.clock.advance(1000)
        assert desk.look() == []
        (problem,) = desk.queue.status().problems
        assert problem.startswith("pending/a\\udcff.json: ")
        assert "not valid Unicode" in problem


class TestWhatIsNoJob:
    DATA = b"\xef\xbb\xbf{\r\n  comand: 1\r\n}\0"

    def test_is_left_until_it_has_lain_still_for_a_while(self, desk: Desk) -> None:
        desk.drop("bad.json", self.DATA)
        desk.look()
        desk.clock.advance(9.9)
        assert desk.look() == []
        assert desk.files() == {"pending": ["bad.json"]}

    def test_starts_to_wait_anew_when_it_is_written_to(self, desk: Desk) -> None:
        desk.drop("bad.json", b'{"command": ')
        desk.look()
        desk.clock.advance(9)
        desk.drop("bad.json", b'{"command": "ec')
        desk.look()
        desk.clock.advance(9)
        assert desk.look() == []
        desk.drop("bad.json", b'{"command": "echo"}')
        assert desk.look() == []
        assert desk.row("bad")["command"] == "echo"

    def test_then_goes_to_dead_byte_for_byte_with_a_note(self, desk: Desk) -> None:
        desk.drop("bad.json", self.DATA)
        desk.look()
        desk.clock.advance(10)
        (settled,) = desk.look()
        assert settled.job_id == "bad"
        assert desk.path("dead", "bad.json").read_bytes() == self.DATA
        note = desk.path("dead", "bad.error.txt").read_bytes().decode()
        assert re.match(r"not JSON: .* at line 2, column 3\r?\n", note)
        assert "That is why pending/bad.json was not run" in note
        assert "dead/bad.json" in note
        assert "queuectl dlq retry bad" in note
        assert note.count("\n") == note.count(os.linesep)

    def test_is_listed_as_dead_with_what_is_wrong(self, desk: Desk) -> None:
        desk.drop("bad.json", b"{")
        desk.look()
        desk.clock.advance(10)
        desk.look()
        row = desk.row("bad")
        assert row["state"] == "dead"
        assert "not JSON" in row["error"]
        assert desk.queue.status().problems == []
        check(desk.root, ["bad"])

    @pytest.mark.parametrize("folder", ["done", "dead", "failed"])
    def test_never_takes_a_known_name(self, desk: Desk, folder: str) -> None:
        desk.put_job(folder, "bad", state=STATES[folder])
        desk.queue.refresh()
        desk.drop("bad.json", b"{")
        for _ in range(3):
            desk.look()
            desk.clock.advance(10)
        assert desk.folder_of("bad") == [folder]
        assert desk.folder_of("bad-2") == ["dead"]
        check(desk.root, ["bad", "bad-2"])

    def test_can_be_retried_once_it_is_mended(self, desk: Desk) -> None:
        desk.drop("bad.json", b"{")
        desk.look()
        desk.clock.advance(10)
        desk.look()
        with pytest.raises(DamagedRecord, match="mend the file, then retry it"):
            desk.queue.retry(["bad"])
        desk.drop("bad.json", {"command": "echo mended"}, "dead")
        desk.queue.retry(["bad"])
        assert desk.files() == {"pending": ["bad.json"]}
        assert desk.row("bad")["command"] == "echo mended"

    def test_can_be_dragged_back_once_it_is_mended(self, desk: Desk) -> None:
        desk.drop("bad.json", b"{")
        desk.look()
        desk.clock.advance(10)
        desk.look()
        desk.drop("bad.json", {"command": "echo mended"}, "dead")
        desk.drag("bad", "dead", "pending")
        assert desk.run_once() is True
        assert desk.folder_of("bad") == ["done"]

    def test_in_great_numbers_is_set_aside_some_at_a_time(self, desk: Desk) -> None:
        for number in range(AT_ONCE + 7):
            desk.drop(f"bad-{number}.json", b"{")
        reconcile_all(desk.store, desk.clock())
        desk.clock.advance(10)
        unsettled = reconcile_all(desk.store, desk.clock())
        settled, left = settle_drops(desk.store, unsettled, desk.clock())
        assert (len(settled), len(left)) == (AT_ONCE, 7)
        settled, left = settle_drops(desk.store, left, desk.clock())
        assert (len(settled), len(left)) == (7, 0)
        assert "pending" not in desk.files()

    def test_waits_as_long_as_it_is_empty(self, desk: Desk) -> None:
        desk.drop("new.json", b"")
        for _ in range(5):
            assert desk.look() == []
            desk.clock.advance(1000)
        assert desk.files() == {"pending": ["new.json"]}

    def test_that_nobody_can_move_now_is_moved_later(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.drop("bad.json", b"{")
        desk.look()
        desk.clock.advance(10)
        with monkeypatch.context() as patch:
            patch.setattr(system, "replace", _denied)
            assert desk.look() == []
        assert desk.files() == {"pending": ["bad.json"]}
        assert [one.job_id for one in desk.look()] == ["bad"]


def _denied(source: str, target: str, **_: Any) -> None:
    raise PermissionError(13, "held by somebody", source)
