"""`Queue.wait`: until the end for good, cheaply, and what one number tells of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest

from queuectl import system
from queuectl.engine import Conditions
from queuectl.errors import DamagedRecord, NoSuchJob, SpoolUnusable, TimedOut
from queuectl.job import Job
from queuectl.queue.exit_codes import exit_code_of, exit_code_of_all
from queuectl.queue.ties import Unique
from queuectl.queue.waiting import ABSENCE
from queuectl.runner import CANCELLED, Outcome
from queuectl.spool import Place
from tests.support.spools import Desk, ending, failing, succeeding
from tests.support.spools import Run as Command

WINDOWS = sys.platform == "win32"


class Time:
    """Passes only while somebody waits; acts are done then."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.acts: dict[int, Callable[[], object]] = {}

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        assert len(self.pauses) < 200, "it ends"
        self.acts.get(len(self.pauses), lambda: None)()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Iterator[Time]:
    one = Time()
    monkeypatch.setattr(system, "sleep", one.sleep)
    monkeypatch.setattr(system, "monotonic", lambda: one.now)
    yield one
    monkeypatch.undo()


def left(run: Command, result: Any) -> Command:
    """`run`, which leaves this."""

    def runs(job: Job, conditions: Conditions) -> Outcome:
        return run(job, conditions)._replace(result=result)

    return runs


