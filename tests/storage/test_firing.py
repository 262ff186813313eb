"""Schedules make jobs: time is the test's, the files are real."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from queuectl import events, locks, system
from queuectl.due import LATE
from queuectl.names import CANCEL_SUFFIX
from queuectl.queue import firing
from queuectl.queue.firing import GONE_AFTER, Firing
from queuectl.queue.store import Store
from queuectl.sweep import Sweep
from tests.support.spools import START, Desk, Heard, failing, succeeding

MINUTE, HOUR = 60.0, 3600.0
WORKER = "host-1-1-abc"


class Scheduler:
    """One program that looks for workers."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.heard = desk, Heard()
        self.firing = Firing(desk.store, self.heard)

    def put(self, name: str = "s", **fields: Any) -> Path:
        """Save a schedule, hourly unless it says otherwise, as a person would."""
        when = {} if "cron" in fields else {"every": HOUR}
        return self.desk.drop(f"{name}.json", {**when, "job": {"command": "x"}, **fields}, "schedules")

    def look(self, after: float = 0.0) -> list[str]:
        """Look, so much later; the ids of the jobs that were made by it."""
        self.desk.clock.advance(after)
        self.firing.hasten()
        before = len(self.heard.events)
        while self.firing.look(self.desk.clock()):
            # A slow machine does it in several goes.
            pass
        new = self.heard.events[before:]
        return [event.job_id or "" for event in new if event.kind == events.JOB_SCHEDULED]

    def record(self, name: str = "s") -> dict[str, Any]:
        found = json.loads((self.desk.root / "schedules" / "state" / f"{name}.json").read_bytes())
        assert isinstance(found, dict)
        return found

    @property
    def told(self) -> list[str]:
        return [event.text for event in self.heard.events if event.kind == events.NOTICE]


@pytest.fixture
def one(desk: Desk) -> Scheduler:
    return Scheduler(desk)


def stamp(hours: float, name: str = "s") -> str:
    """The id of the job so many hours after the clock's beginning, 08:00."""
    minutes = round(hours * 60)
    return f"{name}-20270115T{8 + minutes // 60:02}{minutes % 60:02}00Z"


