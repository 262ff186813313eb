"""Files that a person holds open, has made read-only or unreadable, and logs that are none: workers wait."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl import system
from queuectl.errors import QueueError
from queuectl.job import Job
from queuectl.queue.recovery import recover
from queuectl.spool.layout import FOLDERS
from queuectl.sweep import Sweep
from tests.support.invariants import check
from tests.support.memory import memory
from tests.support.person.hands import what_lies_where
from tests.support.person.moments import MOMENTS, WORKER, Scene
from tests.support.spools import Desk, Heard, during, succeeding

WINDOWS = sys.platform == "win32"
NOBODY = 65534
UNTOUCHED = ("dropped", "waits for its retry", "done", "dead", "left by a dead worker")
"""Moments at which nobody is at the file."""
Figure = Callable[[str, int], None]


class Grip:
    """A hand on a file: it can be neither moved nor replaced, nor on Windows opened, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._held = ""
        self._open = ExitStack()
        self.refused = 0
        if not WINDOWS:
            monkeypatch.setattr(system, "replace", self._guarded(system.replace))

    def _guarded(self, real: Callable[..., None]) -> Callable[..., None]:
        def replace(source: str, target: str, **options: Any) -> None:
            if self._held in (source, target):
                self.refused += 1
                raise PermissionError(errno.EACCES, "held by somebody", source)
            real(source, target, **options)

        return replace

    def hold(self, path: Path) -> None:
        if WINDOWS:
            # As a viewer does that shares reading and writing, but no deleting.
            self._open.enter_context(path.open("rb"))
            self.refused += 1
        self._held = str(path)

    def let_go(self) -> None:
        self._held = ""
        self._open.close()


@pytest.fixture
def grip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Grip]:
    one = Grip(monkeypatch)
    yield one
    one.let_go()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_file_that_somebody_holds_open_is_waited_for(
    moment: str, desk: Desk, grip: Grip, figure: Figure
) -> None:
    if moment.startswith("being re") and WINDOWS:
        pytest.skip("the file is open in our hands in this very instant")
    scene = Scene(desk)
    scene.let_go = grip.let_go
    MOMENTS[moment].bring(scene, grip.hold)
    scene.complaints()
    grip.let_go()
    scene.finish()
    rests = moment in ("done", "dead") or any("unusable" in line or "conflict" in line for line in scene.told)
    wanted = f"{MOMENTS[moment].folder if rests else 'done'}/a=original"
    if moment.endswith("cancelled"):
        # Refused, it goes on to wait for its retry.
        wanted = "done/a=original" if rests else "dead/a=original"
    assert what_lies_where(desk.root) == wanted
    assert not scene.gave_up
    assert scene.overlaps == []
    assert scene.complaints() == []
    check(desk.root, ["a"])
    assert grip.refused or moment in UNTOUCHED, "nobody was refused"
    figure("person in the folder: cells", 1)


