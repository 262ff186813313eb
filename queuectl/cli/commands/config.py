"""config: the settings of a spool, and what holds of them for this call."""

from __future__ import annotations

from typing import Any, Optional

import click

from queuectl.cli.common import SuggestingGroup, command, json_option, open_queue, print_json, say
from queuectl.cli.terminal import cell, echo
from queuectl.config import SETTINGS, Value, parse_value, setting, show_value
from queuectl.layers import DEFAULT, OPTION_NAME, SPOOL, Held
from queuectl.queue import Queue

# `-1` is a value that is refused, not an option that there is not.
_TAKES_MINUS: dict[str, Any] = {"context_settings": {"ignore_unknown_options": True}}


@click.group("config", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl config set max_retries 5")
def config_command() -> None:
    """Read and change the settings of this spool."""


@command(
    "get",
    "queuectl config get\nqueuectl config get max_retries\nqueuectl config get --origin",
    config_command,
)
@json_option
@click.option("--origin", "with_origin", is_flag=True, help="Tell where each value is from.")
@click.argument("key", required=False)
def get_setting(as_json: bool, with_origin: bool, key: Optional[str]) -> None:
    """Print every setting, or the bare value of one.

    What holds: an option --set, else the environment (QUEUECTL_MAX_RETRIES and the like), else what was set
    in the spool, else the default.
    """
    if key is not None:
        setting(key)
    with open_queue() as queue:
        held = queue.config_origins()
        problems = queue.config_problems()
    if key is not None:
        held = {key: held[key]}
    for name, why in problems.items():
        if key in (None, name):
            say(cell(why))
    if as_json:
        print_json({name: _data(one) if with_origin else one.value for name, one in held.items()})
    elif with_origin:
        for name, one in held.items():
            echo(f"{name:<16}{show_value(one.value):<12}{one.told}")
    elif key is not None:
        echo(show_value(held[key].value))
    else:
        for name, one in held.items():
            echo(f"{name:<16}{show_value(one.value):<12}{SETTINGS[name].meaning}")


def _data(held: Held) -> dict[str, Value]:
    data: dict[str, Value] = {"value": held.value, "origin": held.origin}
    return data if held.variable is None else {**data, "variable": held.variable}


@command("set", "queuectl config set max_retries 5", config_command, **_TAKES_MINUS)
@click.argument("key")
@click.argument("value")
def set_setting(key: str, value: str) -> None:
    """Set one in this spool; it acts on jobs that are already queued, too."""
    parse_value(key, value)
    with open_queue() as queue:
        say(f"{key} = {show_value(queue.set_config(key, value))}")
        _tell_hidden(queue, key)


@command("unset", "queuectl config unset max_retries", config_command)
@click.argument("key")
def unset_setting(key: str) -> None:
    """Back to the default in this spool."""
    setting(key)
    with open_queue() as queue:
        say(f"{key} = {show_value(queue.unset_config(key))} (default)")
        _tell_hidden(queue, key)


def _tell_hidden(queue: Queue, key: str) -> None:
    held = queue.config_origins()[key]
    if held.origin not in (SPOOL, DEFAULT):
        say(f"but {held.variable or OPTION_NAME} hides that here: {key} = {show_value(held.value)}")
