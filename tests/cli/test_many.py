"""Filters, what acts on many jobs, and numbers, by the command line."""

from __future__ import annotations

import errno
import json
import re
import sys
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest

from queuectl.cli.many import REASONS_SHOWN
from queuectl.index import Filter
from queuectl.moment import format_moment, parse_moment
from queuectl.queue import Queue, many
from queuectl.queue.many import Chosen
from queuectl.queue.store import Store
from queuectl.spool import Place
from queuectl.system import now
from tests.support.commandline import CommandLine, LivingWorker

RANKS = ("p50", "p90", "p99", "max")
NUMBERS = {
    "ended": int,
    "completed": int,
    "dead": int,
    "per_hour": (int, float),
    "runs": int,
    "failed_runs": int,
    "failure_rate": (int, float, type(None)),
    "retries": int,
    "waiting": dict,
    "running": dict,
}
STATS = {
    "since": str,
    "until": str,
    **NUMBERS,
    "unread": int,
    "by": (str, type(None)),
    "each": list,
    "step": (int, float),
    "bars": list,
}
ACTING = [["retry"], ["cancel"], ["hold"], ["release"], ["dlq", "retry"], ["dlq", "purge"]]


def put(cli: CommandLine, folder: str, job_id: str, age: float = 60.0, **fields: Any) -> None:
    stamp = format_moment(now() - age)
    state = "completed" if folder == "done" else folder
    kept = {"state": state, "created_at": stamp, "updated_at": stamp}
    cli.drop(f"{job_id}.json", {"id": job_id, "command": "x", **kept, **fields}, folder)


