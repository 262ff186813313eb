"""The tutorial, played: what its reader does in Explorer and Notepad with files, what they type as calls.

The commands of its jobs are for Windows: what is `type` there sh calls `cat`. `py` is this Python.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from queuectl.config import SETTINGS
from tests.docs.documents import marked_block, read
from tests.support.program import PATIENCE, WINDOWS, Program
from tests.support.waiting import wait_until

PAGE = "docs/tutorial-windows.md"
_NOT_PLAYED = re.compile(r"(mkdir|cd) \$HOME\\Jobs$")
"""The test is there already."""


def in_notepad(path: Path, text: str, encoding: str = "utf-8") -> None:
    """Save it as Notepad does: over what is there, in its place."""
    with open(path, "w", encoding=encoding, newline="\r\n") as file:
        file.write(text)


def job(step: str) -> str:
    """What the page has its reader write."""
    text = marked_block(PAGE, f"step: {step}").text
    return text if WINDOWS else text.replace("type ", "cat ")


def drag(path: Path, folder: Path) -> None:
    """Move it in Explorer, which asks to try again while somebody reads it."""

    def moved() -> bool:
        try:
            os.replace(path, folder / path.name)
        except PermissionError:
            return False
        return True

    wait_until(moved, f"{path} has moved to {folder}", PATIENCE)


def call(program: Program, step: str) -> str:
    """Type the lines of a step, each of which must say what stands behind it; what they said."""
    said = []
    for line in marked_block(PAGE, f"step: {step}").lines:
        code, _, comment = line.partition("  #")
        if _NOT_PLAYED.match(code):
            continue
        first, *words = [sys.executable if word == "py" else word for word in shlex.split(code)]
        assert first == "queuectl", line
        result = program.ok(*words, spool=False)
        told = f"{result.out}{result.err}"
        for part in filter(None, comment.strip().split(", ")):
            assert re.search(r"\s+".join(map(re.escape, part.split())), told), f"{line}\n{told}"
        said.append(told)
    return "".join(said)


def is_idle(program: Program) -> bool:
    counts = program.json("status")["counts"]
    return bool(counts["pending"] == counts["processing"] == 0)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.mark.e2e
@pytest.mark.timeout(300)  # some thirty calls, each of which takes seconds on a Windows that is busy
def test_the_tutorial_does_what_it_says(program: Program) -> None:
    spool = program.spool
    assert str(spool) in call(program, "make")
    assert (spool / "README.txt").is_file()
    # The page says ten seconds, which nobody waits for in a test.
    assert (SETTINGS["settle_time"].default == 10) == ("For ten seconds nothing happens" in read(PAGE))
    program.ok("config", "set", "settle_time", "0.5")
    with program.workers() as worker:
        play_explorer(program)
        call(program, "commands")
        play_schedule(program)
        call(program, "stop")
        assert worker.end().code == 0
    assert program.json("schedule", "show", "nightly")["last_state"] == "completed"
    assert "nightly" in program.ok("list", "--tag", "backup", "--newer-than", "12h").out
    assert program.json("stats", "--since", "24h")["dead"] == 0
    call(program, "morning")
    call(program, "undo")
    assert program.names("schedules") == ["state"]
    shutil.rmtree(spool)


def play_explorer(program: Program) -> None:
    spool = program.spool
    in_notepad(spool / "pending" / "hello.json.txt", job("hello.json"), "utf-16")
    program.wait_in("done", "hello")
    assert (spool / "logs" / "hello.log").read_text().split() == ["Hello", "from", "Explorer"]

    in_notepad(spool / "pending" / "report.json", job("report.json"))
    program.wait_in("dead", "report")
    assert program.record("dead", "report")["exit_code"] == 1
    in_notepad(program.here / "report.txt", "All is well.\n")
    drag(spool / "dead" / "report.json", spool / "pending")
    program.wait_in("done", "report")
    assert "All is well." in (spool / "logs" / "report.log").read_text()

    in_notepad(spool / "pending" / "typo.json", job("typo.json"))
    program.wait_in("dead", "typo")
    wait_until((spool / "dead" / "typo.error.txt").exists, "it is said why", PATIENCE)
    assert "line 2" in (spool / "dead" / "typo.error.txt").read_text(encoding="utf-8")
    in_notepad(spool / "dead" / "typo.json", f"{job('typo.json')}}}\n")
    drag(spool / "dead" / "typo.json", spool / "pending")
    program.wait_in("done", "typo")


def play_schedule(program: Program) -> None:
    said = call(program, "nightly")
    assert "nightly.json" in said
    assert said.count("02:30:00") >= 3
    first, second = marked_block(PAGE, "step: try").lines
    (made,) = program.ok(*first.split()[1:]).lines
    wait_until(lambda: is_idle(program), "it has run", PATIENCE)
    assert re.search(rf"{made}\s+completed", program.ok(*second.partition("  #")[0].split()[1:]).out)
    assert (program.here / "backup.zip").is_file()


def test_a_comment_that_is_not_true_is_noticed(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    page = read(PAGE).replace("# completed 3, dead 0", "# completed 4, dead 0")
    monkeypatch.setattr("tests.docs.documents.read", lambda path: page)
    program.ok("init")
    with pytest.raises(AssertionError, match="completed"):
        call(program, "commands")
