"""What the documents say is so: commands parse, links lead somewhere, examples work, the session runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import sys
from collections.abc import Iterator
from itertools import takewhile
from json import loads
from pathlib import Path
from typing import Any, Optional

import click
import pytest

from queuectl import retry
from queuectl.cli.root import root
from queuectl.codec import decode_job
from queuectl.config import SETTINGS, config_from
from queuectl.due import LATE
from queuectl.hook import LARGEST_TOLD, PRIORITY, hook_id, hook_job
from queuectl.job import HISTORY_LIMIT, Job, Run
from queuectl.names import MAX_ID_BYTES
from queuectl.queue.looks import FEW
from queuectl.queue.many import DEADLINE, PIECE
from queuectl.queue.report import WorkerRow
from queuectl.queue.stats import MOST_FILLED
from queuectl.schedule import MOST_KEPT, Schedule
from queuectl.schedule_codec import decode_schedule
from queuectl.spool import layout
from queuectl.state import State
from queuectl.tally import MOST_BARS
from tests.docs.documents import (
    DOCUMENTS,
    anchors,
    blocks,
    inline_code,
    marked_block,
    read,
    section,
    table_rows,
)
from tests.support.commandline import CommandLine
from tests.support.program import PACKAGE_HOME, PATIENCE, ROOT, WINDOWS, Program

_COMMAND = re.compile(r"\bqueuectl(?:\.exe)? (?!is |from |must )(.+)$")
_JSON_FIELDS = re.compile(r"`([a-z_]+)`")


def _ids(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _command_lines(path: Path) -> Iterator[str]:
    """Every `queuectl ...` in the code blocks of a document, without the program's name."""
    for block in blocks(path):
        if block.language not in ("json", "python", "mermaid", "text"):
            for line in block.lines:
                yield from _calls(line)


def _mentions(path: Path) -> Iterator[str]:
    """Every `queuectl ...` in the running text, where the name of a command may stand for all of it."""
    for code in inline_code(path):
        if code.startswith("queuectl "):
            yield from _calls(code)


def _calls(line: str) -> Iterator[str]:
    match = _COMMAND.search(re.sub(r"\s+#.*", "", line).rstrip(" &"))
    if match is not None and not re.match(r"COMMAND\b", match[1]):
        yield match[1]


def _words(line: str) -> list[str]:
    """As a shell splits it, up to `|` or `<`; backslashes are left alone, as by PowerShell."""
    splitter = shlex.shlex(line, posix=True, punctuation_chars=False)
    splitter.whitespace_split, splitter.commenters, splitter.escape = True, "", ""
    try:
        return list(takewhile(lambda word: word not in ("|", "<"), splitter))
    except ValueError:
        # The rest of a quoted command: the closing quote is not ours.
        return _words(line.replace("'", " "))


@pytest.mark.parametrize("path", DOCUMENTS, ids=_ids)
def test_every_command_line_parses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def only_parsed(self: click.Command, ctx: click.Context) -> None:
        called.append(ctx.command_path)

    # A group parses itself, then its command, and invokes that: everything happens but the command.
    monkeypatch.setattr(click.Command, "invoke", only_parsed)
    for line in [*_command_lines(path), *_mentions(path)]:
        called.clear()
        words = _words(line)
        if line.startswith("'"):
            words = _words(words[0])
        try:
            root.main(args=words, prog_name="queuectl", standalone_mode=False)
        except click.MissingParameter as error:
            if line not in _mentions(path):
                pytest.fail(f"queuectl {line}: {error.format_message()}")
            continue
        except click.ClickException as error:
            pytest.fail(f"queuectl {line}: {error.format_message()}")
        assert called[1:] or words[-1] in ("--help", "--version"), line