@pytest.fixture
def jobs(cli: CommandLine) -> None:
    cli.ok("init")
    put(cli, "pending", "a", group="g", tags=["t"])
    put(cli, "failed", "b", 7200, group="g", error="exit code 7", run_at="2999-01-01T00:00:00.000Z")
    put(cli, "dead", "c", 7200, group="g", error="timed out", command=["rsync", "x"])
    put(cli, "dead", "d", error="exit code 7", batch="n")
    put(cli, "done", "e", tags=["t"])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A person sits at the terminal, and says no; what was asked."""
    seen: list[str] = []

    def confirm(text: str, **options: Any) -> bool:
        seen.append(text)
        return False

    monkeypatch.setattr("queuectl.system.is_interactive", lambda stream: True)
    monkeypatch.setattr(click, "confirm", confirm)
    return seen


@pytest.mark.usefixtures("jobs")
class TestListing:
    @pytest.mark.parametrize(
        ("options", "found"),
        [
            (("--state", "failed,dead"), "bcd"),
            (("--state", "failed", "--state", "done"), "be"),
            (("--group", "g"), "abc"),
            (("--batch", "n"), "d"),
            (("--group", "g", "--tag", "t"), "a"),
            (("--older-than", "1h"), "bc"),
            (("--newer-than", "1h", "--state", "dead"), "d"),
            (("--command-like", "RSYNC X"), "c"),
            (("--error-like", "Exit"), "bd"),
            (("--error-like", "%"), ""),
        ],
    )
    def test_by_a_filter(self, cli: CommandLine, options: tuple[str, ...], found: str) -> None:
        assert sorted(job["id"] for job in cli.json("list", *options)) == list(found)

    def test_of_the_dead(self, cli: CommandLine) -> None:
        assert [job["id"] for job in cli.json("dlq", "list", "--older-than", "1h")] == ["c"]
        assert [job["id"] for job in cli.json("dlq", "list", "--error-like", "code 7")] == ["d"]

    def test_what_is_held(self, cli: CommandLine) -> None:
        cli.ok("hold", "a")
        assert [job["id"] for job in cli.json("list", "--held")] == ["a"]

    def test_none_is_said(self, cli: CommandLine) -> None:
        assert (
            cli.ok("list", "--state", "failed,done", "--tag", "x").err
            == "no jobs that are failed or completed\n"
        )

    def test_what_is_no_state_or_time_is_told(self, cli: CommandLine) -> None:
        assert "no state 'lost'" in cli.fails(2, "list", "--state", "dead,lost")
        assert "'often'" in cli.fails(2, "list", "--older-than", "often")
        assert "the text is empty" in cli.fails(2, "dlq", "purge", "--error-like", "", "--yes")
        assert "the text is empty" in cli.fails(2, "dlq", "purge", "--command-like", " ", "--yes")


@pytest.mark.usefixtures("jobs")
class TestActing:
    @pytest.mark.parametrize("words", ACTING, ids=" ".join)
    def test_names_and_a_filter_are_not_mixed_and_one_is_needed(
        self, cli: CommandLine, words: list[str]
    ) -> None:
        before = cli.files()
        assert "not both" in cli.fails(2, *words, "a", "--group", "g", "--yes")
        assert "--dry-run lists what a filter finds" in cli.fails(2, *words, "a", "--dry-run")
        if words != ["dlq", "purge"]:
            assert "name the jobs, or give a filter" in cli.fails(2, *words, "--yes")
        assert cli.files() == before

    @pytest.mark.parametrize("words", [one for one in ACTING if one != ["release"]], ids=" ".join)
    def test_where_nobody_can_be_asked_it_says_what_to_do(self, cli: CommandLine, words: list[str]) -> None:
        before = cli.files()
        assert "say --yes" in cli.fails(2, *words, "--group", "g")
        assert cli.files() == before

    @pytest.mark.parametrize(
        "words", [["dlq", "purge"], ["cancel", "--tag", "nope"], ["dlq", "purge", "nobody"]]
    )
    def test_a_script_learns_that_also_while_there_is_nothing_to_do(
        self, cli: CommandLine, words: list[str]
    ) -> None:
        for job_id in "cd":
            (cli.spool / "dead" / f"{job_id}.json").unlink()
        assert "say --yes" in cli.fails(2, *words)

    def test_all_dead_are_retried_by_a_script_without_a_word(self, cli: CommandLine) -> None:
        """As ever: before others asked, it did not."""
        assert cli.ok("dlq", "retry", "--all").err == "c, d back to pending\n"

    def test_all_dead_are_asked_about_where_somebody_is(self, cli: CommandLine, asked: list[str]) -> None:
        before = cli.files()
        assert "nothing done" in cli.fails(130, "dlq", "retry", "--all")
        assert asked == ["Run 2 dead jobs again?"]
        assert cli.files() == before
        cli.ok("dlq", "retry", "--all", "--yes")

    def test_a_program_is_asked_about_too(self, cli: CommandLine, asked: list[str]) -> None:
        before = cli.files()
        result = cli("cancel", "--group", "g", "--json")
        assert (result.code, result.out) == (130, "")
        assert json.loads(result.err)["message"] == "nothing done"
        assert len(asked) == 1
        assert cli.files() == before

    @pytest.mark.parametrize(("job_id", "code"), [("nobody", 3), ("a", 4)])
    def test_what_is_not_dead_is_told_before_it_asks(
        self, cli: CommandLine, asked: list[str], job_id: str, code: int
    ) -> None:
        cli.fails(code, "dlq", "purge", "c", job_id)
        assert asked == []

    def test_who_waits_for_what_is_to_be_deleted_is_told(self, cli: CommandLine, asked: list[str]) -> None:
        cli.ok("enqueue", "--id", "x", "--after", "c", "--", "x")
        cli.ok("enqueue", "--id", "y", "--after", "c", "--", "x")
        cli("dlq", "purge", "--older-than", "1h")
        cli("dlq", "purge", "c", "d")
        cli("dlq", "purge", "d")
        assert asked == [
            "Delete 1 dead job, for which 2 others wait, for good?",
            "Delete 2 dead jobs, for some of which 2 others wait, for good?",
            "Delete 1 dead job for good?",
        ]

    @pytest.mark.parametrize(
        ("words", "question"),
        [
            (["retry", "--group", "g"], "Run 2 jobs (1 failed, 1 dead) again?"),
            (["retry", "--state", "completed"], "Run 1 completed job again?"),
            (["cancel", "--group", "g"], "Cancel 2 jobs (1 pending, 1 failed)?"),
            (["hold", "--tag", "t"], "Hold 1 pending job?"),
            (["dlq", "purge", "--newer-than", "1d"], "Delete 2 dead jobs for good?"),
            (["dlq", "retry", "--batch", "n"], "Run 1 dead job again?"),
        ],
    )
    def test_a_person_is_told_how_many_and_asked(
        self, cli: CommandLine, asked: list[str], words: list[str], question: str
    ) -> None:
        before = cli.files()
        assert cli(*words).code == 130
        assert asked == [question]
        assert cli.files() == before

    def test_one_way_is_enough_for_dead_ones(self, cli: CommandLine) -> None:
        assert "not both" in cli.fails(2, "dlq", "retry", "--all", "--group", "g")
        assert "--group or --tag, or --all" in cli.fails(2, "dlq", "retry")

    def test_a_dry_run_lists_them(self, cli: CommandLine) -> None:
        before = cli.files()
        found = cli.json("retry", "--group", "g", "--dry-run")
        assert found == cli.json("list", "--group", "g", "--state", "failed,dead")
        assert re.search(r"^c  +dead", cli.ok("dlq", "purge", "--group", "g", "--dry-run").out, re.M)
        assert [job["id"] for job in cli.json("dlq", "retry", "--all", "--dry-run")] == ["d", "c"]
        assert cli.ok("hold", "--tag", "nope", "--dry-run").err == "no jobs that are pending or failed\n"
        assert cli.files() == before

    def test_they_do_it(self, cli: CommandLine) -> None:
        assert cli.ok("hold", "--group", "g", "--yes").err == "2 held\n"
        assert cli.ok("hold", "--group", "g", "--yes").err == "nothing to hold\n"
        assert cli.ok("release", "--group", "g", "--yes").err == "2 released\n"
        assert cli.ok("cancel", "--group", "g", "--state", "failed", "--yes").err == "cancelled 1\n"
        assert cli.ok("dlq", "retry", "--error-like", "cancelled", "--yes").err == "1 back to pending\n"
        assert cli.ok("retry", "--older-than", "1h", "--yes").err == "1 back to pending\n"
        assert cli.ok("dlq", "purge", "--batch", "n", "--yes").err == "deleted 1\n"
        assert sorted(job["id"] for job in cli.json("list", "--state", "pending")) == list("abc")

    def test_json_tells_what_was_done(self, cli: CommandLine) -> None:
        cli.drop("c.json", b"{", "dead")
        result = cli("dlq", "retry", "--newer-than", "2d", "--yes", "--json")
        told = json.loads(result.out)
        (reason,) = told.pop("reasons")
        assert told == {"done": ["d"], "skipped": ["c"]}
        assert {name: reason[name] for name in ("id", "error", "exit_code")} == {
            "id": "c",
            "error": "damaged_record",
            "exit_code": 6,
        }
        assert result.code == 6, "as by its name"
        said = f"{reason['message']} ({reason['hint']})"
        assert result.err.splitlines() == [said, "1 back to pending, 1 skipped"]
        assert "dead/c.json" in reason["message"]
        assert cli.json("hold", "a", "a") == {"done": ["a"], "skipped": [], "reasons": []}
        assert cli.json("dlq", "purge", "c", "--yes") == {"done": ["c"], "skipped": [], "reasons": []}
        assert cli.json("dlq", "retry", "--all") == {"done": [], "skipped": [], "reasons": []}

    def test_what_has_moved_on_is_no_failure(self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        choose = Queue.choose

        def choose_and_see_one_go(queue: Queue, verb: str, where: Filter, **options: Any) -> Chosen:
            chosen = choose(queue, verb, where, **options)
            (cli.spool / "dead" / "d.json").unlink()
            return chosen

        monkeypatch.setattr(Queue, "choose", choose_and_see_one_go)
        assert cli.ok("dlq", "purge", "--yes").err == "deleted 1, 1 skipped\n"

    def test_of_many_reasons_some_are_shown(self, cli: CommandLine) -> None:
        for number in range(REASONS_SHOWN + 3):
            cli.drop(f"bad{number}.json", b"{", "dead")
        result = cli("dlq", "retry", "--all")
        assert result.code == 6
        *shown, rest, told = result.err.splitlines()
        assert len(shown) == REASONS_SHOWN
        assert (rest, told) == ("and 3 more like these", "c, d back to pending, 23 skipped")

    @pytest.mark.parametrize("ends", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()], ids=repr)
    def test_one_that_ends_early_tells_what_was_done(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, ends: BaseException
    ) -> None:
        def purge_one(store: Store, place: Place) -> bool:
            if place.job_id == "d":
                raise ends
            return purge(store, place)

        purge = many.purge_one
        monkeypatch.setattr(many, "purge_one", purge_one)
        result = cli("dlq", "purge", "--yes", "--json")
        assert json.loads(result.out) == {"done": ["c"], "skipped": [], "reasons": []}
        told, error = result.err.splitlines()
        assert told == "deleted 1"
        assert (result.code, json.loads(error)["exit_code"]) in {(7, 7), (130, 130)}

    def test_so_many_at_most_the_first_to_come_in(self, cli: CommandLine) -> None:
        assert "--limit is of what a filter finds" in cli.fails(2, "cancel", "a", "--limit", "1")
        assert "give a filter" in cli.fails(2, "cancel", "--limit", "1", "--yes")
        assert [job["id"] for job in cli.json("dlq", "purge", "--limit", "1", "--dry-run")] == ["c"]
        assert cli.json("dlq", "purge", "--limit", "1", "--yes")["done"] == ["c"]
        assert cli.ok("dlq", "purge", "--limit", "0", "--yes").err == "nothing to delete\n"
        assert [job["id"] for job in cli.json("dlq", "list")] == ["d"]

    def test_names_are_all_or_none_as_ever(self, cli: CommandLine) -> None:
        before = cli.files()
        cli.fails(4, "retry", "c", "a")
        cli.fails(3, "retry", "c", "nobody")
        assert cli.files() == before

    def test_a_state_that_it_is_not_for_is_refused(self, cli: CommandLine) -> None:
        line = cli.fails(2, "hold", "--state", "dead", "--yes")
        assert line == "queuectl: hold is not for jobs that are dead (for those that are pending or failed)"


def test_one_that_still_runs_is_a_failure_as_by_its_name(
    cli: CommandLine, worker: LivingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "DEADLINE", 0.0)
    cli.ok("enqueue", "--id", "s1", "--batch", "n", "--", "x")
    cli.ok("enqueue", "--id", "s2", "--batch", "n", "--", "x")
    assert worker.claim().place.job_id == "s1"
    result = cli("cancel", "--batch", "n", "--yes", "--json")
    assert result.code == 5
    told = json.loads(result.out)
    assert (told["done"], told["skipped"]) == (["s2"], ["s1"])
    assert [(one["id"], one["error"]) for one in told["reasons"]] == [("s1", "busy")]
    assert "job 's1' still runs" in result.err


class TestStats:
    def runs(self, cli: CommandLine) -> None:
        cli.ok("init")
        for job_id, age, took, outcome in (("a", 600.0, 5, "completed"), ("b", 5400.0, 90, "failed")):
            begun, ended = format_moment(now() - age - took), format_moment(now() - age)
            run = {"outcome": outcome, "attempt": 1, "started_at": begun, "finished_at": ended}
            created = format_moment(now() - age - took - 30)
            folder = "dead" if outcome == "failed" else "done"
            put(cli, folder, job_id, age, group="g", history=[run], created_at=created)

    def test_json(self, cli: CommandLine) -> None:
        self.runs(cli)
        told = cli.json("stats", "--by", "group")
        assert set(told) == set(STATS)
        assert all(isinstance(told[name], kind) for name, kind in STATS.items())
        (one,) = told["each"]
        assert set(one) == {"key", *NUMBERS}
        assert {name: one[name] for name in NUMBERS} == {name: told[name] for name in NUMBERS}
        assert tuple(told["waiting"]) == tuple(one["running"]) == RANKS
        assert set(told["bars"][0]) == {"at", "completed", "dead", "runs", "failed_runs"}
        assert (told["ended"], told["failure_rate"], told["by"], one["key"]) == (2, 0.5, "group", "g")
        assert told["waiting"]["max"] == pytest.approx(30, abs=0.1)
        assert cli.json("stats", "--since", "1h")["ended"] == 1

    def test_tables_and_a_chart(self, cli: CommandLine) -> None:
        self.runs(cli)
        text = cli.ok("stats", "--since", "3h", "--by", "state", "--chart").out
        assert re.search(r"^ended +2  \(1 completed, 1 dead\)$", text, re.M)
        assert re.search(r"^runs +2  \(1 = 50 % failed, 0 retries\)$", text, re.M)
        assert re.search(r"^running +5.0 s +1 min 30 s +1 min 30 s +1 min 30 s$", text, re.M)
        assert re.search(r"^dead +1 +0.333 +1 +1 +100 % +30 s +1 min 30 s$", text, re.M)
        assert "ended, every 10 min" in text
        assert len(re.findall(r"\d\d:\d\d  1 +[█#]+$", text, re.M)) == 1
        assert len(re.findall(r"\d\d:\d\d  1  100 %  [▒x]+$", text, re.M)) == 1, "one has failed"

    @pytest.mark.parametrize("words", [["--chart"], []], ids=["asked", "a terminal"])
    def test_a_chart_is_drawn(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, words: list[str]
    ) -> None:
        self.runs(cli)
        assert "ended, every" not in cli.ok("stats").out
        if not words:
            monkeypatch.setattr("queuectl.system.is_interactive", lambda stream: stream is sys.stdout)
        assert "ended, every" in cli.ok("stats", *words).out

    def test_of_some_jobs(self, cli: CommandLine) -> None:
        self.runs(cli)
        put(cli, "done", "c", tags=["t"])
        assert cli.json("stats", "--group", "g")["ended"] == 2
        assert cli.json("stats", "--tag", "t")["ended"] == 1

    @pytest.mark.parametrize("by", ["group", "hour"])
    def test_a_table_fits_a_terminal(self, cli: CommandLine, by: str) -> None:
        cli.ok("init")
        run = {
            "outcome": "failed",
            "started_at": format_moment(now() - 59_000),
            "finished_at": format_moment(now()),
        }
        created = format_moment(now() - 80_000)
        for number in range(12):
            put(cli, "done", f"j{number}", 0, group="thumbnails-hq", history=[run] * 90, created_at=created)
        assert all(len(line) < 80 for line in cli.ok("stats", "--by", by).lines)

    def test_a_zone_that_is_none_is_told_once(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.runs(cli)

        def untold() -> None:
            raise ValueError("this machine's time zone cannot be told: TZ")

        monkeypatch.setattr("queuectl.system.zone.local_zone", untold)
        for words in ([], ["--by", "hour", "--chart"]):
            assert cli.ok("stats", *words).err.count("hours and days are those of UTC") == 1

    def test_an_hour_that_comes_twice_says_which_it_is(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cli.ok("init")
        monkeypatch.setattr("queuectl.system.zone.local_zone", lambda: ZoneInfo("America/New_York"))
        stats = Queue.stats

        def then(queue: Queue, *given: Any, **options: Any) -> dict[str, Any]:
            monkeypatch.setattr(queue, "_now", lambda: parse_moment("2026-11-01T08:00:00Z"))
            return stats(queue, *given, **options)

        monkeypatch.setattr(Queue, "stats", then)
        lines = cli.ok("stats", "--since", "4h", "--by", "hour").lines
        assert [line[:20].strip() for line in lines[-5:]] == [
            "2026-11-01 00:00",
            "2026-11-01 01:00 EDT",
            "2026-11-01 01:00 EST",
            "2026-11-01 02:00",
            "2026-11-01 03:00",
        ]

    def test_by_hour_shows_the_clock_of_this_machine(self, cli: CommandLine) -> None:
        self.runs(cli)
        assert re.search(r"^20\d\d-\d\d-\d\d \d\d:\d\d  1 ", cli.ok("stats", "--by", "hour").out, re.M)

    def test_of_nothing(self, cli: CommandLine) -> None:
        cli.ok("init")
        text = cli.ok("stats", "--chart").out
        assert re.search(r"^ended +0 ", text, re.M)
        assert "every" not in text
        told = cli.json("stats", "--by", "tag")
        assert (told["ended"], told["failure_rate"], told["each"]) == (0, None, [])

    def test_what_makes_no_sense_is_told(self, cli: CommandLine) -> None:
        assert "longer than no time" in cli.fails(2, "stats", "--since", "0")
        assert "--by" in cli.fails(2, "stats", "--by", "colour")
        assert "--since" in cli.fails(2, "stats", "--since", "yesterday")
