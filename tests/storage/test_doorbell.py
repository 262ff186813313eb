"""File events wake: what rings the bell, and what does not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuectl.doorbell import Doorbell, Rings
from queuectl.queue.claims import claim
from queuectl.state import State
from tests.support.spools import Desk
from tests.support.waiting import wait_until

PATIENCE = 30.0
"""Seconds: on a slow machine an event may take some."""


@pytest.fixture
def bell(desk: Desk) -> Iterator[Doorbell]:
    one = Doorbell(str(desk.root))
    assert one.start() is None
    yield one
    one.close()


class Collected:
    """What has rung since it was made."""

    def __init__(self, bell: Doorbell) -> None:
        self.bell, self.names, self.asked = bell, set[tuple[State, str]](), False

    def has(self, state: State, name: str) -> bool:
        self.listen()
        return (state, name) in self.names

    def was_asked(self) -> bool:
        self.listen()
        return self.asked

    def listen(self) -> None:
        rings = self.bell.wait(0.02)
        self.names |= rings.names
        self.asked |= rings.asked


class TestTheFolders:
    @pytest.mark.parametrize(("folder", "state"), [("pending", State.PENDING), ("failed", State.FAILED)])
    def test_a_drop_rings_with_its_name(self, desk: Desk, bell: Doorbell, folder: str, state: State) -> None:
        heard = Collected(bell)
        desk.drop("a.json", folder=folder)
        wait_until(lambda: heard.has(state, "a.json"), "a ring for the drop", PATIENCE)

    def test_a_file_that_is_moved_in_rings(self, desk: Desk, bell: Doorbell, tmp_path: Path) -> None:
        heard = Collected(bell)
        (tmp_path / "outside.json").write_text("{}")
        (tmp_path / "outside.json").rename(desk.path("pending", "a.json"))
        wait_until(lambda: heard.has(State.PENDING, "a.json"), "a ring for the arrival", PATIENCE)

    def test_a_file_that_is_deleted_rings(self, desk: Desk, bell: Doorbell) -> None:
        heard = Collected(bell)
        path = desk.drop("a.json")
        wait_until(lambda: heard.has(State.PENDING, "a.json"), "a ring for the drop", PATIENCE)
        heard.names.clear()
        path.unlink()
        wait_until(lambda: heard.has(State.PENDING, "a.json"), "a ring for the deletion", PATIENCE)

    def test_a_drop_right_after_a_claim_rings(self, desk: Desk, bell: Doorbell) -> None:
        desk.add("a")
        (desk.root / "processing" / "host-1-1-abc").mkdir()
        heard = Collected(bell)
        assert claim(desk.store, "host-1-1-abc", desk.clock()) is not None
        desk.drop("b.json")
        wait_until(lambda: heard.has(State.PENDING, "b.json"), "a ring behind the claim", PATIENCE)

    @pytest.mark.parametrize("suffix", [".stop", ".cancel"])
    def test_a_request_rings(self, desk: Desk, bell: Doorbell, suffix: str) -> None:
        heard = Collected(bell)
        with desk.worker() as worker:
            desk.ask(worker.name, suffix, "x")
            wait_until(heard.was_asked, "a ring for the request", PATIENCE)

    def test_a_pause_and_its_end_ring(self, desk: Desk, bell: Doorbell) -> None:
        heard = Collected(bell)
        desk.queue.pause()
        wait_until(heard.was_asked, "a ring for the pause", PATIENCE)
        heard.asked = False
        desk.queue.resume()
        wait_until(heard.was_asked, "a ring for its end", PATIENCE)

    def test_once_closed_it_is_silent_and_may_be_closed_again(self, desk: Desk, bell: Doorbell) -> None:
        before = set(threading.enumerate())
        bell.close()
        bell.close()
        assert before - set(threading.enumerate()) != set()
        bell.wait(0)
        desk.drop("a.json")
        assert bell.wait(0.05) == Rings(frozenset(), False, rung=False)

    def test_where_no_events_can_be_had_it_says_so(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        from queuectl.system import watch

        def refusing(*_: object, **__: object) -> None:
            raise OSError(28, "inotify watch limit reached")

        monkeypatch.setattr(watch, "watch", refusing)
        silent = Doorbell(str(desk.root))
        assert silent.start() == (
            "no file events (inotify watch limit reached): new jobs are found by looking"
        )
        silent.close()


class TestTheBell:
    """Without any events: only what it makes of them."""

    @pytest.fixture
    def still(self, tmp_path: Path) -> Doorbell:
        return Doorbell(str(tmp_path))

    @pytest.mark.parametrize(
        ("path", "rings"),
        [
            ("pending/a.json", Rings(frozenset({(State.PENDING, "a.json")}), False)),
            ("failed/a.json", Rings(frozenset({(State.FAILED, "a.json")}), False)),
            ("locks/w.stop", Rings(frozenset(), True)),
            ("locks/w.cancel", Rings(frozenset(), True)),
            ("paused.txt", Rings(frozenset(), True)),
            ("paused.txt.txt", Rings(frozenset(), True)),
            ("done/a.json", Rings(frozenset(), False, rung=False)),
            ("dead/a.json", Rings(frozenset(), False, rung=False)),
            ("index.sqlite3-wal", Rings(frozenset(), False, rung=False)),
            ("locks/claim.lock", Rings(frozenset(), False, rung=False)),
        ],
    )
    def test_knows_what_an_event_means(
        self, still: Doorbell, tmp_path: Path, path: str, rings: Rings
    ) -> None:
        still.notice(str(tmp_path / path))
        assert still.wait(0) == rings

    def test_collects_until_somebody_waits(self, still: Doorbell, tmp_path: Path) -> None:
        for name in ("a.json", "b.json", "a.json"):
            still.notice(str(tmp_path / "pending" / name))
        still.notice(str(tmp_path / "paused.txt"))
        assert still.wait(0) == Rings(frozenset({(State.PENDING, "a.json"), (State.PENDING, "b.json")}), True)
        assert still.wait(0) == Rings(frozenset(), False, rung=False)

    @pytest.mark.parametrize(("timeout", "times"), [(0.0, 100_000), (1e-6, 20_000)])
    def test_waits_as_briefly_as_it_is_told_to(self, tmp_path: Path, timeout: float, times: int) -> None:
        """SimpleQueue.get, for one, of which nobody had got anything, did not come back once in some ten
        thousand times (Python 3.9 and 3.10).
        """
        # On Windows each wait takes up to a tick of its clock, a sixtieth of a second.
        for _ in range(1_000 if sys.platform == "win32" else times):
            assert not Doorbell(str(tmp_path)).wait(timeout).rung

    def test_rings_once_however_often_it_is_rung(self, still: Doorbell) -> None:
        for _ in range(3):
            still.ring()
        assert still.wait(0).rung
        assert not still.wait(0).rung

    def test_a_ring_from_inside_wakes_who_waits(self, still: Doorbell) -> None:
        woken = threading.Event()

        def wait() -> None:
            still.wait(600)
            woken.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        still.ring()
        assert woken.wait(30)
        waiter.join()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what else is told differs by system")
def test_the_locks_and_the_index_that_are_written_to_all_the_time_are_not_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event costs two threads a turn, and each job would make a dozen."""
    told: list[str] = []
    monkeypatch.setattr(Doorbell, "notice", lambda _, path: told.append(Path(path).name))
    written = ("locks/claim.lock", "locks/host-1-1-abc.run", "index.sqlite3-wal")
    for name in written:
        (desk.root / name).touch()
    bell = Doorbell(str(desk.root))
    assert bell.start() is None
    for name in written:
        with open(desk.root / name, "r+b") as file:
            file.write(b"")
    desk.path("locks", "last.cancel").touch()
    wait_until(lambda: "last.cancel" in told, "what comes is told", PATIENCE)
    bell.close()
    assert set(told) == {"last.cancel"}
