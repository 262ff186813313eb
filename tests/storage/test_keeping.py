"""What workers delete once the settings let it go: how much of it, what stays, and how little it costs."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any, Optional

import pytest

from queuectl import events, locks, system
from queuectl.moment import format_moment
from queuectl.queue import ended, keeping, stray_logs
from queuectl.queue.ended import SizeWalk, house_lock, size_beside
from queuectl.queue.keeping import BEGIN_ANEW, GRACE, SOON, Keeping
from queuectl.spool import Spool
from queuectl.state import State
from queuectl.sweep import Sweep
from tests.support.spools import START, Desk, Heard, during, failing, succeeding

DAY = 86400.0


class Keeper:
    """A program that keeps house in the spool of a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.heard = desk, Heard()
        self.keeping = Keeping(desk.store, self.heard)

    def put(
        self, job_id: str, days: float = 0.0, *, folder: str = "done", log: bytes = b"hi\n", **fields: Any
    ) -> None:
        """A job that ended so many days ago."""
        at = format_moment(self.desk.clock() - days * DAY)
        state = {"done": "completed"}.get(folder, folder)
        self.desk.put_job(folder, job_id, **{"state": state, "updated_at": at, **fields})
        if log:
            self.desk.drop(f"{job_id}.log", log, "logs")

    def set(self, **values: str) -> None:
        for name, value in values.items():
            self.desk.queue.set_config(name, value)

    def step(self) -> None:
        """One look, as a program takes it when it is due."""
        self.desk.queue.refresh()
        now = self.desk.clock()
        self.keeping.follow(self.desk.store.config, now)
        self.keeping.look(now)

    def steps(self, most: int = 50) -> None:
        """Until nothing is left to do now."""
        for _ in range(most):
            self.step()
            due = self.keeping.next_due
            if due is None or due > self.desk.clock() + 2:
                return
            self.desk.clock.advance(max(due - self.desk.clock(), 0.0))
        raise AssertionError("it never rests")

    @property
    def left(self) -> dict[str, list[str]]:
        found = {folder: sorted(os.listdir(self.desk.root / folder)) for folder in ("done", "dead", "logs")}
        return {folder: names for folder, names in found.items() if names}


@pytest.fixture
def keeper(desk: Desk) -> Keeper:
    return Keeper(desk)


