"""What is exported is imported, and what is archived is deleted: with jobs that move, files that change."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from queuectl import locks, system
from queuectl.errors import Busy, Conflict, DamagedRecord, SpoolUnusable
from queuectl.queue import archiving, ended, exporting, importing
from queuectl.queue.ended import house_lock
from queuectl.spool import Spool, archives
from queuectl.spool.archives import Added, Archives
from queuectl.state import State
from tests.support.spools import Desk, during, failing, interrupted, succeeding

WORKER = "host-1-1-abc"


def exported(desk: Desk, **options: Any) -> bytes:
    file = io.BytesIO()
    desk.queue.house.export(file, **options)
    return file.getvalue()


def lines(desk: Desk, **options: Any) -> dict[str, Any]:
    found = [json.loads(line) for line in exported(desk, **options).splitlines()]
    return {line["id"]: line for line in found}


def damaged(data: bytes, how: str) -> bytes:
    """A zip file with something wrong with its first entry, or with what its list of entries says of that."""
    entry, listed, changed = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02"), bytearray(data)
    name_length = data[entry + 26]
    if how == "flipped":
        changed[entry + 30 + name_length] = 0xFF
    elif how == "encrypted":
        changed[entry + 6] |= 1
        changed[listed + 8] |= 1
    elif how == "packed otherwise":
        changed[entry + 8] = changed[listed + 10] = 9
    elif how == "of a later version":
        changed[listed + 6] = 99
    elif how == "its place":
        changed[data.index(b"PK\x05\x06") + 19] = 0x80
    else:
        changed[listed + 9] |= 8
        changed[listed + 46] = 0xFF
    return bytes(changed)


@pytest.fixture
def other(tmp_path: Path, desk: Desk) -> Any:
    with Desk(tmp_path / "other", desk.clock) as one:
        yield one


class TestWhatIsExported:
    def test_a_job_that_runs_counts_as_one_that_waits(self, desk: Desk, other: Desk) -> None:
        desk.add("a")
        with desk.worker() as worker:
            worker._claim()
            assert desk.folder_of("a") == ["processing"]
            assert lines(desk)["a"]["state"] == "pending"
            assert lines(desk, states=["processing"])["a"]["state"] == "pending"
            assert lines(desk, states=["pending"])["a"]["state"] == "pending"
            assert lines(desk, states=["failed"]) == {}
            other.queue.house.import_(io.BytesIO(exported(desk)))
            worker.close()
        assert other.run_once() is True

    def test_a_run_that_is_recorded_and_not_moved_is_not_run_again(self, desk: Desk, other: Desk) -> None:
        desk.put_job(f"processing/{WORKER}", "a", state="completed", attempts=1)
        assert lines(desk)["a"]["state"] == "completed"
        other.queue.house.import_(io.BytesIO(exported(desk)))
        assert other.files() == {"done": ["a.json"]}
        assert other.run_once() is False

    def test_one_that_was_dragged_back_comes_in_as_the_claim_would_take_it(
        self, desk: Desk, other: Desk
    ) -> None:
        desk.put_job("pending", "a", state="dead", attempts=4, error="exit code 1")
        line = lines(desk)["a"]
        assert (line["state"], line["attempts"], "error" in line) == ("pending", 0, False)

    def test_one_that_waits_for_its_retry_goes_on_waiting(self, desk: Desk, other: Desk) -> None:
        desk.add("a", max_retries=2, backoff_base=10)
        desk.run_once(failing(desk.clock))
        other.queue.house.import_(io.BytesIO(exported(desk)))
        assert other.record("failed", "a") == desk.record("failed", "a")
        assert other.run_once() is False
        desk.clock.advance(10)
        assert other.run_once() is True
        assert other.record("done", "a")["attempts"] == 2

    def test_an_interrupted_one_waits(self, desk: Desk, other: Desk) -> None:
        desk.add("a")
        desk.run_once(interrupted(desk.clock))
        other.queue.house.import_(io.BytesIO(exported(desk)))
        assert other.row("a")["state"] == "pending"

    def test_a_drop_has_the_name_of_its_file(self, desk: Desk) -> None:
        desk.drop("hi.json", b'{"command": "x", "id": "ho"}')
        desk.drop("notepad.json.txt", '{"command": "x"}'.encode("utf-16"))
        assert sorted(lines(desk)) == ["hi", "notepad"]

    def test_the_second_of_a_name_is_no_second_line(self, desk: Desk) -> None:
        desk.put_job("done", "a", state="completed")
        desk.put_job("pending", "a")
        assert exported(desk).count(b"\n") == 1

    def test_no_link_is_followed(self, desk: Desk, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b'{"command": "x"}')
        try:
            (desk.root / "dead" / "a.json").symlink_to(tmp_path / "secret")
            (desk.root / "logs" / "b.log").symlink_to(tmp_path / "secret")
        except OSError:
            pytest.skip("Windows gives links to administrators")
        desk.put_job("done", "b", state="completed")
        assert [*lines(desk, logs=True)] == ["b"]

    def test_a_log_that_is_no_plain_file_is_told(self, desk: Desk) -> None:
        desk.put_job("done", "a", state="completed")
        (desk.root / "logs" / "a.log").mkdir()
        done = desk.queue.house.export(io.BytesIO(), logs=True)
        assert (done.jobs, done.logs_left_out) == (1, ["a"])

    def test_one_that_is_retried_meanwhile_is_met(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.put_job("dead", "a", state="dead", attempts=4)
        real, seen = Spool.scan_state, list[State]()

        def retried(self: Spool, state: State) -> Any:
            seen.append(state)
            if seen.count(State.DEAD) == 1 and state is State.DEAD:
                desk.drag("a", "dead", "pending")
            return real(self, state)

        monkeypatch.setattr(Spool, "scan_state", retried)
        assert lines(desk)["a"]["state"] == "pending"

    def test_one_that_is_being_written_at_the_first_look_is_not_told_as_left_out(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = desk.drop("a.json", b'{"comm')
        desk.drop("b.json", b"{")
        real = Spool.scan_state

        def written(self: Spool, state: State) -> Any:
            if state is State.DEAD:
                path.write_bytes(b'{"command": "x"}')
            return real(self, state)

        monkeypatch.setattr(Spool, "scan_state", written)
        done = desk.queue.house.export(io.BytesIO())
        assert (done.jobs, done.left_out) == (1, ["pending/b.json"])

    def test_a_log_that_is_too_large_is_left_out_not_cut(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exporting, "LARGEST_LOG", 3)
        for name, log in (("a", b"hey"), ("b", b"hello")):
            desk.put_job("done", name, state="completed")
            desk.drop(f"{name}.log", log, "logs")
        file = io.BytesIO()
        assert desk.queue.house.export(file, logs=True).logs_left_out == ["b"]
        assert [line for line in file.getvalue().splitlines() if b'"log"' in line] == [
            b'{"log":"a","text":"hey"}'
        ]

    @pytest.mark.parametrize("folder", ["done", "dead"])
    @pytest.mark.parametrize("state", ["pending", "processing"])
    def test_one_that_was_set_aside_before_it_ended_stays_so(
        self, desk: Desk, other: Desk, folder: str, state: str
    ) -> None:
        desk.put_job(folder, "a", state=state, meta={"folder": "pending"})
        line = lines(desk)["a"]
        assert (line["state"], line["folder"]) == (state, folder)
        other.queue.house.import_(io.BytesIO(exported(desk)))
        assert other.files() == {folder: ["a.json"]}
        assert other.record(folder, "a") == desk.record(folder, "a")
        assert lines(other) == lines(desk)
        other.queue.house.prune(state=folder, older_than=0.0)
        assert other.files() == {folder: ["a.json"]}
        assert other.run_once() is False

    def test_one_that_was_set_aside_as_no_job_is_left_out(self, desk: Desk) -> None:
        desk.put_job("dead", "large")
        desk.drop("large.error.txt", b"larger than max_job_bytes", "dead")
        done = desk.queue.house.export(io.BytesIO())
        assert (done.jobs, done.left_out) == (0, ["dead/large.json"])

    def test_by_way_of_enqueue_it_runs_anew(self, desk: Desk, other: Desk) -> None:
        desk.add("a")
        desk.run_once(succeeding(desk.clock))
        other.queue.enqueue([lines(desk)["a"]])
        assert other.row("a")["state"] == "pending"


class TestWhatIsImported:
    def test_in_pieces_what_was_checked_comes_in(
        self, desk: Desk, other: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importing, "AT_ONCE", 2)
        monkeypatch.setattr(importing, "_WRITTEN_AT_ONCE", 3)
        for number in range(7):
            desk.put_job("done", f"j{number}", state="completed")
            desk.drop(f"j{number}.log", b"hi", "logs")
        done = other.queue.house.import_(io.BytesIO(exported(desk, logs=True)))
        assert len(done.places) == 7
        assert other.files() == desk.files()
        assert len(os.listdir(other.root / "logs")) == 7
        assert os.listdir(other.root / "tmp") == []

    def test_in_pieces_a_batch_is_in_before_what_waits_for_it(
        self, other: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importing, "AT_ONCE", 1)
        ran: list[str] = []
        one_of = {"first": {"batch": "first", "after": ["fetch"]}, "then": {"batch": "then", "after": []}}
        one_of["then"]["after"] = [{"batch": "first"}]
        jobs = [
            {"id": "fetch"},
            {"id": "first-1", **one_of["first"]},
            {"id": "then-1", **one_of["then"]},
            {"id": "publish", "after": [{"batch": "then"}]},
            {"id": "alarm", "after": [{"batch": "then", "on": "failure"}]},
            {"id": "then-2", **one_of["then"]},
            {"id": "first-2", **one_of["first"]},
            {"id": "first-3", "batch": "first", "state": "completed"},
            *({"id": f"{one}-waits", "batch": one, "after": [{"batch": two}]} for one, two in ("xy", "yx")),
        ]
        real = importing._Lines.prepared

        def work_off() -> None:
            while other.run_once(during(lambda job: ran.append(job.name), succeeding(other.clock))):
                pass

        def meanwhile(self: Any, some: Any) -> Any:
            work_off()
            return real(self, some)

        monkeypatch.setattr(importing._Lines, "prepared", meanwhile)
        data = b"".join(json.dumps({"command": "x", **job}).encode() + b"\n" for job in jobs)
        places = other.queue.house.import_(io.BytesIO(data)).places
        work_off()
        assert [place.job_id for place in places] == [job["id"] for job in jobs]
        assert (ran[0], sorted(ran[1:3]), sorted(ran[3:5]), ran[5:]) == (
            "fetch",
            ["first-1", "first-2"],
            ["then-1", "then-2"],
            ["publish"],
        )
        assert other.files()["pending"] == ["x-waits.json", "y-waits.json"]

    def test_who_waits_for_one_that_is_renamed_waits_for_that(self, desk: Desk, other: Desk) -> None:
        jobs = [
            {"id": "early", "after": ["A", {"id": "b", "on": "any"}, {"batch": "a"}, "elsewhere"]},
            {"id": "hook", "hook_of": "b"},
            {"id": "a", "batch": "a"},
            {"id": "b", "on_dead": {"command": "y", "after": ["a", {"id": "B"}, {"batch": "b"}]}},
            {"id": "a-2", "after": ["a", "c"], "on_success": {"file": "a"}, "on_failure": "a"},
            {"id": "c"},
        ]
        other.add("a", "b")
        data = b"".join(json.dumps({"command": "x", **job}).encode() + b"\n" for job in jobs)
        other.queue.house.import_(io.BytesIO(data), rename=True)
        found = {name: other.record("pending", name) for name in ("early", "hook", "a-2", "b-2", "a-3", "c")}
        assert found["early"]["after"] == ["a-2", {"id": "b-2", "on": "any"}, {"batch": "a"}, "elsewhere"]
        assert found["hook"]["hook_of"] == "b-2"
        assert found["b-2"]["on_dead"]["after"] == ["a-2", {"id": "b-2"}, {"batch": "b"}]
        assert (found["a-3"]["after"], found["a-3"]["on_failure"]) == (["a-2", "c"], "a")
        assert other.record("pending", "a")["id"] == "a"
        assert os.listdir(other.root / "tmp") == []
        assert other.queue.doctor() == []

    def test_an_id_that_is_taken_meanwhile_ends_it_and_the_rest_can_follow(
        self, desk: Desk, other: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importing, "AT_ONCE", 2)
        for number in range(4):
            desk.put_job("done", f"j{number}", state="completed")
            desk.drop(f"j{number}.log", b"hi", "logs")
        data = b"\n".join(sorted(exported(desk).splitlines()))
        real = importing._Lines.take

        def then_taken(self: Any, file: Any) -> None:
            real(self, file)
            other.drop("j3.json", b'{"command": "mine"}')

        with monkeypatch.context() as patch:
            patch.setattr(importing._Lines, "take", then_taken)
            with pytest.raises(Conflict, match="2 are in"):
                other.queue.house.import_(io.BytesIO(data))
        assert other.files() == {"done": ["j0.json", "j1.json"], "pending": ["j3.json"]}
        other.queue.house.import_(io.BytesIO(data), skip_existing=True)
        assert other.files() == {"done": ["j0.json", "j1.json", "j2.json"], "pending": ["j3.json"]}

    def test_where_one_cannot_be_moved_in_none_is(
        self, desk: Desk, other: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in "ab":
            desk.put_job("done", name, state="completed")
            desk.drop(f"{name}.log", b"hi", "logs")
        data, real, count = exported(desk, logs=True), Spool.admit, [0]

        def full(self: Spool, prepared: str, place: Any) -> None:
            count[0] += 1
            if count[0] == 2:
                raise OSError(28, "No space left on device")
            real(self, prepared, place)

        with monkeypatch.context() as patch:
            patch.setattr(Spool, "admit", full)
            with pytest.raises(SpoolUnusable, match="No space left"):
                other.queue.house.import_(io.BytesIO(data))
        assert other.files() == {}
        assert os.listdir(other.root / "logs") == os.listdir(other.root / "tmp") == []
        assert len(other.queue.house.import_(io.BytesIO(data)).places) == 2

    def test_with_an_index_that_was_deleted_it_knows_names_that_differ_in_case(
        self, desk: Desk, other: Desk
    ) -> None:
        desk.put_job("done", "A", state="completed")
        data = exported(desk)
        other.put_job("done", "a", state="completed")
        with pytest.raises(Conflict):
            other.queue.house.import_(io.BytesIO(data))
        assert other.queue.house.import_(io.BytesIO(data), rename=True).places[0].job_id == "A-2"


class TestTheArchive:
    def member(self, desk: Desk, month: str = "2027-01") -> dict[str, bytes]:
        path = desk.root / "archive" / f"{month}.zip"
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            assert len(set(names)) == len(names)
            return {name: archive.read(name) for name in names}

    def zips(self, desk: Desk) -> list[str]:
        """What lies in its folder, but for the lock."""
        return sorted(set(os.listdir(desk.root / "archive")) - {"queuectl.lock"})

    def put(self, desk: Desk, job_id: str, **fields: Any) -> bytes:
        return desk.put_job("done", job_id, state="completed", **fields).read_bytes()

    def test_each_file_beside_it_keeps_its_name(self, desk: Desk) -> None:
        """Also where one between them could not be given."""
        record = self.put(desk, "a.b")
        for suffix in (".log", ".result", ".result-3"):
            desk.drop(f"a.b{suffix}", suffix.encode(), "logs")
        desk.queue.house.archive()
        beside = {f"logs/a.b{one}": one.encode() for one in (".log", ".result", ".result-3")}
        assert self.member(desk) == {"done/a.b.json": record, **beside}
        assert desk.files() == {}
        assert os.listdir(desk.root / "logs") == []

    def test_a_second_time_adds_to_it(self, desk: Desk) -> None:
        first = self.put(desk, "a")
        desk.drop("a.log", b"one", "logs")
        desk.queue.house.archive()
        second = self.put(desk, "b")
        desk.queue.house.archive()
        assert self.member(desk) == {"done/a.json": first, "logs/a.log": b"one", "done/b.json": second}
        assert self.zips(desk) == ["2027-01.zip"]

    def test_another_job_of_the_same_id_has_a_name_beside_it(self, desk: Desk) -> None:
        for command in ("one", "two", "two"):
            self.put(desk, "a", command=command)
            desk.drop("a.log", command.encode(), "logs")
            desk.queue.house.archive()
        found = self.member(desk)
        assert sorted(found) == ["done/a-2.json", "done/a.json", "logs/a-2.log", "logs/a.log"]
        assert (found["logs/a.log"], found["logs/a-2.log"]) == (b"one", b"two")

    def test_one_that_changes_meanwhile_stays(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put(desk, "a")
        self.put(desk, "b")
        real = archiving._members

        def changed(store: Any, picked: Any, unread: Any) -> Any:
            desk.drop("a.json", {"command": "mine", "state": "completed"}, "done")
            return real(store, picked, unread)

        monkeypatch.setattr(archiving, "_members", changed)
        assert desk.queue.house.archive().jobs == 1
        assert desk.files() == {"done": ["a.json"]}
        assert [*self.member(desk)] == ["done/b.json"]

    def test_one_that_is_dragged_back_meanwhile_lives(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.put(desk, "a")
        real = Archives.add

        def dragged(self: Archives, *args: Any) -> Added:
            added = real(self, *args)
            desk.drag("a", "done", "pending")
            return added

        monkeypatch.setattr(Archives, "add", dragged)
        assert desk.queue.house.archive().jobs == 0
        assert desk.files() == {"pending": ["a.json"]}

    def test_many_go_in_groups(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archiving, "AT_ONCE", 2)
        monkeypatch.setattr(ended, "_PAGE", 3)
        for number in range(7):
            self.put(desk, f"j{number}", updated_at=f"2027-0{1 + number // 4}-01T00:00:00.000Z")
        assert desk.queue.house.archive().jobs == 7
        assert desk.files() == {}
        assert (len(self.member(desk)), len(self.member(desk, "2027-02"))) == (4, 3)

    def test_a_file_that_is_no_zip_file_stays_and_so_do_the_jobs(self, desk: Desk) -> None:
        self.put(desk, "b")
        desk.queue.house.archive()
        sound = (desk.root / "archive" / "2027-01.zip").read_bytes()
        self.put(desk, "a")
        lists = [damaged(sound, how) for how in ("of a later version", "its name", "its place")]
        for data in (b"", b"mine", b"PK\x03\x04 and no end", *lists):
            (desk.root / "archive" / "2027-01.zip").write_bytes(data)
            with pytest.raises(DamagedRecord, match="no sound zip file"):
                desk.queue.house.archive()
            assert (desk.root / "archive" / "2027-01.zip").read_bytes() == data
        assert desk.files() == {"done": ["a.json"]}
        assert self.zips(desk) == ["2027-01.zip"]

    def test_what_somebody_who_was_killed_left_is_removed(self, desk: Desk) -> None:
        self.put(desk, "a")
        (desk.root / "archive").mkdir()
        (desk.root / "archive" / "2027-01.zip.0123456789ab.tmp").write_bytes(b"PK")
        (desk.root / "archive" / "mine.tmp").write_bytes(b"PK")
        desk.queue.house.archive()
        assert self.zips(desk) == ["2027-01.zip", "mine.tmp"]

    def test_a_zip_file_that_somebody_else_changes_meanwhile_is_not_replaced(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.put(desk, "a")
        real = Archives._write

        def meanwhile(self: Archives, *args: Any) -> Any:
            written = real(self, *args)
            (desk.root / "archive" / "2027-01.zip").write_bytes(b"another program's")
            return written

        monkeypatch.setattr(Archives, "_write", meanwhile)
        with pytest.raises(Conflict, match="just been changed"):
            desk.queue.house.archive()
        assert desk.files() == {"done": ["a.json"]}

    def test_a_full_disk_leaves_the_old_one_and_the_jobs(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = self.put(desk, "a")
        desk.queue.house.archive()
        self.put(desk, "b")

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(system, "sync_descriptor", full)
            with pytest.raises(SpoolUnusable, match=r"2027-01\.zip: No space left.*no job was deleted"):
                desk.queue.house.archive()
        assert self.member(desk) == {"done/a.json": first}
        assert desk.files() == {"done": ["b.json"]}
        assert self.zips(desk) == ["2027-01.zip"]

    @pytest.mark.parametrize("lost", [1, 10_000])
    def test_a_copy_of_it_that_is_not_whole_is_not_put_in_its_place(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, lost: int
    ) -> None:
        """`zipfile` would take it for no zip file, and put a new one behind it: found by refused writes."""
        first = self.put(desk, "a")
        desk.queue.house.archive()
        self.put(desk, "b")

        def short(source: Any, target: Any) -> None:
            target.write(source.read()[:-lost])

        with monkeypatch.context() as patch:
            patch.setattr("queuectl.spool.archives.copyfileobj", short)
            with pytest.raises(SpoolUnusable):
                desk.queue.house.archive()
        assert self.member(desk) == {"done/a.json": first}
        assert desk.files() == {"done": ["b.json"]}

    @pytest.mark.parametrize("how", ["opens not", "reads not", "record"])
    def test_one_that_cannot_be_read_is_left_and_the_others_go(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        for name in "ab":
            self.put(desk, name)
            desk.drop(f"{name}.log", b"hi", "logs")
        log, plainly, read = desk.path("logs", "a.log"), system.open_plainly, Spool.read_bytes

        def opened(path: str, flags: int, mode: int = 0o666) -> int:
            if how == "record" or path != str(log):
                return plainly(path, flags, mode)
            if how == "opens not":
                raise PermissionError(13, "Permission denied", path)
            return os.open(path, os.O_WRONLY)

        def read_bytes(self: Spool, place: Any, *args: Any, **options: Any) -> Any:
            # It was read a moment ago, to be chosen.
            if how == "record" and place.job_id == "a" and not options:
                raise PermissionError(13, "Permission denied")
            return read(self, place, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(system, "open_plainly", opened)
            patch.setattr(Spool, "read_bytes", read_bytes)
            done = desk.queue.house.archive()
            assert (done.jobs, done.left) == (1, 1)
            assert (desk.files(), log.read_bytes()) == ({"done": ["a.json"]}, b"hi")
            before = self.member(desk)
            assert sorted(before) == ["done/b.json", "logs/b.log"]
            done = desk.queue.house.archive()
            assert (done.jobs, done.left, done.files) == (0, 1, [])
        assert desk.queue.house.archive().jobs == 1
        assert (desk.files(), len(self.member(desk))) == ({}, 4)

    def test_where_none_can_be_read_no_zip_file_is_made(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.put(desk, "a")
        desk.drop("a.log", b"hi", "logs")

        def denied(*_: Any) -> Any:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Archives, "_open_beside", denied)
        assert desk.queue.house.archive().left == 1
        assert self.zips(desk) == []

    @pytest.mark.parametrize("damage", ["flipped", "encrypted", "packed otherwise"])
    def test_an_entry_that_cannot_be_read_is_another_one(self, desk: Desk, damage: str) -> None:
        self.put(desk, "a", command="echo one")
        first = self.put(desk, "b")
        desk.queue.house.archive()
        path = desk.root / "archive" / "2027-01.zip"
        path.write_bytes(damaged(path.read_bytes(), damage))
        before = path.read_bytes()
        second = self.put(desk, "a", command="echo two")
        assert desk.queue.house.archive().jobs == 1
        self.put(desk, "a", command="echo two")
        assert desk.queue.house.archive().jobs == 1
        assert desk.files() == {}
        with zipfile.ZipFile(path) as archive:
            assert sorted(archive.namelist()) == ["done/a-2.json", "done/a.json", "done/b.json"]
            assert (archive.read("done/a-2.json"), archive.read("done/b.json")) == (second, first)
            end = archive.getinfo("done/a-2.json").header_offset
        assert path.read_bytes()[:end] == before[:end], "somebody may mend it"

    def test_times_that_no_zip_file_knows(self, desk: Desk) -> None:
        self.put(desk, "a", updated_at="1970-01-01T00:00:00.000Z")
        self.put(desk, "b", updated_at="9999-12-31T23:59:59.000Z")
        assert desk.queue.house.archive().jobs == 2
        assert self.zips(desk) == ["1970-01.zip", "9999-12.zip"]

    @pytest.mark.skipif(os.name == "nt", reason="access is told otherwise there")
    def test_is_for_its_owner_alone(self, desk: Desk) -> None:
        self.put(desk, "a")
        desk.queue.house.archive()
        assert (desk.root / "archive").stat().st_mode & 0o077 == 0
        assert (desk.root / "archive" / "2027-01.zip").stat().st_mode & 0o077 == 0

    def test_a_spool_with_it_is_one(self, desk: Desk) -> None:
        self.put(desk, "a")
        desk.queue.house.archive()
        assert desk.queue.doctor() == []
        with Desk(desk.root) as again:
            assert again.ids() == []


class TestAFolderOfTwoSpools:
    def test_one_that_archives_at_the_last_moment_loses_nothing(
        self, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the other's last look at the zip file and its move; found by a review."""
        monkeypatch.setattr(archives, "LOCK_PATIENCE", 0.05)
        for root, name in ((desk.root, "a"), (tmp_path / "other", "b")):
            with Desk(root, desk.clock) as one:
                one.put_job("done", name, state="completed")
        folder, told, real = str(tmp_path / "shared"), list[str](), system.replace

        def other() -> None:
            with Desk(tmp_path / "other", desk.clock) as one:
                try:
                    one.queue.house.archive(to=folder)
                except Busy as error:
                    told.append(str(error))

        def replace(source: str, target: str, *, guard: Any = lambda: None, **options: Any) -> None:
            def then_the_other() -> None:
                guard()
                if target.endswith(".zip") and not started:
                    started.append(Thread(target=other))
                    started[0].start()
                    started[0].join()

            real(source, target, guard=then_the_other, **options)

        started: list[Thread] = []
        with monkeypatch.context() as patch:
            patch.setattr(system, "replace", replace)
            assert desk.queue.house.archive(to=folder).jobs == 1
        assert len(started) == 1
        assert ["queuectl.lock" in one for one in told] == [True]
        other()
        with zipfile.ZipFile(os.path.join(folder, "2027-01.zip")) as archive:
            assert archive.namelist() == ["done/a.json", "done/b.json"]


class TestOneAtATime:
    @pytest.mark.parametrize("verb", ["prune", "archive"])
    def test_while_another_program_does_it_it_is_told(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, verb: str
    ) -> None:
        monkeypatch.setattr(ended, "LOCK_PATIENCE", 0.05)
        desk.put_job("done", "a", state="completed")
        held = locks.try_lock(house_lock(desk.store))
        assert held is not None
        with pytest.raises(Busy):
            getattr(desk.queue.house, verb)(older_than=0.0)
        held.release()
        getattr(desk.queue.house, verb)(older_than=0.0)
        assert desk.files() == {}
