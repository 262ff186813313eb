"""schedule add | list | show | next | pause | resume | remove | run-now, and the library behind them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from queuectl import system
from queuectl.errors import Conflict, InvalidInput, NoSuchSchedule
from queuectl.job import Job
from queuectl.moment import format_moment, parse_moment
from queuectl.queue import Queue
from queuectl.recurrence import zone_of
from queuectl.schedule import Schedule
from tests.support.commandline import CommandLine
from tests.support.spools import START, Clock

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
OPTIONAL = (str, type(None))
ROW = {
    "name": str,
    "cron": OPTIONAL,
    "every": (str, float, int, type(None)),
    "timezone": OPTIONAL,
    "overlap": OPTIONAL,
    "catch_up": OPTIONAL,
    "paused": (bool, type(None)),
    "description": OPTIONAL,
    "next_at": OPTIONAL,
    "last_due": OPTIONAL,
    "last_job": OPTIONAL,
    "last_state": OPTIONAL,
    "queued": (list, type(None)),
    "fired": (int, type(None)),
    "note": OPTIONAL,
    "problem": OPTIONAL,
    "file": str,
}
WHOLE = {
    **ROW,
    "start_at": OPTIONAL,
    "end_at": OPTIONAL,
    "jitter": (str, float, int, type(None)),
    "catch_up_limit": (int, type(None)),
    "job": (dict, type(None)),
}


def holds(row: dict[str, Any], contract: dict[str, Any]) -> None:
    assert set(row) == set(contract)
    for name, kind in contract.items():
        assert isinstance(row[name], kind), f"{name} is {row[name]!r}"


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine's clock is."""
    monkeypatch.setattr("queuectl.system.zone.local_zone", lambda: zone_of("Europe/Berlin"))


def file_of(cli: CommandLine, name: str) -> Path:
    return cli.spool / "schedules" / f"{name}.json"


class TestAdd:
    def test_writes_a_file_that_a_person_can_read_and_prints_its_path(self, cli: CommandLine) -> None:
        added = cli.ok(
            *("schedule", "add", "nightly", "--cron", "0 3 * * *", "--timezone", "Europe/Berlin"),
            *("--jitter", "10m", "--catch-up", "skip", "--overlap", "queue", "--description", "Sichern"),
            *("--priority", "3", "--timeout", "1h", "--tag", "t", "--env", "A=B", "--", "backup", "--all"),
        )
        assert added.out.strip() == str(file_of(cli, "nightly"))
        assert json.loads(file_of(cli, "nightly").read_bytes()) == {
            "cron": "0 3 * * *",
            "timezone": "Europe/Berlin",
            "jitter": "10m",
            "catch_up": "skip",
            "overlap": "queue",
            "description": "Sichern",
            "job": {
                "command": ["backup", "--all"],
                "env": {"A": "B"},
                "priority": 3,
                "timeout": 3600.0,
                "tags": ["t"],
            },
        }

    def test_takes_the_job_from_a_file_and_not_its_name(self, cli: CommandLine, tmp_path: Path) -> None:
        (tmp_path / "backup.json").write_text('{"command": "x", "max_retries": 7}', encoding="utf-8")
        path = str(tmp_path / "backup.json")
        assert cli.json("schedule", "add", "s", "--every", "90", "--file", path) == {
            "name": "s",
            "file": str(file_of(cli, "s")),
        }
        assert json.loads(file_of(cli, "s").read_bytes())["job"] == {"command": "x", "max_retries": 7}

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (("--", "x"), "give one of 'cron' and 'every'"),
            (("--every", "1h", "--cron", "@daily", "--", "x"), "give one of 'cron' and 'every'"),
            (("--every", "1h"), "give one of: --file F"),
            (("--every", "often", "--", "x"), "every: 'often' is not a duration"),
            (("--cron", "99 * * * *", "--", "x"), "bad minute"),
            (("--cron", "@daily", "--timezone", "Atlantis", "--", "x"), "no time zone 'Atlantis'"),
            (("--every", "1h", "--catch-up", "all", "--", "x"), "'all' needs"),
            (("--every", "1h", "--start-at", "later", "--", "x"), "--start-at"),
            (("--every", "1h", '{"command": "x", "id": "y"}'), "job: id: "),
            (
                ("--every", "1h", '[{"command": "x"}, {"command": "y"}]'),
                "a schedule has one job, these are 2",
            ),
        ],
    )
    def test_what_is_wrong_is_one_line_and_changes_nothing(
        self, cli: CommandLine, options: tuple[str, ...], told: str
    ) -> None:
        refused = cli("schedule", "add", "s", *options)
        assert refused.code == 2
        assert told in refused.err
        assert refused.err.count("\n") == 1 + refused.err.count("made a new spool")
        assert not file_of(cli, "s").exists()

    def test_a_name_is_taken_once_unless_it_is_said(self, cli: CommandLine) -> None:
        cli.ok("schedule", "add", "s", "--every", "1h", "--", "x")
        refused = cli("schedule", "add", "s", "--every", "2h", "--", "x")
        assert (refused.code, "--replace" in refused.err) == (4, True)
        cli.ok("schedule", "add", "s", "--every", "2h", "--replace", "--", "x")
        assert json.loads(file_of(cli, "s").read_bytes())["every"] == "2h"

    def test_one_of_the_name_of_one_that_was_deleted_counts_from_now(self, cli: CommandLine) -> None:
        cli.ok("schedule", "add", "s", "--every", "1h", "--", "x")
        cli.ok("schedule", "run-now", "s")
        record = cli.spool / "schedules" / "state" / "s.json"
        assert record.exists()
        file_of(cli, "s").unlink()
        cli.ok("schedule", "add", "s", "--every", "1h", "--catch-up-limit", "0", "--", "x")
        assert not record.exists()
        assert json.loads(file_of(cli, "s").read_bytes())["catch_up_limit"] == 0

    def test_no_name_that_leads_elsewhere(self, cli: CommandLine) -> None:
        for name in ("../s", "a/b", "con", ""):
            assert cli("schedule", "add", name, "--every", "1h", "--", "x").code == 2


