"""config: every setting is typed, checked, explained, and acts at once."""

from __future__ import annotations

import pytest

from queuectl.config import SETTINGS
from tests.support.commandline import CommandLine

GOOD = [
    ("max_retries", "0", "0"),
    ("max_retries", " 7 ", "7"),
    ("backoff_base", "1.5", "1.5"),
    ("backoff_base", "0", "0"),
    ("backoff_max", "10m", "600"),
    ("backoff_jitter", ".25", "0.25"),
    ("timeout", "90", "90"),
    ("timeout", "none", "none"),
    ("max_crashes", "1", "1"),
    ("poll_interval", "250ms", "0.25"),
    ("settle_time", "0", "0"),
    ("shell", "sh", "sh"),
    ("shell", "none", "none"),
    ("max_job_bytes", "64 KiB", "65536"),
    ("log_max_bytes", "2m", "2097152"),
]
BAD = [
    ("max_retries", "-1"),
    ("max_retries", "1.5"),
    ("max_retries", "many"),
    ("max_retries", ""),
    ("max_retries", "none"),
    ("max_retries", "9" * 30),
    ("backoff_base", "-0.1"),
    ("backoff_base", "nan"),
    ("backoff_base", "inf"),
    ("backoff_max", "soon"),
    ("backoff_jitter", "1.1"),
    ("timeout", "0"),
    ("timeout", "-5"),
    ("max_crashes", "0"),
    ("poll_interval", "0"),
    ("settle_time", "2h"),
    ("shell", "fish"),
    ("max_job_bytes", "1"),
    ("max_job_bytes", "lots"),
    ("log_max_bytes", "-1"),
]


@pytest.mark.parametrize(("key", "text", "shown"), GOOD)
def test_set_get_unset(cli: CommandLine, key: str, text: str, shown: str) -> None:
    default = cli.ok("config", "get", key).out
    answer = cli.ok("config", "set", key, text)
    assert (answer.out, answer.err) == ("", f"{key} = {shown}\n")
    assert cli.ok("config", "get", key).out == f"{shown}\n"
    answer = cli.ok("config", "unset", key)
    assert answer.err == f"{key} = {default.strip()} (default)\n"
    assert cli.ok("config", "get", key).out == default


@pytest.mark.parametrize(("key", "text"), BAD)
def test_a_bad_value_says_what_is_wanted_and_changes_nothing(cli: CommandLine, key: str, text: str) -> None:
    before = cli.json("config", "get")
    line = cli.fails(2, "config", "set", "--", key, text)
    assert key in line
    assert repr(text) in line
    assert "must be" in line
    assert cli.json("config", "get") == before


def test_a_negative_value_is_no_option(cli: CommandLine) -> None:
    line = cli.fails(2, "config", "set", "max_retries", "-1")
    assert "-1" in line


def test_all_of_them_with_their_meaning(cli: CommandLine) -> None:
    lines = cli.ok("config", "get").lines
    assert [line.split()[0] for line in lines] == list(SETTINGS)
    for line, setting in zip(lines, SETTINGS.values()):
        assert line.endswith(setting.meaning)


@pytest.mark.parametrize("verb", [("get",), ("set",), ("unset",)])
def test_an_unknown_key(cli: CommandLine, verb: tuple[str]) -> None:
    value = ("5",) if verb == ("set",) else ()
    line = cli.fails(2, "config", *verb, "max_retry", *value)
    assert "did you mean 'max_retries'?" in line
    line = cli.fails(2, "config", *verb, "xyzzy", *value)
    assert "max_retries" in line
    assert "backoff_base" in line


def test_it_acts_on_what_is_queued(cli: CommandLine) -> None:
    cli.ok("enqueue", "--id", "a", "--", "x")
    cli.ok("enqueue", "--id", "own", "--max-retries", "1", "--", "x")
    cli.ok("config", "set", "max_retries", "9")
    assert {job["id"]: job["max_retries"] for job in cli.json("list")} == {"a": 9, "own": 1}


def test_what_was_set_outlives_a_reindex_and_a_damaged_index(cli: CommandLine) -> None:
    cli.ok("config", "set", "max_retries", "9")
    cli.ok("reindex")
    assert cli.ok("config", "get", "max_retries").out == "9\n"
