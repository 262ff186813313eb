"""Whoever reads what a command prints is gone, or was never there: its exit code says what it says anyway."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Callable, NamedTuple, Optional

import pytest

from queuectl import cli as program
from queuectl import system
from tests.support.commandline import CommandLine, LivingWorker


class End(NamedTuple):
    """How a job has ended: its state, the outcome and the exit code of its run, and the code told of it."""

    state: str
    outcome: Optional[str]
    code: Optional[int]
    told: int


ENDS = {
    "completed": End("done", "completed", 3, 0),
    "failed": End("dead", "failed", 5, 5),
    "failed with 0": End("dead", "failed", 0, 1),
    "killed": End("dead", "failed", -9, 137),
    "timed out": End("dead", "timeout", -9, 124),
    "not started": End("dead", "failed", None, 127),
    "cancelled": End("dead", None, None, 1),
    "deleted": End("", None, None, 3),
    "no job": End("dead", "", None, 6),
    "goes on": End("pending", None, None, 125),
    "ctrl+c": End("pending", None, None, 130),
}
STREAMS = ("stdout", "stderr", "both")


@contextmanager
def unread(stream: str) -> Iterator[None]:
    """Nobody reads this one any more."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        for name in ("stdout", "stderr") if stream == "both" else (stream,):
            reads, writes = os.pipe()
            os.close(reads)
            # Closed as Python does it at exit, which must find nothing to complain of.
            patch.setattr(sys, name, stack.enter_context(open(writes, "w", encoding="utf-8")))
        yield


def run(*args: str) -> int:
    return program.run(list(args))


def put(cli: CommandLine, end: End) -> None:
    """Have job `a` come to this end."""
    with suppress(FileNotFoundError):
        (cli.spool / "pending" / "a.json").unlink()
    if end.outcome == "":
        cli.drop("a.json", b"{", end.state)
    elif end.state:
        error = None if end.state == "done" else end.outcome or "cancelled"
        of_run = {"outcome": end.outcome, "attempt": 1, "exit_code": end.code, "error": error}
        cli.drop(
            "a.json",
            {
                "command": "x",
                "state": "completed" if end.state == "done" else end.state,
                "exit_code": end.code,
                "error": error,
                "history": [of_run] if end.outcome else [],
            },
            end.state,
        )


def interrupted() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def at_a_pause(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Time passes only while somebody waits; this is done then, once, after all has been said."""

    def script(act: Callable[[], object]) -> None:
        now, left = [0.0], [act]

        def sleep(seconds: float) -> None:
            now[0] += max(seconds, 0.01)
            assert now[0] < 1000, "it ends"
            if now[0] > 5 and left:
                left.pop()()

        monkeypatch.setattr(system, "monotonic", lambda: now[0])
        monkeypatch.setattr(system, "sleep", sleep)

    return script


def script_of(cli: CommandLine, name: str) -> Callable[[], object]:
    return interrupted if name == "ctrl+c" else lambda: put(cli, ENDS[name])


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", ENDS)
class TestEachCode:
    """Nobody works meanwhile, so there is a hint on stderr before it ends."""

    def test_wait(self, cli: CommandLine, at_a_pause: Any, name: str, stream: str, as_json: bool) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        at_a_pause(script_of(cli, name))
        with unread(stream):
            code = run("wait", "a", "--timeout", "10", *(["--json"] if as_json else []))
        assert code == ENDS[name].told

    def test_enqueue(self, cli: CommandLine, at_a_pause: Any, name: str, stream: str, as_json: bool) -> None:
        cli.ok("init")
        at_a_pause(script_of(cli, name))
        words = ["--wait", "--wait-limit", "10", "--id", "a", *(["--json"] if as_json else []), "--", "x"]
        with unread(stream):
            code = run("enqueue", *words)
        assert code == ENDS[name].told


def test_one_that_ended_before(cli: CommandLine) -> None:
    cli.ok("init")
    for name, end in ENDS.items():
        if end.state in ("done", "dead"):
            put(cli, end)
            for stream in STREAMS:
                with unread(stream):
                    assert (name, run("wait", "a")) == (name, end.told)
            (cli.spool / end.state / "a.json").unlink()
    with unread("stderr"):
        assert run("wait", "nobody") == 3


def test_what_only_shows_has_shown_enough(cli: CommandLine) -> None:
    cli.ok("enqueue", "--id", "a", "--", "x")
    for args in (["list"], ["status"], ["show", "a"], ["status", "--json"]):
        with unread("stdout"):
            assert run(*args) == 0


def test_doctor_has_found_something(cli: CommandLine) -> None:
    cli.ok("init")
    cli.drop("notes.txt", b"milk")
    for args in (["doctor"], ["doctor", "--json"]):
        with unread("both"):
            assert run(*args) == 1


class TestNeverThere:
    """Started with `>&-`: Python has no such stream."""

    def test_enqueue_and_wait(
        self, cli: CommandLine, worker: LivingWorker, at_a_pause: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_a_pause(lambda: put(cli, ENDS["failed"]))
        monkeypatch.setattr(sys, "stdout", None)
        monkeypatch.setattr(sys, "stderr", None)
        assert run("enqueue", "--wait", "--id", "a", "--", "x") == 5

    @pytest.mark.parametrize("options", [[], ["--follow"], ["--raw"]], ids=" ".join)
    def test_logs(
        self, cli: CommandLine, worker: LivingWorker, monkeypatch: pytest.MonkeyPatch, options: list[str]
    ) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        worker.run(printed=b"one\n")
        monkeypatch.setattr(sys, "stdout", None)
        assert run("logs", "a", *options) == 0


def test_json_of_an_error_that_nobody_hears(cli: CommandLine) -> None:
    cli.ok("init")
    with unread("stderr"):
        assert run("wait", "nobody", "--json") == 3
    assert json.loads(cli("wait", "nobody", "--json").err)["exit_code"] == 3
