"""wait, enqueue --wait: what a script is told, what a person is told meanwhile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl import system
from queuectl.cli.tables import fate
from queuectl.errors import SpoolUnusable
from queuectl.queue import Queue
from tests.support.commandline import CommandLine, LivingWorker

Acts = dict[int, Callable[[], object]]


class Pauses:
    """Time passes only while somebody waits; acts are done then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.acts: Acts = {}
        self._now = 0.0
        monkeypatch.setattr(system, "monotonic", lambda: self._now)
        monkeypatch.setattr(system, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.count += 1
        self._now += seconds
        assert self.count < 1000, "it ends"
        self.acts.get(self.count, lambda: None)()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    return Pauses(monkeypatch)


def interrupt() -> None:
    raise KeyboardInterrupt


class TestWait:
    def test_passes_on_how_each_has_ended(
        self, cli: CommandLine, worker: LivingWorker, pauses: Pauses
    ) -> None:
        for name in ("a", "b"):
            cli.ok("enqueue", "--id", name, "--max-retries", "0", "--", "x")
        pauses.acts = {3: lambda: worker.run(0, result={"rows": 3}), 5: lambda: worker.run(7)}
        result = cli("wait", "b", "a")
        assert result.code == 7
        heading, *rows = result.lines
        assert heading.split()[:3] == ["ID", "STATE", "ATTEMPTS"]
        assert [row.split()[:3] for row in rows] == [["b", "dead", "1"], ["a", "completed", "1"]]
        assert "exit code 7; queuectl dlq retry b" in rows[0]
        assert result.err == ""
        assert cli("wait", "a").code == 0
        assert cli("wait", "a", "b").code == 7

    def test_as_json(self, cli: CommandLine, worker: LivingWorker) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        worker.run(0, result={"rows": 3})
        (row,) = cli.json("wait", "a")
        assert row == {**cli.json("list")[0], "outcome": "completed", "result": {"rows": 3}}
        cli.ok("enqueue", "--id", "b", "--max-retries", "0", "--", "x")
        worker.run(7)
        result = cli("wait", "b", "--json")
        assert (result.code, json.loads(result.out)[0]["exit_code"]) == (7, 7)

    def test_125_when_time_is_up(self, cli: CommandLine, pauses: Pauses) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        line = cli.fails(125, "wait", "a", "--timeout", "2s")
        assert "still waiting for a" in line

    def test_as_json_those_that_are_left_have_the_state_of_now(
        self, cli: CommandLine, worker: LivingWorker, pauses: Pauses
    ) -> None:
        cli.ok("enqueue", "--id", "a", "--max-retries", "0", "--", "x")
        worker.run(7)
        cli.ok("enqueue", "--id", "b", "--hold", "--", "x")
        for code, acts in ((125, {}), (130, {2: interrupt}), (6, {2: lambda: spoil(cli, "b")})):
            pauses.count, pauses.acts = 0, acts
            result = cli("wait", "a", "b", "--timeout", "1", "--json")
            rows = json.loads(result.out)
            assert (result.code, json.loads(result.err)["exit_code"]) == (code, code)
            assert [row["id"] for row in rows] == ["a", "b"]
            assert [row["state"] for row in rows] == ["dead", "dead" if code == 6 else "pending"]
            assert [row["outcome"] for row in rows] == ["failed", None]
        assert rows[0] == cli_json(cli, "wait", "a")[0], "as that of one that has ended"

    def test_3_when_it_is_deleted_and_the_others_are_waited_for(
        self, cli: CommandLine, worker: LivingWorker, pauses: Pauses
    ) -> None:
        for name in ("b", "a"):
            cli.ok("enqueue", "--id", name, "--max-retries", "0", "--", "x")
        pauses.acts = {2: (cli.spool / "pending" / "a.json").unlink, 9: lambda: worker.run(7)}
        result = cli("wait", "a", "b", "--json")
        gone, other = json.loads(result.out)
        assert (result.code, gone["id"], gone["state"]) == (3, "a", None)
        assert gone.keys() == other.keys()
        assert (other["id"], other["state"], other["exit_code"]) == ("b", "dead", 7)

    def test_3_of_one_alone(self, cli: CommandLine, pauses: Pauses) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        pauses.acts = {2: (cli.spool / "pending" / "a.json").unlink}
        result = cli("wait", "a")
        assert (result.code, result.lines[1].split()[:2]) == (3, ["a", "gone"])
        assert "'nobody'" in cli.fails(3, "wait", "nobody")

    def test_7_when_the_spool_is_taken_away(self, cli: CommandLine, pauses: Pauses) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        for args in (["wait", "a"], ["logs", "a", "--follow"]):
            pauses.count, pauses.acts = 0, {2: lambda: os.rename(cli.spool, cli.here / "away")}
            assert "cannot be looked into any more" in cli.fails(7, *args)
            assert not cli.spool.exists(), "it is not made anew"
            os.rename(cli.here / "away", cli.spool)

    def test_one_that_was_dropped_by_the_name_that_notepad_gives(
        self, cli: CommandLine, worker: LivingWorker, pauses: Pauses
    ) -> None:
        """It is the job `n` as soon as a worker takes it in."""
        cli.drop("n.json.txt", {"command": "x"})
        (row,) = json.loads(cli("wait", "n", "--timeout", "1", "--json").out)
        assert (row["state"], row["error"]) == ("pending", "no worker has taken it in yet")
        pauses.count = 0
        pauses.acts = {2: lambda: cli("doctor", "--fix"), 4: lambda: worker.run(7, printed=b"")}
        cli.ok("config", "set", "max_retries", "0")
        assert cli("wait", "n").code == 7

    def test_130_when_a_person_waits_no_longer(self, cli: CommandLine, pauses: Pauses) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        pauses.acts = {2: interrupt}
        line = cli.fails(130, "wait", "a")
        assert "waits no longer for a" in line
        assert "stays in the queue" in line
        assert os.listdir(cli.spool / "pending") == ["a.json"]

    @pytest.mark.parametrize("value", ["soon", "-1", "1e99", ""])
    def test_2_of_a_time_that_is_none(self, cli: CommandLine, value: str) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        cli.fails(2, "wait", "a", "--timeout", value)
        cli.fails(2, "wait")


def spoil(cli: CommandLine, name: str) -> None:
    (cli.spool / "pending" / f"{name}.json").unlink()
    cli.drop(f"{name}.json", b"{", "dead")


def cli_json(cli: CommandLine, *args: str) -> Any:
    return json.loads(cli(*args, "--json").out)


class TestPatience:
    """Who waits for nothing is told so, once."""

    def test_nobody_works(self, cli: CommandLine, pauses: Pauses) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        pauses.acts = {2000 // 3: (lambda: done(cli, "a"))}
        result = cli.ok("wait", "a")
        assert result.err == "a has not ended, and no worker runs: queuectl worker start\n"

    def test_not_before_somebody_could_have_come(self, cli: CommandLine, pauses: Pauses) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        pauses.acts = {28: (lambda: done(cli, "a"))}
        assert cli.ok("wait", "a").err == ""

    def test_all_is_paused(self, cli: CommandLine, worker: LivingWorker, pauses: Pauses) -> None:
        for number in range(5):
            cli.ok("enqueue", "--id", f"job-{number}", "--", "x")
        cli.ok("pause")
        line = cli("wait", *(f"job-{number}" for number in range(5)), "--timeout", "10").err.splitlines()[0]
        assert line == (
            "job-0, job-1, job-2 and 2 more have not ended, and the queue is paused: queuectl resume"
        )

    def test_what_runs_is_not_kept_by_a_pause(
        self, cli: CommandLine, worker: LivingWorker, pauses: Pauses
    ) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        worker.claim()
        cli.ok("pause")
        assert "paused" not in cli("wait", "a", "--timeout", "10").err

    def test_one_that_is_held(self, cli: CommandLine, worker: LivingWorker, pauses: Pauses) -> None:
        for name in ("a", "b"):
            cli.ok("enqueue", "--id", name, "--hold", "--", "x")
        pauses.acts = {300: lambda: cli_release(cli, "a")}
        lines = cli("wait", "a", "b", "--timeout", "90").err.splitlines()
        assert lines[:-1] == [
            "a, b have not ended, and are held: queuectl release a b",
            "b has not ended, and is held: queuectl release b",
        ], "each thing once"

    def test_one_that_waits_in_vain(self, cli: CommandLine, worker: LivingWorker, pauses: Pauses) -> None:
        cli.ok("enqueue", "--id", "a", "--max-retries", "0", "--", "x")
        cli.ok("enqueue", "--id", "b", "--after", "a", "--", "x")
        worker.run(7)
        told = cli("wait", "b", "--timeout", "9").err.splitlines()[0]
        assert told == "b has not ended, and waits for a, which is dead: retry that, or cancel this"

    def test_one_whose_group_is_paused(self, cli: CommandLine, worker: LivingWorker, pauses: Pauses) -> None:
        cli.ok("enqueue", "--id", "a", "--group", "video", "--", "x")
        cli.ok("enqueue", "--id", "b", "--group", "full", "--", "x")
        cli.ok("group", "pause", "video")
        told = cli("wait", "a", "--timeout", "9").err.splitlines()[0]
        assert told == "a has not ended, and its group is paused: queuectl group resume video"
        pauses.count = 0
        assert "group" not in cli("wait", "b", "--timeout", "9").err, "it is only that nobody runs it"

    def test_a_spool_that_is_away_while_it_looks(
        self, cli: CommandLine, pauses: Pauses, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The hint comes another time, and the wait goes on."""
        cli.ok("enqueue", "--id", "a", "--", "x")

        def refuses(self: Queue) -> None:
            raise SpoolUnusable("it is away")

        monkeypatch.setattr(Queue, "status", refuses)
        pauses.acts = {40: lambda: done(cli, "a")}
        assert cli.ok("wait", "a").err == ""

    def test_the_worker_that_went_away_meanwhile(
        self, cli: CommandLine, worker: LivingWorker, pauses: Pauses
    ) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        pauses.acts = {100: worker.__exit__}
        result = cli("wait", "a", "--timeout", "90")
        assert result.err.count("no worker runs") == 1


def cli_release(cli: CommandLine, name: str) -> None:
    with Queue.open(str(cli.spool)) as queue:
        queue.release([name])


def done(cli: CommandLine, name: str) -> None:
    os.rename(cli.spool / "pending" / f"{name}.json", cli.spool / "done" / f"{name}.json")


class TestEnqueue:
    def test_prints_the_ids_at_once_and_ends_as_they_did(
        self,
        cli: CommandLine,
        worker: LivingWorker,
        pauses: Pauses,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        seen: list[str] = []

        def look() -> None:
            seen.append(capsys.readouterr().out)

        pauses.acts = {1: look, 3: lambda: worker.run(5)}
        result = cli("enqueue", "--wait", "--id", "a", "--max-retries", "0", "--", "x")
        assert (result.code, seen, result.out) == (5, ["a\n"], ""), "stdout has the ids and nothing else"
        assert result.err == "a dead: exit code 5; queuectl dlq retry a\n"

    def test_several(self, cli: CommandLine, worker: LivingWorker, pauses: Pauses) -> None:
        jobs = b'{"id": "a", "command": "x"}\n{"id": "b", "command": "x"}\n'
        pauses.acts = {1: worker.run, 2: worker.run}
        result = cli.ok("enqueue", "--wait", "-", stdin=jobs)
        assert result.out == "a\nb\n"
        assert result.err.splitlines() == ["a completed: queuectl logs a", "b completed: queuectl logs b"]

    def test_as_json_there_is_one_value(self, cli: CommandLine, worker: LivingWorker, pauses: Pauses) -> None:
        pauses.acts = {1: lambda: worker.run(0, result=[1])}
        (row,) = json.loads(cli.ok("enqueue", "--wait", "--json", "--id", "a", "--", "x").out)
        assert (row["id"], row["state"], row["result"]) == ("a", "completed", [1])
        assert Path(row["file"]) == cli.spool / "done" / "a.json"

    def test_as_json_the_ids_are_told_though_it_is_not_waited_for_to_the_end(
        self, cli: CommandLine, pauses: Pauses
    ) -> None:
        cli.ok("init")
        jobs = b'{"id": "a", "command": "x"}\n{"id": "b", "command": "x"}\n'
        pauses.acts = {2: interrupt}
        result = cli("enqueue", "--wait", "--json", "-", stdin=jobs)
        rows = json.loads(result.out)
        assert (result.code, json.loads(result.err)["error"]) == (130, "interrupted")
        assert [(row["id"], row["state"]) for row in rows] == [("a", "pending"), ("b", "pending")]
        assert Path(rows[1]["file"]) == cli.spool / "pending" / "b.json"

    def test_time_is_up(self, cli: CommandLine, pauses: Pauses) -> None:
        result = cli("enqueue", "--wait", "--wait-limit", "2s", "--timeout", "1h", "--id", "a", "--", "x")
        assert (result.code, result.out) == (125, "a\n")
        assert "still waiting for a" in result.err
        assert cli.record("pending", "a")["timeout"] == 3600, "the job's own is another"

    def test_ctrl_c_leaves_it_in_the_queue_and_says_so(self, cli: CommandLine, pauses: Pauses) -> None:
        pauses.acts = {2: interrupt}
        result = cli("enqueue", "--wait", "--id", "a", "--", "x")
        assert (result.code, result.out) == (130, "a\n")
        assert "waits no longer for a (what has not ended stays in the queue)" in result.err
        assert os.listdir(cli.spool / "pending") == ["a.json"]

    def test_a_limit_to_no_waiting_is_a_mistake(self, cli: CommandLine) -> None:
        cli.ok("init")
        assert "--wait" in cli.fails(2, "enqueue", "--wait-limit", "5s", "--", "x")
        assert os.listdir(cli.spool / "pending") == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"state": "dead", "error": "exit code 7"}, "exit code 7; queuectl dlq retry a"),
        ({"state": "dead", "error": None}, "put there by hand; queuectl dlq retry a"),
        ({"state": "failed", "error": None}, "put there by hand; next try at once"),
        ({"state": "failed", "error": "x", "run_at": "2027"}, "x; next try at 2027"),
        ({"state": None, "error": "it is in this spool no more"}, "it is in this spool no more"),
    ],
)
def test_what_became_of_it_in_words(row: dict[str, Any], words: str) -> None:
    assert fate({"id": "a", "run_at": None, **row}) == words


class TestShown:
    """How far a job is, and what it has left."""

    def test_progress(self, cli: CommandLine, worker: LivingWorker) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        told: dict[str, Any] = {}

        def meanwhile(setting: Any) -> None:
            Path(setting.tidings.progress).write_bytes(b"40 copying\x1b[2J")
            told.update(status=cli.ok("status").out, workers=cli.ok("worker", "list").out)
            (told["row"],) = cli.json("worker", "list")

        worker.run(meanwhile=meanwhile)
        assert "runs a (40 %  copying\\x1b[2J), since" in told["status"]
        heading, row = told["workers"].splitlines()
        assert heading.split() == ["NAME", "PID", "SINCE", "JOB", "PROGRESS"]
        assert row.endswith("a    40 %  copying\\x1b[2J")
        assert (told["row"]["percent"], told["row"]["progress"]) == (40, "copying\x1b[2J")
        assert told["row"]["job_since"] >= told["row"]["since"]

    @pytest.mark.parametrize(
        ("result", "shown"),
        [({"rows": 3}, '{"rows": 3}'), ([], "[]"), (0, "0"), (False, "false"), ("\x1b", '"\\u001b"')],
    )
    def test_result(self, cli: CommandLine, worker: LivingWorker, result: Any, shown: str) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        worker.run(result=result)
        assert f"{'result':<20}{shown}" in cli.ok("show", "a").lines
        assert cli.json("show", "a")["result"] == result

    def test_no_result(self, cli: CommandLine) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        assert not [line for line in cli.ok("show", "a").lines if line.startswith("result")]
        assert cli.json("show", "a")["result"] is None