class TestEachMoment:
    def test_makes_one_job_when_it_has_come(self, desk: Desk, one: Scheduler) -> None:
        one.put(job={"command": "x", "tags": ["t"], "priority": 3})
        assert one.look() == []
        assert one.firing.next_due == START + HOUR
        assert one.look(HOUR - 0.1) == []
        assert one.look(0.1) == [stamp(1)]
        record = desk.record("pending", stamp(1))
        assert (record["schedule"], record["scheduled_at"]) == ("s", "2027-01-15T09:00:00.000Z")
        assert (record["tags"], record["priority"], record["state"]) == (["t"], 3, "pending")
        assert one.look() == []
        assert one.firing.next_due == START + 2 * HOUR
        desk.run_once()
        assert one.look(HOUR) == [stamp(2)]

    def test_of_a_cron_expression_in_its_zone(self, one: Scheduler) -> None:
        one.put(cron="30 9 * * *", timezone="Europe/Berlin")
        one.look()
        assert one.firing.next_due == START + HOUR / 2, "09:30 in Berlin is 08:30 UTC"
        assert one.look(HOUR / 2) == [stamp(0.5)]

    def test_whoever_looks_makes_one(self, desk: Desk, one: Scheduler) -> None:
        one.put()
        with Desk(desk.root, desk.clock) as elsewhere:
            other = Scheduler(elsewhere)
            one.look(), other.look()
            assert [*one.look(HOUR), *other.look()] == [stamp(1)]
            desk.run_once()
            assert [*other.look(HOUR), *one.look()] == [stamp(2)]
            assert one.firing.next_due == other.firing.next_due == START + 3 * HOUR

    @pytest.mark.parametrize("done", [False, True])
    def test_is_settled_for_good_once_its_job_has_gone(self, desk: Desk, one: Scheduler, done: bool) -> None:
        one.put()
        one.look()
        one.look(HOUR)
        if done:
            desk.run_once()
        for folder in ("pending", "done"):
            shutil.rmtree(desk.root / folder)
            (desk.root / folder).mkdir()
        assert one.look() == []
        again = Scheduler(desk)
        assert again.look() == []

    def test_whose_id_a_person_has_given_to_another_job_gets_the_next_free_one(
        self, desk: Desk, one: Scheduler
    ) -> None:
        one.put()
        one.look()
        desk.add(stamp(1))
        assert one.look(HOUR) == [f"{stamp(1)}-2"]
        assert "schedule" not in desk.record("pending", stamp(1))

    def test_with_a_lost_record_it_begins_anew_and_repeats_none(self, desk: Desk, one: Scheduler) -> None:
        one.put()
        one.look()
        assert one.look(HOUR) == [stamp(1)]
        shutil.rmtree(desk.root / "schedules" / "state")
        again = Scheduler(desk)
        assert again.look() == []
        assert again.look(HOUR / 2) == []

    @pytest.mark.parametrize(
        "garbage",
        [b"", b"{}", b"\xff", b'{"timing": 7}', b"[1]", b'{"timing": "t", "begun": "x", "since": "x"}'],
    )
    def test_with_a_garbled_record_too(self, desk: Desk, one: Scheduler, garbage: bytes) -> None:
        one.put()
        one.look()
        (desk.root / "schedules" / "state" / "s.json").write_bytes(garbage)
        again = Scheduler(desk)
        assert again.look(HOUR / 2) == []
        assert again.look(HOUR) == [stamp(1.5)]

    def test_whose_job_got_another_id_is_not_made_again_after_a_death(
        self, desk: Desk, one: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one.put()
        one.look()
        desk.add(stamp(1), f"{stamp(1)}-2")
        before = (desk.root / "schedules" / "state" / "s.json").read_bytes()
        assert one.look(HOUR) == [f"{stamp(1)}-3"]
        # As if it had died before it could note that.
        (desk.root / "schedules" / "state" / "s.json").write_bytes(before)
        assert Scheduler(desk).look() == [], "nothing new"
        assert sorted(desk.ids()) == [stamp(1), f"{stamp(1)}-2", f"{stamp(1)}-3"]

    def test_of_one_that_ended_while_nobody_worked_is_made_up_for_once(
        self, desk: Desk, one: Scheduler
    ) -> None:
        one.put(every="1m", end_at="2027-01-15T09:00:00Z")
        one.look()
        assert one.look(5 * HOUR) == [stamp(1)]
        assert (one.look(HOUR), one.firing.next_due) == ([], None)


class TestWhatNobodyWorkedFor:
    @pytest.mark.parametrize(
        ("fields", "made"),
        [
            ({}, [stamp(5)]),
            ({"catch_up": "skip"}, []),
            ({"catch_up": "all", "overlap": "allow"}, [stamp(number) for number in range(1, 6)]),
            ({"catch_up": "all", "overlap": "allow", "catch_up_limit": 2}, [stamp(4), stamp(5)]),
            ({"catch_up": "all", "overlap": "queue"}, [stamp(1)]),
        ],
    )
    def test_is_made_up_for_as_it_says(self, one: Scheduler, fields: dict[str, Any], made: list[str]) -> None:
        one.put(**fields)
        one.look()
        assert one.look(5 * HOUR + 2 * MINUTE) == made
        left_out = [event for event in one.heard.events if event.kind == events.SCHEDULE_LEFT_OUT]
        assert bool(left_out) == (len(made) < 5 and fields.get("overlap") != "queue")

    def test_a_moment_is_on_time_for_a_minute(self, one: Scheduler) -> None:
        one.put(catch_up="skip")
        one.look()
        assert one.look(HOUR + LATE) == [stamp(1)]
        assert one.look(HOUR) == [], "the same, not settled by then"

    def test_of_a_machine_that_slept_for_years(self, one: Scheduler) -> None:
        one.put(every=1)
        one.look()
        assert len(one.look(3 * 365 * 24 * HOUR)) == 1


class TestWhileItsLastJobGoesOn:
    def test_skip(self, desk: Desk, one: Scheduler) -> None:
        one.put()
        one.look()
        one.look(HOUR)
        assert one.look(HOUR) == []
        assert one.record()["note"] == "2027-01-15T10:00:00.000Z: left out, the job before it had not ended"
        desk.run_once(succeeding(desk.clock))
        assert one.look(HOUR) == [stamp(3)]

    def test_one_that_waits_for_its_retry_goes_on(self, desk: Desk, one: Scheduler) -> None:
        one.put(job={"command": "x", "max_retries": 1, "backoff_base": 0})
        one.look()
        one.look(HOUR)
        desk.run_once(failing(desk.clock))
        assert desk.folder_of(stamp(1)) == ["failed"]
        assert one.look(HOUR) == []
        desk.run_once(failing(desk.clock))
        assert desk.folder_of(stamp(1)) == ["dead"]
        assert one.look(HOUR) == [stamp(3)]

    def test_queue(self, desk: Desk, one: Scheduler) -> None:
        one.put(overlap="queue")
        one.look()
        one.look(HOUR)
        assert [*one.look(HOUR), *one.look(HOUR)] == []
        assert one.record()["queued"] == ["2027-01-15T10:00:00.000Z", "2027-01-15T11:00:00.000Z"]
        assert one.firing.next_due == desk.clock() + firing.AGAIN, "it looks whether that has ended"
        desk.run_once()
        assert one.look(1) == [stamp(2)]
        assert one.look(1) == []
        desk.run_once()
        assert one.look(1) == [stamp(3)]
        desk.run_once()
        assert one.look(1) == []
        assert one.firing.next_due == START + 4 * HOUR

    def test_stop_what_waits(self, desk: Desk, one: Scheduler) -> None:
        one.put(overlap="stop")
        one.look()
        one.look(HOUR)
        assert one.look(HOUR) == []
        assert desk.record("dead", stamp(1))["error"] == "cancelled"
        assert one.look(1) == [stamp(2)]

    def test_stop_what_runs(self, desk: Desk, one: Scheduler) -> None:
        one.put(overlap="stop")
        one.look()
        one.look(HOUR)
        desk.look()
        with desk.worker(name=WORKER) as worker:
            (claim,) = worker._claim()
            assert one.look(HOUR) == []
            assert desk.asked(WORKER, CANCEL_SUFFIX) == stamp(1), "asked, and not waited for"
            assert one.look(1) == []
            os.replace(desk.store.spool.path(claim.place), desk.path("dead", claim.place.name))
        assert one.look(1) == [stamp(2)]

    def test_allow(self, one: Scheduler) -> None:
        one.put(overlap="allow")
        one.look()
        assert [one.look(HOUR), one.look(HOUR)] == [[stamp(1)], [stamp(2)]]


class TestWhatAPersonDoesToTheFile:
    def test_a_new_one_counts_from_when_it_was_first_seen(self, desk: Desk, one: Scheduler) -> None:
        one.look()
        desk.clock.advance(HOUR / 2)
        one.put()
        assert one.look() == []
        assert one.firing.next_due == START + 1.5 * HOUR

    def test_other_times_count_from_now_and_make_up_for_nothing(self, desk: Desk, one: Scheduler) -> None:
        one.put(cron="0 0 1 1 *", timezone="UTC")
        one.look()
        desk.clock.advance(5 * HOUR)
        one.put(every=HOUR / 2)
        assert one.look() == []
        assert one.look(HOUR / 2) == [stamp(5.5)]

    def test_another_command_changes_no_time(self, desk: Desk, one: Scheduler) -> None:
        one.put()
        one.look(), one.look(HOUR / 2)
        one.put(job={"command": "other"})
        assert one.look(HOUR / 2) == [stamp(1)]
        assert desk.record("pending", stamp(1))["command"] == "other"

    def test_paused_by_hand(self, desk: Desk, one: Scheduler) -> None:
        one.put()
        one.look()
        one.put(paused=True)
        assert one.look(5 * HOUR) == []
        assert one.firing.next_due is None
        one.put()
        assert one.look() == [], "nothing is made up for"
        assert one.look(HOUR) == [stamp(6)]

    def test_deleted(self, desk: Desk, one: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
        path = one.put()
        one.look()
        path.unlink()
        assert one.look(HOUR) == []
        assert one.firing.next_due is None
        later = system.monotonic() + GONE_AFTER + 1
        monkeypatch.setattr(system, "monotonic", lambda: later)
        one.look()
        assert not (desk.root / "schedules" / "state" / "s.json").exists()

    def test_deleted_for_a_moment_by_an_editor_that_saves_so(self, desk: Desk, one: Scheduler) -> None:
        path = one.put()
        one.look()
        path.unlink()
        one.look()
        one.put()
        assert one.look(HOUR) == [stamp(1)]

    def test_deleted_while_nobody_looked(
        self, desk: Desk, one: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = one.put()
        one.look()
        path.unlink()
        later = Scheduler(desk)
        later.look()
        assert (desk.root / "schedules" / "state" / "s.json").exists(), "an editor saves it so, perhaps"
        moment = system.monotonic() + GONE_AFTER + 1
        monkeypatch.setattr(system, "monotonic", lambda: moment)
        later.look()
        assert not (desk.root / "schedules" / "state" / "s.json").exists()

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (b'{"every": "1h"}', "schedules/s.json: the field 'job' is missing"),
            (b'{"every": "1h", "job": {"command": "x"', "schedules/s.json: not JSON: it ends too early"),
            (b"", "schedules/s.json: empty"),
        ],
    )
    def test_saved_as_no_schedule_it_is_told_once_and_kept(
        self, desk: Desk, one: Scheduler, data: bytes, told: str
    ) -> None:
        one.put()
        one.put("other")
        one.look()
        desk.drop("s.json", data, "schedules")
        assert one.look(HOUR) == [stamp(1, "other")]
        one.look()
        assert len(one.told) == 1
        assert one.told[0].startswith(told)
        assert (desk.root / "schedules" / "s.json").read_bytes() == data
        assert any(line.startswith(told) for line in desk.queue.status().problems)
        assert any(finding.text.startswith(told) for finding in desk.queue.doctor(fix=True))
        one.put()
        assert one.look() == [stamp(1)], "mended, it goes on"

    def test_what_is_none_of_ours_is_left_alone(self, desk: Desk, one: Scheduler) -> None:
        for name in ("desktop.ini", "notes.txt", ".x.json", "~$s.json", "s.json.tmp", "README.txt"):
            desk.drop(name, b"?", "schedules")
        (desk.root / "schedules" / "folder.json").mkdir()
        one.put("notepad").rename(desk.root / "schedules" / "notepad.json.txt")
        one.look()
        assert one.look(HOUR) == [stamp(1, "notepad")]
        assert [text for text in one.told if "folder.json" not in text] == []

    def test_a_name_that_its_jobs_could_not_have_is_told(self, one: Scheduler) -> None:
        one.put("a" * 190)
        assert one.look(HOUR) == []
        assert "has at most" in one.told[0]

    @pytest.mark.skipif(os.name == "nt", reason="Windows gives links to administrators")
    def test_a_link_is_never_followed(self, desk: Desk, one: Scheduler, tmp_path: Path) -> None:
        elsewhere = one.put().rename(tmp_path / "elsewhere.json")
        (desk.root / "schedules" / "s.json").symlink_to(elsewhere)
        assert one.look(HOUR) == []
        assert "symbolic link" in one.told[0]


class TestWhatCannotBeDone:
    def test_a_job_too_large_is_told_and_made_once_it_may_be(self, desk: Desk, one: Scheduler) -> None:
        desk.queue.set_config("max_job_bytes", "500")
        one.put(job={"command": "x" * 600})
        one.put("other")
        one.look()
        assert one.look(HOUR) == [stamp(1, "other")]
        one.look(firing.AGAIN)
        assert [text for text in one.told if "larger than max_job_bytes" in text] == one.told[:1]
        desk.queue.set_config("max_job_bytes", "1 MiB")
        assert one.look(firing.AGAIN) == [stamp(1)], "the moment was settled, its job is owed"

    def test_a_full_disk_is_told_and_the_job_comes_later(
        self, desk: Desk, one: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        one.put()
        one.look()
        with monkeypatch.context() as patch:
            patch.setattr("queuectl.spool.named.system.write_file", full)
            assert one.look(HOUR) == []
            assert "No space left" in one.told[0]
        assert one.look(firing.AGAIN) == [stamp(1)]

    def test_an_error_that_nobody_has_thought_of_is_told_and_ends_nothing(
        self, one: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def beyond(*_: object) -> None:
            raise OverflowError("date value out of range")

        one.put()
        monkeypatch.setattr(firing, "due_moments", beyond)
        assert (one.look(), one.look(HOUR)) == ([], [])
        assert one.told == ["schedules/s.json: date value out of range"]

    def test_what_cannot_be_written_is_told_once(
        self, desk: Desk, one: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one.put()
        (desk.root / "schedules" / "state").mkdir()
        (desk.root / "schedules" / "state" / "s.json").mkdir()
        for _ in range(3):
            one.look(firing.AGAIN)
        assert len(one.told) == 1

    def test_while_another_program_holds_the_lock_the_look_goes_on(self, desk: Desk, one: Scheduler) -> None:
        one.put("a"), one.put("b")
        one.look()
        lock = locks.try_lock(desk.store.spool.lock_path("schedules.lock"))
        assert lock is not None
        began = system.monotonic()
        assert one.look(HOUR) == []
        assert system.monotonic() - began < 2
        assert one.told == []
        lock.release()
        assert len(one.look(firing.AGAIN)) == 2

    @pytest.mark.skipif(
        os.name == "nt" or os.geteuid() == 0, reason="needs a file that this user may not read"
    )
    def test_one_that_may_not_be_read_is_told(self, desk: Desk, one: Scheduler) -> None:
        one.put().chmod(0)
        one.look()
        assert one.told == ["schedules/s.json: Permission denied"]
        assert "schedules/s.json: cannot be read: Permission denied" in desk.queue.status().problems

    def test_many_at_once_are_seen_to_in_several_goes(
        self, desk: Desk, one: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(firing, "STEP", 0.0)
        for number in range(5):
            one.put(f"s{number}")
        monkeypatch.setattr(firing, "STEP", 10.0)
        one.look()
        monkeypatch.setattr(firing, "STEP", 0.0)
        desk.clock.advance(HOUR)
        goes = [one.firing.look(desk.clock()) for _ in range(5)]
        assert goes == [True] * 4 + [False]
        assert len(desk.ids()) == 5

    def test_a_machine_whose_zone_cannot_be_told_wants_it_named(
        self, one: Scheduler, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown() -> Any:
            raise ValueError("this machine's time zone cannot be told: ?")

        monkeypatch.setattr("queuectl.system.zone.local_zone", unknown)
        one.put(cron="0 9 * * *")
        one.put("named", cron="0 9 * * *", timezone="UTC")
        one.put("interval")
        one.look()
        assert sorted(one.look(HOUR)) == [stamp(1, "interval"), stamp(1, "named")]
        assert 'let it name one: "timezone"' in one.told[0]


class TestAClockThatIsSet:
    @pytest.mark.parametrize("hours", [5, 24 * 365])
    def test_back_while_the_program_runs_it_goes_on_from_now(
        self, desk: Desk, one: Scheduler, hours: int
    ) -> None:
        desk.clock.advance(hours * HOUR)
        one.put(overlap="allow")
        one.look()
        one.look(HOUR)
        desk.clock.advance(-hours * HOUR)
        one.look()
        assert one.firing.next_due is not None
        assert one.firing.next_due <= desk.clock() + HOUR
        assert one.look(HOUR) == [stamp(2)]

    def test_back_by_a_little_repeats_nothing(self, desk: Desk, one: Scheduler) -> None:
        one.put(overlap="allow")
        one.look()
        one.look(HOUR)
        assert one.look(-30) == []
        assert one.look(30) == []
        assert one.look(HOUR) == [stamp(2)]

    def test_back_from_years_ahead_it_goes_on_from_now(self, desk: Desk, one: Scheduler) -> None:
        one.put(overlap="allow")
        one.look()
        ahead = 3 * 365 * 24 * HOUR
        assert len(one.look(ahead)) == 1
        desk.clock.advance(-ahead)
        again = Scheduler(desk)
        assert again.look() == []
        assert again.look(HOUR) == [stamp(1)]


@pytest.mark.parametrize("overlap", ["skip", "queue", "stop", "allow"])
@pytest.mark.parametrize("write", [1, 2, 3])
def test_a_program_that_dies_in_the_middle_leaves_each_moment_settled_once(
    desk: Desk, one: Scheduler, monkeypatch: pytest.MonkeyPatch, overlap: str, write: int
) -> None:
    one.put(overlap=overlap)
    one.look()
    count, written = [0], system.write_files

    def dying(files: Any) -> Any:
        count[0] += 1
        if count[0] == write:
            raise SystemExit
        return written(files)

    with monkeypatch.context() as patch:
        patch.setattr("queuectl.system.write_files", dying)
        patch.setattr("queuectl.system.writing.write_files", dying)
        with pytest.raises(SystemExit):
            one.look(HOUR)
    with Store.open(str(desk.root)) as store:
        Firing(store, Heard()).look(desk.clock())
    assert desk.ids() == [stamp(1)]
    desk.run_once()
    assert Scheduler(desk).look(HOUR) == [stamp(2)]


class TestWithinTheLooksOfAProgram:
    def test_a_due_moment_ends_the_quiet(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "now", desk.clock)
        heard = Heard()
        sweep = Sweep(desk.store, heard)
        Scheduler(desk).put()
        sweep.look((), [])
        assert sweep.firing.next_due == START + HOUR
        desk.clock.advance(HOUR)
        assert not sweep.is_quiet()
        sweep.look((), [])
        assert events.JOB_SCHEDULED in heard.kinds
        assert desk.ids() == [stamp(1)]

    def test_a_schedule_that_is_put_there_ends_it_too(self, desk: Desk) -> None:
        sweep = Sweep(desk.store, Heard())
        sweep.look((), [])
        assert sweep.firing.next_due is None
        Scheduler(desk).put(every=1)
        sweep.look((), [])
        assert sweep.firing.next_due is not None
