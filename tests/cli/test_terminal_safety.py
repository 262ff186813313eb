"""What a job, a file or a command holds never acts on the terminal; secrets are shown when asked for."""

from __future__ import annotations

import io
import json
import sys
import unicodedata

import pytest

from queuectl import events, system
from queuectl.cli import terminal
from queuectl.cli.commands.run import _Watcher
from queuectl.events import Event
from queuectl.names import id_problem
from tests.support.commandline import CommandLine

RETITLE, CLEAR, C1, TURNED = "\x1b]0;owned\x07", "\x1b[2J", "\x9b31m", "\u202egnp.exe"
EVIL = f"echo {RETITLE}{CLEAR}{C1}{TURNED}\r\x7f"
ACTS = ("\x1b", "\x07", "\x9b", "\u202e", "\r", "\x7f")


def assert_harmless(text: str) -> None:
    assert not [sign for sign in ACTS if sign in text], repr(text)


def acting() -> list[str]:
    """Every character that is a control, half of one, ends a line, or turns the direction of writing."""
    turns = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    marks = "\u061c\u200e\u200f"
    return [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(char) in turns
        or char in marks
    ]


def test_of_all_characters_those_that_act_are_escaped_and_no_other() -> None:
    acts = acting()
    assert [char for char in acts if not terminal.cell(char).isascii() or len(terminal.cell(char)) < 2] == []
    assert [char for char in acts if terminal.lines(char) != terminal.cell(char)] == ["\t", "\n"]
    assert terminal.lines("\t\n") == "\t\n"
    others = "".join(map(chr, set(range(sys.maxunicode + 1)) - set(map(ord, acts))))
    assert terminal.cell(others) == terminal.lines(others) == others


def test_none_of_those_that_act_is_in_an_id() -> None:
    assert [char for char in acting() if id_problem(f"a{char}b") is None] == []


@pytest.fixture
def evil(cli: CommandLine) -> CommandLine:
    """A dead job, and rubbish, that hold what would act on a terminal."""
    job = {"command": EVIL, "tags": [CLEAR], "meta": {CLEAR: EVIL}, "error": EVIL, "state": "dead"}
    cli.ok("init")
    (cli.spool / "dead" / "evil.json").write_text(json.dumps(job), encoding="utf-8")
    (cli.spool / "dead" / "bad.json").write_text(f'{{"{CLEAR}{TURNED}": 1}}', encoding="utf-8")
    (cli.spool / "pending" / "bad.json").write_text(f'{{"{TURNED}": 1}}', encoding="utf-8")
    (cli.spool / "logs" / "evil.log").write_bytes(f"one {EVIL}\r\ntwo".encode() + b"\x00\x9b\xff\n")
    return cli


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such names")
def test_a_name_of_several_lines_is_one_line_for_the_doctor(cli: CommandLine) -> None:
    cli.ok("init")
    (cli.spool / "pending" / "a\nmended  everything\nall is well").write_bytes(b"x")
    told = cli("doctor").out.splitlines()
    assert told
    assert [line for line in told if line.startswith(("mended", "all is well"))] == []


@pytest.mark.parametrize(
    "call",
    [["list"], ["dlq", "list"], ["show", "evil"], ["dlq", "show", "evil"], ["status"], ["doctor"]],
    ids=" ".join,
)
def test_what_is_shown_of_a_job_is_harmless(evil: CommandLine, call: list[str]) -> None:
    told = evil(*call)
    assert told.out
    assert_harmless(told.out.replace("\n", ""))
    assert_harmless(told.err.replace("\n", ""))


@pytest.mark.parametrize("call", [["list", "--json"], ["show", "evil", "--json"]], ids=" ".join)
def test_json_holds_all_of_it_and_acts_on_nothing(evil: CommandLine, call: list[str]) -> None:
    told = evil.ok(*call)
    assert_harmless(told.out)
    found = json.loads(told.out)
    one = found if isinstance(found, dict) else next(job for job in found if job["id"] == "evil")
    assert one["command"] == EVIL


