"""A file enters a folder whole, and nothing is overwritten."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from itertools import product
from typing import Any, Callable

import pytest

from queuectl import system
from queuectl.errors import Conflict, DamagedRecord, InvalidInput, SpoolUnusable
from queuectl.job import Job
from queuectl.queue import Queue
from queuectl.spool import FileChanged, Place, Spool, making, quarantine
from queuectl.state import State
from tests.support.spools import Desk

WORKER = "host-1-1-abc"
PLACES = [Place(state, "a", WORKER if state is State.PROCESSING else None) for state in State]
PAIRS = [(one, other) for one, other in product(PLACES, PLACES) if one != other]


def lay(desk: Desk, place: Place, command: str = "echo hi") -> bytes:
    folder = f"processing/{WORKER}" if place.state is State.PROCESSING else place.state.folder
    return desk.put_job(folder, place.job_id, command=command).read_bytes()


def names(pair: Any) -> str:
    return str(pair.state.value) if isinstance(pair, Place) else ""


class TestAMove:
    @pytest.mark.parametrize(("source", "target"), PAIRS, ids=names)
    def test_onto_a_file_is_refused_and_changes_nothing(
        self, desk: Desk, source: Place, target: Place
    ) -> None:
        first, second = lay(desk, source, "one"), lay(desk, target, "two")
        with pytest.raises(Conflict, match=r"a\.json exists already"):
            desk.store.spool.move(source, target)
        assert _read(desk, source) == first
        assert _read(desk, target) == second

    @pytest.mark.parametrize(("source", "target"), PAIRS, ids=names)
    def test_takes_the_file_as_it_is(self, desk: Desk, source: Place, target: Place) -> None:
        first = lay(desk, source)
        (desk.root / "processing" / WORKER).mkdir(exist_ok=True)
        desk.store.spool.move(source, target)
        assert _read(desk, target) == first
        assert not os.path.lexists(desk.store.spool.path(source))

    @pytest.mark.parametrize(
        ("source", "target"), [pair for pair in PAIRS if pair[1] != PLACES[1]], ids=names
    )
    def test_of_a_job_to_where_another_lies_takes_the_next_name(
        self, desk: Desk, source: Place, target: Place
    ) -> None:
        lay(desk, source, "one")
        kept = lay(desk, target, "two")
        job = Job(id="a", command="moved", state=target.state, meta={"n": 10**30})
        assert desk.store.transfer(source, job, desk.clock()) == Place(target.state, "a-2")
        assert _read(desk, target) == kept
        record = desk.record(target.state.folder, "a-2")
        assert (record["id"], record["state"], record["command"]) == ("a-2", target.state.value, "moved")
        assert not os.path.lexists(desk.store.spool.path(source))

    def test_onto_a_folder_is_refused_too(self, desk: Desk) -> None:
        lay(desk, PLACES[0])
        desk.path("done", "a.json").mkdir()
        with pytest.raises(Conflict):
            desk.store.spool.move(PLACES[0], Place(State.COMPLETED, "a"))

    @pytest.mark.skipif(sys.platform == "win32", reason="making a link is a privilege there")
    def test_onto_a_link_is_refused_too_though_it_leads_nowhere(self, desk: Desk) -> None:
        lay(desk, PLACES[0])
        link = desk.path("done", "a.json")
        link.symlink_to("nowhere")
        done = Place(State.COMPLETED, "a")
        with pytest.raises(Conflict):
            desk.store.spool.move(PLACES[0], done)
        assert desk.store.is_taken("a", besides=PLACES[0])
        job = Job(id="a", command="moved", state=State.COMPLETED)
        assert desk.store.transfer(PLACES[0], job, desk.clock()).job_id == "a-2"
        assert os.readlink(link) == "nowhere"

    def test_to_the_next_name_is_stamped_with_it_before(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else a death in between leaves a record in `done` that does not tell of its run."""
        moved: list[Any] = []
        real = Spool.move

        def move(spool: Spool, place: Place, target: Place, **options: Any) -> None:
            moved.append(desk.record(place.state.folder, place.job_id))
            real(spool, place, target, **options)

        lay(desk, PLACES[0])
        lay(desk, Place(State.COMPLETED, "a"))
        monkeypatch.setattr(Spool, "move", move)
        desk.store.transfer(PLACES[0], Job(id="a", command="x", state=State.COMPLETED), desk.clock())
        assert [(record["id"], record["state"]) for record in moved] == [("a-2", "completed")]


