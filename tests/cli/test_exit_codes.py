"""Each documented exit code, brought about by what brings it about in life; always one clear line."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from queuectl import cli as program
from queuectl import locks
from queuectl.queue import Queue
from tests.support.commandline import CommandLine, LivingWorker

WINDOWS = sys.platform == "win32"
ROOT_USER = not WINDOWS and os.geteuid() == 0


def test_1_doctor_has_found_something(cli: CommandLine) -> None:
    cli.ok("init")
    cli.drop("notes.txt", b"milk")
    result = cli("doctor")
    assert result.code == 1
    assert "pending/notes.txt" in result.out
    assert cli("doctor", "--fix").code == 1, "it cannot be mended without asking"
    (cli.spool / "pending" / "notes.txt").unlink()
    assert "all is well" in cli.ok("doctor").err


@pytest.mark.parametrize(
    "args",
    [
        ("list", "--state", "lost"),
        ("list", "--limit", "-1"),
        ("list", "surplus"),
        ("show",),
        ("cancel",),
        ("retry",),
        ("dlq", "retry"),
        ("dlq", "retry", "--all", "x"),
        ("config", "get", "nothing"),
        ("config", "set", "max_retries"),
        ("worker", "start", "--count", "0"),
        ("worker", "start", "--count", "many"),
        ("worker", "start", "--log-format", "xml"),
        ("run", "no-such-file.json"),
        ("run", "--count", "0"),
    ],
    ids=" ".join,
)
def test_2_what_cannot_be_meant(cli: CommandLine, args: tuple[str, ...]) -> None:
    cli.ok("init")
    before = cli.files()
    cli.fails(2, *args)
    assert cli.files() == before


@pytest.mark.parametrize(
    "args",
    [
        ("show", "nobody"),
        ("logs", "nobody"),
        ("logs", "nobody", "--follow"),
        ("cancel", "nobody"),
        ("cancel", "waits", "nobody"),
        ("retry", "nobody"),
        ("dlq", "show", "nobody"),
        ("dlq", "retry", "nobody"),
        ("dlq", "purge", "--yes", "nobody"),
        ("show", "../pending/waits"),
        ("show", "a:b"),
        ("show", ""),
    ],
    ids=" ".join,
)
def test_3_no_such_job(cli: CommandLine, args: tuple[str, ...]) -> None:
    cli.ok("enqueue", "--id", "waits", "--", "x")
    before = cli.files()
    line = cli.fails(3, *args)
    assert repr(args[-1] if args[-1] != "--follow" else "nobody") in line
    assert cli.files() == before, "all or none"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("enqueue", "--id", "waits", "--", "x"), "'waits' is in this spool already (pending)"),
        (("enqueue", "--id", "WAITS", "--", "x"), "'WAITS' is in this spool already"),
        (("enqueue", "--id", "done", "--", "x"), "(completed)"),
        (("retry", "waits"), "'waits' is pending"),
        (("retry", "done", "waits"), "'waits' is pending"),
        (("cancel", "done"), "'done' is completed"),
        (("dlq", "retry", "done"), "'done' is completed, not dead"),
        (("dlq", "show", "done"), "'done' is completed, not dead"),
        (("dlq", "purge", "--yes", "done"), "'done' is completed, not dead"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_4_conflict(cli: CommandLine, worker: LivingWorker, args: tuple[str, ...], words: str) -> None:
    cli.ok("enqueue", "--id", "done", "--", "x")
    worker.run()
    cli.ok("enqueue", "--id", "waits", "--", "x")
    before = cli.files()
    assert words in cli.fails(4, *args)
    assert cli.files() == before


def test_5_busy_claim_lock(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("enqueue", "--id", "waits", "--", "x")
    before = cli.files()
    # The default deadline is half a minute.
    monkeypatch.setattr(locks.exclusive.__wrapped__, "__defaults__", (0.1,))  # type: ignore[attr-defined]
    held = locks.try_lock(str(cli.spool / "locks" / "claim.lock"))
    assert held is not None
    try:
        assert "try again" in cli.fails(5, "cancel", "waits")
        assert "claim.lock" in cli.fails(5, "enqueue", "--", "x")
        assert cli.json("list")[0]["id"] == "waits", "looking needs no lock"
    finally:
        held.release()
    assert cli.files() == before
    cli.ok("cancel", "waits")


@pytest.mark.parametrize("mode", ["NORMAL", "EXCLUSIVE"])
def test_5_busy_index(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """Another program sits on the database, before or after our opening it. It is not taken for damaged."""
    from queuectl.index import connection

    cli.ok("config", "set", "max_retries", "4")
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.1)
    other = sqlite3.connect(str(cli.spool / "index.sqlite3"), isolation_level=None)
    try:
        other.execute(f"PRAGMA locking_mode = {mode}")
        other.execute("BEGIN EXCLUSIVE")
        assert "try again" in cli.fails(5, "config", "set", "max_retries", "5")
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert cli.ok("config", "get", "max_retries").out == "4\n"
    cli.ok("config", "set", "max_retries", "5")
    assert [path.name for path in cli.spool.glob("index*")] == ["index.sqlite3"]


def test_5_busy_worker(cli: CommandLine, worker: LivingWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that does not end its job in time (this one never looks)."""
    cli.ok("enqueue", "--id", "runs", "--", "x")
    worker.claim()
    cancel = Queue.cancel
    monkeypatch.setattr(Queue, "cancel", lambda self, ids: cancel(self, ids, deadline=0.1))
    assert "'runs' still runs" in cli.fails(5, "cancel", "runs")


