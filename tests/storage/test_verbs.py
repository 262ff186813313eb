"""What people do to jobs: retry, cancel, purge, pause, show, settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from queuectl import locks, system
from queuectl.errors import Busy, Conflict, DamagedRecord, InvalidInput, NoSuchJob
from queuectl.queue import Queue, verbs
from queuectl.queue.recovery import recover
from queuectl.state import State
from tests.support.invariants import check
from tests.support.spools import Desk, failing, succeeding

LIVE = "host-1-1-abc"
FINISHED = [("done", "completed"), ("failed", "failed"), ("dead", "dead")]


class TestRetry:
    @pytest.mark.parametrize(("folder", "state"), FINISHED)
    def test_runs_it_again_as_if_it_never_had(self, desk: Desk, folder: str, state: str) -> None:
        desk.put_job(
            folder, "a", state=state, attempts=4, crashes=2, error="e", run_at="2099-01-01T00:00:00Z"
        )
        desk.queue.retry(["a"])
        record = desk.record("pending", "a")
        assert (record["state"], record["attempts"], record["crashes"]) == ("pending", 0, 0)
        assert not {"run_at", "error"} & set(record)
        assert desk.files() == {"pending": ["a.json"]}
        check(desk.root, ["a"])
        assert desk.run_once() is True

    @pytest.mark.parametrize("folder", ["pending", f"processing/{LIVE}"])
    def test_of_one_that_waits_or_runs_is_refused(self, desk: Desk, folder: str) -> None:
        desk.put_job(folder, "a")
        desk.put_job("dead", "b", state="dead")
        before = desk.files()
        with pytest.raises(Conflict, match="there is nothing to retry"):
            desk.queue.retry(["b", "a"])
        assert desk.files() == before

    def test_of_an_unknown_one_is_refused_with_all_others(self, desk: Desk) -> None:
        desk.put_job("dead", "a", state="dead")
        with pytest.raises(NoSuchJob, match="no job 'b'"):
            desk.queue.retry(["a", "b"])
        assert desk.folder_of("a") == ["dead"]

    @pytest.mark.parametrize("job_id", ["", "../pending/a", "a/b", "con", "a\0"])
    def test_of_what_is_no_id_finds_no_job(self, desk: Desk, job_id: str) -> None:
        desk.add("a")
        with pytest.raises(NoSuchJob):
            desk.queue.retry([job_id])

    def test_in_one_state_only(self, desk: Desk) -> None:
        desk.put_job("failed", "a", state="failed")
        with pytest.raises(Conflict, match="is failed, not dead"):
            desk.queue.retry(["a"], only=State.DEAD)

    def test_given_twice_is_given_once(self, desk: Desk) -> None:
        desk.put_job("dead", "a", state="dead")
        desk.queue.retry(["a", "a"])
        assert desk.files() == {"pending": ["a.json"]}

    def test_beside_a_drop_of_its_name_loses_neither(self, desk: Desk) -> None:
        desk.put_job("dead", "a", state="dead", command="old")
        desk.queue.refresh()
        desk.drop("a.json", {"command": "new"})
        desk.queue.retry(["a"] if desk.queue.locate("a").state is State.DEAD else [])
        desk.look()
        desk.queue.retry([job["id"] for job in desk.queue.jobs(state="dead")])
        assert sorted(job["command"] for job in desk.queue.jobs(state="pending")) == ["new", "old"]
        check(desk.root, desk.ids())

    def test_of_all_dead_tells_those_that_are_no_job(self, desk: Desk) -> None:
        desk.put_job("dead", "a", state="dead")
        desk.put_job("dead", "b", state="dead")
        desk.put_job("failed", "c", state="failed")
        desk.drop("bad.json", b"{", "dead")
        retried, refused = desk.queue.retry_all_dead()
        assert sorted(retried) == ["a", "b"]
        assert len(refused) == 1
        assert "dead/bad.json holds no job" in refused[0]
        assert desk.folder_of("c") == ["failed"]

    def test_of_what_is_no_job_says_what_to_do(self, desk: Desk) -> None:
        desk.drop("bad.json", b"{", "dead")
        with pytest.raises(DamagedRecord, match="mend the file, then retry it"):
            desk.queue.retry(["bad"])
        assert desk.files() == {"dead": ["bad.json"]}


class TestCancel:
    @pytest.mark.parametrize("folder", ["pending", "failed"])
    def test_of_a_waiting_job_puts_it_with_the_dead(self, desk: Desk, folder: str) -> None:
        desk.put_job(folder, "a", attempts=1, run_at="2099-01-01T00:00:00Z")
        desk.queue.cancel(["a"])
        record = desk.record("dead", "a")
        assert (record["state"], record["error"], record["attempts"]) == ("dead", "cancelled", 1)
        assert desk.row("a")["error"] == "cancelled"
        check(desk.root, ["a"])
        assert desk.run_once() is False

    @pytest.mark.parametrize("folder", ["done", "dead"])
    def test_of_one_that_has_ended_is_refused_with_all_others(self, desk: Desk, folder: str) -> None:
        desk.add("a")
        desk.put_job(folder, "b")
        with pytest.raises(Conflict, match="there is nothing to cancel"):
            desk.queue.cancel(["a", "b"])
        assert desk.folder_of("a") == ["pending"]

    def test_of_an_unknown_one_is_refused(self, desk: Desk) -> None:
        with pytest.raises(NoSuchJob):
            desk.queue.cancel(["a"])

    def test_given_twice_is_given_once(self, desk: Desk) -> None:
        desk.add("a")
        desk.queue.cancel(["a", "a"])
        assert desk.files() == {"dead": ["a.json"]}

    def test_beside_a_dead_one_of_its_name_loses_neither(self, desk: Desk) -> None:
        desk.add("a")
        kept = desk.put_job("dead", "a", state="dead", command="other").read_bytes()
        desk.queue.cancel(["a"])
        assert desk.path("dead", "a.json").read_bytes() == kept
        assert desk.record("dead", "a-2")["error"] == "cancelled"
        check(desk.root, ["a", "a-2"])

    def test_of_a_job_whose_worker_has_died_frees_it_for_good(self, desk: Desk) -> None:
        desk.put_job("processing/host-1-1-dead", "a")
        desk.queue.cancel(["a"], deadline=5)
        assert desk.folder_of("a") == ["dead"]
        check(desk.root, ["a"])

    @pytest.mark.skipif(not system.SHARES_LOCKS, reason="on Windows a command dies with its worker")
    def test_of_a_job_whose_command_outlives_its_worker_holds_when_that_ends(self, desk: Desk) -> None:
        dead = "host-1-1-dead"
        desk.put_job(f"processing/{dead}", "a")
        command = locks.try_lock(desk.store.spool.lock_path(f"{dead}.run"))
        assert command is not None
        with closing(command), pytest.raises(Busy, match="its worker has died, its command still runs"):
            desk.queue.cancel(["a"], deadline=0)
        assert desk.asked(dead, ".cancel") == "a"
        recover(desk.store, desk.clock(), 0.5)
        assert desk.record("dead", "a")["error"].startswith("cancelled")
        # The request is gone, and meets no later run.
        assert sorted(path.name for path in (desk.root / "locks").iterdir()) == ["claim.lock"]
        desk.queue.retry(["a"])
        assert desk.run_once() is True
        assert desk.folder_of("a") == ["done"]

    def test_of_a_job_whose_worker_has_died_and_whose_file_is_held_says_so(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.put_job("processing/host-1-1-dead", "a")
        monkeypatch.setattr("queuectl.queue.verbs.recover", lambda *_: [])
        with pytest.raises(Busy, match="its worker has died, and its file cannot be taken out"):
            desk.queue.cancel(["a"], deadline=0)
        assert desk.asked("host-1-1-dead", ".cancel") is None

    def test_of_one_that_failed_meanwhile_and_runs_again_asks_who_runs_it_now(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.put_job("processing/host-1-1-old", "a")
        real = verbs.ask

        def ask(spool: Any, worker: str, suffix: str, text: str) -> None:
            real(spool, worker, suffix, text)
            if worker != LIVE:
                desk.drag("a", f"processing/{worker}", f"processing/{LIVE}")

        monkeypatch.setattr(verbs, "ask", ask)
        with desk.worker(name=LIVE), pytest.raises(Busy, match="job 'a' still runs"):
            desk.queue.cancel(["a"], deadline=0)
        assert desk.asked("host-1-1-old", ".cancel") is None

    def test_of_a_running_one_asks_its_worker_and_tells_when_it_does_not_end(self, desk: Desk) -> None:
        desk.add("a")
        desk.look()
        asked: list[Any] = []
        run = succeeding(desk.clock)

        def cancelling(job: Any, setting: Any) -> Any:
            with pytest.raises(Busy, match="job 'a' still runs"):
                desk.queue.cancel(["a"], deadline=0)
            asked.append(desk.asked(LIVE, ".cancel"))
            return run(job, setting)

        with desk.worker(cancelling, name=LIVE) as worker:
            worker.run_once()
            assert desk.asked(LIVE, ".cancel") is None
        assert asked == ["a"]
        assert desk.folder_of("a") == ["done"]


class TestPurge:
    def test_deletes_the_dead_with_their_notes_and_logs(self, desk: Desk) -> None:
        desk.put_job("dead", "a", state="dead")
        desk.drop("bad.json", b"{", "dead")
        desk.drop("bad.error.txt", b"why", "dead")
        desk.drop("a.log", b"hi", "logs")
        desk.add("b")
        assert sorted(desk.queue.purge()) == ["a", "bad"]
        assert desk.files() == {"pending": ["b.json"]}
        assert not desk.path("logs", "a.log").exists()
        assert desk.ids() == ["b"]

    def test_of_a_job_whose_log_somebody_reads_leaves_only_that(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = system.remove

        def held(path: str, **options: Any) -> bool:
            if path.endswith("a.log"):
                raise PermissionError(13, "held by somebody", path)
            return real(path, **options)

        for name in "ab":
            desk.put_job("dead", name, state="dead")
        desk.drop("a.log", b"hi", "logs")
        monkeypatch.setattr(system, "remove", held)
        assert sorted(desk.queue.purge()) == ["a", "b"]
        assert (desk.files(), desk.ids()) == ({}, [])

    def test_of_one_leaves_the_others(self, desk: Desk) -> None:
        desk.put_job("dead", "a", state="dead")
        desk.put_job("dead", "b", state="dead")
        assert desk.queue.purge(["a", "a"]) == ["a"]
        assert desk.ids() == ["b"]

    @pytest.mark.parametrize("folder", ["pending", "failed", "done"])
    def test_of_one_that_is_not_dead_is_refused_with_all_others(self, desk: Desk, folder: str) -> None:
        desk.put_job("dead", "a", state="dead")
        desk.put_job(folder, "b")
        with pytest.raises(Conflict, match="not dead"):
            desk.queue.purge(["a", "b"])
        assert desk.folder_of("a") == ["dead"]

    def test_of_nothing_is_no_error(self, desk: Desk) -> None:
        assert desk.queue.purge() == []


class TestPause:
    def test_is_a_file_that_a_person_can_read_and_delete(self, desk: Desk) -> None:
        assert desk.queue.pause() is True
        assert desk.queue.pause() is False
        assert desk.queue.status().paused is True
        assert "queuectl resume" in (desk.root / "paused.txt").read_text()
        (desk.root / "paused.txt").unlink()
        assert desk.queue.status().paused is False

    @pytest.mark.parametrize("name", ["paused.txt", "paused.txt.txt"])
    def test_may_be_made_by_hand(self, desk: Desk, name: str) -> None:
        (desk.root / name).touch()
        desk.add("a")
        assert desk.run_once() is False
        assert desk.queue.resume() is True
        assert desk.queue.resume() is False
        assert desk.run_once() is True


class TestStopping:
    def test_asks_those_who_live(self, desk: Desk) -> None:
        (desk.root / "processing" / "host-1-1-dead").mkdir()
        with desk.worker(name=LIVE):
            assert desk.queue.stop_workers() == [LIVE]
            assert desk.asked(LIVE, ".stop") == ""
            assert desk.queue.stop_workers(kill=True) == [LIVE]
            assert desk.asked(LIVE, ".stop") == "now"
            assert desk.queue.living([LIVE, "host-1-1-dead"]) == [LIVE]
        assert desk.queue.living([LIVE]) == []
        assert desk.asked(LIVE, ".stop") is None

    def test_leaves_no_request_to_one_that_has_gone(self, desk: Desk) -> None:
        desk.ask(LIVE, ".stop", "now")
        assert desk.asked(LIVE, ".stop") is None

    def test_where_nobody_lives_asks_nobody(self, desk: Desk) -> None:
        assert desk.queue.stop_workers() == []
        assert [path.name for path in (desk.root / "locks").iterdir() if path.suffix == ".stop"] == []


class TestLooking:
    def test_status_counts_what_lies_where(self, desk: Desk) -> None:
        desk.add("a", "b")
        desk.put_job("done", "c", state="completed")
        desk.put_job("dead", "d", state="dead")
        status = desk.queue.status()
        assert status.counts == {"pending": 2, "processing": 0, "completed": 1, "failed": 0, "dead": 1}
        assert (status.spool, status.workers, status.paused) == (str(desk.root), [], False)

    def test_show_gives_the_whole_record_and_its_files(self, desk: Desk) -> None:
        desk.add("a", meta={"n": 10**30})
        shown = desk.queue.show("a")
        assert (shown["id"], shown["meta"], shown["state"], shown["worker"]) == (
            "a",
            {"n": 10**30},
            "pending",
            None,
        )
        assert shown["file"] == str(desk.path("pending", "a.json"))
        assert shown["log"] is None
        desk.drop("a.log", b"hi", "logs")
        assert desk.queue.show("a")["log"] == str(desk.path("logs", "a.log"))

    def test_show_of_a_job_whose_empty_log_is_just_removed(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As that of a run which ends and has printed nothing."""
        desk.add("a")
        log = desk.drop("a.log", b"", "logs")
        real = os.stat

        def seen_once(path: Any, **options: Any) -> os.stat_result:
            found = real(path, **options)
            if path == str(log):
                log.unlink()
            return found

        monkeypatch.setattr(os, "stat", seen_once)
        assert desk.queue.show("a")["log"] is None
        assert not log.exists()

    def test_show_of_what_is_no_job_says_so(self, desk: Desk) -> None:
        desk.drop("bad.json", b"{", "dead")
        with pytest.raises(DamagedRecord, match=r"dead/bad\.json holds no job"):
            desk.queue.show("bad")

    def test_show_of_an_unknown_job(self, desk: Desk) -> None:
        with pytest.raises(NoSuchJob):
            desk.queue.show("a")

    @pytest.mark.parametrize("state", ["completed", "done", State.COMPLETED])
    def test_jobs_of_one_state(self, desk: Desk, state: Any) -> None:
        desk.add("a")
        desk.put_job("done", "b", state="completed")
        assert [job["id"] for job in desk.queue.jobs(state=state)] == ["b"]

    def test_jobs_of_a_state_that_is_none(self, desk: Desk) -> None:
        with pytest.raises(InvalidInput, match=r"no state 'ready' \(there are pending, "):
            desk.queue.jobs(state="ready")

    def test_jobs_have_the_limit_that_holds_for_them_now(self, desk: Desk) -> None:
        desk.add("a")
        desk.add("b", max_retries=1)
        desk.queue.set_config("max_retries", "9")
        assert {job["id"]: job["max_retries"] for job in desk.queue.jobs()} == {"a": 9, "b": 1}