@pytest.mark.skipif(not WINDOWS, reason="a read-only file can be replaced and deleted elsewhere")
@pytest.mark.parametrize("moment", ["looked at", "running", "dead", "left by a dead worker"])
def test_a_read_only_file_runs_and_ends_as_any(
    moment: str, desk: Desk, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    """Windows refuses to replace and to delete such a file, for good; it may be renamed."""

    def refusing(real: Callable[..., None]) -> Callable[..., None]:
        def call(*paths: Any, **options: Any) -> None:
            if os.path.exists(paths[-1]) and not os.stat(paths[-1]).st_mode & stat.S_IWRITE:
                raise OSError(errno.EACCES, "Access is denied", paths[-1], 5)
            real(*paths, **options)

        return call

    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    scene = Scene(desk)
    MOMENTS[moment].bring(scene, lambda path: path.chmod(stat.S_IREAD))
    if moment == "dead":
        desk.queue.retry(["a"])
    scene.finish()
    assert not scene.gave_up
    assert what_lies_where(desk.root) == "done/a=original"
    desk.queue.retry(["a"])
    scene.finish()
    check(desk.root, ["a"])
    figure("person in the folder: cells", 1)


class TestALogThatIsNone:
    def test_a_folder_fails_the_run_and_says_so(self, desk: Desk) -> None:
        (desk.root / "logs" / "a.log").mkdir()
        desk.add("a", command=[sys.executable, "-c", ""])
        with desk.worker() as worker:
            assert worker.run_once()
        record = desk.record("failed", "a")
        assert record["attempts"] == 1
        assert record["error"].startswith("could not be started: ")
        assert record["error"].endswith("a.log")
        assert desk.queue.status().problems == []

    @pytest.mark.parametrize("by", ["delete", "rename", "empty"])
    def test_taken_away_while_the_command_prints_is_no_harm(
        self, desk: Desk, by: str, tmp_path: Path
    ) -> None:
        log, go = desk.root / "logs" / "a.log", tmp_path / "go"
        desk.add("a", command=[sys.executable, "-c", _TALKS, str(go)])

        def act() -> None:
            if by == "delete":
                log.unlink()
            elif by == "rename":
                os.rename(log, log.with_name("b.log"))
            else:
                log.write_bytes(b"")

        with desk.worker() as worker:
            go_on = _when_it_says(log, b"one", lambda: (act(), go.touch()))
            assert worker.run_once()
            go_on()
        assert desk.record("done", "a")["exit_code"] == 0
        assert _content_of(log) in (b"", b"two\n", b"two\r\n")
        check(desk.root, ["a"])


def _content_of(log: Path) -> bytes:
    """What is in it; nothing where it has gone, on Windows when the last who held it has let go."""
    try:
        return system.with_patience(log.read_bytes)
    except FileNotFoundError:
        return b""


_TALKS = (
    "import os, sys, time\nprint('one', flush=True)\n"
    "while not os.path.exists(sys.argv[1]): time.sleep(0.005)\nprint('two', flush=True)"
)


def _when_it_says(log: Path, text: bytes, act: Callable[[], object]) -> Callable[[], None]:
    """Act in a thread as soon as this is in the log; what is returned waits for it."""
    import threading

    from tests.support.waiting import wait_until

    def watch() -> None:
        wait_until(lambda: log.exists() and text in log.read_bytes(), "it talks", 30)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread.join


@pytest.fixture
def plain_desk() -> Iterator[Desk]:
    """A spool of a user who is not allowed everything, which root is."""
    if WINDOWS:
        pytest.skip("permissions are another matter there")
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        root = os.geteuid() == 0
        if root:
            _import_all(Path(folder) / "first")
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            with Desk(Path(folder) / "spool") as desk:
                yield desk
                for path in [desk.root, *desk.root.rglob("*")]:
                    path.chmod(0o700)
        finally:
            if root:
                os.seteuid(0)


def _import_all(spool: Path) -> None:
    """What is imported when it is used may lie where only root can read."""
    with Desk(spool) as desk:
        scene = Scene(desk)
        desk.add("a")
        desk.drop("b.json", b"rubbish")
        scene.finish()
        scene.complaints()
    shutil.rmtree(spool)


NO_ACCESS, NO_WRITING = 0, 0o500


class TestPermissions:
    def test_a_job_that_cannot_be_read_does_not_keep_the_others_from_running(
        self, plain_desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk = plain_desk
        desk.add("a", "known", "c")
        desk.look()
        paths = [desk.path("pending", "known.json"), desk.drop("new.json")]
        for path in paths:
            path.chmod(0)
        scene = Scene(desk)
        scene.finish()
        assert sorted(scene.runs) == ["a=hi", "c=hi"]
        monkeypatch.setattr(system, "now", desk.clock)
        told = "\n".join(scene.complaints())
        assert "job known cannot be moved: Permission denied" in told
        assert "pending/new.json: cannot be read just now: Permission denied" in told
        for path in paths:
            path.chmod(0o600)
        scene.finish()
        assert sorted(scene.runs) == ["a=hi", "c=hi", "known=hi", "new=hi"]
        check(desk.root, ["a", "known", "c", "new"])

    @pytest.mark.parametrize("folder", FOLDERS)
    @pytest.mark.parametrize("mode", [NO_ACCESS, NO_WRITING], ids=["no access", "no writing"])
    def test_taken_from_a_folder_while_a_job_runs_and_given_back_are_waited_for(
        self, plain_desk: Desk, folder: str, mode: int, figure: Figure
    ) -> None:
        desk, heard = plain_desk, Heard()
        desk.add("a")
        desk.put_job("done", "b", state="completed")
        desk.look()
        sweep = Sweep(desk.store, heard)
        denied = desk.root / folder

        def act(_: Job) -> None:
            denied.chmod(mode)
            for question in (desk.queue.status, lambda: sweep.look((), [WORKER])):
                # The supervisor says that it cannot look just now, and looks again.
                with suppress(QueueError, OSError):
                    question()

        def give_back(_: float) -> None:
            denied.chmod(0o700)

        run = during(act, succeeding(desk.clock))
        with desk.worker(run, WORKER, emit=heard, pause=give_back) as worker:
            assert worker.run_once()
            denied.chmod(0o700)
        assert desk.files() == {"done": ["a.json", "b.json"]}
        assert "not recorded" not in "".join(event.text for event in heard.events)
        check(desk.root, "ab")
        figure("person in the folder: cells", 1)

    def test_taken_from_locks_do_not_make_a_living_worker_look_dead(self, plain_desk: Desk) -> None:
        desk = plain_desk
        desk.add("a")

        def act(_: Job) -> None:
            (desk.root / "locks").chmod(0)
            assert recover(desk.store, desk.clock(), 0.5) == []
            (desk.root / "locks").chmod(0o700)

        with desk.worker(during(act, succeeding(desk.clock))) as worker:
            assert worker.run_once()
        assert desk.files() == {"done": ["a.json"]}


def test_a_folder_that_is_held_for_a_moment_stops_no_look(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of a worker which has just left, as it is deleted."""
    real, refused = os.scandir, []

    def scandir(path: str) -> Any:
        if path.endswith("host-1-1-left") and not refused:
            refused.append(path)
            raise OSError(0, "held", path, 32) if WINDOWS else OSError(errno.EBUSY, "held", path)
        return real(path)

    desk.add("a")
    (desk.root / "processing" / "host-1-1-left").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    assert [row["id"] for row in desk.queue.jobs()] == ["a"]
    assert refused