def test_6_damaged_record(cli: CommandLine) -> None:
    cli.ok("init")
    cli.drop("torn.json", b'{"command": "x"', "done")
    line = cli.fails(6, "show", "torn")
    assert "done/torn.json" in line
    cli.drop("bad.json", b'{"comand": "x"}', "dead")
    line = cli.fails(6, "dlq", "retry", "bad")
    assert "dead/bad.json" in line
    assert "'comand'" in line
    assert "mend the file" in line
    assert "bad" in cli.fails(6, "dlq", "show", "bad")
    before = cli.files()
    cli.fails(6, "retry", "torn")
    assert cli.files() == before
    assert {job["id"] for job in cli.json("list")} == {"torn", "bad"}, "it is listed all the same"


def test_7_a_folder_that_holds_other_files(cli: CommandLine) -> None:
    (cli.here / "photos").mkdir()
    (cli.here / "photos" / "cat.jpg").write_bytes(b"miau")
    line = cli.fails(7, "--spool", "photos", "status")
    assert "no spool and holds other files" in line
    assert "init" in line
    assert os.listdir(cli.here / "photos") == ["cat.jpg"]
    assert cli("--spool", "photos", "init").code == 0, "who says so gets it"
    assert cli("--spool", "photos", "status").code == 0
    assert (cli.here / "photos" / "cat.jpg").read_bytes() == b"miau"


@pytest.mark.parametrize(
    "args", [("status",), ("init",), ("enqueue", "--", "x"), ("worker", "start", "--drain")]
)
def test_7_a_file_where_the_spool_should_be(cli: CommandLine, args: tuple[str, ...]) -> None:
    (cli.here / "file").write_bytes(b"")
    assert "file" in cli.fails(7, "--spool", "file", *args)
    assert "file" in cli.fails(7, "--spool", os.path.join("file", "below"), *args)


@pytest.mark.skipif(WINDOWS or ROOT_USER, reason="needs a folder that may not be written: not as root")
def test_7_a_spool_that_may_not_be_written(cli: CommandLine) -> None:
    cli.ok("enqueue", "--id", "waits", "--", "x")
    folder = cli.spool / "tmp"
    folder.chmod(0o500)
    try:
        assert "tmp" in cli.fails(7, "enqueue", "--", "x")
        assert cli.json("list")[0]["id"] == "waits"
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("number", [28, 13, 30, 5])
def test_7_the_disk_does_not_take_it(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Full (28), not allowed (13), read-only (30), broken (5): nothing is enqueued, nothing left behind."""
    from queuectl import system

    cli.ok("init")
    before = cli.files()

    def refuses(files: Iterable[tuple[str, bytes]]) -> None:
        raise OSError(number, os.strerror(number), next(iter(files))[0])

    with monkeypatch.context() as patch:
        patch.setattr(system, "write_files", refuses)
        line = cli.fails(7, "enqueue", "--", "x")
    assert os.strerror(number) in line
    assert cli.files() == before


def test_a_damaged_index_is_made_anew(cli: CommandLine) -> None:
    cli.ok("enqueue", "--id", "waits", "--", "x")
    for path in cli.spool.glob("index.sqlite3*"):
        path.write_bytes(b"this is no database, and long enough to be looked at" * 100)
    assert [job["id"] for job in cli.json("list")] == ["waits"]
    (cli.spool / "index.sqlite3").unlink()
    (cli.spool / "index.sqlite3").mkdir()
    assert [job["id"] for job in cli.json("list")] == ["waits"]
    assert "index" in cli.fails(7, "config", "set", "max_retries", "5"), "what is not kept is not said to be"


def test_130_interrupted(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("init")

    def interrupted(self: Queue) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Queue, "status", interrupted)
    result = cli("status")
    # An empty line first: the terminal shows ^C there.
    assert (result.code, result.out, result.err.strip()) == (130, "", "queuectl: interrupted")


def test_a_mistake_of_our_own_is_not_hidden(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be reported, with its traceback: no message could help the user."""

    def mistaken(self: Queue) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Queue, "status", mistaken)
    with pytest.raises(ZeroDivisionError):
        cli("status")


def test_main_exits_with_the_code(cli: CommandLine, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        program.main(["show", "nobody"])
    assert exited.value.code == 3
    assert "'nobody'" in capsys.readouterr().err


def test_nothing_is_left_open(cli: CommandLine, tmp_path: Path) -> None:
    """On Windows an open file would keep the spool from being moved."""
    cli.ok("enqueue", "--id", "a", "--", "x")
    for args in (("status",), ("list",), ("show", "a"), ("show", "nobody"), ("doctor",), ("reindex",)):
        cli(*args)
    os.rename(cli.spool, tmp_path / "moved")
    assert cli("--spool", "moved", "show", "a").code == 0