class TestWaiting:
    def test_one_that_has_ended_is_told_of_at_once(self, desk: Desk, time: Time) -> None:
        desk.add("a", tags=["t"])
        desk.run_once(left(succeeding(desk.clock), {"rows": 3}))
        (row,) = desk.queue.wait(["a"])
        assert row == {**desk.row("a"), "outcome": "completed", "result": {"rows": 3}}
        assert time.pauses == []

    def test_through_a_retry_until_the_end_for_good(self, desk: Desk, time: Time) -> None:
        desk.add("a", max_retries=1)
        time.acts = {
            2: lambda: desk.run_once(failing(desk.clock)),
            5: lambda: (desk.clock.advance(10), desk.run_once(failing(desk.clock, 4))),
        }
        (row,) = desk.queue.wait(["a"])
        assert (row["state"], row["attempts"], row["exit_code"]) == ("dead", 2, 4)
        # At first it looks again soon: what takes long may be looked at more rarely.
        assert time.pauses == [0.005, 0.005, 0.01, 0.02, 0.04]

    def test_several_in_the_order_given_each_once(self, desk: Desk, time: Time) -> None:
        desk.add("a", "b")
        time.acts = {
            1: lambda: desk.run_once(failing(desk.clock)),
            2: lambda: desk.run_once(succeeding(desk.clock)),
            3: lambda: desk.queue.cancel(["a"]),
        }
        assert [row["id"] for row in desk.queue.wait(["b", "a", "b"])] == ["b", "a"]
        assert len(time.pauses) == 3

    def test_while_it_runs_it_looks_at_one_place(
        self, desk: Desk, time: Time, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Cheaply: no folder is listed, no record read, no index asked, while nothing moves."""
        desk.add("a")
        looks: list[str] = []
        place = desk.queue.locate("a")

        def begin(left: list[str]) -> None:
            if not looks:
                for name in ("locate", "find", "scan", "workers", "read"):
                    monkeypatch.setattr(desk.store.spool, name, lambda *_, name=name: looks.append(name))
                monkeypatch.setattr(desk.store, "index", None)
            looks.append("look")

        def end() -> None:
            raise KeyboardInterrupt

        time.acts = {5: end}
        with pytest.raises(KeyboardInterrupt):
            desk.queue.wait([place.job_id], meanwhile=begin)
        assert looks == ["look"] * 5

    def test_many_are_looked_at_less_often(
        self, desk: Desk, time: Time, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")

        took = [0.5]

        def slow(*_: Any) -> bool:
            time.now += took[0]
            return True

        time.acts = {1: lambda: took.__setitem__(0, 0.05)}
        monkeypatch.setattr(desk.store.spool, "is_there", slow)
        with pytest.raises(TimedOut):
            desk.queue.wait(["a"], timeout=6)
        assert time.pauses[1] == pytest.approx(1.0), "twenty times as long as the look has taken"
        assert time.pauses[0] == 2.0, "but often enough"

    def test_one_that_is_deleted_is_told_of_and_the_others_are_waited_for(
        self, desk: Desk, time: Time
    ) -> None:
        desk.add("a", "b")
        time.acts = {3: lambda: os.unlink(desk.path("pending", "b.json")), 9: desk.run_once}
        rows = desk.queue.wait(["b", "a"])
        assert [(row["id"], row["state"]) for row in rows] == [("b", None), ("a", "completed")]
        assert (exit_code_of(rows[0]), rows[0].keys()) == (3, rows[1].keys())

    def test_one_that_is_unknown_is_not_waited_for(self, desk: Desk, time: Time) -> None:
        desk.add("a")
        with pytest.raises(NoSuchJob, match="'nobody'"):
            desk.queue.wait(["a", "nobody"])
        assert time.pauses == []

    def test_a_file_that_is_no_job(self, desk: Desk, time: Time) -> None:
        desk.drop("a.json", b"{")
        time.acts = {2: lambda: (desk.look(), desk.clock.advance(60), desk.look())}
        with pytest.raises(DamagedRecord, match=r"dead/a\.json holds no job"):
            desk.queue.wait(["a"])

    def test_one_that_was_sent_back_in_the_moment_of_its_end(
        self, desk: Desk, time: Time, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen in `done`, but not there any more when it is read."""
        desk.add("a")
        desk.run_once()
        find = desk.store.spool.find

        def sent_back(*words: Any) -> Any:
            monkeypatch.setattr(desk.store.spool, "find", find)
            desk.drag("a", "done", "pending")
            return find(*words)

        monkeypatch.setattr(desk.store.spool, "find", sent_back)
        time.acts = {2: lambda: desk.drag("a", "pending", "done")}
        (row,) = desk.queue.wait(["a"])
        assert (row["state"], len(time.pauses)) == ("completed", 2)


class TestAway:
    """The spool, for a moment or for good: that is no deletion of its jobs."""

    @pytest.mark.parametrize("name", ["", "pending"])
    def test_for_a_moment(self, desk: Desk, time: Time, name: str) -> None:
        desk.add("a", "b")
        folder, away = desk.root / name, desk.root.parent / "away"
        time.acts = {
            2: lambda: os.rename(folder, away),
            8: lambda: os.rename(away, folder),
            12: desk.run_once,
            14: desk.run_once,
        }
        if WINDOWS and not name:
            pytest.skip("what is open in it keeps a folder from being moved")
        rows = desk.queue.wait(["a", "b"])
        assert [row["state"] for row in rows] == ["completed"] * 2

    def test_that_is_back_at_every_other_look(
        self, desk: Desk, time: Time, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is not found in one look alone is not gone."""
        desk.add("a")
        there = desk.store.spool.is_there

        def blinks(place: Place) -> bool:
            return len(time.pauses) % 2 == 0 and there(place)

        time.acts = {
            2: lambda: monkeypatch.setattr(desk.store.spool, "is_there", blinks),
            12: lambda: desk.drag("a", "pending", "done"),
        }
        assert desk.queue.wait(["a"])[0]["state"] == "completed"

    def test_a_system_that_refuses_to_look(
        self, desk: Desk, time: Time, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")
        find = desk.store.spool.locate

        def refuses(job_id: str) -> Any:
            raise OSError(5, "the share is away")

        def away() -> None:
            monkeypatch.setattr(desk.store.spool, "locate", refuses)
            desk.drag("a", "pending", "done")

        time.acts = {2: away, 9: lambda: monkeypatch.setattr(desk.store.spool, "locate", find)}
        assert desk.queue.wait(["a"])[0]["state"] == "completed"
        desk.drag("a", "done", "pending")
        time.acts = {len(time.pauses) + 2: away}
        with pytest.raises(SpoolUnusable, match="the share is away"):
            desk.queue.wait(["a"])

    def test_for_good(self, desk: Desk, time: Time) -> None:
        desk.add("a")
        time.acts = {2: lambda: os.rename(desk.root / "pending", desk.root.parent / "away")}
        with pytest.raises(SpoolUnusable, match="not there"):
            desk.queue.wait(["a"])
        assert ABSENCE <= time.now < ABSENCE + 1


class TestHeld:
    """Its file, by somebody who looks at it, or by the system."""

    @pytest.fixture
    def held(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.add("a")
        desk.run_once()
        find, tries = desk.store.spool.find, [0]

        def refused(*words: Any) -> Any:
            tries[0] += 1
            if tries[0] <= 2:
                raise PermissionError(13, "somebody holds it")
            return find(*words)

        monkeypatch.setattr(desk.store.spool, "find", refused)

    def test_for_a_moment_is_waited_for(
        self, desk: Desk, time: Time, held: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(system, "is_transient", lambda error: True)
        assert desk.queue.wait(["a"])[0]["state"] == "completed"
        assert len(time.pauses) == 2

    def test_for_good_is_told(
        self, desk: Desk, time: Time, held: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(system, "is_transient", lambda error: False)
        with pytest.raises(SpoolUnusable, match="somebody holds it"):
            desk.queue.wait(["a"])


class TestTimeout:
    def test_says_which_are_left(self, desk: Desk, time: Time) -> None:
        desk.add("a", "b", "c")
        desk.run_once()
        with pytest.raises(TimedOut, match=r"^still waiting for b, c "):
            desk.queue.wait(["a", "b", "c"], timeout=1.05)
        assert sum(time.pauses) == pytest.approx(1.05), "neither longer nor shorter"

    def test_of_nothing_is_one_look(self, desk: Desk, time: Time) -> None:
        desk.add("a")
        with pytest.raises(TimedOut):
            desk.queue.wait(["a"], timeout=0)
        desk.run_once()
        assert desk.queue.wait(["a"], timeout=0)[0]["state"] == "completed"
        assert time.pauses == []

    def test_one_that_ends_in_the_last_moment(self, desk: Desk, time: Time) -> None:
        desk.add("a")
        time.acts = {10: desk.run_once}
        assert desk.queue.wait(["a"], timeout=1)[0]["state"] == "completed"

    def test_of_very_many_some_are_named(self, desk: Desk, time: Time) -> None:
        ids = [f"job-{number:02}" for number in range(30)]
        desk.add(*ids)
        with pytest.raises(TimedOut, match="job-19 and 10 more"):
            desk.queue.wait(ids, timeout=0)


def row(state: str = "dead", outcome: Optional[str] = "failed", code: Optional[int] = None) -> dict[str, Any]:
    return {"state": state, "outcome": outcome, "exit_code": code}


class TestExitCode:
    @pytest.mark.parametrize(
        ("state", "outcome", "code", "told"),
        [
            ("completed", "completed", 0, 0),
            ("completed", "completed", 3, 0),
            ("completed", None, None, 0),
            ("dead", "failed", 1, 1),
            ("dead", "failed", 77, 77),
            ("dead", "failed", 255, 255),
            ("dead", "failed", 0, 1),
            ("dead", "failed", -9, 137),
            ("dead", "failed", -15, 143),
            ("dead", "failed", None, 127),
            ("dead", "timeout", -9, 124),
            ("dead", "timeout", 0, 124),
            ("dead", "cancelled", -9, 1),
            ("dead", "cancelled", 0, 1),
            ("dead", "crashed", None, 1),
            ("dead", None, None, 1),
            ("dead", None, 5, 1),
        ],
    )
    def test_of_one(self, state: str, outcome: Optional[str], code: Optional[int], told: int) -> None:
        assert exit_code_of(row(state, outcome, code)) == told

    @pytest.mark.skipif(WINDOWS, reason="an exit code has 8 bits")
    @pytest.mark.parametrize(("code", "told"), [(256, 1), (512, 1), (2**31, 1), (259, 3), (3221225477, 5)])
    def test_that_has_more_bits_than_this_system_passes_on(self, code: int, told: int) -> None:
        assert exit_code_of(row(code=code)) == told

    @pytest.mark.skipif(not WINDOWS, reason="an exit code has 32 bits")
    @pytest.mark.parametrize("code", [256, 2**31 - 1, 2**31, 3221225477, 2**32 - 1])
    def test_of_32_bits(self, code: int) -> None:
        assert exit_code_of(row(code=code)) % 2**32 == code

    def test_of_several_the_first_that_failed_in_their_order(self) -> None:
        good, three, four = row("completed", "completed", 0), row(code=3), row(code=4)
        assert exit_code_of_all([good, good]) == 0
        assert exit_code_of_all([good, four, three]) == 4
        assert exit_code_of_all([three, good, four]) == 3

    def test_of_a_waiting_job_that_is_cancelled_after_a_failed_run(self, desk: Desk) -> None:
        """The code of the run is still in its record."""
        desk.add("a")
        desk.run_once(failing(desk.clock, 7))
        desk.queue.cancel(["a"])
        (told,) = desk.queue.wait(["a"])
        assert (told["outcome"], told["exit_code"], exit_code_of(told)) == ("cancelled", 7, 1)

    def test_of_one_that_was_replaced_after_a_failed_run(self, desk: Desk) -> None:
        desk.add("old", unique_key="k")
        desk.run_once(failing(desk.clock, 7))
        desk.queue.enqueue([{"id": "new", "command": "x", "unique_key": "k"}], unique=Unique("replace"))
        (told,) = desk.queue.wait(["old"])
        assert (told["error"], told["outcome"], exit_code_of(told)) == ("replaced by new", "cancelled", 1)

    @pytest.mark.parametrize("before", ["failed", "done", "retried"])
    def test_of_one_that_was_moved_to_dead_by_hand(self, desk: Desk, before: str) -> None:
        desk.add("a", success_exit_codes=[0, 7] if before == "done" else None)
        run = ending("completed", 7, None, desk.clock) if before == "done" else failing(desk.clock, 7)
        desk.run_once(run)
        if before == "retried":
            desk.queue.retry(["a"])
        desk.drag("a", {"retried": "pending"}.get(before, before), "dead")
        (told,) = desk.queue.wait(["a"])
        assert (told["outcome"], exit_code_of(told)) == (None, 1)

    def test_of_one_that_died_was_sent_back_and_died_again(self, desk: Desk) -> None:
        desk.add("a", max_retries=0)
        desk.run_once(failing(desk.clock, 7))
        desk.drag("a", "dead", "pending")
        desk.run_once(failing(desk.clock, 8))
        assert exit_code_of_all(desk.queue.wait(["a"])) == 8

    @pytest.mark.parametrize(
        ("run", "told"),
        [
            (("timeout", -9, "timed out after 5 s"), 124),
            ((CANCELLED, -15, "cancelled"), 1),
            (("failed", None, "program not found: x"), 127),
        ],
    )
    def test_as_runs_are_recorded(self, desk: Desk, run: Any, told: int) -> None:
        desk.add("a", max_retries=0)
        desk.run_once(ending(*run, desk.clock))
        assert exit_code_of_all(desk.queue.wait(["a"])) == told