class TestLooking:
    def test_list_show_and_next_keep_their_contracts(self, cli: CommandLine) -> None:
        cli.ok("schedule", "add", "a", "--every", "1h", "--env", "SECRET=x", "--", "x")
        (cli.spool / "schedules" / "bad.json").write_text("{", encoding="utf-8")
        rows = {row["name"]: row for row in cli.json("schedule", "list")}
        assert list(rows) == ["a", "bad"]
        for row in rows.values():
            holds(row, ROW)
        assert MOMENT.fullmatch(rows["a"]["next_at"])
        assert rows["bad"]["problem"].startswith("not JSON")
        for name in rows:
            holds(cli.json("schedule", "show", name), WHOLE)
        assert cli.json("schedule", "show", "a")["job"]["env"] == {"SECRET": "***"}
        assert cli.json("schedule", "show", "a", "--secrets")["job"]["env"] == {"SECRET": "x"}
        coming = cli.json("schedule", "next", "--count", "3")
        assert [set(one) for one in coming] == [{"schedule", "at"}] * 3
        assert parse_moment(coming[1]["at"]) - parse_moment(coming[0]["at"]) == 3600

    def test_a_person_sees_their_own_clock(self, cli: CommandLine) -> None:
        cli.ok("schedule", "add", "a", "--cron", "0 9 1 1 *", "--", "x")
        cli.ok("schedule", "add", "b", "--cron", "0 9 1 1 *", "--timezone", "Asia/Tokyo", "--", "x")
        assert re.search(r"a +0 9 1 1 \* +\d{4}-01-01 09:00:00 CET", cli.ok("schedule", "list").out)
        assert re.search(r"Tokyo +\d{4}-01-01 09:00:00 JST", cli.ok("schedule", "list").out)
        assert re.search(r"01-01 01:00:00 CET .* b", cli.ok("schedule", "next").out)
        assert re.search(r"next_at +\d{4}-01-01 09:00:00 CET", cli.ok("schedule", "show", "a").out)

    def test_next_goes_through_all_in_order_and_leaves_out_the_paused(self, cli: CommandLine) -> None:
        cli.ok("schedule", "add", "a", "--every", "2h", "--", "x")
        cli.ok("schedule", "add", "b", "--every", "3h", "--", "x")
        cli.ok("schedule", "add", "c", "--every", "1s", "--paused", "--", "x")
        coming = cli.json("schedule", "next", "--count", "5")
        assert [one["schedule"] for one in coming] in (list("abaab"), list("ababa"), list("abaabb")[:5])
        assert coming == sorted(coming, key=lambda one: one["at"])
        assert len(cli.json("schedule", "next", "c")) == 5, "asked for by name"

    def test_nothing_there(self, cli: CommandLine) -> None:
        assert cli.json("schedule", "list") == []
        assert "no schedules" in cli.ok("schedule", "list").err
        assert cli.json("schedule", "next") == []
        assert "nothing is coming" in cli.ok("schedule", "next").err

    @pytest.mark.parametrize("verb", ["show", "next", "pause", "resume", "remove", "run-now"])
    def test_no_schedule_of_that_name(self, cli: CommandLine, verb: str) -> None:
        refused = cli("schedule", verb, "nope")
        assert (refused.code, "no schedule 'nope'" in refused.err) == (3, True)

    def test_no_text_of_a_schedule_acts_on_the_terminal(self, cli: CommandLine) -> None:
        cli.ok("schedule", "add", "a", "--every", "1h", "--description", "\x1b[2Jhi", "--", "x")
        assert "\x1b" not in cli.ok("schedule", "show", "a").out


