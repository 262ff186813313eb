"""Options of `list` and of what acts on many jobs: which ones are meant."""

from __future__ import annotations

from functools import reduce
from typing import Any, Callable, Optional

import click

from queuectl import system
from queuectl.cli.common import Function
from queuectl.cli.job_options import seconds
from queuectl.index import ALL, Filter
from queuectl.state import State

_FIELDS = ("group", "tag", "batch", "command_like", "error_like")


def _states(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[State, ...]:
    parsed = [State.parse(one.strip()) for text in texts for one in text.split(",")]
    return tuple(dict.fromkeys(state for state in parsed if state is not None))


def _text(ctx: click.Context, parameter: click.Parameter, text: Optional[str]) -> Optional[str]:
    if text is not None and not text.strip():
        # Of a variable that a script has not set, as a rule.
        raise click.BadParameter("the text is empty, and so is in every one")
    return text


state_option = click.option(
    "--state",
    "states",
    multiple=True,
    callback=_states,
    metavar="STATES",
    help="Only pending, processing, completed (or done), failed or dead; may be repeated, or a list: a,b.",
)
held_option = click.option(
    "--held", is_flag=True, default=None, help="Only jobs that a person keeps: see hold."
)
_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--group", metavar="NAME", help="Only jobs of this group."),
    click.option("--tag", help="Only jobs with this tag."),
    click.option("--batch", metavar="NAME", help="Only jobs of this batch."),
    click.option(
        "--older-than",
        callback=seconds,
        metavar="TIME",
        help="Only jobs that have not changed for so long: 90, 10m, 2h30m, 7d.",
    ),
    click.option(
        "--newer-than", callback=seconds, metavar="TIME", help="Only jobs that have changed within so long."
    ),
    click.option(
        "--command-like",
        callback=_text,
        metavar="TEXT",
        help="Only jobs whose command has this text in it, in capitals or not.",
    ),
    click.option(
        "--error-like",
        callback=_text,
        metavar="TEXT",
        help="Only jobs whose error has this text in it, in capitals or not.",
    ),
)


def filter_options(function: Function) -> Function:
    """Which jobs are meant, but for their states."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), function)


def has_filter(given: dict[str, Any]) -> bool:
    """Whether any of these options was given."""
    names = (*_FIELDS, "states", "older_than", "newer_than")
    return any(given.get(name) not in (None, ()) for name in names)


def taken_filter(given: dict[str, Any]) -> Filter:
    """The jobs that are meant by these options, which are taken out of `given`."""
    older, newer = given.pop("older_than"), given.pop("newer_than")
    fields = {name: given.pop(name) for name in _FIELDS}
    return ALL._replace(
        states=given.pop("states", ()),
        held=given.pop("held", None),
        changed_before=_ago(older),
        changed_since=_ago(newer),
        **fields,
    )


def _ago(age: Optional[float]) -> Optional[float]:
    return None if age is None else system.now() - age