class TestSettings:
    def test_are_set_got_and_unset(self, desk: Desk) -> None:
        assert desk.queue.set_config("timeout", "5m") == 300
        assert desk.queue.get_config()["timeout"] == 300
        assert desk.queue.unset_config("timeout") is None
        assert desk.queue.get_config()["timeout"] is None

    def test_outlive_the_program(self, desk: Desk) -> None:
        desk.queue.set_config("max_retries", "7")
        with Desk(desk.root) as other:
            assert other.queue.get_config()["max_retries"] == 7

    def test_that_are_refused_change_nothing(self, desk: Desk) -> None:
        for name, text in (("max_retries", "-1"), ("nothing", "1")):
            with pytest.raises(InvalidInput):
                desk.queue.set_config(name, text)
        with pytest.raises(InvalidInput):
            desk.queue.unset_config("nothing")
        assert desk.store.index.settings() == {}


class TestAnotherSpelling:
    """Where case does not count, DONE finds the job done; it is, and stays, called done."""

    @pytest.fixture
    def desk(self, desk: Desk, tmp_path: Path) -> Desk:
        (tmp_path / "x").touch()
        if not (tmp_path / "X").exists():
            pytest.skip("names that differ in case are two here")
        return desk

    @pytest.mark.parametrize("seen", [True, False])
    @pytest.mark.parametrize(
        ("verb", "folder", "then"),
        [
            ("retry", "done", {"pending": ["a.json"]}),
            ("cancel", "pending", {"dead": ["a.json"]}),
            ("purge", "dead", {}),
        ],
    )
    def test_does_not_rename_a_job(self, desk: Desk, verb: str, folder: str, then: Any, seen: bool) -> None:
        desk.put_job(folder, "a")
        if seen:
            desk.look()
        assert desk.queue.show("A")["id"] == "a"
        getattr(desk.queue, verb)(["A", "a"])
        assert desk.files() == {"retry": {"pending": ["a.json"]}, "cancel": {"dead": ["a.json"]}}.get(
            verb, {}
        )

    def test_cancels_a_job_that_runs(self, desk: Desk) -> None:
        desk.add("a")
        asked: list[Any] = []

        def cancelling(job: Any, setting: Any) -> Any:
            with pytest.raises(Busy):
                desk.queue.cancel(["A"], deadline=0)
            asked.append(desk.asked(LIVE, ".cancel"))
            return succeeding(desk.clock)(job, setting)

        with desk.worker(cancelling, name=LIVE) as worker:
            worker.run_once()
        assert asked == ["a"]