class TestByAge:
    def test_nothing_is_deleted_unless_it_is_asked_for(self, keeper: Keeper) -> None:
        keeper.put("a", 10_000)
        keeper.put("b", 10_000, folder="dead")
        keeper.desk.drop("gone.log", b"x", "logs")
        os.utime(keeper.desk.root / "logs" / "gone.log", (0, 0))
        keeper.step()
        assert keeper.keeping.next_due is None
        assert keeper.left == {
            "done": ["a.json"],
            "dead": ["b.json"],
            "logs": ["a.log", "b.log", "gone.log"],
        }

    def test_a_job_goes_with_all_that_lies_beside_it(self, keeper: Keeper) -> None:
        keeper.set(keep_done="30d")
        keeper.put("old", 31)
        keeper.put("old.result", 29)
        keeper.desk.drop("old.result", b"1", "logs")
        # The name between them could not be given when the second one came.
        keeper.desk.drop("old.result-3", b"1", "logs")
        keeper.desk.drop("old.result-2", b"1", "logs")
        keeper.steps()
        assert keeper.left == {"done": ["old.result.json"], "logs": ["old.result.log"]}
        assert keeper.desk.ids() == ["old.result"]
        assert [event.text for event in keeper.heard.events] == ["1 completed job deleted"]
        assert keeper.heard.kinds == [events.TIDIED]

    def test_it_is_known_when_the_next_one_goes(self, keeper: Keeper) -> None:
        keeper.set(keep_done="30d")
        keeper.put("a", 30 - 60 / DAY)
        keeper.steps()
        assert keeper.keeping.next_due == START + 60
        keeper.desk.clock.advance(59)
        keeper.step()
        assert keeper.left["done"] == ["a.json"]
        keeper.desk.clock.advance(1)
        keeper.steps()
        assert keeper.left == {}

    def test_states_have_ages_of_their_own(self, keeper: Keeper) -> None:
        keeper.set(keep_dead="1d")
        keeper.put("a", 2)
        keeper.put("b", 2, folder="dead")
        keeper.put("c", 0.5, folder="dead")
        keeper.steps()
        assert keeper.left == {"done": ["a.json"], "dead": ["c.json"], "logs": ["a.log", "c.log"]}

    def test_what_waits_or_runs_is_never_touched(self, keeper: Keeper) -> None:
        keeper.set(keep_done="0", keep_dead="0", keep_done_count="0", keep_dead_bytes="0", keep_logs="0")
        for folder in ("pending", "failed", "processing/host-1-1-abc"):
            keeper.put(folder[:4], 100, folder=folder, state="completed")
        before = keeper.desk.files()
        keeper.steps()
        assert keeper.desk.files() == before
        assert keeper.left["logs"] == ["fail.log", "pend.log", "proc.log"]

    def test_a_record_that_does_not_say_when_counts_from_its_files_time(self, keeper: Keeper) -> None:
        keeper.set(keep_done="30d")
        for name, days in (("old", 31), ("new", 29)):
            keeper.put(name, updated_at=None)
            keeper.put(f"{name}-nonsense", updated_at="0: long ago")
            for job_id in (name, f"{name}-nonsense"):
                at = keeper.desk.clock() - days * DAY
                os.utime(keeper.desk.path("done", f"{job_id}.json"), (at, at))
        keeper.steps()
        assert keeper.left["done"] == ["new-nonsense.json", "new.json"]

    def test_an_age_of_nothing_rests_between_two_looks(self, keeper: Keeper) -> None:
        keeper.set(keep_done="0")
        keeper.steps()
        assert keeper.keeping.next_due == keeper.desk.clock() + SOON
        keeper.put("a")
        keeper.desk.clock.advance(SOON)
        keeper.steps()
        assert keeper.left == {}

    def test_a_setting_that_is_changed_counts_at_once(self, keeper: Keeper) -> None:
        keeper.put("a", 10)
        keeper.set(keep_done="30d")
        keeper.steps()
        keeper.set(keep_done="9d")
        keeper.steps()
        assert keeper.left == {}
        keeper.put("b", 10)
        keeper.set(keep_done="none")
        keeper.steps()
        assert (keeper.left["done"], keeper.keeping.next_due) == (["b.json"], None)

    def test_a_clock_that_is_set_back_begins_anew(self, keeper: Keeper) -> None:
        keeper.set(keep_done="1h")
        keeper.put("a")
        keeper.steps()
        keeper.desk.clock.advance(-30 * DAY)
        keeper.keeping.begin_anew()
        keeper.step()
        assert keeper.keeping.next_due is not None
        assert keeper.keeping.next_due <= keeper.desk.clock() + BEGIN_ANEW


