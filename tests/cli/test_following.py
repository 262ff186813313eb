"""`logs --follow`: each byte once, whatever becomes of the log, through all attempts to the end for good."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, Callable

import click
import pytest

from queuectl import system
from queuectl.cli import following
from queuectl.cli.following import FollowedLog
from queuectl.joblog import trim_log
from tests.support.commandline import CommandLine, LivingWorker

LIMIT = 4096


class Followed:
    """A log that is followed, and what was shown of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shown = b""
        self.log = FollowedLog(str(path), self._write, LIMIT)

    def _write(self, data: bytes) -> None:
        self.shown += data

    def prints(self, data: bytes) -> None:
        with open(self.path, "ab") as file:
            file.write(data)

    def cut(self) -> None:
        trim_log(str(self.path), LIMIT)


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Followed:
    monkeypatch.setattr(system, "sleep", lambda seconds: None)
    return Followed(tmp_path / "a.log")


def lines(first: int, count: int, width: int = 10) -> bytes:
    return b"".join(b"%0*d\n" % (width - 1, number) for number in range(first, first + count))


class TestLog:
    def test_one_that_is_not_there_yet(self, followed: Followed) -> None:
        followed.log.print_more()
        followed.prints(b"one\n")
        followed.log.print_more()
        followed.log.print_more()
        assert (followed.shown, followed.log.printed) == (b"one\n", True)

    @pytest.mark.parametrize("step", [7, 100, 1000])
    @pytest.mark.parametrize("width", [10, 3000])
    def test_cut_again_and_again_it_is_shown_whole(
        self, followed: Followed, capsys: pytest.CaptureFixture[str], step: int, width: int
    ) -> None:
        """Cut in lines and, where one is too long for that, within them."""
        whole = lines(0, 20_000 // width * 3, width)
        for begin in range(0, len(whole), step):
            followed.prints(whole[begin : begin + step])
            followed.log.print_more()
            followed.cut()
            followed.log.print_more()
        assert b"bytes cut here" in followed.path.read_bytes(), "the control: it was cut"
        assert followed.shown == whole
        assert capsys.readouterr().err == ""

    def test_what_was_cut_unseen_is_told_and_the_rest_comes_once(
        self, followed: Followed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        whole = lines(0, 600)
        followed.prints(whole[:2000])
        followed.log.print_more()
        followed.prints(whole[2000:])
        followed.cut()
        followed.log.print_more()
        tail = followed.shown[2000:]
        assert whole.endswith(tail)
        assert f"{len(whole) - 2000 - len(tail)} bytes were cut" in capsys.readouterr().err
        followed.prints(lines(600, 150))
        followed.cut()
        followed.log.print_more()
        assert followed.shown == whole[:2000] + tail + lines(600, 150)
        assert capsys.readouterr().err == ""

    def test_a_cut_behind_what_was_shown_is_shown_as_it_stands_there(
        self, followed: Followed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        whole = lines(0, 600)
        followed.prints(whole[:500])
        followed.log.print_more()
        followed.prints(whole[500:])
        followed.cut()
        followed.log.print_more()
        assert followed.shown == followed.path.read_bytes()
        followed.prints(lines(600, 150))
        followed.cut()
        followed.log.print_more()
        assert followed.shown.endswith(lines(599, 151))
        assert followed.shown.count(b"bytes cut here") == 1
        assert capsys.readouterr().err == ""

    def test_one_that_grew_beyond_where_we_were_after_it_was_cut(self, followed: Followed) -> None:
        """Its size alone tells nothing."""
        whole = lines(0, 700)
        followed.prints(whole[:4000])
        followed.log.print_more()
        followed.prints(whole[4000:4200])
        followed.cut()
        followed.prints(whole[4200:])
        assert followed.path.stat().st_size > 4000
        followed.log.print_more()
        assert followed.shown == whole

    def test_followed_from_behind_a_cut_on(self, followed: Followed) -> None:
        whole = lines(0, 600)
        followed.prints(whole)
        followed.cut()
        followed.log.print_more()
        assert followed.shown == followed.path.read_bytes()
        for begin in range(600, 1200, 50):
            followed.prints(lines(begin, 50))
            followed.log.print_more()
            followed.cut()
        assert followed.shown.endswith(lines(599, 601))
        assert followed.shown.count(b"bytes cut here") == 1

    def test_one_that_is_removed_and_made_anew(self, followed: Followed, tmp_path: Path) -> None:
        followed.prints(b"a long line of the first attempt\n")
        followed.log.print_more()
        # Kept open, so that its number is not given to the next one.
        with open(followed.path, "rb"):
            (tmp_path / "new").write_bytes(b"second attempt, of which the line is longer\n")
            os.replace(tmp_path / "new", followed.path) if os.name != "nt" else None
            if os.name == "nt":
                pytest.skip("what is open cannot be replaced")
            followed.log.print_more()
        assert followed.shown.endswith(b"attempt\nsecond attempt, of which the line is longer\n")

    def test_one_that_somebody_has_emptied(self, followed: Followed) -> None:
        followed.prints(b"one and some more\n")
        followed.log.print_more()
        followed.path.write_bytes(b"two\n")
        followed.log.print_more()
        assert followed.shown == b"one and some more\ntwo\n"

    def test_while_nothing_comes_it_is_hardly_read(
        self, followed: Followed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        followed.prints(lines(0, 100))
        followed.log.print_more()
        looks: list[object] = []
        monkeypatch.setattr(following, "find_cut", lambda *_: looks.append(None))
        for _ in range(5):
            followed.log.print_more()
        assert looks == []

    def test_one_that_is_just_being_cut_is_not_shown_anew(
        self, followed: Followed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = lines(0, 500)
        followed.prints(whole)
        followed.log.print_more()
        followed.cut()
        cut = followed.path.read_bytes()
        followed.path.write_bytes(cut[:1000])
        monkeypatch.setattr(system, "sleep", lambda seconds: followed.path.write_bytes(cut))
        followed.log.print_more()
        assert followed.shown == whole


class TestAttempts:
    """With a clock of its own: what happens at each pause is written down."""

    @pytest.fixture
    def at(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, Callable[[], object]]], None]:
        def script(acts: dict[int, Callable[[], object]]) -> None:
            pauses = [0]

            def sleep(_: float) -> None:
                pauses[0] += 1
                assert pauses[0] < 100, "it ends"
                acts.get(pauses[0], lambda: None)()

            monkeypatch.setattr(system, "sleep", sleep)

        return script

    def test_it_goes_on_through_retries_and_tells_of_them(
        self, cli: CommandLine, worker: LivingWorker, at: Any
    ) -> None:
        cli.ok("config", "set", "backoff_base", "0")
        cli.ok("enqueue", "--id", "a", "--max-retries", "1", "--", "x")
        at({2: lambda: worker.run(3, printed=b"one\n"), 5: lambda: worker.run(4, printed=b"two\n")})
        result = cli.ok("logs", "a", "--follow")
        assert result.out.replace("\r\n", "\n") == "one\ntwo\n", "nothing of ours is among it"
        assert result.err.splitlines() == [
            "attempt 1 failed (exit code 3); next at once",
            "attempt 2 failed (exit code 4)",
            "a is dead: exit code 4",
        ]

    def test_one_that_waits_for_its_retry(self, cli: CommandLine, worker: LivingWorker, at: Any) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        worker.run(3, printed=b"one\n")
        at({3: lambda: cli_moved(cli, "failed", "done")})
        assert "attempt 1 failed (exit code 3); next at 20" in cli.ok("logs", "a", "--follow").err

    def test_attempts_that_went_by_unseen(self, cli: CommandLine, worker: LivingWorker, at: Any) -> None:
        cli.ok("config", "set", "backoff_base", "0")
        cli.ok("enqueue", "--id", "a", "--max-retries", "5", "--", "x")

        def both() -> None:
            worker.run(3)
            worker.run(4)
            worker.run(0)

        at({1: both})
        assert cli.ok("logs", "a", "--follow").err.splitlines()[:3] == [
            "attempt 1 failed (exit code 3)",
            "attempt 2 failed (exit code 4)",
            "a has completed",
        ]

    def test_one_that_is_cancelled(self, cli: CommandLine, at: Any) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        at({2: lambda: cli_cancel(cli)})
        told = ["a is dead: cancelled", "a has printed nothing"]
        assert cli.ok("logs", "a", "--follow").err.splitlines() == told

    def test_one_that_is_cancelled_before_its_retry(
        self, cli: CommandLine, worker: LivingWorker, at: Any
    ) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        worker.run(3, printed=b"one\n")
        at({2: lambda: cli_cancel(cli)})
        first, last = cli.ok("logs", "a", "--follow").err.splitlines()
        assert (first.split(";")[0], last) == ("attempt 1 failed (exit code 3)", "a is dead: cancelled")

    def test_one_that_is_skipped(self, cli: CommandLine, worker: LivingWorker, at: Any) -> None:
        cli.ok("enqueue", "--id", "parent", "--", "x")
        cli.ok("enqueue", "--id", "a", "--after-failure", "parent", "--", "x")
        at({2: worker.run, 3: worker.look})
        told = cli.ok("logs", "a", "--follow").err.splitlines()[0]
        assert told == "a was skipped: only for a failure of parent, which has completed"

    def test_one_that_is_deleted(self, cli: CommandLine, at: Any) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        at({2: (cli.spool / "pending" / "a.json").unlink})
        told = ["a was deleted", "a has printed nothing"]
        assert cli.ok("logs", "a", "--follow").err.splitlines() == told

    @pytest.mark.parametrize(("folder", "end"), [("done", "has completed"), ("dead", "is dead")])
    def test_one_that_is_put_there_by_hand(self, cli: CommandLine, at: Any, folder: str, end: str) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        at({2: lambda: cli_moved(cli, "pending", folder)})
        told = cli.ok("logs", "a", "--follow").err.splitlines()[0]
        assert told == f"a {end}: put there by hand"

    def test_one_whose_file_cannot_be_read_in_the_end(self, cli: CommandLine, at: Any) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")

        def spoil() -> None:
            (cli.spool / "pending" / "a.json").unlink()
            cli.drop("a.json", b"{", "dead")

        at({2: spoil})
        assert cli.ok("logs", "a", "--follow").err.splitlines()[0] == "a is dead"

    def test_its_error_acts_on_no_terminal(self, cli: CommandLine, worker: LivingWorker, at: Any) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        worker.run(3)
        record = cli.record("failed", "a")
        record["history"][-1]["error"] = "\x1b[2J\nx"
        cli.drop("a.json", record, "failed")
        at({3: lambda: cli_moved(cli, "failed", "done")})
        assert "attempt 1 failed (\\x1b[2J\\nx); next" in cli.ok("logs", "a", "--follow").err


def cli_moved(cli: CommandLine, source: str, target: str) -> None:
    os.rename(cli.spool / source / "a.json", cli.spool / target / "a.json")


def cli_cancel(cli: CommandLine) -> None:
    from queuectl.queue import Queue

    with Queue.open(str(cli.spool)) as queue:
        queue.cancel(["a"])


@pytest.mark.parametrize(
    ("options", "told"), [([], ""), (["--follow"], "a has completed\n")], ids=["whole", "followed"]
)
def test_on_a_terminal_what_ends_within_a_character_is_shown(
    cli: CommandLine, worker: LivingWorker, monkeypatch: pytest.MonkeyPatch, options: list[str], told: str
) -> None:
    cli.ok("enqueue", "--id", "a", "--", "x")
    worker.run(printed=b"end \xc3")
    monkeypatch.setattr(system, "is_interactive", lambda stream: True)
    monkeypatch.setattr(following, "say", click.echo)
    assert cli.ok("logs", "a", *options).out == f"end \ufffd{told}", "before it is told what has become of it"


class TestHeld:
    """The log, by a program that gives it to nobody (Windows)."""

    @pytest.fixture
    def held(self, monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
        """Met one by one by those who open it."""
        errors: list[OSError] = []
        opens = system.open_to_read

        def refused(path: str, flags: int) -> int:
            if errors:
                raise errors.pop()
            return opens(path, flags)

        monkeypatch.setattr(system, "open_to_read", refused)
        monkeypatch.setattr(system, "is_transient", lambda error: isinstance(error, PermissionError))
        return errors

    def test_what_is_not_free_is_read_at_the_next_look(self, followed: Followed, held: list[OSError]) -> None:
        followed.prints(b"one\n")
        held.append(PermissionError(13, "held"))
        followed.log.print_if_free()
        assert followed.shown == b""
        followed.log.print_if_free()
        assert followed.shown == b"one\n"

    def test_for_good_it_is_told(self, followed: Followed, held: list[OSError]) -> None:
        followed.prints(b"one\n")
        held += [OSError(5, "broken"), PermissionError(13, "held")]
        with pytest.raises(PermissionError):
            followed.log.print_more()
        with pytest.raises(OSError, match="broken"):
            followed.log.print_if_free()

    def test_whoever_follows_stops_nobody_from_removing_it(self, followed: Followed) -> None:
        followed.prints(b"one\n")
        with open(followed.path, "rb", opener=system.open_to_read):
            system.remove(str(followed.path), patience=0.0)
        assert not followed.path.exists()


def test_what_is_not_followed_is_printed_as_it_lies_there(
    cli: CommandLine, worker: LivingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ok("config", "set", "log_max_bytes", "1024")
    cli.ok("enqueue", "--id", "a", "--", "x")
    worker.run(printed=lines(0, 500))
    trim_log(str(cli.spool / "logs" / "a.log"), 1024)
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    from queuectl.cli import run

    assert run(["logs", "a"]) == 0
    assert out.buffer.getvalue() == (cli.spool / "logs" / "a.log").read_bytes()  # type: ignore[attr-defined]
