"""config: every setting is typed, checked, explained, and acts at once."""

from __future__ import annotations

import pytest

from queuectl.config import SETTINGS
from queuectl.queue.store import Store
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


# Layers


@pytest.fixture
def layered(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """max_retries is 1 in the spool and 5 in the environment, timeout 7 in the spool."""
    cli.ok("config", "set", "max_retries", "1")
    cli.ok("config", "set", "timeout", "7")
    monkeypatch.setenv("QUEUECTL_MAX_RETRIES", "5")
    return cli


def test_an_option_wins_over_the_environment_and_that_over_the_spool(layered: CommandLine) -> None:
    assert layered.ok("config", "get", "max_retries").out == "5\n"
    assert layered.ok("config", "get", "max_retries", "--set", "max_retries=9").out == "9\n"
    assert layered.ok("--set", "max_retries=8", "config", "get", "max_retries").out == "8\n"
    both = layered.json("--set", "max_retries=8", "config", "get", "--set", "timeout=1m")
    assert (both["max_retries"], both["timeout"]) == (8, 60)
    assert layered.ok("config", "get", "timeout").out == "7\n"


def test_origin_tells_where_each_value_is_from(layered: CommandLine) -> None:
    lines = layered.ok("config", "get", "--origin", "--set", "backoff_max=10m").lines
    told = {line.split()[0]: line.split()[1:] for line in lines}
    assert list(told) == list(SETTINGS)
    assert told["max_retries"] == ["5", "environment", "QUEUECTL_MAX_RETRIES"]
    assert told["backoff_max"] == ["600", "option"]
    assert told["timeout"] == ["7", "spool"]
    assert told["max_crashes"] == ["3", "default"]


def test_origin_in_json_and_nothing_else_changes_it(layered: CommandLine) -> None:
    told = layered.json("config", "get", "--origin")
    assert told["max_retries"] == {"value": 5, "origin": "environment", "variable": "QUEUECTL_MAX_RETRIES"}
    assert told["timeout"] == {"value": 7, "origin": "spool"}
    assert layered.json("config", "get", "timeout", "--origin") == {"timeout": told["timeout"]}
    plain = layered.json("config", "get")
    assert plain == {name: one["value"] for name, one in told.items()}


@pytest.mark.parametrize(
    "words", [["status"], ["enqueue", "--", "x"], ["worker", "start", "--drain"], ["run"]]
)
def test_a_bad_variable_is_told_before_anything_is_done(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("QUEUECTL_TIMEOUT", "soon")
    assert "QUEUECTL_TIMEOUT cannot be 'soon'" in cli.fails(2, *words)
    assert not cli.spool.exists()


def test_a_variable_that_may_be_meant_for_a_setting_is_told_of_once(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ok("init")
    monkeypatch.setenv("QUEUECTL_MAX_RETRY", "9")
    monkeypatch.setenv("QUEUECTL_OF_MINE", "9")
    told = "QUEUECTL_MAX_RETRY is no setting's; did you mean QUEUECTL_MAX_RETRIES?"
    for words in (["config", "get"], ["run"], ["worker", "start", "--drain"], ["list", "--json"]):
        answer = cli.ok(*words)
        assert answer.err.splitlines().count(told) == 1
        assert "OF_MINE" not in answer.err
        assert told not in answer.out


def test_what_is_set_where_a_stronger_layer_hides_it_is_stored_and_told(layered: CommandLine) -> None:
    hidden = "but QUEUECTL_MAX_RETRIES hides that here: max_retries = 5"
    assert layered.ok("config", "set", "max_retries", "2").err.splitlines() == ["max_retries = 2", hidden]
    assert layered.ok("config", "unset", "max_retries").err.splitlines()[1] == hidden
    told = layered.ok("config", "set", "timeout", "8", "--set", "timeout=9").err.splitlines()
    assert told == ["timeout = 8", "but --set hides that here: timeout = 9"]
    assert layered.ok("config", "get", "timeout").out == "8\n"
    assert len(layered.ok("config", "set", "max_crashes", "2").err.splitlines()) == 1


def test_what_a_job_says_itself_wins_over_every_layer(layered: CommandLine) -> None:
    layered.ok("enqueue", "--id", "own", "--max-retries", "2", "--", "x")
    assert [job["max_retries"] for job in layered.json("list", "--set", "max_retries=9")] == [2]


def test_layers_are_stored_nowhere(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("QUEUECTL_MAX_RETRIES", "5")
        cli.ok("enqueue", "--id", "a", "--set", "backoff_max=7", "--", "x")
        assert [job["max_retries"] for job in cli.json("list")] == [5]
        cli.ok("reindex", "--set", "timeout=9")
    assert [job["max_retries"] for job in cli.json("list")] == [3]
    assert {one["origin"] for one in cli.json("config", "get", "--origin").values()} == {"default"}
    assert "max_retries" not in cli.record("pending", "a")


def test_what_is_stored_and_unfit_is_told_of(cli: CommandLine) -> None:
    cli.ok("init")
    with Store.open(str(cli.spool)) as store, store.changing_settings() as index:
        index.set_setting("max_retries", "lots")
        index.set_setting("of_a_later_release", "1")
    answer = cli.ok("config", "get", "--origin")
    assert "max_retries cannot be 'lots'" in answer.err
    assert "of_a_later_release" in answer.err
    assert answer.lines[0].split() == ["max_retries", "3", "default"]
    assert cli.ok("config", "get", "timeout").err == "", "only of what is asked for"
