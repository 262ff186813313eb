"""prune | archive | export | import, and the library behind them."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from queuectl import system
from queuectl.cli.commands import keep
from queuectl.codec import encode_job
from queuectl.errors import Conflict, InvalidInput
from queuectl.job import Job
from queuectl.moment import format_moment
from queuectl.queue import Queue
from queuectl.spool import Spool
from queuectl.state import State
from tests.support.commandline import CommandLine

DAY = 86400.0
LEFT = {"completed": "done", "dead": "dead"}


def ended(
    cli: CommandLine, job_id: str, days: float = 0.0, *, state: str = "completed", log: bytes = b"hi\n"
) -> None:
    """A job that ended so many days ago."""
    at = format_moment(system.now() - days * DAY)
    job = Job(id=job_id, command="x", state=State(state), attempts=1, created_at=at, updated_at=at)
    cli.drop(f"{job_id}.json", encode_job(job), LEFT[state])
    if log:
        (cli.spool / "logs" / f"{job_id}.log").write_bytes(log)


def names(cli: CommandLine, folder: str) -> list[str]:
    return sorted(os.listdir(cli.spool / folder))


@pytest.fixture
def old(cli: CommandLine) -> CommandLine:
    """A spool with jobs of all ages in done and dead."""
    cli.ok("init")
    for days in (1, 10, 40):
        ended(cli, f"c{days}", days)
        ended(cli, f"d{days}", days, state="dead")
    return cli


class TestPrune:
    def test_without_settings_it_deletes_nothing_and_says_how(self, old: CommandLine) -> None:
        before = old.files()
        assert "keep_done 30d" in old.ok("prune").err
        assert old.files() == before
        assert old.json("prune") == {
            "completed": 0,
            "dead": 0,
            "logs": 0,
            "bytes": 0,
            "left": 0,
            "dry_run": False,
        }

    def test_it_does_what_the_settings_say(self, old: CommandLine) -> None:
        old.ok("config", "set", "keep_done", "30d")
        old.ok("config", "set", "keep_dead_count", "1")
        size = sum(
            path.stat().st_size for name in ("c40", "d10", "d40") for path in old.spool.glob(f"*/{name}.*")
        )
        told = old.json("prune", "--dry-run")
        assert told == {"completed": 1, "dead": 2, "logs": 0, "bytes": size, "left": 0, "dry_run": True}
        assert names(old, "done") == ["c1.json", "c10.json", "c40.json"]
        assert old.json("prune", "--yes") == {**told, "dry_run": False}
        assert (names(old, "done"), names(old, "dead")) == (["c1.json", "c10.json"], ["d1.json"])
        assert names(old, "logs") == ["c1.log", "c10.log", "d1.log"]
        assert "nothing to delete" in old.ok("prune").err

    def test_of_one_state(self, old: CommandLine) -> None:
        for name in ("keep_done", "keep_dead"):
            old.ok("config", "set", name, "30d")
        assert "deleted 1 dead job: " in old.ok("prune", "--yes", "--state", "dead").err
        assert names(old, "done") == ["c1.json", "c10.json", "c40.json"]

    def test_options_go_over_the_settings_and_mean_completed_jobs(self, old: CommandLine) -> None:
        old.ok("config", "set", "keep_done", "30d")
        old.ok("config", "set", "keep_dead", "0")
        assert "deleted 2 completed jobs: " in old.ok("prune", "--older-than", "5d", "--yes").err
        assert names(old, "done") == ["c1.json"]
        assert old.json("prune", "--keep", "1", "--state", "dead", "--yes")["dead"] == 2
        assert names(old, "dead") == ["d1.json"]

    def test_with_two_options_goes_what_both_let_go(self, old: CommandLine) -> None:
        """`--keep` protects, as in every program that has it."""
        old.ok("prune", "--older-than", "30d", "--keep", "1", "--yes")
        assert names(old, "done") == ["c1.json", "c10.json"]
        old.ok("prune", "--older-than", "5d", "--keep", "2", "--yes")
        assert names(old, "done") == ["c1.json", "c10.json"]
        old.ok("prune", "--older-than", "5d", "--keep", "1", "--yes")
        assert names(old, "done") == ["c1.json"]

    def test_logs_without_jobs_go_by_their_setting(self, old: CommandLine) -> None:
        (old.spool / "done" / "c40.json").unlink()
        os.utime(old.spool / "logs" / "c40.log", (0, 0))
        old.ok("config", "set", "keep_logs", "7d")
        assert "deleted 1 log without a job: 3 bytes" in old.ok("prune", "--yes").err
        assert "c40.log" not in names(old, "logs")

    def test_nobody_to_ask(self, old: CommandLine) -> None:
        assert "say --yes" in old.fails(2, "prune", "--keep", "0")
        assert names(old, "done") == ["c1.json", "c10.json", "c40.json"]

    def test_a_person_is_asked(self, old: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "is_interactive", lambda stream: True)
        refused = old("prune", "--keep", "1", stdin=b"n\n")
        assert refused.code == 130
        assert "Delete 2 completed jobs (" in refused.err
        assert len(names(old, "done")) == 3
        old.ok("prune", "--keep", "1", stdin=b"y\n")
        assert names(old, "done") == ["c1.json"]

    def test_what_ends_while_somebody_thinks_about_it_stays(
        self, old: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def confirmed(question: str) -> None:
            ended(old, "new")

        monkeypatch.setattr("queuectl.cli.commands.keep.confirm", confirmed)
        old.ok("prune", "--keep", "0")
        assert names(old, "done") == ["new.json"]

    @pytest.mark.parametrize("state", ["pending", "processing", "failed"])
    def test_jobs_that_have_not_ended_cannot_be_meant(self, old: CommandLine, state: str) -> None:
        for verb in ("prune", "archive"):
            assert "have not ended" in old.fails(2, verb, "--state", state)

    def test_a_file_that_is_no_job_stays_and_purge_deletes_it(self, cli: CommandLine) -> None:
        cli.ok("init")
        cli.drop("bad.json", b"{", "dead")
        cli.drop("bad.error.txt", b"no job\n", "dead")
        assert cli.json("prune", "--state", "dead", "--keep", "0", "--yes")["dead"] == 0
        assert names(cli, "dead") == ["bad.error.txt", "bad.json"]
        cli.ok("dlq", "purge", "bad", "--yes")
        assert names(cli, "dead") == []

    def test_what_somebody_holds_is_left_and_told(
        self, old: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Spool.read_bytes

        def held(self: Spool, place: Any, *args: Any, **options: Any) -> Any:
            if place.job_id == "c10":
                raise PermissionError(13, "somebody holds it")
            return real(self, place, *args, **options)

        old.ok("list")
        with monkeypatch.context() as patch:
            patch.setattr(Spool, "read_bytes", held)
            for verb in (("prune", "--keep", "1", "--yes"), ("archive", "--older-than", "5d")):
                done = old(*verb)
                assert (done.code, "1 job could not be read or deleted" in done.err) == (5, True)
                assert names(old, "done") == ["c1.json", "c10.json"]
        assert old.json("prune", "--keep", "1", "--yes")["left"] == 0

    @pytest.mark.parametrize("age", ["a month", "-1", "1e99"])
    def test_an_age_that_is_none(self, cli: CommandLine, age: str) -> None:
        cli.ok("init")
        assert "--older-than" in cli.fails(2, "prune", f"--older-than={age}")


class TestArchive:
    def test_jobs_go_into_a_zip_file_for_each_month(self, old: CommandLine) -> None:
        ended(old, "november", log=b"")
        record = {"id": "november", "command": "x", "state": "completed", "attempts": 1, "crashes": 0}
        old.drop("november.json", {**record, "updated_at": "2025-11-30T23:59:59.999Z"}, "done")
        old.drop("december.json", {**record, "updated_at": "2025-12-01T00:00:00.000Z"}, "done")
        files = old.files()
        told = old.json("archive", "--older-than", "100d")
        paths = [old.spool / "archive" / f"2025-{month}.zip" for month in (11, 12)]
        size = len(files["done/november.json"]) + len(files["done/december.json"])
        assert told == {"jobs": 2, "bytes": size, "files": [str(path) for path in paths], "left": 0}
        with zipfile.ZipFile(paths[0]) as november:
            assert november.namelist() == ["done/november.json"]
            assert november.read("done/november.json") == files["done/november.json"]
        assert names(old, "done") == ["c1.json", "c10.json", "c40.json"]
        assert names(old, "dead") == ["d1.json", "d10.json", "d40.json"]

    def test_unpacked_over_a_spool_all_is_back(self, old: CommandLine, tmp_path: Path) -> None:
        before = old.files()
        listed = old.json("list")
        old.ok("archive")
        old.ok("archive", "--state", "dead")
        assert old.json("list") == []
        assert names(old, "logs") == []
        for path in (old.spool / "archive").glob("*.zip"):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(old.spool)
        after = {path: data for path, data in old.files().items() if not path.endswith((".zip", ".lock"))}
        assert after == before
        assert old.json("list") == listed

    def test_into_another_folder(self, old: CommandLine, tmp_path: Path) -> None:
        told = old.json("archive", "--to", str(tmp_path / "elsewhere"), "--older-than", "5d")
        assert told["jobs"] == 2
        assert not (old.spool / "archive").exists()
        assert {os.path.dirname(path) for path in told["files"]} == {str(tmp_path / "elsewhere")}
        assert "nothing to put away" in old.ok("archive", "--older-than", "5d").err

    def test_the_library_takes_ages_as_text(self, old: CommandLine) -> None:
        with Queue.open(str(old.spool)) as queue:
            assert queue.house.archive(older_than="20d").jobs == 1
            assert queue.house.prune(older_than="5d", dry_run=True).jobs == {"completed": 1}
            with pytest.raises(InvalidInput, match="not a duration"):
                queue.house.prune(older_than="long ago")


class TestExport:
    def test_each_record_is_a_line_whole(self, old: CommandLine) -> None:
        old.ok("enqueue", "--id", "waits", "--env", "A=b", "--", "x")
        lines = [json.loads(line) for line in old.ok("export").out.splitlines()]
        assert {line["id"] for line in lines} == {
            "waits",
            *(f"{kind}{days}" for kind in "cd" for days in (1, 10, 40)),
        }
        for line in lines:
            folder = LEFT.get(line["state"], line["state"])
            assert line == old.record(folder, line["id"])

    def test_to_a_file_that_is_not_overwritten(self, old: CommandLine, tmp_path: Path) -> None:
        path = tmp_path / "jobs.jsonl"
        told = old.json("export", str(path), "--state", "dead", "--state", "done", "--logs")
        assert told == {"file": str(path), "jobs": 6, "left_out": [], "logs_left_out": []}
        before = path.read_bytes()
        assert before.count(b"\n") == 12
        assert "--replace" in old.fails(4, "export", str(path))
        assert path.read_bytes() == before
        old.ok("export", str(path), "--replace", "--state", "dead")
        assert path.read_bytes().count(b"\n") == 3
        assert sorted(os.listdir(tmp_path)) == ["jobs.jsonl", "spool"]

    @pytest.mark.skipif(os.name == "nt", reason="access is told otherwise there")
    def test_for_its_owner_alone(self, old: CommandLine, tmp_path: Path) -> None:
        old.ok("export", str(tmp_path / "jobs.jsonl"))
        assert (tmp_path / "jobs.jsonl").stat().st_mode & 0o077 == 0

    def test_a_file_that_is_no_job_is_left_out_and_told(self, cli: CommandLine) -> None:
        cli.ok("init")
        cli.drop("bad.json", b"{", "dead")
        done = cli.ok("export")
        assert (done.out, "dead/bad.json holds no job" in done.err) == ("", True)

    def test_a_log_that_cannot_be_read_is_told(
        self, old: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        real = system.read_file

        def denied(path: str, *args: Any, **options: Any) -> Any:
            if path.endswith("c10.log"):
                raise PermissionError(13, "Permission denied", path)
            return real(path, *args, **options)

        monkeypatch.setattr(system, "read_file", denied)
        done = old.ok("export", "--logs")
        assert "job 'c10': its log was left out: it cannot be read, or is larger than 64.0 MiB" in done.err
        assert (done.out.count('"id"'), done.out.count('"log"')) == (6, 5)
        assert old.json("export", str(tmp_path / "jobs.jsonl"), "--logs")["logs_left_out"] == ["c10"]
        assert "left out" not in old.ok("export").err

    def test_what_a_killed_one_has_left_is_removed_in_time(self, old: CommandLine, tmp_path: Path) -> None:
        left = [f"jobs.jsonl.{'0' * 12}.tmp", f"jobs.jsonl.{'1' * 12}.tmp", "jobs.jsonl.mine.tmp"]
        for name in left:
            (tmp_path / name).write_bytes(b"{")
        for name in (left[0], left[2]):
            os.utime(tmp_path / name, (0, 0))
        old.ok("export", "jobs.jsonl")
        assert sorted(os.listdir(tmp_path)) == ["jobs.jsonl", *left[1:], "spool"]

    def test_into_a_folder_that_is_not_there(self, old: CommandLine) -> None:
        path = os.path.join("nowhere", "jobs.jsonl")
        assert f"cannot write {path}: No such file or directory" in old.fails(7, "export", path)

    @pytest.mark.parametrize("when", ["written", "flushed"])
    def test_a_full_disk(
        self, old: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
    ) -> None:
        class Full(io.BytesIO):
            def write(self, data: Any) -> int:
                raise OSError(28, "No space left on device")

        def full(*_: Any, **__: Any) -> Any:
            raise OSError(28, "No space left on device")

        (tmp_path / "jobs.jsonl").write_bytes(b"older")
        if when == "written":
            monkeypatch.setattr(keep, "open", lambda *_, **__: Full(), raising=False)
        else:
            monkeypatch.setattr(system, "sync_descriptor", full)
        told = old.fails(7, "export", "jobs.jsonl", "--replace")
        assert "cannot write jobs.jsonl: No space left on device (nothing was deleted or replaced)" in told
        assert (tmp_path / "jobs.jsonl").read_bytes() == b"older"
        assert sorted(os.listdir(tmp_path)) == ["jobs.jsonl", "spool"]

    def test_json_beside_the_lines_is_refused(self, cli: CommandLine) -> None:
        cli.ok("init")
        assert "name a file" in json.loads(cli("export", "--json").err)["message"]

    def test_a_state_that_there_is_not(self, cli: CommandLine) -> None:
        cli.ok("init")
        assert "no state 'lost'" in cli.fails(2, "export", "--state", "lost")
        assert "no state 'lost'" in cli.fails(2, "prune", "--state", "lost")


class TestImport:
    def exported(self, cli: CommandLine, *options: str) -> bytes:
        return cli.ok("export", *options).out.encode()

    def test_brings_all_back_as_it_was(self, old: CommandLine, tmp_path: Path) -> None:
        old.ok("enqueue", "--id", "waits", "--priority", "3", "--", "x")
        data = self.exported(old, "--logs")
        other = str(tmp_path / "other")
        done = json.loads(old.ok("--spool", other, "import", "-", "--json", stdin=data).out)
        assert (len(done["jobs"]), done["skipped"], done["logs_left_out"]) == (7, [], [])
        assert {row["id"]: row["state"] for row in done["jobs"]}["waits"] == "pending"
        for folder in ("pending", "failed", "done", "dead", "logs"):
            mine, theirs = old.spool / folder, Path(other) / folder
            assert {path.name: path.read_bytes() for path in mine.iterdir()} == {
                path.name: path.read_bytes() for path in theirs.iterdir()
            }
        assert old.json("--spool", other, "list") == old.json("list")

    def test_ids_that_are_taken(self, old: CommandLine) -> None:
        data = self.exported(old)
        first = json.loads(data.splitlines()[0])["id"]
        refused = old("import", "-", stdin=data)
        assert refused.code == 4
        assert f"line 1: a job {first!r} is in this spool already" in refused.err
        assert "--skip-existing" in refused.err
        (old.spool / "done" / "c10.json").unlink()
        told = old.ok("import", "--skip-existing", "-", stdin=data).err
        assert "imported 1 job, 5 left out that are there" in told
        old.ok("import", "--rename", "-", stdin=data)
        assert names(old, "done") == sorted(
            f"c{days}{end}.json" for days in (1, 10, 40) for end in ("", "-2")
        )
        assert old.record("done", "c1-2")["id"] == "c1-2"
        assert "choose one" in old.fails(2, "import", "--rename", "--skip-existing", "-")

    @pytest.mark.parametrize(
        ("line", "code", "told"),
        [
            (b"{", 2, "line 3: "),
            (b"hi", 2, "line 3: "),
            (b'{"command": "x"}', 2, "line 3: the field 'id' is missing"),
            (b'{"id": "b", "comand": "x"}', 2, "line 3: unknown field 'comand'"),
            (b'{"id": "../b", "command": "x"}', 2, "line 3: id: "),
            (b'{"id": "a", "command": "x"}', 4, "line 3: the id 'a' is given twice"),
            (b'{"id": "A", "command": "x"}', 4, "line 3: the id 'A' is given twice"),
            (b'{"log": "b", "text": "x"}', 2, "line 3: a log of 'b', and no line before it has that job"),
            (b'{"log": "a", "base64": "?"}', 2, "line 3: the log of 'a' is not in Base64"),
            (
                b'{"id": "b", "command": "x", "folder": "pending"}',
                2,
                "line 3: folder: 'pending' is not one of",
            ),
            (b'{"id": "b", "command": "x", "folder": 1}', 2, "line 3: unknown field 'folder'"),
            (b'{"id": "\xff"}', 2, "line 3: not text in UTF-8"),
            (b'{"id": "b", "command": "' + b"x" * 2**20 + b'"}', 2, "line 3: larger than max_job_bytes"),
        ],
    )
    def test_one_line_that_is_wrong_and_nothing_is_imported(
        self, cli: CommandLine, line: bytes, code: int, told: str
    ) -> None:
        cli.ok("init")
        before = cli.files()
        good = b'{"id": "a", "command": "x", "state": "completed"}\n\n'
        refused = cli("import", "-", stdin=good + line + b'\n{"id": "c", "command": "x"}\n')
        assert (refused.code, told in refused.err) == (code, True), refused.err
        assert cli.files() == before

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_what_powershell_has_written(
        self, cli: CommandLine, tmp_path: Path, encoding: str, newline: str
    ) -> None:
        text = newline.join(f'{{"id": "{name}", "command": "é\u2028", "state": "done"}}' for name in "ab")
        (tmp_path / "jobs.jsonl").write_bytes((text + newline).encode(encoding))
        cli.ok("import", "jobs.jsonl")
        assert names(cli, "done") == ["a.json", "b.json"]

    def test_a_log_of_whatever_bytes_comes_back(self, cli: CommandLine, tmp_path: Path) -> None:
        cli.ok("init")
        for name, log in (("a", b"\xff\x00\r\n"), ("b", b""), ("c", "é\n".encode())):
            ended(cli, name, log=log)
        data = self.exported(cli, "--logs")
        other = tmp_path / "other"
        cli.ok("--spool", str(other), "import", "-", stdin=data)
        assert {path.name: path.read_bytes() for path in (other / "logs").iterdir()} == {
            "a.log": b"\xff\x00\r\n",
            "c.log": "é\n".encode(),
        }

    def test_a_log_that_is_there_stays_and_it_is_told(self, cli: CommandLine) -> None:
        cli.ok("init")
        ended(cli, "a", log=b"new")
        data = self.exported(cli, "--logs")
        (cli.spool / "done" / "a.json").unlink()
        cli.ok("list")
        assert "log" not in cli.ok("import", "-", stdin=data).err, "the same is no other"
        (cli.spool / "done" / "a.json").unlink()
        (cli.spool / "logs" / "a.log").write_bytes(b"old")
        cli.ok("list")
        assert "job 'a': its log was left out" in cli.ok("import", "-", stdin=data).err
        assert (cli.spool / "logs" / "a.log").read_bytes() == b"old"

    def test_a_file_that_is_not_there(self, cli: CommandLine) -> None:
        cli.ok("init")
        assert "cannot read nothing.jsonl" in cli.fails(2, "import", "nothing.jsonl")

    def test_from_python_a_stream_that_cannot_be_read_twice_does(
        self, old: CommandLine, tmp_path: Path
    ) -> None:
        class Pipe(io.BytesIO):
            def seekable(self) -> bool:
                return False

            def seek(self, *_: Any) -> int:
                raise AssertionError("not this one")

        data = self.exported(old)
        with Queue.open(str(tmp_path / "other")) as queue:
            assert len(queue.house.import_(Pipe(data)).places) == 6
            with pytest.raises(Conflict):
                queue.house.import_(io.BytesIO(data))
            with pytest.raises(InvalidInput):
                queue.house.import_(io.BytesIO(data), skip_existing=True, rename=True)
            assert len(queue.house.import_(io.BytesIO(data), skip_existing=True).skipped) == 6
