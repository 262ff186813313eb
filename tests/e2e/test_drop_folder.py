"""Files that appear in pending/ while a worker runs, in every way in which files appear."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.ledger import Ledger
from tests.support.program import WINDOWS, Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def write_slowly(path: Path, data: bytes, *, parts: int, pause: float) -> None:
    """As a copy over a slow network does."""
    size = -(-len(data) // parts)
    with open(path, "wb") as file:
        for start in range(0, len(data), size):
            if start:
                time.sleep(pause)
            file.write(data[start : start + size])
            file.flush()


def test_each_file_runs_once_however_it_comes(program: Program, ledger: Ledger) -> None:
    program.make(settle_time="4")
    pending = program.spool / "pending"

    def text(name: str, **fields: Any) -> str:
        return json.dumps(ledger.job(name, **fields), indent=2)

    with program.workers(2) as worker:
        # Slower in all than settle_time, but never still for that long.
        slow = threading.Thread(
            target=write_slowly,
            args=(pending / "slow.json", text("slow").encode()),
            kwargs={"parts": 4, "pause": 1.5},
        )
        slow.start()
        (program.here / "copied.json").write_text(text("copied"), encoding="utf-8")
        shutil.copyfile(program.here / "copied.json", pending / "copied.json")
        program.drop("moved.json", ledger.job("moved"))
        (pending / "bom.json").write_bytes(b"\xef\xbb\xbf" + text("bom").encode())
        (pending / "utf16.json").write_bytes(b"\xff\xfe" + text("utf16").encode("utf-16-le"))
        (pending / "utf16be.json").write_bytes(b"\xfe\xff" + text("utf16be").encode("utf-16-be"))
        (pending / "crlf.json").write_bytes(text("crlf").replace("\n", "\r\n").encode())
        # An editor: a file of another name beside it, then a rename over it.
        (pending / "edited.json").write_bytes(b"")
        (pending / "edited.json.tmp").write_text(text("edited"), encoding="utf-8")
        os.replace(pending / "edited.json.tmp", pending / "edited.json")
        # Explorer: New > Text Document, whose extension it hides; then Notepad.
        (pending / "notepad.json.txt").write_bytes(b"")
        (pending / "notepad.json.txt").write_text(text("notepad"), encoding="utf-8")
        # Common fields of other tools.
        foreign = {"id": "foreign", "state": "pending", "attempts": 0, "max_retries": 2}
        stamps = {"created_at": "2026-01-01T00:00:00", "updated_at": "2026-01-01T00:00:00Z"}
        program.drop("foreign.json", ledger.job("foreign", **foreign, **stamps))

        names = ["copied", "moved", "bom", "utf16", "utf16be", "crlf", "edited", "notepad", "foreign"]
        program.wait_in("done", *names)
        slow.join()
        program.wait_in("done", "slow")

        # A second file of a known name does not replace it.
        program.drop("moved.json", ledger.job("moved again"))
        program.wait_in("done", "moved-2")
        # What is no job's name is left alone and holds nothing up.
        (pending / "desktop.ini").write_bytes(b"[.ShellClassInfo]")
        (pending / "notes.txt").write_bytes(b"milk, eggs")
        (pending / "~$moved.json").write_bytes(b"\x05")
        program.drop("last.json", ledger.job("last"))
        program.wait_in("done", "last")
        wait_until(lambda: program.names("processing") != [], "the workers live")
        assert sorted(program.names("pending")) == ["desktop.ini", "notes.txt", "~$moved.json"]

        assert program.ok("worker", "stop").code == 0
        assert worker.end().code == 0

    assert {name: ledger.words(name) for name in ledger.names()} == {
        name: ["start", "end"] for name in [*names, "slow", "moved again", "last"]
    }
    assert program.names("dead") == []
    assert program.left_behind() == []
    status = program.json("status")
    assert status["counts"]["completed"] == len(names) + 3
    assert [text for text in status["problems"] if "notes.txt" in text], "status tells of the stray file"


def test_a_file_that_is_no_job_is_kept_told_of_and_taken_again_once_mended(
    program: Program, ledger: Ledger
) -> None:
    program.make(settle_time="0.2")
    bad = b'{\r\n  "command": ["x"],\r\n  "priorty": 5\r\n}\r\n'
    torn = b'\xff\xfe{\x00"\x00'
    with program.workers(1, "--log-format", "json") as worker:
        program.drop("bad.json", bad)
        program.drop("torn.json", torn)
        program.drop("good.json", ledger.job("good"))
        program.wait_in("done", "good")
        program.wait_in("dead", "bad.json", "bad.error.txt", "torn.json", "torn.error.txt")
        assert program.path("dead", "bad.json").read_bytes() == bad
        assert program.path("dead", "torn.json").read_bytes() == torn
        note = program.path("dead", "bad.error.txt").read_text(encoding="utf-8")
        for words in ("priorty", "line 3", "column 3", "did you mean 'priority'", "queuectl dlq retry bad"):
            assert words in note

        listed = program.json("dlq", "list")
        assert {job["id"] for job in listed} == {"bad", "torn"}
        assert all(job["state"] == "dead" for job in listed)
        assert "priorty" in next(job["error"] for job in listed if job["id"] == "bad")
        assert "priorty" in program.call("dlq", "retry", "bad").err
        assert program.call("dlq", "retry", "bad").code == 6
        assert program.path("dead", "bad.json").read_bytes() == bad

        program.path("dead", "bad.json").write_text(json.dumps(ledger.job("bad", priority=5)))
        answer = program.call("dlq", "retry", "--all")
        assert (answer.code, "torn" in answer.err) == (6, True), "what is still no job is told, and stays"
        program.wait_in("done", "bad")
        assert program.names("dead") == ["torn.error.txt", "torn.json"]
        program.ok("worker", "stop")
        log = worker.end()
    events = [json.loads(line) for line in log.err.splitlines()]
    assert all({"time", "kind"} <= event.keys() for event in events)
    kinds = {(event["kind"], event.get("job_id")) for event in events}
    assert {("file_refused", "bad"), ("file_refused", "torn"), ("job_completed", "good")} <= kinds
    assert ledger.words("bad") == ["start", "end"]


def test_what_a_person_does_in_the_folders_is_done(program: Program, ledger: Ledger) -> None:
    """Drag, rename, edit and delete, with a worker and without one."""
    program.make(max_retries="1", backoff_base="1000")
    program.ok("pause")
    with program.workers() as worker:
        for name in ("deleted", "renamed", "edited"):
            program.drop(f"{name}.json", ledger.job(name))
        program.drop("fails.json", ledger.job("fails", "run", 0, 3))
        program.drop("cured.json", ledger.job("cured", "run", 0, 3, max_retries=0))
        wait_until(lambda: program.json("status")["counts"]["pending"] == 5, "they are seen")
        program.path("pending", "deleted").unlink()
        os.replace(program.path("pending", "renamed"), program.path("pending", "other"))
        program.path("pending", "edited").write_text(json.dumps(ledger.job("edit")), encoding="utf-8")
        program.ok("resume")
        program.wait_in("done", "other", "edited")
        program.wait_in("failed", "fails")
        program.wait_in("dead", "cured")
        assert ledger.names() == ["cured", "edit", "fails", "renamed"]

        # From failed to pending: tried again now, with all attempts.
        os.replace(program.path("failed", "fails"), program.path("pending", "fails"))
        ledger.wait_started("fails", 2)
        program.wait_in("failed", "fails")
        wait_until(lambda: program.record("failed", "fails")["attempts"] == 1, "the attempts began anew")
        assert len(program.record("failed", "fails")["history"]) == 2
        program.ok("worker", "stop")
        assert worker.end().code == 0

    # And with no worker: the next command sees it.
    os.replace(program.path("dead", "cured"), program.path("pending", "cured"))
    job = next(job for job in program.json("list") if job["id"] == "cured")
    assert (job["state"], job["attempts"], job["exit_code"], job["error"]) == ("pending", 0, None, None)
    program.ok("worker", "start", "--drain")
    assert ledger.runs("cured") == 2
    assert ledger.overlaps() == []


@pytest.mark.skipif(WINDOWS, reason="FIFOs, and links that need no rights")
def test_what_is_no_plain_file_is_never_followed_and_blocks_nobody(program: Program, ledger: Ledger) -> None:
    program.make(settle_time="0.2")
    pending = program.spool / "pending"
    outside = program.here / "outside.json"
    outside.write_text(json.dumps(ledger.job("outside")), encoding="utf-8")
    with program.workers() as worker:
        os.mkfifo(pending / "fifo.json")
        os.symlink(outside, pending / "link.json")
        os.symlink("/dev/zero", pending / "endless.json")
        (pending / "folder.json").mkdir()
        (pending / "folder.json" / "inner.json").write_text(json.dumps(ledger.job("inner")))
        program.drop("deep.json", b'{"command": "x", "meta": ' + b'{"a": ' * 5000 + b"1" + b"}" * 5001)
        with open(pending / "huge.json", "wb") as file:
            file.truncate(5 << 20)
        program.drop("good.json", ledger.job("good"))
        program.wait_in("done", "good")
        program.wait_in("dead", "deep.json", "huge.json", "huge.error.txt")
        assert program.path("dead", "huge.json").stat().st_size == 5 << 20
        assert "max_job_bytes" in program.path("dead", "huge.error.txt").read_text(encoding="utf-8")
        problems = "\n".join(program.json("status")["problems"])
        for name in ("fifo.json", "link.json", "endless.json", "folder.json"):
            assert f"pending/{name}: not a plain file" in problems
        program.ok("worker", "stop")
        assert worker.end().code == 0
    assert ledger.names() == ["good"]
    assert program.names("pending") == ["endless.json", "fifo.json", "folder.json", "link.json"]
    assert json.loads(outside.read_text(encoding="utf-8")) == ledger.job("outside")
