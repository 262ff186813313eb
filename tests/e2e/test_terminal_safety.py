"""What a job or a file holds does not act on a real terminal: off one, click takes the escapes out itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.program import PATIENCE, WINDOWS, Program
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(WINDOWS, reason="needs a terminal that a test can open: pty"),
]

EVIL = "[/red]\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe"
"""The name of a program, a tag, a file, a folder; and no markup of rich's either."""
ACTS = ("\x1b]0;", "\x07", "\x1b[2J", "\x9b", "\u202e")
SHOWN = "[/red]\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202egnp.exe"
WIDE = 400
"""Columns in which nothing is cut off."""


def seen(program: Program, *args: str, code: int = 0) -> str:
    """What a call sends to its terminal, which shows `EVIL` and does not obey it."""
    with Terminal(program, *args, columns=WIDE) as terminal:
        ended, text = terminal.end(), terminal.text
    assert ended == code, text
    assert_shown(text)
    return text


def assert_shown(text: str) -> None:
    assert "Traceback" not in text
    assert not [sign for sign in ACTS if sign in text], repr(text)
    assert SHOWN in text, repr(text)


@pytest.fixture
def evil(program: Program) -> Program:
    """A dead job whose every text is evil, and rubbish of an evil name."""
    program.make()
    run = {"attempt": 1, "outcome": "failed", "error": EVIL}
    job = {"command": [EVIL, EVIL], "state": "dead", "attempts": 1, "error": EVIL, "history": [run]}
    program.drop("evil.json", {**job, "tags": [EVIL], "meta": {EVIL: EVIL}})
    os.replace(program.path("pending", "evil"), program.path("dead", "evil"))
    (program.spool / "pending" / EVIL.replace("/", "")).write_bytes(b"{}")
    return program


@pytest.mark.parametrize("words", [["list"], ["dlq", "list"]], ids=" ".join)
def test_a_table_of_jobs(evil: Program, words: list[str]) -> None:
    text = seen(evil, *words)
    assert text.count(SHOWN) == 3, "the error and the whole command"
    assert "\x1b[1m" in text, "drawn"


@pytest.mark.parametrize("words", [["show", "evil"], ["dlq", "show", "evil"]], ids=" ".join)
def test_all_of_one_job_and_its_history(evil: Program, words: list[str]) -> None:
    assert seen(evil, *words).rstrip().endswith(SHOWN), "the error of its run"


def test_the_spool_and_the_files_in_it_that_status_tells_of(evil: Program) -> None:
    folder = evil.here / EVIL.replace("/", "")
    folder.mkdir()
    os.rename(evil.spool, folder / "spool")
    evil.spool = folder / "spool"
    with Terminal(evil, "status", columns=WIDE) as terminal:
        assert terminal.end() == 0
        text = terminal.text
    assert not [sign for sign in ACTS if sign in text], repr(text)
    assert text.count(SHOWN.replace("/", "")) == 2, repr(text)


def test_status_that_renews_itself(evil: Program) -> None:
    with Terminal(evil, "status", "--watch", columns=WIDE) as terminal:
        wait_until(lambda: "not named like a job" in terminal.text, "the first picture", PATIENCE)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0
        text = terminal.text
    assert not [sign for sign in ACTS if sign in text], repr(text)
    assert SHOWN.replace("/", "") in text


@pytest.mark.parametrize("words", [["worker", "start", "--drain"], ["run"]], ids=" ".join)
def test_what_the_workers_say_of_a_run(program: Program, words: list[str]) -> None:
    program.make(max_retries="0")
    program.drop("bad.json", {"command": [EVIL]})
    assert f"program not found: {SHOWN}" in seen(program, *words)


def test_an_error_that_names_a_path(program: Program, tmp_path: Path) -> None:
    program.spool = tmp_path / EVIL.replace("/", "")
    program.spool.write_bytes(b"")
    with Terminal(program, "status", columns=WIDE) as terminal:
        assert terminal.end() == 7
        text = terminal.text
    assert not [sign for sign in ACTS if sign in text], repr(text)
    assert f"{SHOWN.replace('/', '')} is a file, not a folder" in text
