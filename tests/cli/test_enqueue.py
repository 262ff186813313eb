"""`enqueue` in all its forms: what comes in, what the options change, and that bad input changes nothing."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.support.commandline import CommandLine


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


class TestSources:
    def test_a_file_is_named_after_itself(self, cli: CommandLine) -> None:
        write(cli.here / "nightly.json", {"command": "echo hi"})
        assert cli.ok("enqueue", "--file", "nightly.json").out == "nightly\n"
        record = cli.record("pending", "nightly")
        assert (record["id"], record["command"], record["state"]) == ("nightly", "echo hi", "pending")
        assert (record["attempts"], record["crashes"]) == (0, 0)
        assert record["created_at"] == record["updated_at"]

    def test_a_file_that_gives_an_id(self, cli: CommandLine) -> None:
        write(cli.here / "file.json", {"id": "other", "command": "x"})
        assert cli.ok("enqueue", "-f", "file.json").lines == ["other"]

    def test_several_and_wildcards_which_we_expand(self, cli: CommandLine) -> None:
        for name in ("b", "a", "c"):
            write(cli.here / "jobs" / f"{name}.json", {"command": "x"})
        write(cli.here / "jobs" / "notes.txt", b"milk")
        write(cli.here / "lone.json", {"command": "x"})
        args = ("--file", "lone.json", "--file", os.path.join("jobs", "*.json"))
        assert cli.ok("enqueue", *args).lines == ["lone", "a", "b", "c"]
        assert [job["id"] for job in cli.json("list")] == ["lone", "a", "b", "c"], "in this order"

    def test_a_name_with_the_signs_of_a_wildcard_is_a_name_first(self, cli: CommandLine) -> None:
        write(cli.here / "a[1].json", {"command": "x"})
        assert cli.ok("enqueue", "--file", "a[1].json").lines == ["a[1]"]

    def test_a_file_that_holds_several(self, cli: CommandLine) -> None:
        write(cli.here / "many.json", [{"id": "one", "command": "x"}, {"command": "y"}])
        first, second = cli.ok("enqueue", "--file", "many.json").lines
        assert first == "one"
        assert second not in ("many", "one")

    @pytest.mark.parametrize(
        "data",
        [
            b'\xef\xbb\xbf{"command": "x"}\r\n',
            b"\xff\xfe" + '{"command": "x"}'.encode("utf-16-le"),
            b'\r\n  {\r\n"command":\t"x"\r\n}\r\n\r\n',
            b'{"$schema": "../job.schema.json", "command": "x"}',
        ],
    )
    def test_what_editors_and_powershell_write(self, cli: CommandLine, data: bytes) -> None:
        write(cli.here / "job.json", data)
        assert cli.ok("enqueue", "--file", "job.json").lines == ["job"]
        assert cli.record("pending", "job")["command"] == "x"

    def test_an_argument(self, cli: CommandLine) -> None:
        assert cli.ok("enqueue", '{"id": "a", "command": "echo hi"}').lines == ["a"]
        both = ' [{"id": "b", "command": "x"}, {"id": "c", "command": "y"}]'
        assert cli.ok("enqueue", both).lines == ["b", "c"]
        assert cli.ok("enqueue", '{"id": "ü", "command": "echo ü"}').code == 0
        assert cli.record("pending", "ü")["command"] == "echo ü"

    @pytest.mark.parametrize(
        ("data", "count"),
        [
            (b'{"command": "x"}', 1),
            (b'{\n  "command": "x"\n}\n', 1),
            (b'[{"command": "x"}, {"command": "y"}]', 2),
            (b'{"command": "x"}\n{"command": "y"}\n\n{"command": "z"}\n', 3),
            (b'\xef\xbb\xbf{"command": "x"}\r\n{"command": "y"}\r\n', 2),
            ('{"command": "ü"}\n{"command": "y"}'.encode("utf-16"), 2),
        ],
    )
    def test_standard_input(self, cli: CommandLine, data: bytes, count: int) -> None:
        ids = cli.ok("enqueue", "-", stdin=data).lines
        assert len(set(ids)) == count
        assert {job["id"] for job in cli.json("list")} == set(ids)
        assert [job["id"] for job in cli.json("list")] == ids, "they run in the order in which they came"

    def test_many_keep_their_order(self, cli: CommandLine) -> None:
        ids = cli.ok("enqueue", "-", stdin=b'{"command": "x"}\n' * 300).lines
        assert len(ids) == 300
        assert [job["id"] for job in cli.json("list")] == ids

    def test_a_program_with_arguments_that_look_like_options(self, cli: CommandLine) -> None:
        args = [
            "prog",
            "-x",
            "--id",
            "theirs",
            "--json",
            "--",
            "--help",
            "a b",
            "",
            '"q"',
            "*.json",
            "%PATH%",
        ]
        cli.ok("enqueue", "--id", "ours", "--", *args)
        record = cli.record("pending", "ours")
        assert record["command"] == args
        assert "cwd" not in record, "here is where commands run anyhow"

    def test_a_program_runs_where_it_was_typed(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (cli.here / "below").mkdir()
        monkeypatch.chdir(cli.here / "below")
        cli.ok("--spool", str(cli.spool), "enqueue", "--id", "a", "--", "x")
        assert os.path.samefile(cli.record("pending", "a")["cwd"], cli.here / "below")

    def test_a_made_up_id_sorts_by_time(self, cli: CommandLine) -> None:
        (made,) = cli.ok("enqueue", "--", "x").lines
        stamp = datetime.strptime(made[:15], "%Y%m%d-%H%M%S").replace(tzinfo=timezone.utc)
        assert abs((datetime.now(timezone.utc) - stamp).total_seconds()) < 60


class TestOptions:
    def test_each_sets_its_field(self, cli: CommandLine) -> None:
        cli.ok(
            *("enqueue", "--id", "a", "--priority", "-7", "--run-at", "2030-01-01T09:00:00+01:00"),
            *("--max-retries", "0", "--timeout", "1m30s", "--cwd", "sub", "--shell", "sh"),
            *("--env", "A=1", "--env", "B=x=y", "--env", "C=", "--tag", "t", "--tag", "u"),
            '{"command": "echo hi"}',
        )
        record = cli.record("pending", "a")
        expected = {
            "priority": -7,
            "run_at": "2030-01-01T08:00:00.000Z",
            "max_retries": 0,
            "timeout": 90,
            "cwd": "sub",
            "shell": "sh",
            "env": {"A": "1", "B": "x=y", "C": ""},
            "tags": ["t", "u"],
        }
        assert {name: record[name] for name in expected} == expected

    def test_they_go_over_what_the_job_says(self, cli: CommandLine) -> None:
        job = {
            "id": "a",
            "command": "x",
            "priority": 1,
            "env": {"A": "1", "B": "2"},
            "tags": ["t"],
            "meta": {"k": [1]},
        }
        write(cli.here / "a.json", job)
        write(cli.here / "b.json", {**job, "id": "b"})
        args = ("--priority", "0", "--env", "B=3", "--tag", "u", "--tag", "t")
        cli.ok("enqueue", *args, "--file", "a.json", "--file", "b.json")
        for name in ("a", "b"):
            record = cli.record("pending", name)
            assert record.get("priority", 0) == 0
            assert record["env"] == {"A": "1", "B": "3"}
            assert record["tags"] == ["t", "u"]
            assert record["meta"] == {"k": [1]}

    @pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("10m", 600), ("2h30m", 9000)])
    def test_a_delay(self, cli: CommandLine, text: str, seconds: float) -> None:
        cli.ok("enqueue", "--id", "a", "--delay", text, "--", "x")
        record = cli.record("pending", "a")
        due, made = (
            datetime.fromisoformat(record[name].replace("Z", "+00:00")) for name in ("run_at", "created_at")
        )
        assert seconds - 1 < (due - made).total_seconds() < seconds + 1

    def test_what_we_keep_is_not_taken_from_outside(self, cli: CommandLine) -> None:
        """A record of another tool, or of a run elsewhere, begins anew; its age is kept."""
        job = {
            "id": "a",
            "command": "x",
            "state": "dead",
            "attempts": 9,
            "max_retries": 3,
            "error": "e",
            "exit_code": 1,
        }
        cli.ok(
            "enqueue",
            json.dumps({**job, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z"}),
        )
        shown = cli.json("show", "a")
        assert (shown["state"], shown["attempts"], shown["error"], shown["exit_code"]) == (
            "pending",
            0,
            None,
            None,
        )
        assert (shown["max_retries"], shown["created_at"]) == (3, "2020-01-01T00:00:00Z")


BAD = [
    ((), "give one of"),
    (("{}",), "'command' is missing"),
    (("-",), "standard input"),
    (('{"command": ""}',), "cannot be empty"),
    (('{"command": []}',), "must begin with the program"),
    (('{"command": 5}',), "command"),
    (('{"comand": "x"}',), "did you mean 'command'?"),
    (('{"command": "x", "comment": "y"}',), "unknown field 'comment'"),
    (('{"command": "x", "timeout": -1}',), "timeout"),
    (('{"command": "x", "priority": 1.5}',), "priority"),
    (('{"command": "x", "run_at": "tomorrow"}',), "RFC 3339"),
    (('{"command": "x", "run_at": "2030-01-01T09:00:00"}',), "time zone"),
    (('{"command": "x", "shell": "fish"}',), "'fish' is not one of"),
    (('{"command": ["x"], "shell": "sh"}',), "array is run without a shell"),
    (('{"command": "x", "env": {"A=B": "c"}}',), "no variable"),
    (('{"id": "con", "command": "x"}',), "device"),
    (('{"id": "a/b", "command": "x"}',), "cannot contain"),
    (('{"id": "a", "command": "x"',), "too early"),
    (('[{"id": "a", "command": "x"}, {"id": "b"}]',), "the field 'command' is missing at line 1, column 31"),
    (("[]",), "no job"),
    (("--file", "none.json"), "none.json"),
    (("--file", "*.json"), "*.json"),
    (("--file", "."), "folder"),
    (("--file", "bad.txt"), "bad.txt: "),
    (("--id", "a:b", "--", "x"), "cannot contain ':'"),
    (("--id", "", "--", "x"), "empty"),
    (("--id", "a", '[{"command": "x"}, {"command": "y"}]'), "one job, these are 2"),
    (("--priority", "high", "--", "x"), "--priority"),
    (("--priority", str(2**40), "--", "x"), "priority"),
    (("--max-retries", "-1", "--", "x"), "--max-retries"),
    (("--timeout", "0", "--", "x"), "timeout"),
    (("--timeout", "soon", "--", "x"), "not a duration"),
    (("--delay", "1w", "--", "x"), "not a duration"),
    (("--delay", "99999999999999d", "--", "x"), "delay"),
    (("--run-at", "2030-13-01T00:00:00Z", "--", "x"), "--run-at"),
    (("--delay", "1", "--run-at", "2030-01-01T00:00:00Z", "--", "x"), "--delay and --at"),
    (("--env", "A", "--", "x"), "NAME=VALUE"),
    (("--env", "=1", "--", "x"), "env"),
    (("--tag", "", "--", "x"), "tag"),
    (("--cwd", "", "--", "x"), "cwd"),
    (("--shell", "sh", "--", "x"), "array"),
    (("--shell", "fish", '{"command": "x"}'), "--shell"),
    (("--",), "no program behind --"),
    (("--", ""), "program"),
    (('{"command": "x"}', "--", "y"), "give one of"),
    (("--file", "good.jsn", '{"command": "x"}'), "give one of"),
    (("--file", "good.jsn", "--file", "bad.txt"), "bad.txt"),
]


@pytest.mark.parametrize(("args", "words"), BAD, ids=[" ".join(args) or "nothing" for args, _ in BAD])
def test_bad_input_is_one_line_exit_2_and_changes_nothing(
    cli: CommandLine, args: tuple[str, ...], words: str
) -> None:
    # Not named .json: `--file *.json` must find nothing.
    write(cli.here / "good.jsn", {"command": "x"})
    write(cli.here / "bad.txt", b'{\n  "command": x\n}')
    cli.ok("init")
    before = cli.files()
    assert words in cli.fails(2, "enqueue", *args)
    assert cli.files() == before
    assert cli.json("list") == []


def test_all_or_none(cli: CommandLine) -> None:
    cli.ok("enqueue", "--id", "known", "--", "x")
    before = cli.files()
    lines = b'{"id": "one", "command": "x"}\n{"id": "known", "command": "y"}\n'
    assert "'known'" in cli.fails(4, "enqueue", "-", stdin=lines)
    twice = b'[{"id": "a", "command": "x"}, {"id": "A", "command": "x"}]'
    assert "'A'" in cli.fails(4, "enqueue", "-", stdin=twice)
    lines = b'{"id": "one", "command": "x"}\n{"id": "two", "command": ""}\n'
    assert "line 2" in cli.fails(2, "enqueue", "-", stdin=lines)
    write(cli.here / "one.json", {"command": "x"})
    write(cli.here / "two.json", {"command": "x", "tags": [5]})
    line = cli.fails(2, "enqueue", "--file", "one.json", "--file", "two.json")
    assert "two.json: tags" in line
    assert cli.files() == before


def test_a_file_that_is_no_job_says_where(cli: CommandLine) -> None:
    write(cli.here / "bad.json", b'{\n  "command": "x",\n  "priority": "high"\n}')
    line = cli.fails(2, "enqueue", "--file", "bad.json")
    assert "bad.json" in line
    assert "line 3, column 3" in line
    write(cli.here / "bad.json", b'{\n  "command": "x",,\n}')
    assert "line 2" in cli.fails(2, "enqueue", "--file", "bad.json")


@pytest.mark.parametrize("args", [("backup",), ("backup", "now"), ("echo", "hi")])
def test_a_bare_word_gets_a_hint(cli: CommandLine, args: tuple[str, ...]) -> None:
    line = cli.fails(2, "enqueue", *args)
    assert f"queuectl enqueue -- {' '.join(args)}" in line


def test_quotes_that_a_shell_has_taken_away_get_a_hint(cli: CommandLine) -> None:
    """PowerShell 5.1 and cmd.exe."""
    line = cli.fails(2, "enqueue", "{id: a, command: echo hi}")
    assert "quotes" in line
    assert "--file" in line


@pytest.mark.parametrize(("argument", "told"), [("{}", "'command' is missing"), ("[]", "there is no job in")])
def test_where_nothing_was_taken_away_there_is_no_such_hint(
    cli: CommandLine, argument: str, told: str
) -> None:
    line = cli.fails(2, "enqueue", argument)
    assert told in line
    assert "quotes" not in line
    assert line.count("the argument") == 1


def test_nothing_at_all_is_told_as_that(cli: CommandLine) -> None:
    assert cli.fails(2, "enqueue", "-", stdin=b"").startswith("queuectl: standard input is empty")
    assert "queuectl enqueue -- " not in cli.fails(2, "enqueue", "")


def test_a_binary_file_and_a_deep_one(cli: CommandLine) -> None:
    cli.ok("init")
    write(cli.here / "picture.json", bytes(range(256)) * 20)
    assert "picture.json" in cli.fails(2, "enqueue", "--file", "picture.json")
    deep = b'{"command": "x", "meta": ' + b'{"a": ' * 3000 + b"1" + b"}" * 3001
    write(cli.here / "deep.json", deep)
    cli.fails(2, "enqueue", "--file", "deep.json")
    write(cli.here / "huge.json", b'{"command": "' + b"x" * (2 << 20) + b'"}')
    assert "max_job_bytes" in cli.fails(2, "enqueue", "--file", "huge.json"), "no worker would read it"
