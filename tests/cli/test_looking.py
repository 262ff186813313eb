"""list, status, show, logs: what is shown, in which order, and what is left out."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl import system
from queuectl.cli import main
from queuectl.cli.following import FollowedLog
from queuectl.cli.terminal import put
from tests.support.commandline import CommandLine, LivingWorker


def ids(cli: CommandLine, *args: str) -> list[str]:
    return [job["id"] for job in cli.json("list", *args)]


@pytest.fixture
def full(cli: CommandLine, worker: LivingWorker) -> CommandLine:
    """Two jobs done, one failed, one dead, one that runs, two that wait."""
    cli.ok("enqueue", "--id", "done-1", "--tag", "odd", "--", "x")
    worker.run(printed=b"one\r\n\xfftwo\n")
    cli.ok("enqueue", "--id", "done-2", "--", "x")
    worker.run()
    cli.ok("enqueue", "--id", "failed-1", "--tag", "odd", "--", "x")
    worker.run(3)
    cli.ok("enqueue", "--id", "dead-1", "--tag", "odd", "--max-retries", "0", "--", "x")
    worker.run(4)
    cli.ok("enqueue", "--id", "runs", "--", "x")
    worker.claim()
    cli.ok("enqueue", "--id", "waits-1", "--tag", "odd", "--tag", "odder", "--", "x")
    cli.ok("enqueue", "--id", "waits-2", "--priority", "5", "--", "x")
    return cli


def test_filters(full: CommandLine) -> None:
    assert sorted(ids(full)) == ["dead-1", "done-1", "done-2", "failed-1", "runs", "waits-1", "waits-2"]
    assert ids(full, "--state", "pending") == ["waits-2", "waits-1"], "in the order of their running"
    assert ids(full, "--state", "processing") == ["runs"]
    assert ids(full, "--state", "completed") == ["done-2", "done-1"], "the latest first"
    assert ids(full, "--state", "done") == ["done-2", "done-1"]
    assert ids(full, "--state", "failed") == ["failed-1"]
    assert ids(full, "--state", "dead") == ["dead-1"]
    assert sorted(ids(full, "--tag", "odd")) == ["dead-1", "done-1", "failed-1", "waits-1"]
    assert ids(full, "--tag", "odder") == ["waits-1"]
    assert ids(full, "--tag", "od") == []
    assert ids(full, "--tag", "odd", "--state", "done") == ["done-1"]
    assert len(ids(full, "--limit", "3")) == 3
    assert ids(full, "--limit", "0") == []
    assert ids(full, "--state", "done", "--limit", "1") == ["done-2"]
    assert [job["id"] for job in full.json("dlq", "list", "--tag", "odd", "--limit", "5")] == ["dead-1"]


def test_an_unknown_state(full: CommandLine) -> None:
    line = full.fails(2, "list", "--state", "lost")
    for word in ("'lost'", "pending", "processing", "completed", "failed", "dead"):
        assert word in line
    full.fails(2, "list", "--state", "")


def test_tables_are_plain_where_no_person_looks(full: CommandLine) -> None:
    lines = full.ok("list").lines
    assert lines[0].split()[:3] == ["ID", "STATE", "ATTEMPTS"]
    assert lines[0].endswith("COMMAND")
    rows = {line.split()[0]: line for line in lines[1:]}
    assert "failed" in rows["failed-1"]
    assert "1/4" in rows["failed-1"]
    assert "exit code 3" in rows["failed-1"]
    assert "1/1" in rows["dead-1"]
    assert "\x1b" not in "".join(lines)
    assert full.ok("dlq", "list").lines[1].startswith("dead-1")
    assert full.ok("list", "--tag", "nothing").out == ""
    assert "no jobs" in full.ok("list", "--tag", "nothing").err


def test_status(full: CommandLine, worker: LivingWorker) -> None:
    text = full.ok("status").out
    for line in ("pending     2", "processing  1", "completed   2", "failed      1", "dead        1"):
        assert line in text.splitlines()
    assert worker.name in text
    assert "runs runs" in text
    assert "PAUSED" not in text
    full.ok("pause")
    assert "PAUSED" in full.ok("status").out
    assert "already" in full.ok("pause").err
    full.ok("resume")
    assert "PAUSED" not in full.ok("status").out
    assert "not paused" in full.ok("resume").err
    lines = full.ok("worker", "list").lines
    assert lines[0].split() == ["NAME", "PID", "SINCE", "JOB"]
    assert lines[1].split()[0] == worker.name
    assert lines[1].split()[-1] == "runs"


def test_show(full: CommandLine) -> None:
    text = full.ok("show", "failed-1").out
    fields = dict(line.split(None, 1) for line in text.splitlines()[:16] if len(line.split(None, 1)) == 2)
    assert (fields["id"], fields["state"], fields["exit_code"]) == ("failed-1", "failed", "3")
    assert "OUTCOME" in text
    assert os.path.join("failed", "failed-1.json") in text
    assert "dead-1" in full.ok("dlq", "show", "dead-1").out


def test_logs_byte_for_byte(full: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(SystemExit) as exited:
        main(["logs", "done-1"])
    assert exited.value.code == 0
    assert out.buffer.getvalue() == b"one\r\n\xfftwo\n"  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs, and links that need a privilege")
@pytest.mark.parametrize("what", ["FIFO", "link"])
def test_logs_of_what_is_no_plain_file(full: CommandLine, what: str) -> None:
    log = full.spool / "logs" / "done-1.log"
    log.unlink()
    if what == "FIFO":
        os.mkfifo(log)
    else:
        log.symlink_to(__file__)
    assert f"not a plain file: {log}" in full.fails(7, "logs", "done-1")


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs")
def test_a_fifo_in_the_place_of_a_lock_holds_nobody_up(full: CommandLine) -> None:
    (full.spool / "locks" / "claim.lock").unlink()
    os.mkfifo(full.spool / "locks" / "claim.lock")
    assert "not a plain file (locks/claim.lock)" in full.fails(7, "enqueue", "--", "x")


def test_logs_of_a_job_that_printed_nothing(full: CommandLine) -> None:
    answer = full.ok("logs", "waits-1")
    assert answer.out == ""
    assert "printed nothing" in answer.err
    assert full.ok("logs", "dead-1", "--follow").out == "", "one that has ended is not waited for"


def test_cancel_and_retry(full: CommandLine) -> None:
    assert "waits-1, failed-1" in full.ok("cancel", "waits-1", "failed-1").err
    for name in ("waits-1", "failed-1"):
        record = full.record("dead", name)
        assert (record["state"], record["error"]) == ("dead", "cancelled")
    full.ok("retry", "done-1", "waits-1", "dead-1")
    for name in ("done-1", "waits-1", "dead-1"):
        shown = full.json("show", name)
        assert (shown["state"], shown["attempts"], shown["run_at"]) == ("pending", 0, None)
    assert len(full.record("pending", "done-1")["history"]) == 1, "what was is kept"


class TestDeadLetters:
    def test_retry_all(self, full: CommandLine) -> None:
        full.drop("bad.json", b'{"comand": "x"}', "dead")
        answer = full("dlq", "retry", "--all")
        assert answer.code == 6, "as by its name"
        assert "dead-1" in answer.err
        assert "bad" in answer.err
        assert [job["id"] for job in full.json("dlq", "list")] == ["bad"]
        assert full.json("show", "dead-1")["state"] == "pending"
        full.drop("bad.json", b'{"command": "x"}', "dead")
        full.ok("dlq", "retry", "--all")
        assert full.json("dlq", "list") == []
        assert "nothing to retry" in full.ok("dlq", "retry", "--all").err

    def test_purge_asks_whoever_is_there(self, full: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "--yes" in full.fails(2, "dlq", "purge", stdin=b"y\n"), "a script has to mean it"
        monkeypatch.setattr("queuectl.system.is_interactive", lambda stream: stream is sys.stdin)
        for answer in (b"n\n", b"\n", b""):
            result = full("dlq", "purge", stdin=answer)
            assert result.code == 130
            assert "1 dead job" in result.err
        assert [job["id"] for job in full.json("dlq", "list")] == ["dead-1"]
        assert full("dlq", "purge", "dead-1", stdin=b"y\n").code == 0
        assert full.json("dlq", "list") == []
        assert full.fails(3, "show", "dead-1")

    def test_purge_deletes_only_what_it_asked_about(
        self, full: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def confirm(question: str, **_: Any) -> bool:
            assert "1 dead job " in question
            full.drop("late.json", b"{", "dead")
            return True

        monkeypatch.setattr("queuectl.system.is_interactive", lambda stream: True)
        monkeypatch.setattr("click.confirm", confirm)
        assert "deleted 1" in full.ok("dlq", "purge").err
        assert os.listdir(full.spool / "dead") == ["late.json"]

    def test_purge_with_yes(self, full: CommandLine) -> None:
        full.ok("cancel", "waits-1")
        full.drop("bad.json", b"{", "dead")
        full.drop("bad.error.txt", b"why", "dead")
        assert full.fails(4, "dlq", "purge", "--yes", "dead-1", "waits-2")
        assert "deleted 1" in full.ok("dlq", "purge", "--yes", "dead-1").err
        assert "deleted 2" in full.ok("dlq", "purge", "-y").err
        assert os.listdir(full.spool / "dead") == []
        assert "nothing to delete" in full.ok("dlq", "purge", "--yes").err
        assert len(ids(full)) == 5, "nothing else is gone"


def test_house(full: CommandLine) -> None:
    before = full.json("list")
    assert "indexed 7 jobs" in full.ok("reindex").err
    assert full.json("list") == before
    assert "all is well" in full.ok("doctor").err


def test_run_of_files_and_folders(cli: CommandLine) -> None:
    """Checked before anything is enqueued; nothing to do is no error."""
    (cli.here / "jobs").mkdir()
    assert "no .json file" in cli.fails(2, "run", "jobs")
    (cli.here / "jobs" / "a.json").write_bytes(b'{"command": ["no-such-program-anywhere"], "max_retries": 0}')
    (cli.here / "jobs" / "b.json").write_bytes(b"{")
    assert "b.json" in cli.fails(2, "run", "jobs")
    (cli.here / "jobs" / "b.json").unlink()
    (cli.here / "jobs" / "notes.txt").write_bytes(b"milk")
    (row,) = cli.json("run", "jobs")
    assert (row["id"], row["state"], row["error"]) == (
        "a",
        "dead",
        "program not found: no-such-program-anywhere",
    )
    assert "nothing to do" in cli.ok("run").err
    assert cli.json("run", os.path.join("jobs", "*.json"))[0]["id"] == "a-2"


@pytest.mark.parametrize("command", [("list",), ("dlq", "list")])
def test_a_limit_that_the_index_cannot_count_to(cli: CommandLine, command: tuple[str, ...]) -> None:
    assert "--limit" in cli.fails(2, *command, "--limit", str(2**63))


def test_a_word_of_no_unicode(cli: CommandLine) -> None:
    """As a terminal of another encoding may give it."""
    cli.ok("init")
    assert "not valid Unicode" in cli.fails(2, "list", "--tag", "\udcff")
    assert "not valid Unicode" in cli.fails(2, "enqueue", "--tag", "\udcff", "--", "x")


def test_a_folder_in_the_place_of_paused_txt_pauses_nothing(cli: CommandLine) -> None:
    cli.ok("init")
    (cli.spool / "paused.txt").mkdir()
    assert cli.json("status")["paused"] is False
    assert "not paused" in cli.ok("resume").err


def test_a_name_with_a_line_break_is_told_in_one_line(cli: CommandLine) -> None:
    cli.ok("init")
    try:
        cli.drop("new\nline.json", b"{")
    except OSError:
        pytest.skip("this system has no such names")
    assert any("new\\nline.json" in line for line in cli.ok("status").lines)


def test_retry_of_all_leaves_a_file_that_is_too_large(cli: CommandLine) -> None:
    cli.ok("config", "set", "max_job_bytes", "1000")
    cli.drop("big.json", {"command": "x", "meta": {"a": "b" * 2000}}, "dead")
    answer = cli("dlq", "retry", "--all")
    assert answer.code == 6
    assert "max_job_bytes" in answer.err
    assert "0 back to pending, 1 skipped" in answer.err
    assert "max_job_bytes" in cli.fails(6, "dlq", "retry", "big")
    assert [job["id"] for job in cli.json("dlq", "list")] == ["big"]


def test_doctor_does_not_propose_what_was_just_done(cli: CommandLine) -> None:
    cli.ok("init")
    cli.drop("notes.txt", b"milk")
    assert "--fix mends what it can" in cli("doctor").err
    assert "--fix" not in cli("doctor", "--fix").err


@pytest.mark.parametrize(("columns", "cut"), [("60", False), ("100", True), ("200", False)])
def test_a_command_is_never_left_out_and_never_cut_unseen(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, columns: str, cut: bool
) -> None:
    cli.ok("enqueue", "--id", "a-job-of-a-longer-name", "--", "program", "x" * 80)
    monkeypatch.setattr(system, "is_interactive", lambda stream: stream is sys.stdout)
    monkeypatch.setenv("COLUMNS", columns)
    out = cli.ok("list").out
    assert "COMMAND" in out
    assert "program x" in out
    assert ("…" in out) is cut
    assert ("x" * 80 in out) is not cut


class TestFollowing:
    """`logs --follow`, with a clock of its own."""

    def out(self, monkeypatch: pytest.MonkeyPatch, written: Callable[[bytes], object]) -> io.BytesIO:
        class Out(io.BytesIO):
            def write(self, data: Any) -> int:
                count = super().write(data)
                written(bytes(data))
                return count

        raw = Out()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
        return raw

    def test_prints_once_what_is_written_while_it_prints(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log, more = tmp_path / "a.log", [b"two\n"]
        log.write_bytes(b"one\n")

        def written(_: bytes) -> None:
            if more:
                with open(log, "ab") as file:
                    file.write(more.pop())

        raw = self.out(monkeypatch, written)
        followed = FollowedLog(str(log), put, 10_000)
        for _ in range(2):
            followed.print_more()
        assert raw.getvalue() == b"one\ntwo\n"

    @pytest.mark.parametrize(("ends_after", "told"), [(2, False), (5, True)])
    def test_says_that_nobody_works_only_when_nobody_came(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, ends_after: int, told: bool
    ) -> None:
        """`worker start &` has just been typed, and needs a moment."""
        cli.ok("enqueue", "--id", "a", "--", "x")
        clock = [0.0]

        def sleep(_: float) -> None:
            clock[0] += 1
            if clock[0] == ends_after:
                (cli.spool / "pending" / "a.json").rename(cli.spool / "done" / "a.json")

        monkeypatch.setattr(system, "monotonic", lambda: clock[0])
        monkeypatch.setattr(system, "sleep", sleep)
        assert ("no worker runs" in cli.ok("logs", "a", "--follow").err) is told


def test_stopping_says_what_it_waits_for(
    cli: CommandLine, worker: LivingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ok("enqueue", "--id", "long", "--", "x")
    worker.claim()
    clock = [0.0]

    def sleep(_: float) -> None:
        clock[0] += 0.5
        if clock[0] == 3:
            worker._worker.close()

    monkeypatch.setattr(system, "monotonic", lambda: clock[0])
    monkeypatch.setattr(system, "sleep", sleep)
    answer = cli.ok("worker", "stop").err
    assert answer.count("waiting for long to end") == 1
    assert answer.endswith("stopped 1 worker\n")


def test_a_log_for_machines_is_one_from_its_first_line_on(cli: CommandLine) -> None:
    """Though the spool must be made first."""
    lines = cli.ok("worker", "start", "--drain", "--log-format", "json").err.splitlines()
    assert [json.loads(line)["kind"] for line in lines][:2] == ["new_spool", "worker_started"]
