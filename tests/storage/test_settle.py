"""What becomes of a job when its run has ended."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from queuectl import events, system
from queuectl.queue.claims import policy_of
from queuectl.runner import CANCELLED, FAILED, TIMEOUT
from queuectl.system import writing
from tests.support.invariants import check
from tests.support.spools import Desk, Heard, Run, during, ending, failing, interrupted, succeeding

WORKER = "host-1-1-abc"
MINE = f"processing/{WORKER}"


def run(desk: Desk, how: Run, **hands: Any) -> Heard:
    heard = Heard()
    assert desk.run_once(how, emit=heard, **hands) is True
    return heard


class TestSuccess:
    def test_lies_in_done_with_its_run(self, desk: Desk) -> None:
        desk.add("a")
        heard = run(desk, succeeding(desk.clock))
        record = desk.record("done", "a")
        assert (record["state"], record["attempts"], record["exit_code"]) == ("completed", 1, 0)
        assert record["history"] == [
            {
                "outcome": "completed",
                "attempt": 1,
                "worker": WORKER,
                "started_at": "2027-01-15T08:00:00.000Z",
                "finished_at": "2027-01-15T08:00:00.000Z",
                "exit_code": 0,
            }
        ]
        assert heard.kinds == [events.JOB_STARTED, events.JOB_COMPLETED]
        check(desk.root, ["a"])

    def test_leaves_nothing_of_the_worker(self, desk: Desk) -> None:
        desk.add("a")
        run(desk, succeeding(desk.clock))
        assert desk.files() == {"done": ["a.json"]}
        assert list((desk.root / "processing").iterdir()) == []
        assert [path.name for path in (desk.root / "locks").iterdir()] == ["claim.lock"]

    def test_of_a_dropped_file_completes_its_record(self, desk: Desk) -> None:
        desk.drop("a.json", {"command": "x", "meta": {"n": 10**30}})
        run(desk, succeeding(desk.clock))
        record = desk.record("done", "a")
        assert (record["id"], record["meta"]) == ("a", {"n": 10**30})
        assert record["created_at"].endswith("Z")
        check(desk.root, ["a"])


class TestFailure:
    def test_waits_in_failed_until_its_retry(self, desk: Desk) -> None:
        desk.add("a")
        heard = run(desk, failing(desk.clock, 5))
        record = desk.record("failed", "a")
        assert (record["state"], record["attempts"], record["error"]) == ("failed", 1, "exit code 5")
        assert record["run_at"] == "2027-01-15T08:00:02.000Z"
        assert (heard.events[-1].kind, heard.events[-1].delay) == (events.JOB_FAILED, 2)
        check(desk.root, ["a"])

    def test_four_times_with_growing_waits_and_then_it_is_dead(self, desk: Desk) -> None:
        desk.add("a")
        waits = []
        for _ in range(4):
            heard = run(desk, failing(desk.clock))
            assert desk.run_once() is False
            waits.append(heard.events[-1].delay)
            desk.clock.advance(waits[-1] or 0)
        assert waits == [2, 4, 8, None]
        assert heard.kinds[-1] == events.JOB_DEAD
        record = desk.record("dead", "a")
        assert (record["attempts"], len(record["history"]), "run_at" in record) == (4, 4, False)
        check(desk.root, ["a"])

    def test_then_success(self, desk: Desk) -> None:
        desk.add("a")
        run(desk, failing(desk.clock))
        desk.clock.advance(2)
        run(desk, succeeding(desk.clock))
        record = desk.record("done", "a")
        assert (record["attempts"], record["exit_code"], "error" in record) == (2, 0, False)
        assert [one["outcome"] for one in record["history"]] == ["failed", "completed"]

    def test_by_the_jobs_own_limits(self, desk: Desk) -> None:
        desk.add("a", max_retries=1, backoff_base=10)
        assert run(desk, failing(desk.clock)).events[-1].delay == 10
        desk.clock.advance(10)
        run(desk, failing(desk.clock))
        assert desk.folder_of("a") == ["dead"]

    def test_by_the_settings_as_they_are_then(self, desk: Desk) -> None:
        desk.add("a", "b")
        desk.queue.set_config("max_retries", "0")
        run(desk, failing(desk.clock))
        assert desk.folder_of("a") == ["dead"]
        desk.queue.set_config("max_retries", "1")
        desk.queue.set_config("backoff_base", "3")
        desk.queue.set_config("backoff_max", "2")
        assert run(desk, failing(desk.clock)).events[-1].delay == 2
        assert desk.folder_of("b") == ["failed"]

    def test_spread_by_luck(self, desk: Desk) -> None:
        desk.queue.set_config("backoff_jitter", "0.5")
        desk.add("a")
        assert run(desk, failing(desk.clock), luck=lambda: 0.0).events[-1].delay == 1

    @pytest.mark.parametrize(("code", "folder"), [(64, "dead"), (1, "failed")])
    def test_with_an_exit_code_that_forbids_a_retry(self, desk: Desk, code: int, folder: str) -> None:
        desk.add("a", no_retry_exit_codes=[64])
        run(desk, failing(desk.clock, code))
        assert desk.folder_of("a") == [folder]

    def test_by_a_timeout_is_tried_again(self, desk: Desk) -> None:
        desk.add("a")
        run(desk, ending(TIMEOUT, -15, "timed out after 1 s", desk.clock))
        record = desk.record("failed", "a")
        assert (record["error"], record["history"][0]["outcome"]) == ("timed out after 1 s", "timeout")

    def test_with_no_exit_code_is_tried_again(self, desk: Desk) -> None:
        desk.add("a", no_retry_exit_codes=[1])
        run(desk, ending(FAILED, None, "program not found: x", desk.clock))
        assert desk.folder_of("a") == ["failed"]


def test_a_cancelled_run_is_dead(desk: Desk) -> None:
    desk.add("a")
    heard = run(desk, ending(CANCELLED, -15, "cancelled", desk.clock))
    assert desk.record("dead", "a")["error"] == "cancelled"
    assert heard.kinds[-1] == events.JOB_CANCELLED


@pytest.mark.parametrize("attempts", [0, 2])
def test_an_interrupted_run_costs_no_attempt(desk: Desk, attempts: int) -> None:
    desk.put_job(
        "failed" if attempts else "pending", "a", state="failed" if attempts else "pending", attempts=attempts
    )
    heard = run(desk, interrupted(desk.clock))
    assert desk.record("pending", "a")["attempts"] == attempts
    assert heard.kinds[-1] == events.JOB_INTERRUPTED
    assert desk.row("a")["attempts"] == attempts
    run(desk, failing(desk.clock))
    assert desk.record("failed", "a")["attempts"] == attempts + 1


def test_a_dropped_file_whose_run_is_interrupted_lies_there_as_it_was_dropped(desk: Desk) -> None:
    data = b'{"command":  "x"  }\r\n'
    desk.drop("a.json", data)
    run(desk, interrupted(desk.clock))
    assert desk.path("pending", "a.json").read_bytes() == data


def test_policy_is_the_jobs_own_where_it_has_one(desk: Desk) -> None:
    desk.add("a", max_retries=0)
    job = desk.store.spool.read(desk.queue.locate("a"), 10_000).job
    assert policy_of(desk.store, job) == (0, 2, 3600, 0, 3)


class TestAFileThatChangesWhileItsCommandRuns:
    def edited(self, desk: Desk, data: Any) -> Run:
        return during(lambda job: desk.drop("a.json", data, MINE), failing(desk.clock))

    def test_keeps_the_edit_and_gets_the_outcome(self, desk: Desk) -> None:
        desk.add("a")
        run(desk, self.edited(desk, {"id": "a", "command": "edited", "priority": 5, "attempts": 0}))
        record = desk.record("failed", "a")
        assert (record["command"], record["priority"], record["attempts"]) == ("edited", 5, 1)
        check(desk.root, ["a"])

    def to_rubbish_and_refused(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, times: int) -> Run:
        """Its record cannot be stamped for so many tries."""
        numbers, real = count(1), system.replace

        def held(source: str, target: str, **patience: float) -> None:
            if target == str(desk.path(MINE, "a.json")) and next(numbers) <= times:
                raise PermissionError(13, "the editor still has it open")
            real(source, target, **patience)

        def edit_and_hold(_: object) -> None:
            desk.drop("a.json", b"rubbish", MINE)
            monkeypatch.setattr(system, "replace", held)

        return during(edit_and_hold, failing(desk.clock))

    def test_to_no_job_is_kept_once_however_often_it_is_tried(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")
        heard = run(desk, self.to_rubbish_and_refused(desk, monkeypatch, 4))
        assert events.NOTICE in heard.kinds
        assert desk.folder_of("a") == ["failed"]
        assert desk.files()["dead"] == ["a-2.error.txt", "a-2.json"]

    def test_to_no_job_again_between_two_tries_is_kept_each_time(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")
        run(
            desk,
            self.to_rubbish_and_refused(desk, monkeypatch, 1),
            pause=lambda _: desk.drop("a.json", b"more of it", MINE),
        )
        assert desk.folder_of("a") == ["failed"]
        kept = {path.read_bytes() for path in (desk.root / "dead").glob("*.json")}
        assert kept == {b"rubbish", b"more of it"}

    def test_to_no_job_and_is_interrupted_is_kept_too(self, desk: Desk) -> None:
        desk.put_job("failed", "a", state="failed", attempts=1)
        run(desk, during(lambda job: desk.drop("a.json", b"rubbish", MINE), interrupted(desk.clock)))
        assert desk.record("pending", "a")["attempts"] == 1
        assert desk.path("dead", "a-2.json").read_bytes() == b"rubbish"

    def test_to_another_id_keeps_its_name(self, desk: Desk) -> None:
        desk.add("a")
        run(desk, self.edited(desk, {"id": "other", "command": "edited"}))
        assert desk.record("failed", "a")["id"] == "a"
        check(desk.root, ["a"])

    def test_to_no_job_any_more_loses_neither_the_edit_nor_the_outcome(self, desk: Desk) -> None:
        desk.add("a")
        run(desk, self.edited(desk, b"rubbish"))
        assert desk.folder_of("a") == ["failed"]
        assert desk.record("failed", "a")["attempts"] == 1
        (kept,) = [path for path in (desk.root / "dead").glob("*.json") if path.read_bytes() == b"rubbish"]
        assert kept.with_name(f"{kept.stem}.error.txt").exists()
        check(desk.root, ["a", kept.stem])

    @pytest.mark.parametrize("which", [1, 2])
    def test_to_no_job_on_a_full_disk_loses_no_outcome_either(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, which: int
    ) -> None:
        desk.add("a")
        numbers, real = count(1), writing.sync_descriptors

        def full(descriptors: Sequence[int]) -> None:
            if any(next(numbers) == which for _ in descriptors):
                raise OSError(28, "No space left on device")
            real(descriptors)

        with monkeypatch.context() as patch:
            patch.setattr(writing, "sync_descriptors", full)
            run(desk, self.edited(desk, b"rubbish"))
        assert desk.folder_of("a") == ["failed"]

    def test_so_that_it_is_gone_is_told_and_not_recorded(self, desk: Desk) -> None:
        desk.add("a", "b")
        heard = run(desk, during(lambda job: desk.path(MINE, "a.json").unlink(), succeeding(desk.clock)))
        assert heard.kinds[-1] == events.NOTICE
        assert "taken away" in heard.events[-1].text
        assert desk.ids() == ["b"]

    def test_so_that_it_lies_elsewhere_stays_where_the_person_put_it(self, desk: Desk) -> None:
        desk.add("a")
        run(desk, during(lambda job: desk.drag("a", MINE, "pending"), succeeding(desk.clock)))
        assert desk.folder_of("a") == ["pending"]
        assert desk.row("a")["state"] == "pending"

    def test_so_that_another_lies_where_it_goes_loses_neither(self, desk: Desk) -> None:
        desk.add("a")
        other: list[bytes] = []

        def put_another(_: object) -> None:
            other.append(desk.put_job("done", "a", state="completed", command="other").read_bytes())

        run(desk, during(put_another, succeeding(desk.clock)))
        assert desk.path("done", "a.json").read_bytes() == other[0]
        assert desk.record("done", "a-2")["id"] == "a-2"
        check(desk.root, ["a", "a-2"])


class TestAnOutcomeThatCannotBeRecorded:
    def failing_times(self, monkeypatch: pytest.MonkeyPatch, call: str, times: int, error: OSError) -> None:
        numbers, real = count(1), getattr(system, call)

        def flaky(*values: Any, **options: Any) -> Any:
            if next(numbers) <= times:
                raise error
            return real(*values, **options)

        monkeypatch.setattr(system, call, flaky)

    @pytest.mark.parametrize(
        ("call", "error"),
        [
            ("write_files", OSError(28, "No space left on device")),
            ("replace", PermissionError(13, "held by somebody")),
        ],
    )
    @pytest.mark.parametrize("times", [1, 7])
    def test_is_recorded_as_soon_as_it_can_be(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, call: str, error: OSError, times: int
    ) -> None:
        desk.add("a")
        pauses: list[float] = []
        heard = Heard()
        desk.look()
        with desk.worker(None, emit=heard, pause=pauses.append) as worker:

            def run_and_break(job: Any, setting: Any) -> Any:
                self.failing_times(monkeypatch, call, times, error)
                return failing(desk.clock)(job, setting)

            worker.runner.run = run_and_break  # type: ignore[method-assign]
            assert worker.run_once() is True
        assert desk.record("failed", "a")["attempts"] == 1
        assert len(desk.record("failed", "a")["history"]) == 1
        assert pauses == [0.05, 0.2, 1.0, 2.0, 5.0, 5.0, 5.0][:times]
        assert heard.kinds == [events.JOB_STARTED, events.NOTICE, events.JOB_FAILED]
        check(desk.root, ["a"])

    def test_counts_once_though_the_move_failed_after_the_stamp(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")
        real, moves = system.replace, count(1)

        def flaky(source: str, target: str, **options: Any) -> None:
            # Of a settlement's two moves the second is that of the stamped record.
            if "failed" in target and next(moves) <= 3:
                raise PermissionError(13, "held by somebody", source)
            real(source, target, **options)

        monkeypatch.setattr(system, "replace", flaky)
        run(desk, failing(desk.clock))
        record = desk.record("failed", "a")
        assert (record["attempts"], len(record["history"])) == (1, 1)

    def test_that_says_interrupted_counts_no_crash(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.add("a")

        def hold(_: object) -> None:
            self.failing_times(monkeypatch, "replace", 3, PermissionError(13, "held by somebody"))

        heard = run(desk, during(hold, interrupted(desk.clock)))
        assert heard.kinds == [events.JOB_STARTED, events.NOTICE, events.JOB_INTERRUPTED]
        assert desk.files() == {"pending": ["a.json"]}
        assert desk.record("pending", "a")["crashes"] == 0

    def test_is_left_to_recovery_when_it_is_given_up(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a")
        real = system.replace

        def held(source: str, target: str, **options: Any) -> None:
            if "failed" in target:
                raise PermissionError(13, "held by somebody", source)
            real(source, target, **options)

        with monkeypatch.context() as patch:
            patch.setattr(system, "replace", held)
            run(desk, failing(desk.clock), gives_up=lambda: True)
        assert desk.files() == {"processing": [f"{WORKER}/a.json"]}
        assert desk.record(MINE, "a")["state"] == "failed"


def commands(desk: Desk, folder: str) -> set[str]:
    return {desk.record(folder, path.stem)["command"] for path in (desk.root / folder).glob("*.json")}


def test_an_interrupted_run_whose_name_is_taken_keeps_what_was_edited_meanwhile(desk: Desk) -> None:
    def edit_and_drop(_: object) -> None:
        desk.drop("a.json", {"command": "edited, " + "x" * 99}, "processing/host-1-1-abc")
        desk.drop("a.json", {"command": "another"})

    desk.drop("a.json", {"command": "first"})
    desk.run_once(during(edit_and_drop, interrupted(desk.clock)))
    assert commands(desk, "pending") == {"another", "edited, " + "x" * 99}


def test_an_interrupted_run_gives_back_what_its_file_was_edited_to_and_copies_nothing(desk: Desk) -> None:
    desk.add("a")
    run(desk, during(lambda job: desk.drop("a.json", b"rubbish", MINE), interrupted(desk.clock)))
    assert desk.files() == {"pending": ["a.json"]}
    assert desk.path("pending", "a.json").read_bytes() == b"rubbish"


def test_an_interrupted_run_whose_name_is_taken_keeps_rubbish_that_its_file_was_edited_to(desk: Desk) -> None:
    def edit_and_drop(_: object) -> None:
        desk.drop("a.json", b"rubbish of a person", "processing/host-1-1-abc")
        desk.drop("a.json", {"command": "another"})

    desk.drop("a.json", {"command": "first"})
    desk.run_once(during(edit_and_drop, interrupted(desk.clock)))
    assert commands(desk, "pending") == {"another", "first"}
    (aside,) = (desk.root / "dead").glob("*.json")
    assert aside.read_bytes() == b"rubbish of a person"
