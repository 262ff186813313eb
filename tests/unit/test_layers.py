"""Settings in layers: the strongest that says something wins, and each value tells where it is from."""

from __future__ import annotations

import pytest

from queuectl.commands import Conditions, Job
from queuectl.config import SETTINGS, config_from
from queuectl.errors import InvalidInput
from queuectl.hook import hook_job
from queuectl.job import Run
from queuectl.layers import NO_LAYERS, Held, Layers, assigned, misspelt, settings_in, unfit, variable
from queuectl.state import State

ALL = Layers({"max_retries": "5", "timeout": "1m"}, {"max_retries": "9"})


def test_the_strongest_layer_that_says_something_wins() -> None:
    config = config_from(ALL.over({"max_retries": "1", "timeout": "7", "max_crashes": "2"}))
    assert (config.max_retries, config.timeout, config.max_crashes, config.backoff_base) == (9, 60, 2, 2)
    assert config_from(NO_LAYERS.over({"max_retries": "1"})).max_retries == 1


def test_each_value_tells_where_it_is_from() -> None:
    held = ALL.held({"max_crashes": "2", "backoff_max": "nonsense"})
    assert list(held) == list(SETTINGS)
    assert held["max_retries"] == Held(9, "option")
    assert held["timeout"] == Held(60, "environment", "QUEUECTL_TIMEOUT")
    assert held["timeout"].told == "environment QUEUECTL_TIMEOUT"
    assert held["max_crashes"] == Held(2, "spool")
    assert held["backoff_base"] == Held(2, "default")
    assert held["backoff_max"] == Held(3600, "default"), "what is unfit there does not hold"


def test_blanks_around_a_value_are_no_part_of_it() -> None:
    """In cmd.exe `set QUEUECTL_TIMEOUT=5 && queuectl` leaves one behind the value."""
    texts = {
        name: f" {text}\t" for name, text in {"max_retries": "5", "timeout": "1m", "shell": "sh"}.items()
    }
    assert Layers(texts, {}).checked().held({})["max_retries"] == Held(
        5, "environment", "QUEUECTL_MAX_RETRIES"
    )
    for layers, stored in ((Layers(texts, {}), {}), (Layers({}, texts), {}), (NO_LAYERS, texts)):
        config = config_from(layers.checked().over(stored))
        assert (config.max_retries, config.timeout, config.shell) == (5, 60, "sh")


def test_a_bad_value_of_the_environment_names_the_variable() -> None:
    with pytest.raises(InvalidInput, match=r"^QUEUECTL_MAX_RETRIES cannot be 'x': it must be a whole number"):
        Layers({"max_retries": "x"}, {"max_retries": "1"}).checked()


def test_every_setting_has_its_variable_and_an_empty_one_says_nothing() -> None:
    given = {variable(name): name for name in SETTINGS}
    assert settings_in(given) == {name: name for name in SETTINGS}
    assert settings_in(dict.fromkeys(given, "")) == {}
    assert settings_in({"QUEUECTL_SPOOL": "x", "QUEUECTL_JOB_ID": "x", "max_retries": "3"}) == {}


def test_no_variable_of_a_setting_is_one_that_a_command_or_a_hook_is_told_something_in() -> None:
    """A command inherits its worker's environment, and `queuectl` in it must not take one for the other."""
    from queuectl.commands import _environment
    from queuectl.tidings import Tidings

    at = "2027-01-01T00:00:00Z"
    ran = [Run(attempt=1, outcome="failed", finished_at=at)]
    job = Job(command="x", id="a", schedule="s", scheduled_at=at, state=State.DEAD, history=ran)
    conditions = Conditions("spool", "log", None, None, 1, None, tidings=Tidings("r", "p", []))
    ours = {**_environment({}, job, conditions), **hook_job(Job(command="x"), job, "on_dead", "log").env}
    assert {"QUEUECTL_JOB_ID", "QUEUECTL_RESULT", "QUEUECTL_SCHEDULE", "QUEUECTL_HOOK"} <= ours.keys()
    assert not ours.keys() & {variable(name) for name in SETTINGS}
    assert misspelt(dict.fromkeys(ours, "x")) == {}, "nor nearly one"


def test_a_variable_that_is_nearly_a_settings() -> None:
    given = ("MAX_RETRY", "TIMOUT", "KEEP_LOG", "TIMEZONE", "DATABASE_URL", "MAX_RETRIES", "")
    environment = {"QUEUECTL_MAX_RETRYS": "", **{f"QUEUECTL_{name}": "5" for name in given}, "MAX_RETRY": "5"}
    assert misspelt(environment) == {
        "QUEUECTL_MAX_RETRY": "QUEUECTL_MAX_RETRIES",
        "QUEUECTL_TIMOUT": "QUEUECTL_TIMEOUT",
        "QUEUECTL_KEEP_LOG": "QUEUECTL_KEEP_LOGS",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("max_retries", "says no value"),
        ("max_retry=3", "did you mean 'max_retries'"),
        ("max_retries=many", "--set max_retries cannot be 'many': it must be a whole number"),
        ("=3", "no setting ''"),
    ],
)
def test_an_option_that_is_none(text: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        assigned({}, text)
    assert why in str(caught.value)


def test_a_later_option_wins() -> None:
    assert assigned(assigned({"timeout": "5"}, "max_retries=1"), " max_retries =2") == {
        "timeout": "5",
        "max_retries": "2",
    }


def test_what_does_not_hold_of_what_is_stored() -> None:
    assert unfit("max_retries", "3") is None
    assert "max_retries cannot be 'x'" in str(unfit("max_retries", "x"))
    assert "no setting of this release" in str(unfit("max_tries", "3"))