def test_the_commands_are_found_in_the_first_place() -> None:
    """The control of the test above."""
    found = list(_command_lines(ROOT / "README.md"))
    assert {"run examples", "worker stop", "'worker start --count 2'"} <= set(found)
    assert len(found) > 10
    assert {"retry", "enqueue -"} <= set(_mentions(ROOT / "README.md"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=_ids)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    broken = [link for link in re.findall(r"\]\(([^)\s]+)\)", read(path)) if not _leads_somewhere(path, link)]
    assert broken == []


def _leads_somewhere(path: Path, link: str) -> bool:
    if re.match(r"https://", link):
        return True
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name else path
    if not target.exists() and name.startswith("queuectl/"):
        # The tests may run beside an installed package, without its source.
        target = Path(PACKAGE_HOME) / name
    if not target.exists():
        # The source distribution leaves these out.
        return ".github" in target.parts and not (ROOT / ".github").exists()
    return not anchor or anchor in anchors(target)


def test_every_promise_has_its_proof() -> None:
    rows = table_rows(section("README.md", "Will it lose my jobs?"))
    assert len(rows) >= 8
    for promise, proof in rows:
        links = re.findall(r"\]\((tests/[a-z0-9_]+/test_\w+\.py)\)", proof)
        assert links, promise
        for link in links:
            assert re.search(r"^ *def test_", read(link), re.M), link


@pytest.mark.skipif(not (ROOT / ".github").exists(), reason="the source distribution leaves it out")
def test_every_promise_of_security_has_its_proof() -> None:
    rows = table_rows(section(".github/SECURITY.md", "What is promised"))
    assert len(rows) >= 8
    for promise, proof in rows:
        links = re.findall(r"\]\(\.\./(tests/[a-z0-9_/]+(?:\.py)?)\)", proof)
        assert links, promise
        for link in links:
            files = [ROOT / link] if link.endswith(".py") else [*(ROOT / link).glob("test_*.py")]
            assert files, link
            assert all(re.search(r"^ *def test_", read(one), re.M) for one in files), link


def test_every_command_of_the_sweeps_names_tests_that_are_there() -> None:
    named = re.findall(r"`[^`]*?(?:pytest -m slow|python) ([^`]+)`", read("tests/README.md"))
    paths = [word for words in named for word in words.split() if word.startswith("tests")]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_two_commands_of_a_newcomer_and_those_of_a_developer() -> None:
    bare = [block.lines for block in blocks("README.md") if not block.language]
    assert ["pip install .", "queuectl run examples"] in bare
    assert ['pip install ".[test]"', "pytest"] in bare


def test_the_retry_table_agrees_with_the_code() -> None:
    defaults = config_from({})
    policy = retry.Policy(
        max_retries=defaults.max_retries,
        backoff_base=defaults.backoff_base,
        backoff_max=defaults.backoff_max,
        backoff_jitter=defaults.backoff_jitter,
        max_crashes=defaults.max_crashes,
    )
    rows = table_rows(section("README.md", "Retries"))
    assert [row[0] for row in rows] == [str(n) for n in range(1, defaults.max_retries + 2)]
    for failures, (_, _, wait, where) in enumerate(rows, 1):
        decision = retry.after_failure(policy, failures=failures, retryable=True, luck=0.5)
        assert where.startswith(f"`{decision.state.folder}`")
        assert wait == (f"{decision.delay:g} s" if decision.state is State.FAILED else "")


def test_a_crash_can_be_made_final() -> None:
    """The README's way to never run a command twice."""
    assert "config set max_crashes 1" in read("README.md")
    policy = retry.Policy(max_retries=0, backoff_base=2, backoff_max=3600, backoff_jitter=0, max_crashes=1)
    assert retry.after_crash(policy, crashes=1, luck=0.5).state is State.DEAD
    assert retry.after_failure(policy, failures=1, retryable=True, luck=0.5).state is State.DEAD


def test_every_job_that_is_shown_is_one() -> None:
    shown = [block.text for path in DOCUMENTS for block in blocks(path, "json")]
    shown += [code for path in DOCUMENTS for code in inline_code(path) if code.startswith('{"command"')]
    assert len(shown) >= 5
    for text in shown:
        job = decode_schedule(text.encode()).job if '"job"' in text else decode_job(text.encode())
        assert job.command


EXAMPLES = sorted(path for path in ROOT.glob("examples/**/*.json") if path.parent.name != "prometheus")


@pytest.mark.parametrize("path", EXAMPLES, ids=_ids)
def test_every_example_is_a_job_and_in_the_list(path: Path) -> None:
    if path.parent.name == "hooks":
        assert decode_job(path.read_bytes()).id is None
    elif path.parent.name == "schedules":
        assert decode_schedule(path.read_bytes()).job.command
    else:
        assert decode_job(path.read_bytes()).id in (None, path.stem)
    assert f"`{path.relative_to(ROOT / 'examples').as_posix()}`" in read("examples/README.md")


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    text = read("docs/job-file.md").replace("\n", " ")
    assert f"the last {HISTORY_LIMIT} are kept" in text
    assert f"at most {MAX_ID_BYTES} bytes" in text
    text = read("docs/schedules.md").replace("\n", " ")
    assert f"at most {MOST_KEPT} wait" in text
    assert ("on time for a minute" in text) == (LATE == 60)
    usual = Schedule(job=Job(command="x"))
    assert f"`{usual.catch_up}` (if left out)" in text
    assert f"`{usual.overlap}` (if left out)" in text
    assert f"the latest `catch_up_limit` ({usual.catch_up_limit})" in text


@pytest.mark.skipif(not (ROOT / "spool").exists(), reason="the source distribution leaves spool/ out")
def test_the_spool_that_is_checked_in() -> None:
    assert (ROOT / "spool" / layout.README).read_bytes() == layout.README_TEXT.replace("\n", "\r\n").encode()
    assert {path.name for path in (ROOT / "spool").iterdir() if path.is_dir()} >= set(layout.FOLDERS)


def test_the_json_contract_names_what_is_printed(program: CommandLine) -> None:
    table = dict(table_rows(section("README.md", "JSON, for programs")))
    listed = set(_JSON_FIELDS.findall(table["`list`, `dlq list`, `run`"]))
    [enqueued] = program.ok("enqueue", "--json", "--id", "one", "--", "echo").json
    [job] = program.json("list")
    assert set(job) == listed
    assert str(sorted(enqueued)).replace("'", '"') == '["file", "id"]'
    status = program.json("status")
    assert {*status, *WorkerRow._fields} == set(_JSON_FIELDS.findall(table["`status`"]))
    assert {"history", "worker", "file", "log"} <= set(program.json("show", "one"))
    assert set(program.json("config", "get")) == set(SETTINGS)
    (program.spool / "pending" / "stray.txt").write_text("x", encoding="utf-8")
    found = program("doctor", "--json")
    assert (found.code, [set(one) for one in found.json]) == (1, [{"text", "fixed"}])


def test_the_json_contract_of_schedules_names_what_is_printed(program: CommandLine) -> None:
    table = dict(table_rows(section("docs/schedules.md", "JSON, for programs")))
    added = program.json("schedule", "add", "s", "--every", "1h", '{"command": "x"}')
    assert set(added) == set(_JSON_FIELDS.findall(table["`schedule add`"]))
    listed = set(_JSON_FIELDS.findall(table["`schedule list`"]))
    assert set(program.json("schedule", "list")[0]) == listed
    more = set(_JSON_FIELDS.findall(table["`schedule show`"])) - {"env"}
    assert set(program.json("schedule", "show", "s")) == listed | more
    assert set(program.json("schedule", "next")[0]) == {"schedule", "at"}
    assert set(program.json("schedule", "run-now", "s")[0]) == {"id"}


@pytest.fixture
def program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    made = CommandLine(tmp_path, monkeypatch, capsys)
    made.ok("init")
    return made


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    exec(marked_block("README.md", "python").text, {})
    first, second = capsys.readouterr().out.splitlines()
    job_id, state, waiting = first.split()
    assert (state, waiting) == ("pending", "1")
    assert second == f"{job_id} ['python', 'report.py']"
    assert (tmp_path / "spool" / "pending" / f"{job_id}.json").exists()


def test_the_python_example_of_hooks_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(marked_block("docs/hooks.md", "python").text, {})
    assert capsys.readouterr().out == "['on_dead']\n"


def test_the_json_contract_of_hooks_names_what_is_printed(program: CommandLine) -> None:
    made = program.json("hook", "set", "on_dead", '{"command": "x"}')
    assert set(made) == {"event", "file"}
    [row] = program.json("hook", "list")
    assert set(row) == {"event", "command", "problem", "file"}
    table = dict(table_rows(section("docs/hooks.md", "JSON, for programs")))
    assert set(_JSON_FIELDS.findall(table["`hook list`"])) == set(row)
    assert set(_JSON_FIELDS.findall(table["`hook set`"])) == set(made)
    assert set(_JSON_FIELDS.findall(table["`hook show`"])) - {"env"} == {"job"}
    assert set(program.json("hook", "show", "on_dead")) == {*row, "job"}
    [gone] = program.json("hook", "remove", "on_dead")
    assert gone == made


def test_what_a_hook_is_told_is_what_is_written() -> None:
    run = Run(outcome="failed", finished_at="2027-01-15T08:00:00.000Z")
    job = Job(id="import", command="y", history=[run])
    made = hook_job(Job(command="x"), job, "on_dead", "log")
    assert f"(`{hook_id('import', job, 'on_dead')}`)" in read("docs/hooks.md")
    assert f"the priority {PRIORITY}" in read("docs/hooks.md").replace("\n", " ")
    told = section("docs/hooks.md", "What a hook is told")
    named = set(re.findall(r"`([a-z_]+)`", told.partition("In its environment")[0]))
    assert named - {"stdin", "env", "null"} == set(loads(made.stdin or ""))
    assert f"more than {LARGEST_TOLD // 1024} KiB is `null`" in told
    assert set(re.findall(r"`(QUEUECTL_[A-Z_]+)`", told)) == set(made.env)


def test_the_python_example_of_order_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(marked_block("docs/order.md", "python").text, {})
    assert capsys.readouterr().out == "video 1 1\n"


def test_the_json_contract_of_groups_names_what_is_printed(program: CommandLine) -> None:
    table = dict(table_rows(section("docs/order.md", "JSON, for programs")))
    made = program.json("group", "set", "g", "--limit", "1")
    assert set(made) == set(_JSON_FIELDS.findall(table["`group list`"]))
    assert program.json("group", "list") == [made]


def test_the_python_example_of_many_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(marked_block("docs/many.md", "python").text, {})
    assert capsys.readouterr().out.splitlines() == ["['frame-2', 'frame-1']", "frame-1 frame-2", "0 None"]


def test_the_json_contract_of_many_names_what_is_printed(program: CommandLine) -> None:
    table = dict(table_rows(section("docs/many.md", "JSON, for programs")))
    fields = {command: set(_JSON_FIELDS.findall(cell)) for command, cell in table.items()}
    numbers = program.json("stats", "--by", "group")
    assert {*numbers, *numbers["bars"][0], "key", "max"} == fields["`stats`"]
    assert all(f"`{rank}`" in table["`stats`"] for rank in numbers["waiting"])
    acts = "`retry`, `cancel`, `hold`, `release`, `dlq retry`, `dlq purge`"
    program.ok("enqueue", "--id", "one", "--tag", "t", "--", "echo")
    (program.spool / "dead" / "bad.json").write_bytes(b"{")
    told = program("dlq", "retry", "--all", "--json").json
    assert {*told, *told["reasons"][0]} == fields[acts] - {"list"}
    assert [job["id"] for job in program.json("cancel", "--tag", "t", "--dry-run")] == ["one"]


def test_what_the_page_of_many_says_is_so() -> None:
    text = " ".join(read("docs/many.md").split())
    assert f"{PIECE} at a time" in text
    assert f"the last {HISTORY_LIMIT} runs" in text
    assert f"some {MOST_BARS} bars" in text
    assert f"more than {MOST_FILLED:,} they" in text
    assert f"more than {FEW:,} jobs" in text
    assert f"for {DEADLINE:.0f} s together" in text


def test_the_python_example_of_schedules_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(marked_block("docs/schedules.md", "python").text, {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["nightly-backup"] * 3
    assert all(re.search(r"T0[01]:30:00.000Z$", line) for line in lines), "02:30 in Berlin"


def test_the_json_contract_of_housekeeping_names_what_is_printed(program: CommandLine) -> None:
    table = dict(table_rows(section("docs/housekeeping.md", "JSON, for programs")))
    program.ok("enqueue", "--id", "one", "--", "echo")
    told = {
        "prune": program.json("prune"),
        "archive": program.json("archive"),
        "export": program.json("export", "jobs.jsonl"),
    }
    program.ok("cancel", "one")
    program.ok("dlq", "purge", "one", "--yes")
    told["import"] = program.json("import", "jobs.jsonl")
    for name, value in told.items():
        inside = {key for row in value.get("jobs", []) for key in row} if name == "import" else set()
        assert set(value) | inside == set(_JSON_FIELDS.findall(table[f"`{name}`"])), name


def test_the_python_example_of_housekeeping_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(marked_block("docs/housekeeping.md", "python").text, {})
    assert capsys.readouterr().out.splitlines() == ["0 0", "0"]
    assert (tmp_path / "jobs.jsonl").exists()


class _Session:
    """Does what the lines of a session say, as its shell would."""

    def __init__(self, here: Path) -> None:
        shutil.copytree(ROOT / "examples", here / "examples")
        self.program = Program(here)
        self.program.env["PATH"] = os.pathsep.join([_python_on_path(here), os.environ["PATH"]])
        self.background: list[Any] = []

    def run(self, line: str) -> Optional[str]:
        """Do one line; what it printed, if it is a call that is waited for."""
        code = line.partition("  #")[0].strip()
        if drop := re.fullmatch(r"(echo )?'(.*)' > (\S+)", code):
            self._write(drop[3], drop[2], encoding="utf-8" if drop[1] else "utf-16")
            return None
        if call := re.fullmatch(r"Start-Process queuectl '(.*)'|queuectl (.*) &", code):
            arguments = (call[1] or call[2]).split()
            self.background.append(self.program.start(*arguments, spool=False))
            return None
        words = shlex.split(code)
        assert words[0] == "queuectl", f"no session can say {line!r}"
        return self.program.ok(*words[1:], spool=False).out

    def _write(self, target: str, text: str, *, encoding: str) -> None:
        path = self.program.here.joinpath(*re.split(r"[\\/]", target))
        path.write_text(f"{text}\n", encoding=encoding)


def _python_on_path(here: Path) -> str:
    """A folder in which `python` and `python3` are the one that runs this."""
    if WINDOWS:
        return os.path.dirname(sys.executable)
    folder = here / "bin"
    folder.mkdir()
    for name in ("python", "python3"):
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    return str(folder)


def _says(output: str, comment: str) -> bool:
    """Whether each part of the comment is in the output, white space aside."""
    parts = [part.split() for part in comment.rstrip(".").split(", ")]
    return all(re.search(r"\s+".join(map(re.escape, part)), output) for part in parts)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "shell",
    [
        pytest.param("sh", marks=pytest.mark.skipif(WINDOWS, reason="there it is python, not python3")),
        "powershell",
    ],
)
def test_the_session_does_what_it_says(shell: str, tmp_path: Path) -> None:
    session = _Session(tmp_path)
    session.run("queuectl run examples")
    try:
        for line in marked_block("README.md", f"session: {shell}").lines:
            output = session.run(line)
            comment = line.partition("  #")[2].strip()
            if output is not None and comment:
                assert _says(output, comment), f"{line}\n{output}"
        for running in session.background:
            assert running.end().code == 0
    finally:
        for running in session.background:
            running.__exit__(None, None, None)
    assert session.program.where("hello") == session.program.where("version") == ["done"]
    assert session.program.names("processing") == []


def test_a_comment_that_is_not_true_is_noticed() -> None:
    """The control of the test above."""
    assert _says("pending   0\ncompleted   2\nfailed   1\n", "completed 2, failed 1")
    assert not _says("pending   0\ncompleted   2\nfailed   1\n", "completed 2, failed 2")
    assert _says("Python 3.13.1\n", "Python 3...")
    assert PATIENCE > 0