class TestByNumberAndSize:
    def test_the_latest_so_many_are_kept(self, keeper: Keeper) -> None:
        keeper.set(keep_done_count="2")
        for number in range(5):
            keeper.put(f"j{number}", number)
        keeper.put("d", 100, folder="dead")
        keeper.steps()
        assert keeper.left["done"] == ["j0.json", "j1.json"]
        assert keeper.left["dead"] == ["d.json"]

    def test_of_equal_times_the_last_by_name(self, keeper: Keeper) -> None:
        keeper.set(keep_dead_count="2")
        for name in "abcd":
            keeper.put(name, 1, folder="dead")
        keeper.steps()
        assert keeper.left["dead"] == ["c.json", "d.json"]

    def test_one_that_comes_in_pushes_another_out(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # From the first count on: a slow one is followed by a longer rest, in real time.
        monkeypatch.setattr(keeping, "SHARE", 0)
        keeper.set(keep_done_count="1")
        keeper.put("a", 1)
        keeper.steps()
        keeper.put("b")
        keeper.steps()
        assert keeper.left["done"] == ["b.json"]

    def test_records_and_logs_take_no_more_than_they_may(self, keeper: Keeper) -> None:
        for number in range(4):
            keeper.put(f"j{number}", number, log=b"x" * 1000)
        keeper.desk.queue.refresh()
        one = keeper.desk.path("done", "j0.json").stat().st_size + 1000
        assert size_beside(keeper.desk.store, "j0") == 1000
        keeper.set(keep_done_bytes=str(2 * one))
        keeper.steps()
        assert keeper.left["done"] == ["j0.json", "j1.json"]

    def test_the_walk_goes_on_where_it_was(self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ended, "_PAGE", 2)
        for number in range(7):
            keeper.put(
                f"j{number}",
                number,
                log=b"",
                updated_at=None if number > 4 else format_moment(START - number),
            )
        keeper.desk.queue.refresh()
        sizes = [keeper.desk.path("done", f"j{number}.json").stat().st_size for number in range(7)]
        order = [0, 1, 2, 3, 4, 6, 5]
        for kept in range(7):
            limit = sum(sizes[number] for number in order[:kept])
            walk = SizeWalk(keeper.desk.store, State.COMPLETED, limit, START)
            steps = 1
            while not walk.go_on(until=0.0):
                steps += 1
            assert steps == kept // 2 + 1
            assert walk.position is not None and walk.position.id == f"j{order[kept]}"
        walk = SizeWalk(keeper.desk.store, State.COMPLETED, sum(sizes), START)
        assert (walk.go_on(), walk.position) == (True, None)

    @pytest.mark.parametrize("told", ["2099-01-01T00:00:00.000Z", "2099-01-01 00:00:00+02:00"])
    @pytest.mark.parametrize("limit", [{"keep_done_count": "2"}, {"keep_done_bytes": "500"}])
    def test_a_time_to_come_takes_no_place(self, keeper: Keeper, told: str, limit: dict[str, str]) -> None:
        """A clock was wrong for an hour: else each new one would go as soon as it has ended."""
        keeper.set(**limit)
        for name in ("f1", "f2", "f3"):
            keeper.put(name, updated_at=told, log=b"x" * 1000)
        for name, days in (("a", 1), ("b", 2), ("c", 3)):
            keeper.put(name, days, log=b"")
        keeper.steps()
        assert keeper.left["done"] == ["a.json", "b.json", "f1.json", "f2.json", "f3.json"]

    def test_one_that_has_just_ended_stays_for_a_moment(self, keeper: Keeper) -> None:
        """Whoever waits for it asks now and then."""
        keeper.set(keep_done_count="0", keep_done="0")
        keeper.put("a")
        keeper.step()
        assert keeper.keeping.next_due == START + GRACE
        keeper.desk.clock.advance(GRACE - 0.1)
        keeper.step()
        assert keeper.left["done"] == ["a.json"]
        keeper.desk.clock.advance(0.1)
        keeper.step()
        assert keeper.left == {}

    def test_each_limit_holds_by_itself(self, keeper: Keeper) -> None:
        keeper.set(keep_done="10d", keep_done_count="3")
        for name, days in (("a", 1), ("b", 2), ("c", 11), ("d", 12)):
            keeper.put(name, days)
        keeper.steps()
        assert keeper.left["done"] == ["a.json", "b.json"]


class TestWhatStays:
    def test_a_file_that_is_no_job_stays_byte_for_byte(self, keeper: Keeper) -> None:
        desk = keeper.desk
        desk.queue.set_config("settle_time", "0")
        desk.drop("bad.json", b'{"comand": ')
        desk.look()
        desk.drop("bad-too.json", b"{", "done")
        assert desk.folder_of("bad") == ["dead"]
        for limit in ("keep_dead", "keep_dead_count", "keep_dead_bytes", "keep_done", "keep_done_count"):
            keeper.set(**{limit: "0"})
        keeper.steps()
        desk.clock.advance(1000 * DAY)
        keeper.steps()
        assert keeper.left == {"dead": ["bad.error.txt", "bad.json"], "done": ["bad-too.json"]}
        assert desk.path("dead", "bad.json").read_bytes() == b'{"comand": '

    def test_one_that_another_job_waits_for_stays_until_that_has_run(self, keeper: Keeper) -> None:
        desk = keeper.desk
        keeper.put("parent", 40, folder="dead")
        keeper.put("other", 40, folder="dead")
        desk.add("child", after=["parent"])
        keeper.set(keep_dead="30d")
        keeper.steps()
        assert desk.folder_of("parent") == ["dead"]
        assert desk.folder_of("other") == []
        desk.queue.release(["child"], anyway=True)
        desk.clock.advance(DAY)
        keeper.steps()
        assert desk.folder_of("parent") == []

    def test_one_whose_child_may_run_stays_until_that_has_begun(self, keeper: Keeper) -> None:
        """It has been freed, and a claim will ask what it waited for."""
        desk = keeper.desk
        desk.add("parent")
        desk.add("child", after=["parent"])
        desk.run_once()
        keeper.set(keep_done="0", keep_done_count="0", keep_done_bytes="0")
        desk.clock.advance(DAY)
        keeper.steps()
        assert desk.folder_of("parent") == ["done"]
        assert desk.row("child")["held_by"] is None
        desk.run_once()
        assert desk.folder_of("child") == ["done"]
        desk.clock.advance(DAY)
        keeper.steps()
        assert keeper.left == {}

    def test_a_batch_stays_until_what_waits_for_it_has_begun(self, keeper: Keeper) -> None:
        """Were its dead jobs deleted, it would have succeeded; were all, it would never have been."""
        desk = keeper.desk
        desk.add("good", batch="b", priority=9)
        desk.add("bad", batch="b", max_retries=0)
        desk.add("publish", after=[{"batch": "b"}])
        desk.add("alarm", after=[{"batch": "b", "on": "failure"}], run_at=format_moment(START + 2 * DAY))
        desk.run_once()
        desk.run_once(failing(desk.clock))
        keeper.set(keep_done="0", keep_dead="0")
        desk.clock.advance(DAY)
        keeper.steps()
        assert keeper.left == {"dead": ["bad.json"], "done": ["good.json"]}
        assert [desk.row(name)["held_by"] for name in ("publish", "alarm")] == ["after", None]
        desk.clock.advance(2 * DAY)
        ran: list[str] = []
        assert desk.run_once(during(lambda job: ran.append(job.name), succeeding(desk.clock)))
        assert ran == ["alarm"]
        desk.queue.release(["publish"], anyway=True)
        desk.run_once()
        desk.clock.advance(DAY)
        keeper.steps()
        assert keeper.left == {}

    def test_one_whose_hook_has_not_ended_stays_with_its_log(self, keeper: Keeper) -> None:
        desk = keeper.desk
        desk.add("a", on_success="cat $QUEUECTL_HOOK_LOG")
        desk.run_once()
        desk.drop("a.log", b"hi", "logs")
        keeper.set(keep_done="0")
        desk.clock.advance(DAY)
        keeper.steps()
        assert (desk.folder_of("a"), keeper.left["logs"]) == (["done"], ["a.log"])
        assert desk.queue.retry(["a"]) is None
        hook = next(one for one in desk.ids("pending") if one != "a")
        assert desk.row(hook)["held_by"] is None, "it does not wait for it"
        assert desk.row(hook)["after"] == []
        while desk.run_once():
            desk.clock.advance(1)
        desk.clock.advance(DAY)
        keeper.steps()
        assert keeper.left == {}

    def test_what_an_unfinished_index_may_not_know_of_stays(self, keeper: Keeper) -> None:
        """A child that it has not come to yet, for example."""
        keeper.set(keep_done="0")
        keeper.put("a", 40)
        keeper.desk.queue.refresh()
        keeper.desk.store.index._sql.execute("DELETE FROM looks")
        keeper.keeping.follow(keeper.desk.store.config, START)
        keeper.keeping.look(START)
        assert keeper.left["done"] == ["a.json"]
        keeper.desk.clock.advance(1)
        keeper.steps()
        assert keeper.left == {}

    def test_one_for_which_a_child_comes_meanwhile_stays(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of many, before the turn to be deleted has come to it."""
        keeper.put("a", 40)
        keeper.put("b", 40)
        real = ended.delete

        def late(store: Any, picked: Any) -> Any:
            if keeper.desk.folder_of("child") == []:
                keeper.desk.add("child", after=["a"])
            return real(store, picked)

        monkeypatch.setattr(keeping, "delete", late)
        keeper.set(keep_done="0")
        keeper.steps()
        assert keeper.left["done"] == ["a.json"]
        assert keeper.desk.row("child")["held_by"] is None

    def test_a_sound_job_with_a_note_stays(self, keeper: Keeper) -> None:
        """It was too large for pending, for example, and never ran."""
        keeper.set(keep_dead="1d")
        keeper.put("noted", 2, folder="dead")
        keeper.desk.drop("noted.error.txt", b"too large\n", "dead")
        keeper.steps()
        assert "noted.json" in keeper.left["dead"]

    @pytest.mark.parametrize("folder", ["done", "dead"])
    @pytest.mark.parametrize("state", ["pending", "processing", "failed"])
    def test_what_a_person_has_set_aside_before_it_ended_stays(
        self, keeper: Keeper, folder: str, state: str
    ) -> None:
        keeper.set(keep_done="1d", keep_dead="1d")
        keeper.put("mine", 40, folder=folder, state=state)
        keeper.steps()
        assert keeper.left[folder] == ["mine.json"]

    def test_a_link_or_a_folder_of_that_name_stays(self, keeper: Keeper, tmp_path: Path) -> None:
        keeper.set(keep_done="1d")
        (keeper.desk.root / "done" / "folder.json").mkdir()
        (keeper.desk.root / "logs" / "a.log").mkdir()
        keeper.put("a", 2, log=b"")
        keeper.steps()
        assert keeper.left == {"done": ["folder.json"], "logs": ["a.log"]}

    def test_one_that_somebody_has_just_dragged_back_stays(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk, chosen = keeper.desk, ended.delete
        keeper.set(keep_done="1d")
        keeper.put("a", 2)
        keeper.put("b", 2)

        def dragged(store: Any, picked: Any) -> Any:
            if desk.path("done", "a.json").exists():
                desk.drag("a", "done", "pending")
            return chosen(store, picked)

        monkeypatch.setattr(keeping, "delete", dragged)
        keeper.step()
        assert desk.files() == {"pending": ["a.json"]}
        assert keeper.left["logs"] == ["a.log"], "its log is what it printed before"

    def test_one_that_is_changed_meanwhile_stays(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk, chosen = keeper.desk, ended.delete
        keeper.set(keep_dead="1d")
        keeper.put("a", 2, folder="dead")

        def edited(store: Any, picked: Any) -> Any:
            path = desk.path("dead", "a.json")
            path.write_bytes(path.read_bytes() + b" ")
            return chosen(store, picked)

        monkeypatch.setattr(keeping, "delete", edited)
        keeper.step()
        assert keeper.left["dead"] == ["a.json"]

    def test_one_that_is_being_retried_stays(self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever retries holds claim.lock: it is decided under that."""
        desk = keeper.desk
        keeper.set(keep_dead="1d")
        keeper.put("a", 2, folder="dead")
        real = ended.pick

        def then_retried(*args: Any) -> Any:
            found = real(*args)
            desk.queue.retry(["a"])
            return found

        monkeypatch.setattr(keeping, "pick", then_retried)
        keeper.step()
        assert desk.files() == {"pending": ["a.json"]}
        assert desk.record("pending", "a")["attempts"] == 0

    def test_one_that_is_held_is_met_again(self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
        keeper.set(keep_done="1d")
        keeper.put("a", 2)
        keeper.put("b", 2)
        real = Spool.delete

        def held(spool: Spool, place: Any, *, patience: float = 2.0) -> bool:
            assert patience == 0.0, "claims wait"
            if place.job_id == "a":
                raise PermissionError(13, "somebody holds it")
            return real(spool, place, patience=patience)

        with monkeypatch.context() as patch:
            patch.setattr(Spool, "delete", held)
            keeper.steps()
        assert keeper.left["done"] == ["a.json"]
        later = system.monotonic() + BEGIN_ANEW
        monkeypatch.setattr(system, "monotonic", lambda: later)
        keeper.desk.clock.advance(BEGIN_ANEW)
        keeper.steps()
        assert keeper.left == {}

    def test_an_id_that_is_another_jobs_by_now_stays_in_the_index(self, keeper: Keeper) -> None:
        keeper.desk.add("a")
        keeper.desk.store.index.drop_ended(State.COMPLETED, ["a"])
        assert keeper.desk.ids() == ["a"]


class TestLogsWithoutJobs:
    def put(self, desk: Desk, name: str, days: float) -> None:
        desk.drop(name, b"hi", "logs")
        at = desk.clock() - days * DAY
        os.utime(desk.root / "logs" / name, (at, at))

    def test_go_when_nobody_has_written_to_them_for_so_long(self, keeper: Keeper) -> None:
        keeper.set(keep_logs="7d")
        for name in ("gone.log", "gone.result", "gone.result-2", "notes.txt", "here.log"):
            self.put(keeper.desk, name, 8)
        self.put(keeper.desk, "young.log", 6)
        keeper.desk.put_job("failed", "here", state="failed")
        keeper.steps()
        assert keeper.left == {"logs": ["here.log", "notes.txt", "young.log"]}
        assert [event.text for event in keeper.heard.events] == ["3 logs of jobs that are gone deleted"]

    def test_not_that_of_a_job_which_the_index_does_not_know_yet(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keeper.set(keep_logs="7d")
        self.put(keeper.desk, "a.log", 8)
        keeper.desk.queue.refresh()
        keeper.desk.drop("a.json")
        keeper.keeping.follow(keeper.desk.store.config, START)
        keeper.keeping.look(START)
        assert keeper.left == {"logs": ["a.log"]}

    def test_many_are_gone_through_in_steps(self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keeping, "STEP", 0.0)
        monkeypatch.setattr(stray_logs, "_PAGE", 10)
        keeper.set(keep_logs="0")
        for number in range(35):
            self.put(keeper.desk, f"{number}.log", 1)
        keeper.step()
        assert len(keeper.left["logs"]) == 25
        keeper.steps()
        assert keeper.left == {}


class TestInSmallSteps:
    def test_each_state_comes_first_in_its_turn(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keeper.set(keep_done="1d", keep_dead="1d")
        for number in range(9):
            keeper.put(f"c{number}", 2)
        keeper.put("d", 2, folder="dead")
        monkeypatch.setattr(keeping, "AT_ONCE", 1)
        ticks = iter(range(10**6))
        monkeypatch.setattr(system, "monotonic", lambda: next(ticks) * 0.001)
        monkeypatch.setattr(keeping, "STEP", 0.01)
        for _ in range(6):
            keeper.step()
            keeper.desk.clock.advance(1)
        assert "dead" not in keeper.left
        assert keeper.left["done"]

    def test_many_that_are_no_jobs_are_passed_by_at_once(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keeper.set(keep_dead="1d")
        for number in range(30):
            keeper.desk.drop(f"bad-{number}.json", b"{", "dead")
        keeper.put("a", 2, folder="dead")
        monkeypatch.setattr(keeping, "AT_ONCE", 1)
        keeper.desk.queue.refresh()
        shelf = keeping._Shelf(keeper.desk.store, State.DEAD, ended.Limits(age=DAY))
        assert shelf.step(START, system.monotonic() + 10) > START
        assert shelf.count == 1

    def test_a_step_is_short_and_comes_to_an_end_in_time(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keeping, "STEP", 0.0)
        keeper.set(keep_done="1d")
        for number in range(5):
            keeper.put(f"j{number}", 2)
        monkeypatch.setattr(keeping, "AT_ONCE", 2)
        keeper.desk.queue.refresh()
        keeper.keeping.follow(keeper.desk.store.config, START)
        keeper.keeping.look(START)
        assert len(keeper.left.get("done", [])) == 5, "no time, nothing done"
        monkeypatch.setattr(keeping, "STEP", 1.0)
        keeper.steps()
        assert keeper.left == {}

    def test_while_others_keep_house_it_waits(self, keeper: Keeper) -> None:
        keeper.set(keep_done="1d")
        keeper.put("a", 2)
        held = locks.try_lock(house_lock(keeper.desk.store))
        assert held is not None
        keeper.step()
        assert keeper.left["done"] == ["a.json"]
        assert keeper.keeping.next_due == START + keeping.AGAIN
        held.release()
        keeper.desk.clock.advance(keeping.AGAIN)
        keeper.step()
        assert keeper.left == {}

    def test_what_is_in_the_way_is_told_once_and_tried_again(
        self, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keeper.set(keep_done="1d")
        keeper.put("a", 2)

        def refuse(path: str) -> Optional[Any]:
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(locks, "try_lock", refuse)
            for _ in range(3):
                keeper.step()
                keeper.desk.clock.advance(2)
        assert keeper.heard.kinds == [events.NOTICE]
        assert "Too many open files" in keeper.heard.events[0].text
        keeper.steps()
        assert keeper.left == {}

    def test_between_two_steps_the_index_is_not_asked(self, keeper: Keeper) -> None:
        keeper.set(keep_done="30d", keep_dead="30d", keep_logs="1d")
        keeper.put("a", 1)
        keeper.steps()
        asked: list[str] = []
        config = keeper.desk.store.config
        keeper.desk.store.index._sql.set_trace_callback(asked.append)
        for _ in range(10):
            keeper.desk.clock.advance(1)
            keeper.keeping.follow(config, keeper.desk.clock())
            keeper.keeping.look(keeper.desk.clock())
        assert asked == []

    def test_with_a_number_it_asks_only_whether_anything_has_changed(self, keeper: Keeper) -> None:
        keeper.set(keep_done_count="5")
        keeper.put("a", 1)
        keeper.steps()
        keeper.step()
        asked: list[str] = []
        config = keeper.desk.store.config
        keeper.desk.store.index._sql.set_trace_callback(asked.append)
        keeper.desk.clock.advance(1)
        keeper.keeping.follow(config, keeper.desk.clock())
        keeper.keeping.look(keeper.desk.clock())
        assert set(asked) <= {"PRAGMA data_version"}

    @pytest.mark.parametrize("query", [*range(5)])
    def test_each_question_is_answered_by_an_index(self, desk: Desk, query: int) -> None:
        """Of a million jobs only those are read that are asked for."""
        from queuectl.index import ended as sql

        question = [*sql._UPWARDS, *sql._DOWNWARDS, sql._NTH][query]
        values: Any = {"state": "completed", "at": "2", "id": "x", "most": 5}
        plan = desk.store.index._sql.execute(
            f"EXPLAIN QUERY PLAN {question}", ("completed", "2", 5) if "?" in question else values
        ).fetchall()
        assert plan[0][3].startswith("SEARCH") and "jobs_state (state=?" in plan[0][3]
        # Whether another job waits for it is asked by an index, too; nothing is sorted.
        assert not any("SCAN" in row[3] or "TEMP" in row[3] for row in plan)

    def test_rows_in_no_order_are_damage(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        from queuectl.index import ended as sql

        for name in "ab":
            desk.put_job("done", name, state="completed")
        desk.queue.refresh()
        wrong = sql._UPWARDS[1].replace("ORDER BY updated_at, id", "ORDER BY updated_at DESC, id DESC")
        monkeypatch.setattr(sql, "_UPWARDS", (sql._UPWARDS[0], wrong))
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            desk.store.index.ended_after(State.COMPLETED, sql.OLDEST, 5)


class TestWithinTheLooksOfAProgram:
    @pytest.fixture
    def sweep(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Sweep:
        monkeypatch.setattr(system, "now", desk.clock)
        return Sweep(desk.store, Heard())

    def test_a_job_that_is_due_ends_the_quiet(self, desk: Desk, sweep: Sweep) -> None:
        keeper = Keeper(desk)
        keeper.set(keep_done="1h")
        keeper.put("a")
        desk.queue.refresh()
        sweep.look((), [])
        assert sweep.keeping.next_due == START + min(3600, BEGIN_ANEW)
        desk.clock.advance(3600)
        assert not sweep.is_quiet()
        sweep.look((), [])
        assert keeper.left == {}

    def test_what_is_in_the_way_of_a_look_keeps_nobody_busy(
        self, desk: Desk, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Keeper(desk).set(keep_done="1h")
        sweep.look((), [])
        assert sweep.keeping_due == sweep.keeping.next_due is not None

        def refuse(*_: object, **__: object) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(sweep.full, "go_on", refuse)
        with pytest.raises(OSError, match="Input/output"):
            sweep.look((), [])
        assert sweep.keeping_due is None

    def test_in_memory_the_settings_are_not_known(self, desk: Desk, sweep: Sweep) -> None:
        keeper = Keeper(desk)
        keeper.set(keep_done="1h")
        keeper.put("a", 2)
        desk.queue.refresh()
        desk.store.index.leave_disk("for the test")
        sweep.look((), [])
        sweep.look((), [])
        assert keeper.left["done"] == ["a.json"]
        assert sweep.keeping.next_due is None or sweep.keeping.next_due > desk.clock()

    def test_a_setting_is_followed(self, desk: Desk, sweep: Sweep) -> None:
        keeper = Keeper(desk)
        keeper.put("a", 2)
        desk.queue.refresh()
        sweep.look((), [])
        assert keeper.left["done"] == ["a.json"]
        keeper.set(keep_done="1d")
        sweep.hasten()
        sweep.look((), [])
        assert keeper.left == {}

    def test_a_job_that_dies_goes_in_its_time(self, desk: Desk, sweep: Sweep) -> None:
        Keeper(desk).set(keep_dead="1h")
        desk.add("a", max_retries=0)
        desk.run_once(failing(desk.clock))
        sweep.look((), [])
        assert desk.folder_of("a") == ["dead"]
        desk.clock.advance(3600)
        sweep.look((), [])
        assert desk.files() == {}
        assert json.loads(json.dumps(desk.ids())) == []