class TestActing:
    def test_pause_and_resume_change_the_file(self, cli: CommandLine) -> None:
        cli.ok("schedule", "add", "a", "--every", "1h", "--", "x")
        before = file_of(cli, "a").read_bytes()
        cli.ok("schedule", "pause", "a")
        assert json.loads(file_of(cli, "a").read_bytes())["paused"] is True
        assert cli.json("schedule", "list")[0]["next_at"] is None
        assert "paused" in cli.ok("schedule", "list").out
        cli.ok("schedule", "pause", "a")
        cli.ok("schedule", "resume", "a")
        assert file_of(cli, "a").read_bytes() == before

    def test_what_passes_while_it_is_paused_is_not_made_up_for(self, tmp_path: Path) -> None:
        from queuectl.queue.firing import Firing
        from tests.support.spools import Desk, Heard

        with Desk(tmp_path / "spool") as desk:
            desk.queue.schedules.add("s", Schedule(every="1h", job=Job(command="x")))
            firing = Firing(desk.store, Heard())
            firing.look(desk.clock())
            desk.queue.schedules.pause(["s"])
            desk.clock.advance(36_000)
            desk.queue.schedules.resume(["s"])
            firing.look(desk.clock())
            assert desk.ids() == []
            assert firing.next_due == START + 39_600

    def test_run_now_adds_a_job_whatever_its_times(self, cli: CommandLine) -> None:
        cli.ok("schedule", "add", "a", "--cron", "0 0 1 1 *", "--paused", "--", "x")
        made = cli.ok("schedule", "run-now", "a").out.strip()
        (again,) = cli.json("schedule", "run-now", "a")
        assert made.startswith("a-") and again["id"] != made
        shown = cli.json("show", made)
        assert (shown["schedule"], shown["state"]) == ("a", "pending")
        row = cli.json("schedule", "list")[0]
        assert (row["last_job"], row["last_state"], row["fired"]) == (again["id"], "pending", 0)

    def test_remove_deletes_the_schedule_and_no_job(self, cli: CommandLine) -> None:
        cli.ok("schedule", "add", "a", "--every", "1h", "--", "x")
        made = cli.ok("schedule", "run-now", "a").out.strip()
        assert cli("schedule", "remove", "a", "nope").code == 3, "all or none"
        assert file_of(cli, "a").exists()
        cli.ok("schedule", "remove", "a")
        assert sorted(path.name for path in (cli.spool / "schedules").rglob("*.json")) == []
        assert cli.json("show", made)["state"] == "pending"

    def test_a_damaged_one_can_be_removed_and_not_paused(self, cli: CommandLine) -> None:
        cli.ok("init")
        file_of(cli, "a").write_text("{", encoding="utf-8")
        assert cli("schedule", "pause", "a").code == 2
        assert file_of(cli, "a").read_text(encoding="utf-8") == "{"
        cli.ok("schedule", "remove", "a")


