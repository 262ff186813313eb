from __future__ import annotations

from typing import Any

import pytest

from queuectl.config import SETTINGS, config_from, parse_value, show_value
from queuectl.errors import InvalidInput


def test_the_defaults_are_those_that_are_promised() -> None:
    defaults = {name: setting.default for name, setting in SETTINGS.items()}
    assert defaults == {
        "max_retries": 3,
        "backoff_base": 2,
        "backoff_max": 3600,
        "backoff_jitter": 0,
        "timeout": None,
        "max_crashes": 3,
        "poll_interval": 1,
        "settle_time": 10,
        "shell": None,
        "max_job_bytes": 1024 * 1024,
        "log_max_bytes": 10 * 1024 * 1024,
        "keep_done": None,
        "keep_done_count": None,
        "keep_done_bytes": None,
        "keep_dead": None,
        "keep_dead_count": None,
        "keep_dead_bytes": None,
        "keep_logs": None,
        "traces": "off",
    }
    assert config_from({})._asdict() == defaults


def test_each_setting_says_what_it_means() -> None:
    assert all(setting.meaning and setting.name == name for name, setting in SETTINGS.items())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_retries", "0", 0),
        ("max_retries", " 5 ", 5),
        ("max_retries", "+7", 7),
        ("backoff_base", "1.5", 1.5),
        ("backoff_base", "2.0", 2),
        ("backoff_base", ".5", 0.5),
        ("backoff_base", "0", 0),
        ("backoff_max", "10m", 600),
        ("backoff_max", "0", 0),
        ("backoff_jitter", "0.25", 0.25),
        ("timeout", "none", None),
        ("timeout", "None", None),
        ("timeout", "1h30m", 5400),
        ("timeout", "500ms", 0.5),
        ("max_crashes", "1", 1),
        ("poll_interval", "0.5", 0.5),
        ("settle_time", "0", 0),
        ("shell", "pwsh", "pwsh"),
        ("shell", "none", None),
        ("max_job_bytes", "65536", 65536),
        ("max_job_bytes", "64 KiB", 65536),
        ("max_job_bytes", "64k", 65536),
        ("max_job_bytes", "2 MB", 2 * 2**20),
        ("log_max_bytes", "1.5m", 3 * 2**19),
        ("log_max_bytes", "1g", 2**30),
        ("keep_done", "30d", 30 * 86400),
        ("keep_done", "none", None),
        ("keep_dead", "0", 0),
        ("keep_done_count", "1000", 1000),
        ("keep_done_bytes", "5 GiB", 5 * 2**30),
        ("keep_dead_bytes", "none", None),
        ("keep_logs", "12h", 43200),
        ("traces", " On ", "on"),
    ],
)
def test_a_value_is_read(name: str, text: str, value: Any) -> None:
    read = parse_value(name, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("max_retries", "-1", "a whole number from 0 to 1000000"),
        ("max_retries", "1.5", "a whole number"),
        ("max_retries", "", "a whole number"),
        ("max_retries", "three", "a whole number"),
        ("max_retries", "1000001", "a whole number"),
        ("max_retries", "9" * 400, "a whole number"),
        ("max_retries", "none", "a whole number"),
        ("max_retries", "٣", "a whole number"),
        ("backoff_base", "-1", "a number from 0"),
        ("backoff_base", "1e3", "a number"),
        ("backoff_base", "nan", "a number"),
        ("backoff_base", "inf", "a number"),
        ("backoff_base", "9" * 400, "a number"),
        ("backoff_jitter", "1.1", "a number from 0 to 1"),
        ("backoff_max", "-5", "a duration"),
        ("backoff_max", "9" * 400, "a duration"),
        ("timeout", "0", "a duration from 0.001 to 1e+09 seconds, such as 90 or 1.5s or 10m, or none"),
        ("timeout", "soon", ", or none"),
        ("max_crashes", "0", "a whole number from 1"),
        ("poll_interval", "0", "a duration from 0.02"),
        ("settle_time", "2h", "a duration from 0 to 3600"),
        ("shell", "zsh", "one of cmd, powershell, pwsh, bash, sh, or none"),
        ("shell", "SH", "one of"),
        ("max_job_bytes", "10", "a size of at least 64 bytes"),
        ("max_job_bytes", "-1", "a size"),
        ("max_job_bytes", "1 TB", "a size"),
        ("max_job_bytes", "9" * 400, "a size"),
        ("max_job_bytes", "9" * 400 + "g", "a size"),
        ("log_max_bytes", "1023", "a size of at least 1024 bytes"),
        ("keep_done", "a month", ", or none"),
        ("keep_done", "-1", "a duration from 0"),
        ("keep_done_count", "-1", "a whole number from 0"),
        ("keep_dead_bytes", "much", "a size of at least 0 bytes"),
    ],
)
def test_another_value_is_refused_with_what_is_wanted(name: str, text: str, wanted: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_value(name, text)
    assert caught.value.message.startswith(f"{name} cannot be ")
    assert wanted in caught.value.message


def test_an_unknown_setting_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(InvalidInput, match=r"no setting 'max_retry' \(did you mean 'max_retries'\?\)"):
        parse_value("max_retry", "1")


def test_a_setting_like_no_other_is_refused_with_all_there_are() -> None:
    with pytest.raises(InvalidInput, match="there are max_retries, backoff_base"):
        parse_value("colour", "red")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("backoff_base", "0.00001"),
        ("backoff_base", "1.5"),
        ("backoff_jitter", "0.00001"),
        ("backoff_max", "123456789.25"),
        ("settle_time", "0.00001"),
        ("timeout", "1ms"),
        ("timeout", "none"),
        ("shell", "none"),
        ("shell", "bash"),
        ("max_job_bytes", "1g"),
    ],
)
def test_a_value_as_shown_is_that_value(name: str, text: str) -> None:
    value = parse_value(name, text)
    assert parse_value(name, show_value(value)) == value
    assert getattr(config_from({name: show_value(value)}), name) == value


def test_what_is_stored_holds() -> None:
    config = config_from({"max_retries": "5", "timeout": "2.5", "shell": "sh"})
    assert (config.max_retries, config.timeout, config.shell) == (5, 2.5, "sh")
    assert config.backoff_base == 2


@pytest.mark.parametrize(
    "stored",
    [
        {"max_retries": "many"},
        {"max_retries": "-3"},
        {"timeout": ""},
        {"shell": "fish"},
        {"max_job_bytes": "9" * 400},
        {"from_the_future": "1"},
        {"_asdict": "1"},
    ],
)
def test_what_is_stored_and_unfit_leaves_the_default(stored: dict[str, str]) -> None:
    assert config_from({**stored, "max_crashes": "7"}) == config_from({})._replace(max_crashes=7)
