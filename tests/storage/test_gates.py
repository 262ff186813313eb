"""What keeps a job from its run though it is due: a person, other jobs, the limits of its group."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from queuectl.errors import InvalidInput, NoSuchJob
from queuectl.index.base import HELD
from queuectl.job import Job
from queuectl.queue import gates, notices, survey
from queuectl.queue.claims import claim_some, has_work
from queuectl.queue.gates import Groups
from queuectl.queue.looks import Looks
from queuectl.queue.store import Store
from queuectl.queue.survey import Survey, reconcile_all
from queuectl.queue.verbs import cancel
from queuectl.sweep import Sweep
from tests.support.spools import START, Desk, Heard, failing, succeeding

WORKER, OTHER = "host-1-1-abc", "host-2-1-def"


def run_all(desk: Desk, **options: Any) -> list[str]:
    """Run what may, one worker after the other; the ids in their order."""
    ran: list[str] = []
    code = options.get("code", 0)

    def run(job: Job, setting: Any) -> Any:
        ran.append(job.name)
        return (succeeding(desk.clock) if code == 0 else failing(desk.clock, code))(job, setting)

    while desk.run_once(run):
        pass
    return ran


def fail_for_good(desk: Desk, job_id: str) -> None:
    desk.queue.edit(job_id, {"max_retries": 0, "priority": 100})
    desk.run_once(failing(desk.clock))
    assert desk.folder_of(job_id) == ["dead"]


class TestAJobThatWaitsForOthers:
    def test_runs_once_they_have_completed(self, desk: Desk) -> None:
        desk.add("a", "b")
        desk.add("child", priority=100, after=["a", "b"])
        assert desk.row("child")["held_by"] == "after"
        assert run_all(desk) == ["a", "b", "child"]

    def test_whatever_order_their_rows_are_written_in(self, desk: Desk) -> None:
        """The index may be deleted at any time."""
        desk.add("z", "a")
        desk.add("m", after=["z", "a"])
        desk.queue.reindex()
        assert desk.row("m")["held_by"] == "after"
        desk.run_once()
        desk.queue.reindex()
        assert desk.row("m")["held_by"] == "after"
        desk.run_once()
        desk.queue.reindex()
        assert desk.row("m")["held_by"] is None
        assert run_all(desk) == ["m"]

    @pytest.mark.parametrize(
        ("wants", "ends", "becomes"),
        [
            ("success", "done", "runs"),
            ("success", "dead", "waits"),
            ("failure", "done", "skipped"),
            ("failure", "dead", "runs"),
            ("any", "done", "runs"),
            ("any", "dead", "runs"),
        ],
    )
    @pytest.mark.parametrize("anew", [False, True], ids=["", "in a new index"])
    def test_by_what_the_other_has_come_to(
        self, desk: Desk, wants: str, ends: str, becomes: str, anew: bool
    ) -> None:
        desk.add("a")
        desk.add("child", after=[{"id": "a", "on": wants}])
        if ends == "done":
            desk.run_once()
        else:
            fail_for_good(desk, "a")
        if anew:
            desk.queue.reindex()
        ran = run_all(desk)
        assert ran == (["child"] if becomes == "runs" else [])
        record = desk.record("pending" if becomes == "waits" else "done", "child")
        assert [run["outcome"] for run in record.get("history", [])] == (
            {"runs": ["completed"], "skipped": ["skipped"], "waits": []}[becomes]
        )

    def test_a_dead_one_holds_it_and_says_so_until_that_is_retried(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("child", after=["a"])
        fail_for_good(desk, "a")
        assert run_all(desk) == []
        problems = desk.queue.status().problems
        assert problems == ["job child waits for a, which is dead: retry that, or cancel this"]
        desk.queue.retry(["a"])
        assert desk.queue.status().problems == []
        assert run_all(desk) == ["a", "child"]

    @pytest.mark.parametrize("after", [["a"], [{"batch": "b"}]])
    def test_one_that_is_to_be_done_again_holds_it_again(self, desk: Desk, after: list[Any]) -> None:
        desk.add("a", batch="b")
        desk.add("child", after=after)
        desk.run_once()
        assert desk.row("child")["held_by"] is None
        desk.path("done", "a.json").replace(desk.path("pending", "a.json"))
        desk.look()
        assert desk.row("child")["held_by"] == "after"
        assert run_all(desk) == ["a", "child"]

    def test_one_that_was_deleted_holds_it_and_says_so(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("child", after=["a"])
        desk.path("pending", "a.json").unlink()
        assert run_all(desk) == []
        (problem,) = desk.queue.status().problems
        assert problem.startswith("job child waits for a, which is not here: queuectl release --anyway")
        desk.queue.release(["child"], anyway=True)
        assert run_all(desk) == ["child"]

    @pytest.mark.parametrize("after", [["p"], [{"batch": "b"}], [{"id": "p", "on": "any"}]])
    def test_one_that_has_run_before_does_not_wait_for_what_is_gone(self, desk: Desk, after: Any) -> None:
        """A week later it is retried, and what it waited for has been deleted."""
        desk.add("p", batch="b")
        desk.add("child", after=after, max_retries=0)
        desk.run_once()
        desk.run_once(failing(desk.clock))
        desk.queue.house.prune(older_than=0)
        assert desk.folder_of("p") == []
        desk.queue.retry(["child"])
        assert desk.row("child")["held_by"] is None
        assert run_all(desk) == ["child"]

    def test_one_that_has_run_before_waits_for_what_is_there(self, desk: Desk) -> None:
        """The index need not know of it yet."""
        desk.add("p")
        desk.add("child", after=["p"], max_retries=0)
        desk.run_once()
        desk.run_once(failing(desk.clock))
        desk.queue.retry(["child", "p"])
        desk.store.index.drop(["p"])
        with desk.worker(succeeding(desk.clock)) as worker:
            assert not worker.run_once()
        assert run_all(desk) == ["p", "child"]

    def test_a_child_that_is_dropped_as_a_file_waits_too(self, desk: Desk) -> None:
        desk.drop("child.json", {"command": "x", "after": ["a"]})
        desk.look()
        assert run_all(desk) == []
        desk.drop("a.json", {"command": "x"})
        desk.look()
        assert run_all(desk) == ["a", "child"]

    def test_it_waits_for_a_retry_of_the_other(self, desk: Desk) -> None:
        desk.add("a", max_retries=1)
        desk.add("child", after=["a"])
        desk.run_once(failing(desk.clock))
        assert run_all(desk) == []
        desk.clock.advance(10)
        assert run_all(desk) == ["a", "child"]

    def test_its_own_retries_wait_for_nobody(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("child", after=["a"], max_retries=3)
        desk.run_once()
        desk.run_once(failing(desk.clock))
        desk.path("done", "a.json").unlink()
        desk.queue.reindex()
        assert run_all(desk) == [], "not due yet"
        desk.clock.advance(10)
        assert run_all(desk) == ["child"]

    def test_it_may_also_wait_for_a_moment(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("child", after=["a"], run_at="2027-01-15T09:00:00Z")
        assert run_all(desk) == ["a"]
        assert desk.store.index.promote(desk.clock()) == START + 3600
        desk.clock.advance(3600)
        assert run_all(desk) == ["child"]

    def test_a_chain_and_a_diamond(self, desk: Desk) -> None:
        desk.queue.enqueue(
            [
                {"id": "end", "command": "x", "after": ["left", "right"], "priority": 9},
                {"id": "left", "command": "x", "after": ["top"]},
                {"id": "right", "command": "x", "after": ["top"], "priority": 1},
                {"id": "top", "command": "x"},
            ]
        )
        assert run_all(desk) == ["top", "right", "left", "end"]

    def test_the_end_of_the_other_in_the_very_moment_of_the_question_is_not_missed(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")
        desk.add("child", after=["a"], priority=9)
        desk.look()
        # As if somebody had told that it may run.
        desk.store.index._sql.execute("UPDATE jobs SET due = NULL WHERE id = 'child'")
        asked = gates.waits_for

        def then_it_ends(store: Store, job: Job) -> Any:
            found = asked(store, job)
            if desk.path("pending", "a.json").exists():
                desk.drag("a", "pending", "done")
                desk.store.index.drop(["a"])
            return found

        monkeypatch.setattr(gates, "waits_for", then_it_ends)
        with desk.worker(name=WORKER) as worker:
            claimed = [one.job.name for one in claim_some(worker.store, WORKER, desk.clock(), most=4)]
            assert claimed == ["child"]

    def test_a_row_that_says_it_may_run_is_not_believed(self, desk: Desk) -> None:
        desk.add("a", run_at="2999-01-01T00:00:00Z")
        desk.add("child", after=["a"])
        desk.store.index._sql.execute("UPDATE jobs SET due = NULL WHERE id = 'child'")
        with desk.worker(name=WORKER) as worker:
            assert claim_some(worker.store, WORKER, desk.clock()) == []
        assert desk.store.index.get("child").due == HELD  # type: ignore[union-attr]

    def test_many_that_wait_cost_a_claim_nothing(self, desk: Desk) -> None:
        desk.add("a", run_at="2999-01-01T00:00:00Z")
        desk.queue.enqueue(
            [{"id": f"c{n}", "command": "x", "after": ["a"], "priority": 9} for n in range(200)]
        )
        desk.add("free")
        assert run_all(desk) == ["free"]


class TestWhatAReviewFound:
    def test_one_parent_with_two_wishes_keeps_both(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("child", after=[{"id": "a", "on": "any"}, "a"])
        fail_for_good(desk, "a")
        assert run_all(desk) == []
        assert not has_work(desk.store, desk.clock()), "a drain ends"

    def test_a_parent_that_lies_in_two_folders_keeps_no_drain(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("child", after=["a"])
        desk.run_once()
        desk.put_job("failed", "a", run_at="2999-01-01T00:00:00Z")
        assert run_all(desk) == []
        assert not has_work(desk.store, desk.clock())

    @pytest.mark.parametrize("written", ["Fetch", "FETCH", "fetch"])
    def test_an_id_in_another_case_is_the_same_job(self, desk: Desk, written: str) -> None:
        desk.add("fetch")
        desk.add("child", after=[written])
        desk.drop("dropped.json", {"command": "x", "after": [written]})
        desk.look()
        assert desk.record("pending", "child")["after"] == ["fetch"]
        assert sorted(run_all(desk)) == ["child", "dropped", "fetch"]

    def test_a_batch_of_which_not_all_is_known_goes_on(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In an index that is being made anew, whose rows come in pieces."""
        desk.add("one", "two", batch="b")
        desk.add("end", after=[{"batch": "b"}], priority=9)
        desk.run_once()
        desk.store.index.clear()
        monkeypatch.setattr(survey, "_PIECE", 1)
        with desk.worker(name=WORKER) as worker:
            looks = Looks(desk.store, desk.clock(), owner=None, spare=False)
            for _ in Survey(desk.store, desk.clock(), looks=looks).steps():
                found = [one.job.name for one in claim_some(worker.store, WORKER, desk.clock(), most=4)]
                assert "end" not in found
                if found:
                    break
        assert "end" in run_all(desk)

    def test_a_job_that_leaves_its_batch_is_waited_for_no_more(self, desk: Desk) -> None:
        desk.add("one", "two", batch="b")
        desk.add("end", after=[{"batch": "b"}])
        desk.run_once()
        desk.queue.edit("two", {"batch": "other", "hold": True})
        assert run_all(desk) == ["end"]

    def test_a_dead_one_of_a_batch_is_told(self, desk: Desk) -> None:
        desk.add("one", batch="b")
        desk.add("end", after=[{"batch": "b"}])
        fail_for_good(desk, "one")
        assert desk.queue.status().problems == ["job end waits for batch b, of which a job is dead"]

    def test_a_circle_by_way_of_an_edit_is_refused(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("b", after=["a"])
        desk.add("c", after=["b"])
        with pytest.raises(InvalidInput, match="a would wait for itself, by way of others"):
            desk.queue.edit("a", {"after": ["c"]})
        with pytest.raises(NoSuchJob):
            desk.queue.edit("a", {"after": ["nope"]})

    def test_what_waits_no_more_is_not_told_of(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("child", after=["a"])
        desk.queue.edit("child", {"after": None, "hold": True})
        fail_for_good(desk, "a")
        assert desk.queue.status().problems == []


class TestABatch:
    def test_its_completion_job_runs_when_all_have_completed(self, desk: Desk) -> None:
        desk.queue.enqueue([{"id": f"part{n}", "command": "x", "batch": "b"} for n in range(3)])
        desk.add("end", after=[{"batch": "b"}], priority=9)
        assert run_all(desk) == ["part0", "part1", "part2", "end"]

    @pytest.mark.parametrize(
        ("wants", "becomes"), [("success", "waits"), ("failure", "runs"), ("any", "runs")]
    )
    def test_a_dead_one_is_its_failure(self, desk: Desk, wants: str, becomes: str) -> None:
        desk.add("one", "two", batch="b")
        desk.add("end", after=[{"batch": "b", "on": wants}])
        fail_for_good(desk, "one")
        assert run_all(desk) == ["two", *(["end"] if becomes == "runs" else [])]

    def test_one_that_only_failure_wants_is_skipped_when_all_complete(self, desk: Desk) -> None:
        desk.add("one", batch="b")
        desk.add("end", after=[{"batch": "b", "on": "failure"}])
        assert run_all(desk) == ["one"]
        assert desk.record("done", "end")["history"][0]["outcome"] == "skipped"

    def test_one_that_was_deleted_does_not_hold_it(self, desk: Desk) -> None:
        desk.add("one", "two", batch="b")
        desk.add("end", after=[{"batch": "b"}])
        desk.run_once()
        desk.path("pending", "two.json").unlink()
        assert run_all(desk) == ["end"]

    def test_in_an_index_that_is_only_being_made_it_waits_for_all(self, desk: Desk) -> None:
        desk.add("one", "two", batch="b")
        desk.add("end", after=[{"batch": "b"}])
        desk.run_once()
        desk.store.index.clear()
        # Of the batch only this one is known so far, and it has ended.
        with Store.open(str(desk.root)) as store:
            from queuectl.queue.reconcile import reconcile_one

            reconcile_one(store, "end", desk.clock())
            reconcile_one(store, "one", desk.clock())
            assert claim_some(store, WORKER, desk.clock()) == []
        assert run_all(desk) == ["two", "end"]


class TestHold:
    def test_it_waits_until_it_is_released(self, desk: Desk) -> None:
        desk.add("a", hold=True)
        desk.add("b")
        assert desk.row("a")["held_by"] == "hold"
        assert run_all(desk) == ["b"]
        desk.queue.reindex()
        assert run_all(desk) == []
        desk.queue.release(["a"])
        assert run_all(desk) == ["a"]

    def test_so_does_one_that_waits_for_its_retry(self, desk: Desk) -> None:
        desk.add("a", max_retries=1)
        desk.run_once(failing(desk.clock))
        desk.queue.hold(["a"])
        desk.clock.advance(100)
        assert run_all(desk) == []
        desk.queue.release(["a"])
        assert run_all(desk) == ["a"]

    def test_and_one_that_a_person_edits_so_at_the_last_moment(self, desk: Desk) -> None:
        desk.add("a")
        desk.drop("a.json", {"command": "x", "id": "a", "hold": True})
        # The row still says that it may run.
        assert has_work(desk.store, desk.clock())
        with desk.worker(name=WORKER) as worker:
            assert claim_some(worker.store, WORKER, desk.clock()) == []
        assert desk.folder_of("a") == ["pending"]

    def test_nothing_is_left_to_do_for_a_drain(self, desk: Desk) -> None:
        desk.add("a", hold=True)
        assert not has_work(desk.store, desk.clock())
        assert desk.store.index.promote(desk.clock()) is None


def set_group(desk: Desk, name: str = "g", **fields: Any) -> None:
    """As a person saves it."""
    desk.drop(f"{name}.json", fields, "groups")


@pytest.fixture
def two(desk: Desk) -> Iterator[tuple[Store, Store]]:
    """The hands of two workers."""
    with desk.worker(name=WORKER) as one, desk.worker(name=OTHER) as other:
        yield one.store, other.store


def claimed(store: Store, worker: str, desk: Desk, most: int = 1) -> list[str]:
    return [one.job.name for one in claim_some(store, worker, desk.clock(), most=most)]


def end(desk: Desk, worker: str, job_id: str) -> None:
    """A run is over, as a worker's record and move tell it."""
    os.replace(desk.path(f"processing/{worker}", f"{job_id}.json"), desk.path("done", f"{job_id}.json"))
    reconcile_all(desk.store, desk.clock())


class TestALimit:
    def test_no_more_run_at_once(self, desk: Desk, two: tuple[Store, Store]) -> None:
        set_group(desk, limit=1)
        desk.add("a", "b", "c", group="g")
        assert claimed(two[0], WORKER, desk, most=4) == ["a"]
        assert claimed(two[1], OTHER, desk, most=4) == []
        assert not has_work(desk.store, desk.clock())
        end(desk, WORKER, "a")
        assert has_work(desk.store, desk.clock())
        assert claimed(two[1], OTHER, desk) == ["b"]
        assert claimed(two[0], WORKER, desk) == []

    def test_others_are_not_held_up(self, desk: Desk, two: tuple[Store, Store]) -> None:
        set_group(desk, limit=1)
        desk.add(*(f"g{number}" for number in range(100)), group="g", priority=9)
        desk.add("free")
        assert claimed(two[0], WORKER, desk) == ["g0"]
        assert claimed(two[1], OTHER, desk) == ["free"]

    def test_a_claim_of_several_takes_no_more(self, desk: Desk, two: tuple[Store, Store]) -> None:
        set_group(desk, limit=2)
        desk.add(*(f"g{number}" for number in range(9)), group="g")
        desk.add("free")
        found = claimed(two[0], WORKER, desk, most=16)
        assert sorted(found + claimed(two[1], OTHER, desk, most=16)) == ["free", "g0", "g1"]

    def test_runs_that_the_index_does_not_know_count_too(self, desk: Desk, two: tuple[Store, Store]) -> None:
        set_group(desk, limit=1)
        desk.add("a", "b", group="g")
        assert claimed(two[0], WORKER, desk) == ["a"]
        desk.store.index.drop(["a"])
        assert claimed(two[1], OTHER, desk) == []

    def test_the_file_of_a_job_tells_its_group(self, desk: Desk, two: tuple[Store, Store]) -> None:
        set_group(desk, limit=1)
        desk.add("a", group="g")
        desk.add("b")
        assert claimed(two[0], WORKER, desk) == ["a"]
        desk.drop("b.json", {"command": "x", "id": "b", "group": "g"})
        assert claimed(two[1], OTHER, desk) == [], "edited a moment ago"

    def test_a_retry_needs_a_slot_as_well(self, desk: Desk, two: tuple[Store, Store]) -> None:
        set_group(desk, limit=1)
        desk.add("a", group="g", max_retries=1)
        desk.run_once(failing(desk.clock), name="host-3-1-ghi")
        desk.add("b", group="g", priority=9)
        desk.clock.advance(10)
        assert claimed(two[0], WORKER, desk) == ["b"]
        assert claimed(two[1], OTHER, desk) == []

    @pytest.mark.parametrize("before", [{"limit": 1}, {"paused": True}])
    def test_more_may_run_when_it_is_raised(
        self, desk: Desk, two: tuple[Store, Store], before: dict[str, Any]
    ) -> None:
        set_group(desk, **before)
        desk.add("a", "b", "c", group="g")
        claimed(two[0], WORKER, desk)
        set_group(desk, limit=3)
        assert len(claimed(two[0], WORKER, desk, most=4) + claimed(two[1], OTHER, desk, most=4)) >= 2

    def test_fewer_when_it_is_lowered_while_some_are_ready(
        self, desk: Desk, two: tuple[Store, Store]
    ) -> None:
        desk.add("a", "b", "c", group="g")
        assert claimed(two[0], WORKER, desk) == ["a"]
        set_group(desk, limit=1)
        assert claimed(two[1], OTHER, desk) == []

    def test_the_order_within_it_is_that_of_all(self, desk: Desk) -> None:
        set_group(desk, limit=1)
        desk.add("low", group="g")
        desk.add("high", group="g", priority=5)
        assert run_all(desk) == ["high", "low"]

    def test_a_higher_priority_that_comes_later_goes_first(
        self, desk: Desk, two: tuple[Store, Store]
    ) -> None:
        set_group(desk, limit=1)
        desk.add("free", priority=9)
        desk.add("low", group="g")
        assert claimed(two[0], WORKER, desk) == ["free"]
        desk.add("high", group="g", priority=5)
        assert claimed(two[1], OTHER, desk) == ["high"]

    def test_one_that_has_crashed_does_not_keep_the_others(
        self, desk: Desk, two: tuple[Store, Store]
    ) -> None:
        set_group(desk, limit=1)
        desk.put_job("failed", "runs", crashes=1)
        desk.look()
        assert claimed(two[0], WORKER, desk) == ["runs"]
        # Of those that have crashed one runs at a time: this one has to wait.
        desk.put_job("failed", "suspect", crashes=1, group="g", priority=9)
        desk.add("a", group="g")
        desk.look()
        assert [*claimed(two[1], WORKER[:-1] + "d", desk), *claimed(two[0], WORKER, desk)] == ["a"]

    def test_a_name_in_another_case_is_the_same_group(self, desk: Desk, two: tuple[Store, Store]) -> None:
        desk.drop("Video.json", {"limit": 1}, "groups")
        desk.add("a", group="video")
        desk.add("b", group="VIDEO")
        assert claimed(two[0], WORKER, desk, most=4) == ["a"]
        assert claimed(two[1], OTHER, desk) == []
        desk.queue.groups.set("video", {"rate": "9/min"})
        assert json.loads(desk.path("groups", "Video.json").read_bytes()) == {"limit": 1, "rate": "9/min"}
        (row,) = desk.queue.groups.rows()
        assert (row["limit"], row["waiting"], row["running"]) == (1, 1, 1)

    def test_a_file_in_place_of_the_folder_closes_groups_and_nothing_else(self, desk: Desk) -> None:
        shutil.rmtree(desk.root / "groups")
        (desk.root / "groups").write_text("?", encoding="utf-8")
        desk.add("a", group="g", priority=9)
        desk.add("b")
        with desk.worker(name=WORKER) as worker:
            assert claimed(worker.store, WORKER, desk) == ["b"]

    def test_a_group_without_a_file_has_none(self, desk: Desk) -> None:
        desk.add("a", "b", group="g")
        assert run_all(desk) == ["a", "b"]

    def test_a_damaged_file_holds_the_group_and_is_told(self, desk: Desk) -> None:
        desk.drop("g.json", b'{"limit": ', "groups")
        desk.add("a", group="g")
        assert run_all(desk) == []
        assert any(line.startswith("groups/g.json: not JSON") for line in desk.queue.status().problems)
        assert desk.path("groups", "g.json").read_bytes() == b'{"limit": '
        set_group(desk, limit=1)
        assert run_all(desk) == ["a"]


class TestARate:
    def test_no_more_start_in_its_time(self, desk: Desk) -> None:
        set_group(desk, rate="2/min")
        desk.add("a", "b", "c", "d", "e", group="g")
        assert run_all(desk) == ["a", "b"]
        assert Groups(desk.store, desk.clock()).next_opening() == START + 60
        assert not has_work(desk.store, desk.clock())
        desk.clock.advance(59)
        assert run_all(desk) == []
        desk.clock.advance(1)
        assert has_work(desk.store, desk.clock())
        assert run_all(desk) == ["c", "d"]

    def test_whatever_program_starts_them(self, desk: Desk, two: tuple[Store, Store]) -> None:
        set_group(desk, rate="2/min")
        desk.add("a", "b", "c", group="g")
        found = claimed(two[0], WORKER, desk) + claimed(two[1], OTHER, desk, most=4)
        assert (found, claimed(two[0], WORKER, desk)) == (["a", "b"], [])

    def test_a_start_is_counted_when_it_comes(self, desk: Desk, two: tuple[Store, Store]) -> None:
        """Not that of a job which waits behind others of its batch."""
        set_group(desk, rate="5/min")
        desk.add("g1", "g2", group="g", priority=5)
        desk.add("x", "y")
        assert claimed(two[0], WORKER, desk, most=16) == ["g1"]
        desk.queue.edit("y", {"priority": 9})
        assert "g2" not in claimed(two[1], OTHER, desk, most=16)[1:]

    def test_where_starts_cannot_be_kept_none_comes(self, desk: Desk) -> None:
        set_group(desk, rate="1/min")
        (desk.root / "groups" / "state").write_text("?", encoding="utf-8")
        desk.add("a", "b", group="g")
        desk.add("c")
        assert run_all(desk) == ["c"]

    def test_a_look_says_when_it_opens(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("queuectl.system.now", desk.clock)
        set_group(desk, rate="1/min")
        desk.add("a", "b", group="g")
        run_all(desk)
        sweep = Sweep(desk.store, Heard())
        sweep.look((), [])
        assert sweep.next_due == START + 60

    @pytest.mark.parametrize("garbage", [b"", b"{}", b"\xff", b"[1]"])
    def test_starts_that_cannot_be_read_are_forgotten(self, desk: Desk, garbage: bytes) -> None:
        set_group(desk, rate="1/min")
        desk.add("a", "b", group="g")
        run_all(desk)
        (desk.root / "groups" / "state" / "g.json").write_bytes(garbage)
        assert run_all(desk) == ["b"]


class TestAPausedGroup:
    def test_starts_nothing_and_holds_up_nobody(self, desk: Desk) -> None:
        desk.queue.groups.pause(["g"])
        desk.add("a", group="g", priority=9)
        desk.add("b")
        assert run_all(desk) == ["b"]
        assert desk.row("a")["held_by"] == "group"
        assert not has_work(desk.store, desk.clock())
        desk.queue.groups.resume(["g"])
        assert run_all(desk) == ["a"]

    def test_a_hundred_thousand_of_it_are_no_work(self, desk: Desk) -> None:
        """Of those that may run first a claim takes the first, however many others may not."""
        desk.queue.groups.pause(["g"])
        desk.queue.enqueue([{"command": "x", "group": "g", "priority": 9} for _ in range(2000)])
        desk.add("b")
        steps = [0]

        def step() -> int:
            steps[0] += 1
            return 0

        with desk.worker(name=WORKER) as worker:
            worker.store.index._sql.set_progress_handler(step, 100)
            assert claimed(worker.store, WORKER, desk) == ["b"]
            worker.store.index._sql.set_progress_handler(None, 0)
        assert steps[0] < 50


class TestAfterAClockWasSet:
    def test_who_waits_for_others_or_a_group_goes_on_waiting(self, desk: Desk) -> None:
        set_group(desk, paused=True)
        desk.add("a", group="g")
        desk.add("b", hold=True)
        desk.add("c", run_at="2999-01-01T00:00:00Z")
        desk.store.index.forget_moments(desk.clock())
        desk.store.index.try_again()
        desk.look()
        assert run_all(desk) == []
        assert {job["id"]: job["held_by"] for job in desk.queue.jobs()} == {
            "a": "group",
            "b": "hold",
            "c": None,
        }


class TestCancel:
    def test_one_that_waits_for_others_can_be_cancelled(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("child", after=["a"])
        cancel(desk.store, [desk.queue.locate("child")], now=desk.clock(), deadline=0)
        assert run_all(desk) == ["a"]
        assert desk.folder_of("child") == ["dead"]


def test_what_is_kept_of_a_group_is_no_job(desk: Desk, tmp_path: Path) -> None:
    set_group(desk, rate="1/min")
    desk.add("a", group="g")
    run_all(desk)
    assert json.loads((desk.root / "groups" / "state" / "g.json").read_bytes()) == [
        "2027-01-15T08:00:00.000Z"
    ]
    assert desk.queue.doctor() == []


class TestInVain:
    """What will never run is told."""

    @pytest.mark.parametrize(
        "files",
        [
            {"a": {"after": ["b"]}, "b": {"after": ["C"]}, "c": {"after": ["a"]}, "d": {"after": ["a"]}},
            {"a": {"batch": "x", "after": ["b"]}, "b": {"after": [{"batch": "x", "on": "any"}]}},
        ],
        ids=["by name", "by way of a batch"],
    )
    def test_dropped_files_that_wait_for_one_another(self, desk: Desk, files: dict[str, Any]) -> None:
        desk.add("free")
        desk.add("held", hold=True)
        desk.add("waits", after=["held"])
        for name, fields in files.items():
            desk.drop(f"{name}.json", {"command": "x", **fields})
        run_all(desk)
        stuck = ", ".join(name for name in files if desk.folder_of(name) == ["pending"])
        told = f"jobs {stuck} wait for one another: edit what one waits for, or cancel it"
        assert desk.queue.status().problems == [told]
        assert [finding.text for finding in desk.queue.doctor()] == [told]
        desk.queue.edit("b", {"after": None})
        assert desk.queue.status().problems == []
        desk.queue.release(["held"])
        run_all(desk)
        assert desk.files().keys() == {"done"}

    def test_of_very_many_the_doctor_tells(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(notices, "FEW", 2)
        for one, other in ("ab", "bc", "ca"):
            desk.drop(f"{one}.json", {"command": "x", "after": [other]})
        desk.look()
        assert desk.queue.status().problems == []
        assert [finding.text[:12] for finding in desk.queue.doctor()] == ["jobs a, b, c"]

    def test_a_batch_of_which_nothing_is_left(self, desk: Desk) -> None:
        desk.add("part", batch="b")
        desk.add("end", after=[{"batch": "b"}])
        desk.path("pending", "part.json").unlink()
        desk.look()
        (told,) = desk.queue.status().problems
        assert told == ("job end waits for batch b, of which no job is here: queuectl release --anyway end")
