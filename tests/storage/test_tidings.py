"""A run's result and progress: from the files that its command writes to its record and to `status`."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from queuectl import events, system
from queuectl.engine import Conditions
from queuectl.job import Job
from queuectl.queue.liveness import note_of_runs, note_run, noted_runs
from queuectl.queue.recovery import recover
from queuectl.queue.report import live_workers, progress_of
from queuectl.runner import Outcome
from queuectl.spool.place import LARGEST_RESULT
from queuectl.system import clock, files, patience
from queuectl.tidings import Progress, Result, Tidings, take
from tests.support.commands import python
from tests.support.spools import Desk, Heard, failing, interrupted, succeeding

WINDOWS = sys.platform == "win32"
WRITES = "import os; open(os.environ['QUEUECTL_{}'], 'w').write({!r}); {}"


def leaving(data: Optional[bytes], run: Callable[[Job, Conditions], Outcome]) -> Any:
    """A command that tells of its progress and leaves this as its result, and ends as `run` does."""

    def runs(job: Job, conditions: Conditions) -> Outcome:
        assert conditions.tidings is not None
        Path(conditions.tidings.progress).write_bytes(b"40 x")
        if data is not None:
            Path(conditions.tidings.result).write_bytes(data)
        left = take(conditions.tidings)
        return run(job, conditions)._replace(result=left.value, refused=left.problem)

    return runs


def leaving_folder(run: Callable[[Job, Conditions], Outcome]) -> Any:
    """The same, in whose place there is a folder."""

    def runs(job: Job, conditions: Conditions) -> Outcome:
        assert conditions.tidings is not None
        os.makedirs(os.path.join(conditions.tidings.result, "in it"))
        return leaving(None, run)(job, conditions)  # type: ignore[no-any-return]

    return runs


def run_command(desk: Desk) -> None:
    """Run the next job for real."""
    desk.look()
    with desk.worker() as worker:
        assert worker.run_once()


def nothing_left(desk: Desk) -> bool:
    return os.listdir(desk.root / "tmp") == []


class TestFiles:
    @pytest.fixture
    def tidings(self, tmp_path: Path) -> Tidings:
        names = ("kept.result", "kept.result-2", "kept.result-3")
        kept = [str(tmp_path / "logs" / name) for name in names]
        os.mkdir(tmp_path / "logs")
        return Tidings(str(tmp_path / "r"), str(tmp_path / "p"), kept)

    def test_taken_they_are_gone(self, tidings: Tidings, tmp_path: Path) -> None:
        Path(tidings.result).write_bytes(b'{"rows": 3}')
        Path(tidings.progress).write_bytes(b"100")
        assert take(tidings) == Result({"rows": 3})
        assert os.listdir(tmp_path) == ["logs"]

    def test_none_are_nothing(self, tidings: Tidings) -> None:
        assert take(tidings) == Result()

    def test_nor_where_somebody_has_removed_the_folder(self, tmp_path: Path) -> None:
        away = str(tmp_path / "away" / "x")
        assert take(Tidings(away, away, [away])) == Result()

    @pytest.mark.parametrize("data", [b"done", b'"' + b"x" * LARGEST_RESULT + b'"', b"\xff\xfe\x00\xd8"])
    def test_what_cannot_be_taken_is_kept_byte_for_byte(self, tidings: Tidings, data: bytes) -> None:
        Path(tidings.result).write_bytes(data)
        left = take(tidings)
        assert left.value is None
        assert tidings.refused[0] in (left.problem or "")
        assert Path(tidings.refused[0]).read_bytes() == data
        assert not os.path.lexists(tidings.result)

    def test_what_cannot_have_one_name_gets_the_next(
        self, tidings: Tidings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is all that is left of what the command had to say."""
        real = system.replace

        def refusing(source: str, target: str, **options: Any) -> None:
            if target == tidings.refused[0]:
                raise OSError(errno.EIO, "I/O error")
            real(source, target, **options)

        monkeypatch.setattr(system, "replace", refusing)
        Path(tidings.result).write_bytes(b"oops")
        assert tidings.refused[1] in (take(tidings).problem or "")
        assert Path(tidings.refused[1]).read_bytes() == b"oops"

    def test_a_folder_is_kept_with_what_is_in_it(self, tidings: Tidings, tmp_path: Path) -> None:
        for _ in range(2):
            os.mkdir(tidings.result)
            (Path(tidings.result) / "in it").write_bytes(b"x")
            assert "folder" in (take(tidings).problem or "")
        kept = [path.parent.name for path in (tmp_path / "logs").rglob("in it")]
        assert sorted(kept) == ["kept.result", "kept.result-2"]

    def test_the_next_one_goes_beside_it_and_in_the_end_over_the_last(self, tidings: Tidings) -> None:
        for number in range(5):
            Path(tidings.result).write_bytes(b"oops %d" % number)
            take(tidings)
        assert [Path(path).read_bytes() for path in tidings.refused] == [b"oops 0", b"oops 1", b"oops 4"]
        os.mkdir(tidings.result)
        take(tidings)
        assert os.path.isdir(tidings.refused[2]), "whatever lay there"

    def test_where_somebody_has_removed_the_folder_of_logs_it_is_made_again(self, tidings: Tidings) -> None:
        os.rmdir(os.path.dirname(tidings.refused[0]))
        Path(tidings.result).write_bytes(b"oops")
        take(tidings)
        assert Path(tidings.refused[0]).read_bytes() == b"oops"

    def test_a_folder_in_place_of_progress_goes_with_what_is_in_it(
        self, tidings: Tidings, tmp_path: Path
    ) -> None:
        os.makedirs(os.path.join(tidings.progress, "a", "b"))
        (Path(tidings.progress) / "in it").write_bytes(b"x")
        if not WINDOWS:
            (tmp_path / "logs" / "theirs").write_bytes(b"x")
            os.symlink(tmp_path / "logs", os.path.join(tidings.progress, "link"))
        assert take(tidings) == Result()
        assert os.listdir(tmp_path) == ["logs"]
        assert WINDOWS or os.listdir(tmp_path / "logs") == ["theirs"], "nothing behind a link"

    def test_one_that_somebody_holds_is_waited_for_no_longer_than_that(
        self, tidings: Tidings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As what the command has left running may (Windows): others wait for this worker."""
        Path(tidings.result).write_bytes(b"1")
        now = [0.0]

        def held(*_: Any, **__: Any) -> Any:
            raise PermissionError(13, "somebody holds it")

        monkeypatch.setattr(clock, "monotonic", lambda: now[0])
        monkeypatch.setattr(clock, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
        monkeypatch.setattr(patience, "is_transient", lambda error: True)
        monkeypatch.setattr(files, "_read_once", held)
        monkeypatch.setattr(os, "replace", held)
        assert "somebody holds it" in (take(tidings).problem or "")
        assert 1 <= now[0] <= 2.5

    @pytest.mark.skipif(WINDOWS, reason="links need a privilege, and there are no FIFOs")
    @pytest.mark.parametrize("what", ["link", "FIFO"])
    def test_what_is_no_plain_file_is_not_read(self, tidings: Tidings, tmp_path: Path, what: str) -> None:
        secret = tmp_path / "secret.json"
        secret.write_bytes(b'"secret"')
        if what == "link":
            os.symlink(secret, tidings.result)
        else:
            os.mkfifo(tidings.result)
        left = take(tidings)
        assert left.value is None
        assert f"not a regular file but a {'symbolic link' if what == 'link' else 'FIFO'}" in (
            left.problem or ""
        )
        assert secret.read_bytes() == b'"secret"'

    def test_what_cannot_be_removed_is_no_error(
        self, tidings: Tidings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def held(path: str, **_: Any) -> bool:
            raise PermissionError(13, "somebody looks at it", path)

        Path(tidings.result).write_bytes(b"1")
        monkeypatch.setattr(system, "remove_all", held)
        assert take(tidings) == Result(1)


class TestRecord:
    @pytest.mark.parametrize(
        ("run", "folder"), [(succeeding, "done"), (failing, "failed")], ids=["success", "failure"]
    )
    def test_whatever_the_verdict_it_is_kept(self, desk: Desk, run: Any, folder: str) -> None:
        desk.add("a")
        assert desk.run_once(leaving(b'{"rows": 3}', run(desk.clock)))
        assert desk.record(folder, "a")["result"] == {"rows": 3}
        assert desk.queue.show("a")["result"] == {"rows": 3}
        assert nothing_left(desk)

    def test_a_run_that_leaves_none_clears_it(self, desk: Desk) -> None:
        desk.add("a")
        desk.run_once(leaving(b"1", failing(desk.clock)))
        desk.clock.advance(10)
        desk.run_once(leaving(None, failing(desk.clock)))
        assert "result" not in desk.record("failed", "a")

    def test_a_retry_clears_it(self, desk: Desk) -> None:
        desk.add("a")
        desk.run_once(leaving(b"1", succeeding(desk.clock)))
        desk.queue.retry(["a"])
        assert "result" not in desk.record("pending", "a")

    def test_a_run_cut_short_leaves_that_of_the_run_before(self, desk: Desk) -> None:
        desk.add("a")
        desk.run_once(leaving(b"1", failing(desk.clock)))
        desk.clock.advance(10)
        desk.run_once(leaving(b"2", interrupted(desk.clock)))
        assert desk.record("pending", "a")["result"] == 1
        assert nothing_left(desk)

    def test_quick_jobs_that_are_recorded_together_have_each_their_own(self, desk: Desk) -> None:
        desk.add("a", "b", "c", "d")

        def run(job: Job, conditions: Conditions) -> Outcome:
            return leaving(json.dumps(job.name).encode(), succeeding(desk.clock))(job, conditions)  # type: ignore[no-any-return]

        desk.look()
        with desk.worker(run) as worker:
            worker.batch.most = 4
            while worker.run_once():
                pass
        assert [desk.record("done", name)["result"] for name in "abcd"] == list("abcd")
        assert nothing_left(desk)

    def test_one_that_is_refused_touches_no_verdict_and_is_told(self, desk: Desk) -> None:
        desk.add("a")
        heard = Heard()
        desk.run_once(leaving(b"oops", succeeding(desk.clock)), emit=heard)
        assert "result" not in desk.record("done", "a")
        (told,) = [event.text for event in heard.events if event.kind == events.NOTICE]
        assert "not JSON" in told
        assert (desk.root / "logs" / "a.result").read_bytes() == b"oops"
        assert nothing_left(desk)

    def test_one_that_is_dropped_as_large_as_a_result_may_be(self, desk: Desk) -> None:
        """As a person drags a finished job from `done` to `pending`, whatever `max_job_bytes` is."""
        desk.queue.set_config("max_job_bytes", "500")
        desk.add("a")
        desk.run_once(leaving(b"[" + b"1," * 32_000 + b"1]", succeeding(desk.clock)))
        desk.drag("a", "done", "pending")
        assert desk.run_once(leaving(None, succeeding(desk.clock)))
        assert "result" not in desk.record("done", "a")

    def test_purge_deletes_what_was_kept_beside_the_log(self, desk: Desk) -> None:
        desk.add("a", max_retries=2)
        for data in (b"oops", None, b"oops again"):
            desk.run_once(
                leaving_folder(failing(desk.clock)) if data is None else leaving(data, failing(desk.clock))
            )
            desk.clock.advance(10)
        assert sorted(os.listdir(desk.root / "logs")) == ["a.result", "a.result-2", "a.result-3"]
        assert (desk.root / "logs" / "a.result-3").read_bytes() == b"oops again"
        desk.queue.purge(["a"])
        assert os.listdir(desk.root / "logs") == []


class TestCommand:
    """Real ones."""

    def test_finds_where_to_write(self, desk: Desk) -> None:
        code = WRITES.format("RESULT", '{"of": 1}', "print(open(os.environ['QUEUECTL_PROGRESS'], 'w').name)")
        desk.add("a b & c", command=python(code))
        run_command(desk)
        assert desk.record("done", "a b & c")["result"] == {"of": 1}
        path = (desk.root / "logs" / "a b & c.log").read_text().strip()
        assert os.path.dirname(path) == str(desk.root / "tmp")
        assert set(os.path.basename(path)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.~"), (
            "no shell obeys it"
        )
        assert nothing_left(desk)

    def test_that_leaves_what_is_no_json_finds_why_in_its_log(self, desk: Desk) -> None:
        desk.add("a", command=python(WRITES.format("RESULT", "oops", "raise SystemExit(3)")))
        run_command(desk)
        assert desk.record("failed", "a")["exit_code"] == 3
        log = (desk.root / "logs" / "a.log").read_text()
        assert "QUEUECTL_RESULT is not kept: not JSON" in log
        assert str(desk.root / "logs" / "a.result") in log

    def test_that_is_killed_has_left_what_it_has(self, desk: Desk) -> None:
        code = WRITES.format("RESULT", "[1]", "import time; time.sleep(600)")
        desk.add("a", command=python(code), timeout=1.0, max_retries=0)
        run_command(desk)
        record = desk.record("dead", "a")
        assert (record["history"][-1]["outcome"], record["result"]) == ("timeout", [1])

    def test_that_cannot_be_started_leaves_nothing(self, desk: Desk) -> None:
        desk.add("a", command=["no-such-program-anywhere"])
        run_command(desk)
        assert desk.row("a")["error"] == "program not found: no-such-program-anywhere"
        assert nothing_left(desk)


def test_each_run_writes_elsewhere(desk: Desk) -> None:
    """What an earlier one has left running must not speak for a later one."""
    desk.add("a")
    seen: list[Tidings] = []

    def run(job: Job, conditions: Conditions) -> Outcome:
        assert conditions.tidings is not None
        seen.append(conditions.tidings)
        if len(seen) == 2:
            Path(seen[0].result).write_bytes(b'"late"')
            Path(seen[0].progress).write_bytes(b"99 late")
            (row,) = live_workers(desk.store)
            assert (row.job, row.percent, row.progress) == ("a", None, None)
            Path(seen[1].progress).write_bytes(b"1 now")
            (row,) = live_workers(desk.store)
            assert (row.percent, row.progress) == (1, "now")
        return leaving(None, failing(desk.clock))(job, conditions)  # type: ignore[no-any-return]

    desk.look()
    with desk.worker(run) as worker:
        assert worker.run_once()
        desk.clock.advance(10)
        assert worker.run_once()
    assert seen[0] != seen[1]
    assert "result" not in desk.record("failed", "a")
    assert nothing_left(desk), "the worker tidies up what came late"


def test_what_a_dead_run_has_left_goes_with_its_worker(desk: Desk) -> None:
    desk.add("a")
    desk.look()

    class Death(BaseException):
        pass

    def run(job: Job, conditions: Conditions) -> Outcome:
        assert conditions.tidings is not None
        Path(conditions.tidings.result).write_bytes(b'"dead"')
        Path(conditions.tidings.progress).write_bytes(b"50")
        (desk.root / "tmp" / "-~123456789abc~other.json").write_bytes(b"{")
        os.rename(desk.path("processing/host-1-1-abc", "a.json"), desk.root / "a.json")
        raise Death

    with pytest.raises(Death), desk.worker(run) as worker:
        worker.run_once()
    assert os.listdir(desk.root / "tmp") == ["-~123456789abc~other.json"], "not what is somebody else's"


def test_recovery_removes_what_a_killed_worker_has_left(desk: Desk) -> None:
    name = "host-1-1-dead"
    desk.put_job(f"processing/{name}", "a", result="of the run before")
    for suffix in (".lock", ".run"):
        (desk.root / "locks" / f"{name}{suffix}").touch()
    tmp = desk.store.spool.tmp
    tmp.owner = name
    for path in tmp.tidings(1, "a"):
        Path(path).write_bytes(b"1")
    result, progress = tmp.tidings(2, "a")
    os.makedirs(os.path.join(result, "in it"))
    if WINDOWS:
        os.mkdir(progress)
    else:
        os.symlink(desk.root / "logs", progress)
        os.mkfifo(tmp.tidings(3, "a")[0])
    desk.drop("theirs.log", b"x", "logs")
    (job,) = recover(desk.store, desk.clock(), 0.5)
    assert (job.job_id, job.state.value) == ("a", "failed")
    assert nothing_left(desk)
    assert "result" not in desk.record("failed", "a"), "a run that died has left none"
    assert os.listdir(desk.root / "logs") == ["theirs.log"], "nothing behind a link"


class TestWhileItRuns:
    def test_status_tells_how_far_it_is(self, desk: Desk) -> None:
        desk.add("a")
        desk.look()
        rows = []

        def run(job: Job, conditions: Conditions) -> Outcome:
            assert conditions.tidings is not None
            rows.extend(live_workers(desk.store))
            for data in (b"40 copying", b'{"perc', b"copying"):
                Path(conditions.tidings.progress).write_bytes(data)
                rows.extend(live_workers(desk.store))
            return succeeding(desk.clock)(job, conditions)

        with desk.worker(run) as worker:
            worker.run_once()
            rows.extend(live_workers(desk.store))
        assert [(row.percent, row.progress) for row in rows] == [
            (None, None),
            (40, "copying"),
            (None, None),
            (None, "copying"),
            (None, None),
        ]
        assert all(row.job_since for row in rows[:4])
        assert (rows[4].job, rows[4].job_since) == (None, None)

    def test_of_two_workers_each_its_own(self, desk: Desk) -> None:
        tmp = desk.store.spool.tmp
        runs = {"host-1-1-abc": "a", "host-1-2-abc": "b", "host-1-12-abc": "c"}
        for number, (worker, job_id) in enumerate(runs.items(), start=9):
            tmp.owner = worker
            for run in (number, number + 1, number + 2):
                Path(tmp.tidings(run, job_id)[1]).write_bytes(f"{run}".encode())
            Path(tmp.tidings(number + 1, "another")[1]).write_bytes(b"99")
            note_run(note_of_runs(desk.store.spool, worker), [job_id, "more"], number=number + 1)
        found = progress_of(desk.store.spool, {**runs, "host-1-3-abc": "d"})
        assert {worker: told.percent for worker, told in found.items()} == dict(zip(runs, (10, 11, 12)))

    def test_a_command_may_run_for_days(self, desk: Desk) -> None:
        """What is old in `tmp/` is removed, but not that of who lives."""
        tmp = desk.store.spool.tmp
        tmp.owner = "host-1-1-abc"
        paths = list(tmp.tidings(1, "a"))
        for path in paths:
            Path(path).write_bytes(b"1")
            os.utime(path, (0, 0))
        lock = desk.root / "locks" / "host-1-1-abc.lock"
        lock.touch()
        assert tmp.abandoned(system.now()) == []
        lock.unlink()
        assert sorted(tmp.abandoned(system.now())) == sorted(paths)

    def test_what_is_appended_counts_however_much_it_is(self, desk: Desk) -> None:
        tmp = desk.store.spool.tmp
        tmp.owner = "host-1-1-abc"
        note_run(note_of_runs(desk.store.spool, tmp.owner), ["a"], number=1)
        path = Path(tmp.tidings(1, "a")[1])
        many = "".join(f"{n % 100} größer {n}\n" for n in range(4_000))
        for encoding in ("utf-8", "utf-16"):
            for more in range(300):
                path.write_bytes(f"{many}{'x' * more}\n41 größer\n4".encode(encoding))
                assert path.stat().st_size > 64 * 1024
                found = progress_of(desk.store.spool, {tmp.owner: "a"})
                assert found == {tmp.owner: Progress(41, "größer")}
        path.write_bytes(b"40 " + b"x" * 70_000)
        assert progress_of(desk.store.spool, {tmp.owner: "a"}) == {}, "a line without an end"

    def test_not_of_a_job_that_its_worker_has_not_begun(self, desk: Desk) -> None:
        tmp = desk.store.spool.tmp
        tmp.owner = "host-1-1-abc"
        for number in (0, 7):
            Path(tmp.tidings(number, "a")[1]).write_bytes(b"40")
        runs = {tmp.owner: "a"}
        for begun in (["b", "a"], ["", "a"], []):
            note_run(note_of_runs(desk.store.spool, tmp.owner), begun, number=7)
            assert progress_of(desk.store.spool, runs) == {}
            assert noted_runs(desk.store.spool, tmp.owner) == (begun or [""])
        desk.drop(f"{tmp.owner}.run", b"a\n\nleft of a longer one", "locks")
        assert progress_of(desk.store.spool, runs) == {}, "as an older release has noted it"
        os.unlink(desk.root / "locks" / f"{tmp.owner}.run")
        assert progress_of(desk.store.spool, runs) == {}