class TestFromPython:
    def test_the_library_does_the_same(self, tmp_path: Path) -> None:
        clock = Clock()
        with Queue.open(str(tmp_path / "spool")) as queue:
            queue._now = clock
            one = Schedule(cron="0 9 * * *", timezone="UTC", job=Job(command=["x"]))
            queue.schedules.add("s", one)
            assert [one["at"] for one in queue.schedules.next(count=2)] == [
                "2027-01-15T09:00:00.000Z",
                "2027-01-16T09:00:00.000Z",
            ]
            with pytest.raises(Conflict):
                queue.schedules.add("s", one)
            with pytest.raises(InvalidInput):
                queue.schedules.add("t", Schedule(job=Job(command="x")))
            with pytest.raises(NoSuchSchedule):
                queue.schedules.show("t")
            job_id = queue.schedules.run_now("s")
            assert queue.show(job_id)["scheduled_at"] == format_moment(START)

    def test_what_somebody_saves_meanwhile_is_not_written_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Queue.open(str(tmp_path / "spool")) as queue:
            queue.schedules.add("s", Schedule(every="1h", job=Job(command="x")))
            path = tmp_path / "spool" / "schedules" / "s.json"
            mine = b'{"every": "2h", "job": {"command": "mine"}}'
            from queuectl.spool.schedules import ScheduleFiles

            read = ScheduleFiles.read

            def then_saved(files: ScheduleFiles, file: Any) -> Any:
                found = read(files, file)
                path.write_bytes(mine)
                return found

            monkeypatch.setattr(ScheduleFiles, "read", then_saved)
            with pytest.raises(Conflict):
                queue.schedules.pause(["s"])
            assert path.read_bytes() == mine


class TestAt:
    def test_is_a_time_by_this_machines_clock(self, cli: CommandLine) -> None:
        cli.ok("enqueue", "--id", "a", "--at", "2999-01-01 09:00", "--", "x")
        assert cli.json("show", "a")["run_at"] == "2999-01-01T08:00:00.000Z"

    def test_only_a_clock_is_the_next_time_it_shows_that(self, cli: CommandLine) -> None:
        cli.ok("enqueue", "--id", "a", "--at", "09:00", "--", "x")
        ahead = parse_moment(cli.json("show", "a")["run_at"]) - system.now()
        assert 0 < ahead <= 25 * 3600

    def test_one_that_does_not_exist_is_refused(self, cli: CommandLine) -> None:
        refused = cli("enqueue", "--at", "2027-03-28 02:30", "--", "x")
        assert (refused.code, "is 03:30 meant?" in refused.err) == (2, True)

    def test_of_one_that_comes_twice_it_is_told_which_is_meant(self, cli: CommandLine) -> None:
        added = cli.ok("enqueue", "--id", "a", "--at", "2027-10-31 02:30", "--", "x")
        assert "comes twice" in added.err
        assert cli.json("show", "a")["run_at"] == "2027-10-31T00:30:00.000Z"

    def test_with_a_zone_of_its_own_the_machines_need_not_be_known(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown() -> Any:
            raise ValueError("this machine's time zone cannot be told: ?")

        monkeypatch.setattr("queuectl.system.zone.local_zone", unknown)
        cli.ok("enqueue", "--id", "a", "--at", "2999-01-01T09:00:00+01:00", "--", "x")
        refused = cli("enqueue", "--at", "2999-01-01 09:00", "--", "x")
        assert (refused.code, "time zone cannot be told" in refused.err) == (2, True)