def test_another_spelling_finds_nothing_where_case_counts(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    if (tmp_path / "X").exists():
        pytest.skip("case does not count here")
    desk.put_job("done", "a")
    for look in (desk.queue.show, desk.queue.locate):
        with pytest.raises(NoSuchJob):
            look("A")


def test_a_job_that_moves_between_the_look_and_the_lock_is_not_copied(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.put_job("dead", "a", state="dead")
    place = desk.queue.locate("a")
    desk.drag("a", "dead", "pending")
    with pytest.raises(Conflict, match="has just been moved or changed"):
        verbs.retry(desk.store, [place], only=None, now=desk.clock())
    assert desk.files() == {"pending": ["a.json"]}


def test_a_cancel_that_comes_too_late_does_not_meet_the_next_run(desk: Desk) -> None:
    desk.add("a")
    desk.look()

    def asked(job: Any, setting: Any) -> Any:
        desk.ask(LIVE, ".cancel", "a")
        return failing(desk.clock)(job, setting)

    with desk.worker(asked, name=LIVE) as worker:
        worker.run_once()
        assert desk.asked(LIVE, ".cancel") is None


@pytest.mark.parametrize(
    ("act", "folder", "name", "there"),
    [
        (lambda queue: queue.retry(["dead"]), "pending", "dead.json", True),
        (lambda queue: queue.cancel(["waits"]), "dead", "waits.json", True),
        (lambda queue: queue.purge(["dead"]), "dead", "dead.json", False),
        (lambda queue: queue.pause(), ".", "paused.txt", True),
        (lambda queue: queue.resume(), ".", "paused.txt.txt", False),
    ],
    ids=["retry", "cancel", "purge", "pause", "resume"],
)
def test_the_folder_is_synced_when_it_is_done(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[Queue], object],
    folder: str,
    name: str,
    there: bool,
) -> None:
    seen: list[tuple[str, bool]] = []
    desk.add("waits")
    desk.put_job("dead", "dead", state="dead")
    if name == "paused.txt.txt":
        (desk.root / name).touch()
    monkeypatch.setattr(system, "sync_folder", lambda path: seen.append((path, name in os.listdir(path))))
    act(desk.queue)
    assert seen == [(os.path.normpath(desk.root / folder), there)]
