"""config: the settings of a spool."""

from __future__ import annotations

from typing import Any, Optional

import click

from queuectl.cli.common import SuggestingGroup, command, json_option, open_queue, print_json, say
from queuectl.cli.terminal import echo
from queuectl.config import SETTINGS, parse_value, setting, show_value

# `-1` is a value that is refused, not an option that there is not.
_TAKES_MINUS: dict[str, Any] = {"context_settings": {"ignore_unknown_options": True}}


@click.group("config", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl config set max_retries 5")
def config_command() -> None:
    """Read and change the settings of this spool."""


@command("get", "queuectl config get\nqueuectl config get max_retries", config_command)
@json_option
@click.argument("key", required=False)
def get_setting(as_json: bool, key: Optional[str]) -> None:
    """Print every setting, or the bare value of one."""
    if key is not None:
        setting(key)
    with open_queue() as queue:
        values = queue.get_config()
    if as_json:
        print_json(values if key is None else {key: values[key]})
    elif key is not None:
        echo(show_value(values[key]))
    else:
        for name, value in values.items():
            echo(f"{name:<16}{show_value(value):<12}{SETTINGS[name].meaning}")


@command("set", "queuectl config set max_retries 5", config_command, **_TAKES_MINUS)
@click.argument("key")
@click.argument("value")
def set_setting(key: str, value: str) -> None:
    """Set one; it acts on jobs that are already queued, too."""
    parse_value(key, value)
    with open_queue() as queue:
        say(f"{key} = {show_value(queue.set_config(key, value))}")


@command("unset", "queuectl config unset max_retries", config_command)
@click.argument("key")
def unset_setting(key: str) -> None:
    """Back to the default."""
    setting(key)
    with open_queue() as queue:
        say(f"{key} = {show_value(queue.unset_config(key))} (default)")