@pytest.mark.parametrize("call", [["show", f"x{CLEAR}"], [f"x{CLEAR}"], ["config", "get", CLEAR]])
def test_an_error_shows_what_was_typed_and_does_not_obey_it(evil: CommandLine, call: list[str]) -> None:
    told = evil(*call)
    assert told.code != 0
    assert "[2J" in told.err
    assert_harmless(told.err)


def printed(cli: CommandLine, monkeypatch: pytest.MonkeyPatch, *args: str) -> bytes:
    """The very bytes of a call's stdout."""
    raw = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8", newline="", write_through=True))
        cli.ok(*args)
        return raw.getvalue()


def test_logs_are_shown_on_a_terminal_and_copied_into_a_file(
    evil: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = (evil.spool / "logs" / "evil.log").read_bytes()
    assert printed(evil, monkeypatch, "logs", "evil") == given
    monkeypatch.setattr(system, "is_interactive", lambda stream: stream is sys.stdout)
    shown = printed(evil, monkeypatch, "logs", "evil").decode()
    assert_harmless(shown)
    assert shown.startswith("one echo \\x1b]0;owned\\x07")
    assert "\ntwo\\x00\ufffd\ufffd\n" in shown
    assert printed(evil, monkeypatch, "logs", "evil", "--raw") == given


def test_a_carriage_return_hides_no_line() -> None:
    screen = terminal.Screen()
    pieces = [b"10 %\r20", b" %\r", b"\ndone \xc3", b"\xa9\r", b"x\r\n", b""]
    assert "".join(map(screen.text, pieces)) == "10 %\n20 %\ndone \xe9\nx\n"


def test_half_a_character_at_the_end_is_shown() -> None:
    screen = terminal.Screen()
    assert screen.text(b"caf\xc3") + screen.text(b"") == "caf\ufffd"


def test_a_notice_beside_the_progress_of_run_is_harmless(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(system, "is_interactive", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "400")
    for asks_for_escapes in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(asks_for_escapes, raising=False)
    with _Watcher(1, "spool") as watcher:
        watcher(Event(events.NOTICE, text=f"[/red][b]{EVIL}"))
    told = capsys.readouterr().err
    assert "[/red][b]echo \\x1b]0;owned" in told
    assert_harmless(told)


@pytest.mark.parametrize("char", ["\x9b", "\u202e", "\u2066", "\u2028", "\x07"])
def test_no_id_holds_what_nobody_sees(cli: CommandLine, char: str) -> None:
    told = cli("enqueue", "--id", f"a{char}b", "--", "x")
    assert told.code == 2
    assert "an id cannot contain" in told.err
    assert_harmless(told.err)


@pytest.mark.parametrize("words", [["show"], ["dlq", "show"]], ids=" ".join)
def test_the_values_of_env_are_secrets(cli: CommandLine, words: list[str]) -> None:
    cli.ok("enqueue", "--id", "a", "--env", "TOKEN=hunter2", "--", "x")
    cli.ok("cancel", "a")
    assert "hunter2" not in cli.ok("list").out + cli.ok("list", "--json").out + cli.ok("status").out
    hidden, asked = cli.ok(*words, "a"), cli.ok(*words, "a", "--secrets")
    assert "TOKEN" in hidden.out
    assert "hunter2" not in hidden.out
    assert "hunter2" in asked.out
    assert json.loads(cli.ok(*words, "a", "--json").out)["env"] == {"TOKEN": "***"}
    assert json.loads(cli.ok(*words, "a", "--json", "--secrets").out)["env"] == {"TOKEN": "hunter2"}


def test_the_values_of_env_of_a_hook_are_secrets_too(cli: CommandLine) -> None:
    hook = {"command": "x", "env": {"TOKEN": "hunter2"}}
    cli.ok("enqueue", json.dumps({"id": "a", "command": "x", "on_dead": hook, "on_success": "y"}))
    for options in ((), ("--json",)):
        hidden, asked = cli.ok("show", "a", *options).out, cli.ok("show", "a", *options, "--secrets").out
        assert ("hunter2" in hidden, "TOKEN" in hidden, "hunter2" in asked) == (False, True, True)