class TestAdmission:
    def test_onto_a_file_is_refused(self, desk: Desk) -> None:
        kept = lay(desk, Place(State.PENDING, "a"))
        ((prepared, _),) = desk.store.spool.prepare([Job(id="a", command="new")])
        with pytest.raises(Conflict):
            desk.store.spool.admit(prepared, Place(State.PENDING, "a"))
        assert _read(desk, Place(State.PENDING, "a")) == kept

    def test_what_is_prepared_is_whole_and_in_tmp(self, desk: Desk) -> None:
        ((prepared, _),) = desk.store.spool.prepare([Job(id="é" * 100, command="x")])
        assert os.path.dirname(prepared) == str(desk.root / "tmp")
        assert len(os.fsencode(os.path.basename(prepared))) <= 255
        assert desk.files() == {}


class TestAStamp:
    PLACE = Place(State.PENDING, "a")
    NEW = Job(id="a", command="new", attempts=1)

    def test_replaces_the_record_and_tells_its_version(self, desk: Desk) -> None:
        lay(desk, self.PLACE)
        version = desk.store.spool.stamp(self.PLACE, self.NEW, read=desk.store.spool.version(self.PLACE))
        assert desk.record("pending", "a")["command"] == "new"
        assert version == system.file_stamp(os.stat(desk.store.spool.path(self.PLACE)))

    @pytest.mark.parametrize("call", ["write_files", "replace"])
    def test_that_fails_leaves_the_old_one_and_nothing_in_tmp(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        old = lay(desk, self.PLACE)

        def failing(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(system, call, failing)
        with pytest.raises(OSError, match="No space"):
            desk.store.spool.stamp(self.PLACE, self.NEW, read=desk.store.spool.version(self.PLACE))
        assert _read(desk, self.PLACE) == old
        assert os.listdir(desk.root / "tmp") == []

    def test_goes_through_a_file_of_its_own(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        old = lay(desk, self.PLACE)
        seen: list[bytes] = []
        real = system.replace

        def watching(source: str, target: str, **options: Any) -> None:
            seen.append(_read(desk, self.PLACE))
            real(source, target, **options)

        monkeypatch.setattr(system, "replace", watching)
        desk.store.spool.stamp(self.PLACE, self.NEW, read=desk.store.spool.version(self.PLACE))
        assert seen == [old]


class TestAFileThatSomebodyHoldsForAMoment:
    """Who holds it may be saving to it: the next try looks again at what it would overwrite."""

    PLACE, DONE = Place(State.PENDING, "a"), Place(State.COMPLETED, "a")

    @pytest.fixture
    def meanwhile(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], object]]]:
        """What a person does while the first move is refused."""
        acts: list[Callable[[], object]] = []
        real = os.replace

        def replace(source: str, target: str) -> None:
            if acts:
                acts.pop()()
                raise _busy(source)
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)
        yield acts
        assert acts == []

    def test_is_moved_when_it_is_let_go(self, desk: Desk, meanwhile: list[Callable[[], object]]) -> None:
        data = lay(desk, self.PLACE)
        meanwhile.append(lambda: None)
        desk.store.spool.move(self.PLACE, self.DONE)
        assert _read(desk, self.DONE) == data

    def test_is_not_stamped_over_what_was_saved(
        self, desk: Desk, meanwhile: list[Callable[[], object]]
    ) -> None:
        lay(desk, self.PLACE)
        version = desk.store.spool.version(self.PLACE)
        meanwhile.append(lambda: desk.drop("a.json", b"saved just now"))
        with pytest.raises(FileChanged):
            desk.store.spool.stamp(self.PLACE, Job(command="new", id="a"), read=version)
        assert _read(desk, self.PLACE) == b"saved just now"
        assert os.listdir(desk.root / "tmp") == []

    def test_is_not_moved_over_another(self, desk: Desk, meanwhile: list[Callable[[], object]]) -> None:
        data = lay(desk, self.PLACE)
        meanwhile.append(lambda: desk.drop("a.json", b"another", "done"))
        with pytest.raises(Conflict):
            desk.store.spool.move(self.PLACE, self.DONE)
        assert (_read(desk, self.PLACE), _read(desk, self.DONE)) == (data, b"another")

    def test_is_not_admitted_over_a_drop(self, desk: Desk, meanwhile: list[Callable[[], object]]) -> None:
        ((prepared, _),) = desk.store.spool.prepare([Job(command="new", id="a")])
        meanwhile.append(lambda: desk.drop("a.json", b"dropped just now"))
        with pytest.raises(Conflict):
            desk.store.spool.admit(prepared, self.PLACE)
        assert _read(desk, self.PLACE) == b"dropped just now"

    def test_is_not_kept_aside_over_another(self, desk: Desk, meanwhile: list[Callable[[], object]]) -> None:
        lay(desk, self.PLACE)
        meanwhile.append(lambda: desk.drop("b.json", b"another", "dead"))
        with pytest.raises(Conflict):
            quarantine.copy_aside(desk.store.spool, self.PLACE, "b", "of a reason")
        assert desk.files() == {"pending": ["a.json"], "dead": ["b.json"]}
        assert os.listdir(desk.root / "tmp") == []


