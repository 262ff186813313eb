"""Hooks: what is run when a job has ended is a job of its own, made once; its troubles touch no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from queuectl import events
from queuectl.errors import InvalidInput, NoSuchHook
from queuectl.hook import PRIORITY
from queuectl.job import Job, Run
from queuectl.names import CANCEL_SUFFIX
from queuectl.queue import hooks
from queuectl.queue.claims import claim_some
from queuectl.queue.recovery import recover
from queuectl.queue.settling import End, settle_together
from queuectl.retry import Decision
from queuectl.runner import CANCELLED
from queuectl.state import State
from tests.support.spools import Desk, Heard, ending, failing, read_record, succeeding

WORKER = "host-1-1-abc"


def of_hooks(desk: Desk) -> list[str]:
    """The hooks that were made, each as `event of job`, in the order of their names."""
    found = []
    for folder, names in desk.files().items():
        for name in names:
            record = read_record(desk.root / folder / name)
            if record.get("hook_of"):
                found.append(f"{record['env']['QUEUECTL_HOOK']} of {record['hook_of']}")
    return sorted(found)


ALL = {"on_success": "s", "on_failure": "f", "on_dead": "d"}


class TestEachEnd:
    def test_success(self, desk: Desk) -> None:
        desk.add("a", **ALL)
        desk.run_once()
        assert of_hooks(desk) == ["on_success of a"]

    def test_a_failure_that_is_retried_and_one_for_good(self, desk: Desk) -> None:
        desk.add("a", **ALL, max_retries=1, priority=1000)
        desk.run_once(failing(desk.clock))
        assert of_hooks(desk) == ["on_failure of a"]
        desk.clock.advance(10)
        desk.run_once(failing(desk.clock))
        assert of_hooks(desk) == ["on_dead of a", "on_failure of a", "on_failure of a"]

    def test_a_timeout_is_a_failure(self, desk: Desk) -> None:
        desk.add("a", **ALL)
        desk.run_once(ending("timeout", None, "timed out", desk.clock))
        assert of_hooks(desk) == ["on_failure of a"]

    def test_a_cancelled_run_is_nothing(self, desk: Desk) -> None:
        desk.add("a", "b", **ALL)
        desk.run_once(ending(CANCELLED, None, "cancelled", desk.clock))
        desk.queue.cancel(["b"])
        assert of_hooks(desk) == []

    def test_so_is_one_whose_worker_died_before_it_could_cancel_it(self, desk: Desk) -> None:
        desk.add("a", **ALL)
        with desk.worker(name=WORKER) as worker:
            claim_some(worker.store, WORKER, desk.clock())
            desk.ask(WORKER, CANCEL_SUFFIX, "a")
            worker.life.end()
            recover(desk.store, desk.clock(), 0.5)
        assert (desk.folder_of("a"), of_hooks(desk)) == (["dead"], [])
        assert desk.record("dead", "a")["history"][-1]["outcome"] == "cancelled"

    def test_so_is_one_that_failed_and_was_cancelled_whose_move_was_not_made(self, desk: Desk) -> None:
        run = {"outcome": "failed", "worker": WORKER, "error": "exit code 1"}
        desk.put_job(
            f"processing/{WORKER}", "a", **ALL, state="dead", error="cancelled", attempts=1, history=[run]
        )
        recover(desk.store, desk.clock(), 0.5)
        assert (desk.folder_of("a"), of_hooks(desk)) == (["dead"], [])

    def test_an_error_whose_text_speaks_of_cancelling_is_a_failure(self, desk: Desk) -> None:
        desk.add("a", **ALL)
        desk.run_once(ending("failed", 1, "cancelled by the server", desk.clock))
        assert of_hooks(desk) == ["on_failure of a"]

    def test_a_skipped_job_is_nothing(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("b", **ALL, after=[{"id": "a", "on": "failure"}])
        desk.run_once()
        desk.run_once()
        assert (desk.folder_of("b"), of_hooks(desk)) == (["done"], [])

    @pytest.mark.parametrize(("max_crashes", "made"), [("3", 1), ("1", 2)])
    def test_a_crash_is_a_failure(self, desk: Desk, max_crashes: str, made: int) -> None:
        desk.queue.set_config("max_crashes", max_crashes)
        desk.add("a", **ALL)
        with desk.worker(name=WORKER) as worker:
            claim_some(worker.store, WORKER, desk.clock())
            worker.life.end()
            recover(desk.store, desk.clock(), 0.5)
        assert of_hooks(desk) == ["on_dead of a", "on_failure of a"][-made:]

    def test_hooks_have_no_hooks(self, desk: Desk) -> None:
        desk.queue.hooks.set("on_success", Job(command="x"))
        desk.add("a")
        desk.run_once()
        assert desk.run_once()
        assert not desk.run_once()
        assert of_hooks(desk) == ["on_success of a"]

    def test_several_jobs_that_are_recorded_together_have_each_its_own(self, desk: Desk) -> None:
        desk.queue.hooks.set("on_success", Job(command="x"))
        desk.add("a", "b", "c", priority=9)
        desk.look()
        with desk.worker(succeeding(desk.clock)) as worker:
            claims = claim_some(worker.store, WORKER, desk.clock(), most=4)
            run = Run(outcome="completed", finished_at="2027-01-15T08:00:00.000Z")
            ends = [End(one, run, Decision(State.COMPLETED)) for one in claims]
            assert settle_together(worker.store, ends, desk.clock()) == {"a", "b", "c"}
        assert of_hooks(desk) == ["on_success of a", "on_success of b", "on_success of c"]


class TestWhatItIs:
    def made(self, desk: Desk, hook: Any, **fields: Any) -> dict[str, Any]:
        desk.add("a", on_dead=hook, max_retries=0, **fields)
        desk.run_once(failing(desk.clock, 7))
        (name,) = desk.files()["pending"]
        return desk.record("pending", name[: -len(".json")])

    def test_a_command_in_the_jobs_own_folder(self, desk: Desk) -> None:
        record = self.made(desk, ["x", "y"], cwd="sub", env={"SECRET": "1"}, tags=["t"])
        assert (record["command"], record["cwd"]) == (["x", "y"], "sub")
        assert record["id"].startswith("a-on-dead-2027")
        told = json.loads(record["stdin"])
        assert (told["id"], told["event"], told["exit_code"], told["tags"]) == ("a", "on_dead", 7, ["t"])
        assert "SECRET" not in json.dumps(record)
        assert record["env"]["QUEUECTL_HOOK_EXIT_CODE"] == "7"
        assert record["env"]["QUEUECTL_HOOK_LOG"].endswith("a.log")

    def test_text_for_the_jobs_own_shell(self, desk: Desk) -> None:
        record = self.made(desk, "echo hi", command="x", shell="sh")
        assert (record["command"], record["shell"]) == ("echo hi", "sh")

    def test_a_job_with_whatever_fields(self, desk: Desk) -> None:
        hook = {"command": "x", "max_retries": 9, "stdin": "mine", "env": {"A": "B"}, "group": "g"}
        record = self.made(desk, hook)
        assert (record["max_retries"], record["stdin"], record["group"]) == (9, "mine", "g")
        assert (record["env"]["A"], record["env"]["QUEUECTL_HOOK"]) == ("B", "on_dead")

    def test_the_file_of_a_job(self, desk: Desk) -> None:
        (desk.root.parent / "alarm.json").write_bytes('{"command": "täglich"}'.encode("utf-16"))
        assert self.made(desk, {"file": "alarm.json"})["command"] == "täglich"

    def test_one_for_all_beside_the_jobs_own(self, desk: Desk) -> None:
        desk.drop("on_success.json", {"command": "all"}, "hooks")
        desk.add("a", on_success="own")
        desk.run_once()
        assert sorted(row["command"] for row in desk.queue.jobs(state="pending")) == ["all", "own"]

    def test_it_goes_before_what_waits_unless_it_says_otherwise(self, desk: Desk) -> None:
        assert self.made(desk, "x", priority=-5)["priority"] == PRIORITY
        desk.add("b", on_success={"command": "x", "priority": 3}, priority=1000)
        desk.run_once()
        (job_id,) = [row["id"] for row in desk.queue.jobs() if row["id"].startswith("b-on-")]
        assert desk.record("pending", job_id)["priority"] == 3

    def test_a_second_with_the_unique_key_of_one_that_waits_is_not_made(self, desk: Desk) -> None:
        desk.queue.hooks.set("on_failure", Job(command="x", unique_key="alarm"))
        desk.add("a", "b", priority=1000, max_retries=0)
        heard = Heard()
        desk.run_once(failing(desk.clock), emit=heard)
        desk.run_once(failing(desk.clock), emit=heard)
        assert len(of_hooks(desk)) == 1
        assert events.NOTICE not in heard.kinds
        # That one has run: it is an alarm again.
        assert desk.run_once()
        desk.add("c", priority=1000, max_retries=0)
        desk.run_once(failing(desk.clock))
        assert of_hooks(desk) == ["on_failure of a", "on_failure of c"]

    def test_a_job_is_no_hook_nor_of_a_schedule_because_a_user_says_so(self, desk: Desk) -> None:
        desk.add("a", on_success="x", hook_of="b", schedule="s", scheduled_at="2027-01-15T08:00:00Z")
        desk.run_once()
        assert of_hooks(desk) == ["on_success of a"]
        record = desk.record("done", "a")
        assert not {"hook_of", "schedule", "scheduled_at"} & set(record)

    def test_of_the_longest_id(self, desk: Desk) -> None:
        desk.add("ä" * 100, on_success="x")
        desk.run_once()
        (name,) = desk.files()["pending"]
        assert len(name.encode()) <= 205

    @pytest.mark.parametrize(
        ("hook", "told"),
        [
            ("", "on_dead: a command cannot be empty"),
            ([], "on_dead: an array must begin with the program"),
            ({}, "on_dead: no command, no job"),
            ({"comand": "x"}, "on_dead: no command, no job"),
            ({"command": ""}, "on_dead: command: a command cannot be empty"),
            ({"file": 7}, "on_dead: 'file' names no file"),
            (7, "on_dead: "),
        ],
    )
    def test_what_is_none_is_refused_with_the_job(self, desk: Desk, hook: Any, told: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            desk.add("a", on_dead=hook)
        assert told in str(refusal.value)


class TestTrouble:
    """Whatever it is, the job is recorded, and the workers' log tells."""

    def run(self, desk: Desk) -> list[str]:
        heard = Heard()
        desk.run_once(emit=heard)
        assert desk.folder_of("a") == ["done"]
        assert desk.record("done", "a")["attempts"] == 1
        assert of_hooks(desk) == []
        return [event.text for event in heard.events if event.kind == events.NOTICE]

    def test_a_file_that_is_not_there(self, desk: Desk) -> None:
        desk.drop("a.json", {"command": "x", "on_success": {"file": "nope.json"}})
        (text,) = self.run(desk)
        # The rest is the system's word for it.
        assert text.startswith(f"on_success of a is not run: {desk.root.parent / 'nope.json'}: ")

    def test_a_file_that_holds_no_job(self, desk: Desk, tmp_path: Path) -> None:
        (desk.root.parent / "bad.json").write_text("{", encoding="utf-8")
        desk.drop("a.json", {"command": "x", "on_success": {"file": "bad.json"}})
        assert "not JSON" in self.run(desk)[0]

    def test_a_bad_file_for_all_jobs_is_told_by_status_too(self, desk: Desk) -> None:
        desk.drop("on_success.json", b"{", "hooks")
        desk.drop("on_monday.json", {"command": "x"}, "hooks")
        desk.add("a")
        (text,) = self.run(desk)
        assert text.startswith("hooks/on_success.json is not run: not JSON")
        problems = desk.queue.status().problems
        assert any(line.startswith("hooks/on_monday.json: no event 'on_monday'") for line in problems)
        assert any(line.startswith("hooks/on_success.json: not JSON") for line in problems)

    def test_no_room_on_the_disk(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        desk.add("a", on_success="x")
        monkeypatch.setattr(hooks, "_add", full)
        assert self.run(desk) == ["on_success of a is not run: No space left on device"]

    def test_one_that_fails_leaves_the_job_as_it_is(self, desk: Desk) -> None:
        desk.add("a", on_success={"command": "x", "max_retries": 0})
        desk.run_once()
        before = desk.path("done", "a.json").read_bytes()
        desk.run_once(failing(desk.clock))
        assert desk.path("done", "a.json").read_bytes() == before
        assert len(desk.files()["dead"]) == 1


class TestOnce:
    def test_a_record_that_was_not_moved_has_its_hook_made_by_whoever_moves_it(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a", on_success="x")
        desk.look()
        run_once_and_die(desk, monkeypatch)
        assert of_hooks(desk) == ["on_success of a"]
        recover(desk.store, desk.clock(), 0.5)
        assert desk.folder_of("a") == ["done"]
        assert of_hooks(desk) == ["on_success of a"]
        recover(desk.store, desk.clock(), 0.5)
        assert of_hooks(desk) == ["on_success of a"]


def run_once_and_die(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies after it has recorded a run, before it moves the file."""
    from queuectl.spool import Spool

    move = Spool.move

    def dying(spool: Spool, place: Any, target: Any, **options: Any) -> None:
        if target.state.value == "completed":
            raise SystemExit
        move(spool, place, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "move", dying)
        with pytest.raises(SystemExit), desk.worker(succeeding(desk.clock), name=WORKER) as worker:
            worker.run_once()


class TestForAllJobs:
    def test_set_look_remove(self, desk: Desk) -> None:
        path = desk.queue.hooks.set("on_dead", Job(command=["x"], max_retries=5))
        assert json.loads(Path(path).read_bytes()) == {"command": ["x"], "max_retries": 5}
        desk.queue.hooks.set("on_dead", Job(command=["y"]))
        (row,) = desk.queue.hooks.rows()
        assert (row["event"], row["command"], row["problem"]) == ("on_dead", ["y"], None)
        desk.queue.hooks.remove("on_dead")
        assert desk.queue.hooks.rows() == []
        with pytest.raises(NoSuchHook):
            desk.queue.hooks.remove("on_dead")

    def test_what_is_none_is_refused(self, desk: Desk) -> None:
        with pytest.raises(InvalidInput, match="no event 'on_monday'"):
            desk.queue.hooks.set("on_monday", Job(command="x"))
        with pytest.raises(InvalidInput, match="command"):
            desk.queue.hooks.set("on_dead", Job(command=""))
        with pytest.raises(InvalidInput, match="id: "):
            desk.queue.hooks.set("on_dead", Job(id="a", command="x"))
        with pytest.raises(InvalidInput, match="on_success: hooks have no hooks"):
            desk.queue.hooks.set("on_dead", Job(command="x", on_success="y"))
        with pytest.raises(InvalidInput, match="larger than max_job_bytes"):
            desk.queue.hooks.set("on_dead", Job(command="x" * 2**20))

    def test_of_several_files_for_one_event_one_counts_and_the_others_are_told(self, desk: Desk) -> None:
        first = desk.drop("on_dead.json", {"command": "first"}, "hooks")
        others = {"ON_DEAD.Json", "on_dead.json.txt"}
        for name in others:
            desk.drop(name, {"command": "other"}, "hooks")
        if len(list(first.parent.iterdir())) < 3:
            # Where case does not count.
            others = {"on_dead.json.txt"}
            desk.drop("on_dead.json", {"command": "first"}, "hooks")
        rows = desk.queue.hooks.rows()
        assert [row["file"] for row in rows if row["problem"] is None] == [str(first)]
        left_out = {Path(row["file"]).name: row["problem"] for row in rows if row["problem"]}
        told = "does not count beside on_dead.json: delete one of them"
        assert left_out == dict.fromkeys(others, told)
        assert {f"hooks/{name}: {told}" for name in others} <= set(desk.queue.status().problems)
        desk.add("a", max_retries=0)
        desk.run_once(failing(desk.clock))
        assert [row["command"] for row in desk.queue.jobs(state="pending")] == ["first"]
        assert len(desk.queue.hooks.remove("on_dead")) == len(others) + 1
        assert desk.queue.hooks.rows() == []

    def test_what_a_file_for_all_jobs_cannot_say_is_told(self, desk: Desk) -> None:
        desk.drop("on_dead.json", {"command": "x", "id": "y"}, "hooks")
        desk.drop("on_failure.json", {"command": "x", "on_dead": "y"}, "hooks")
        problems = desk.queue.status().problems
        assert "hooks/on_dead.json: id: each of its jobs gets its own: leave it out" in problems
        assert "hooks/on_failure.json: on_dead: hooks have no hooks: leave it out" in problems
        assert all(row["problem"] for row in desk.queue.hooks.rows())