class TestSettingAside:
    DATA = b"\xff\xfe\x00no job\r\n"

    def test_keeps_every_byte_and_writes_why(self, desk: Desk) -> None:
        desk.drop("a.json", self.DATA)
        target = quarantine.set_aside(desk.store.spool, Place(State.PENDING, "a"), "a", "of a reason")
        assert target == Place(State.DEAD, "a")
        assert desk.path("dead", "a.json").read_bytes() == self.DATA
        assert quarantine.note_of(desk.store.spool, "a") == "of a reason"
        assert desk.files() == {"dead": ["a.error.txt", "a.json"]}

    def test_never_overwrites_a_file_or_its_note(self, desk: Desk) -> None:
        job = lay(desk, Place(State.DEAD, "a"))
        desk.drop("a-2.json", b"rubbish", "dead")
        desk.drop("a-2.error.txt", b"a note", "dead")
        desk.drop("a.json", self.DATA)
        target = quarantine.set_aside(desk.store.spool, Place(State.PENDING, "a"), "a", "r")
        assert target.job_id == "a-3"
        assert _read(desk, Place(State.DEAD, "a")) == job
        assert desk.path("dead", "a-2.json").read_bytes() == b"rubbish"
        assert desk.path("dead", "a-2.error.txt").read_bytes() == b"a note"

    def test_replaces_a_note_that_speaks_of_no_file(self, desk: Desk) -> None:
        desk.drop("a.error.txt", b"left by somebody who was killed", "dead")
        desk.drop("a.json", self.DATA)
        quarantine.set_aside(desk.store.spool, Place(State.PENDING, "a"), "a", "of a reason")
        assert quarantine.note_of(desk.store.spool, "a") == "of a reason"

    @pytest.mark.parametrize("call", ["write_file", "replace"])
    def test_that_fails_changes_nothing(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
        def failing(*_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

        desk.drop("a.json", self.DATA)
        monkeypatch.setattr(system, call, failing)
        with pytest.raises(OSError, match="No space"):
            quarantine.set_aside(desk.store.spool, Place(State.PENDING, "a"), "a", "r")
        assert desk.files() == {"pending": ["a.json"]}

    def test_a_note_that_is_not_there_or_empty_says_nothing(self, desk: Desk) -> None:
        desk.drop("b.error.txt", b" \n", "dead")
        desk.path("dead", "c.error.txt").mkdir()
        assert quarantine.note_of(desk.store.spool, "a") is None
        assert quarantine.note_of(desk.store.spool, "b") is None
        assert quarantine.note_of(desk.store.spool, "c") is None

    def test_a_note_can_be_forgotten_twice(self, desk: Desk) -> None:
        desk.drop("a.error.txt", b"x", "dead")
        quarantine.forget_note(desk.store.spool, "a")
        quarantine.forget_note(desk.store.spool, "a")
        assert desk.files() == {}


class TestReading:
    LARGE = b'{"command": "x", "meta": {"a": "%s"}}' % (b"b" * 2000)

    def test_a_drop_larger_than_the_limit_is_refused(self, desk: Desk) -> None:
        desk.drop("a.json", self.LARGE)
        assert desk.store.spool.read(Place(State.PENDING, "a"), len(self.LARGE)).job.command == "x"
        with pytest.raises(InvalidInput, match=r"larger than max_job_bytes \(1900 bytes\)"):
            desk.store.spool.read(Place(State.PENDING, "a"), 1900)

    @pytest.mark.parametrize("folder", ["failed", "done", "dead"])
    def test_a_record_that_was_a_job_once_stays_one_whatever_the_limit_is_now(
        self, desk: Desk, folder: str
    ) -> None:
        desk.drop("a.json", self.LARGE, folder)
        place = desk.queue.locate("a")
        assert desk.store.spool.read(place, 100).job.command == "x"

    def test_a_record_that_has_grown_by_its_runs_stays_a_job(self, desk: Desk) -> None:
        history = [{"outcome": "failed", "error": "e" * 50}] * 30
        desk.put_job("pending", "a", history=history)
        assert desk.store.spool.read(Place(State.PENDING, "a"), 1000).job.command == "echo hi"

    def test_a_record_of_another_id_is_told(self, desk: Desk) -> None:
        desk.drop("a.json", {"id": "b", "command": "x"})
        read = desk.store.spool.read(Place(State.PENDING, "a"), 1000)
        assert (read.job.id, read.faithful) == ("a", False)

    def test_a_record_that_was_sound_and_is_not_any_more_is_damaged(self, desk: Desk) -> None:
        desk.drop("a.json", b"{", "done")
        with pytest.raises(DamagedRecord, match=r"done/a\.json holds no job: not JSON"):
            desk.store.spool.read_sound(Place(State.COMPLETED, "a"), 1000)

    @pytest.mark.parametrize("place", PLACES, ids=names)
    def test_a_job_is_found_wherever_it_lies(self, desk: Desk, place: Place) -> None:
        assert desk.store.spool.locate("a") is None
        lay(desk, place)
        assert desk.store.spool.locate("a") == place


class TestLayout:
    def test_a_new_spool_has_its_folders_its_readme_and_its_schema(self, tmp_path: Any) -> None:
        root = tmp_path / "deep" / "spool"
        assert making.make_spool(str(root)) is True
        assert {path.name for path in root.iterdir()} == {
            *(
                "pending",
                "processing",
                "done",
                "failed",
                "dead",
                "schedules",
                "groups",
                "hooks",
                "logs",
                "tmp",
                "locks",
            ),
            *("README.txt", "format.txt", "job.schema.json", "schedule.schema.json", "group.schema.json"),
        }
        readme = (root / "README.txt").read_bytes()
        assert readme.count(b"\n") == readme.count(b"\r\n") > 10

    def test_a_new_spool_outlives_a_power_cut_with_its_folders(
        self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[tuple[str, list[str]]] = []
        monkeypatch.setattr(system, "sync_folder", lambda path: synced.append((path, os.listdir(path))))
        root = tmp_path / "spool"
        making.make_spool(str(root))
        assert synced == [(str(root), os.listdir(root)), (str(tmp_path), ["spool"])]

    def test_making_it_again_changes_nothing(self, desk: Desk) -> None:
        desk.add("a")
        (desk.root / "README.txt").write_text("mine")
        assert making.make_spool(str(desk.root)) is False
        assert making.ensure_spool(str(desk.root)) is False
        assert (desk.root / "README.txt").read_text() == "mine"
        assert desk.ids() == ["a"]

    @pytest.mark.parametrize("name", ["logs", "tmp", "locks", "failed"])
    def test_a_missing_folder_is_made_again(self, desk: Desk, name: str) -> None:
        for path in (desk.root / name).iterdir():
            path.unlink()
        (desk.root / name).rmdir()
        assert making.ensure_spool(str(desk.root)) is False
        assert (desk.root / name).is_dir()

    def test_a_folder_of_other_things_is_no_spool(self, tmp_path: Any) -> None:
        (tmp_path / "thesis.txt").touch()
        with pytest.raises(SpoolUnusable, match="is no spool and holds other files") as caught:
            making.make_spool(str(tmp_path))
        assert "init" in (caught.value.hint or "")
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
        assert making.make_spool(str(tmp_path), force=True) is True

    def test_a_folder_of_hidden_things_may_become_one(self, tmp_path: Any) -> None:
        (tmp_path / ".gitkeep").touch()
        assert making.make_spool(str(tmp_path)) is True

    def test_a_file_cannot_be_a_spool(self, tmp_path: Any) -> None:
        (tmp_path / "spool").touch()
        with pytest.raises(SpoolUnusable, match="is a file, not a folder"):
            making.make_spool(str(tmp_path / "spool"))

    def test_a_queue_that_may_not_make_one_says_how(self, tmp_path: Any) -> None:
        with pytest.raises(SpoolUnusable, match="queuectl init makes one"):
            Queue.open(str(tmp_path / "spool"), create=False)


def _busy(path: str) -> OSError:
    if sys.platform == "win32":
        return OSError(errno.EACCES, "held by somebody", path, 32)
    return OSError(errno.EBUSY, "held by somebody", path)


def _read(desk: Desk, place: Place) -> bytes:
    with open(desk.store.spool.path(place), "rb") as file:
        return file.read()
