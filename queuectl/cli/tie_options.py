"""Options that tie a job to others: what it waits for, its batch, its unique key; and its hooks."""

from __future__ import annotations

from functools import reduce
from typing import Any, Callable, Optional

import click

from queuectl.cli.common import Function
from queuectl.cli.job_options import seconds

IF_EXISTS = ("refuse", "replace", "return")
_BATCH = "batch:"
_OUTCOMES = {"after": "success", "after_failure": "failure", "after_any": "any"}

_TIES: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--after", multiple=True, metavar="ID", help="Run once this job, or batch:NAME, has completed."
    ),
    click.option("--after-failure", multiple=True, metavar="ID", help="Run once it is dead."),
    click.option("--after-any", multiple=True, metavar="ID", help="Run once it has ended, however."),
    click.option("--batch", metavar="NAME", help="What it belongs to: others may wait for all of it."),
)
_HOOKS: tuple[Callable[[Any], Any], ...] = (
    click.option("--on-success", metavar="COMMAND", help="Run this when it has completed."),
    click.option("--on-failure", metavar="COMMAND", help="Run this after each run of it that failed."),
    click.option("--on-dead", metavar="COMMAND", help="Run this when it has failed for good."),
)
_KEYS: tuple[Callable[[Any], Any], ...] = (
    click.option("--unique-key", metavar="KEY", help="While another job with it is to be done, add none."),
    click.option(
        "--if-exists",
        type=click.Choice(IF_EXISTS),
        help="Of a second: refuse it (usual), put it in the first one's place, or print the first one's id.",
    ),
    click.option(
        "--unique-over", metavar="STATES", help="Which others count: pending,failed,...; else to be done."
    ),
    click.option(
        "--unique-for", callback=seconds, metavar="TIME", help="Count those that came in within so long."
    ),
)


def tie_options(function: Function) -> Function:
    """What a job waits for, and its batch."""
    return reduce(lambda made, option: option(made), reversed(_TIES), function)


def hook_options(function: Function) -> Function:
    """What is to be run when a job has ended."""
    return reduce(lambda made, option: option(made), reversed(_HOOKS), function)


def key_options(function: Function) -> Function:
    """The unique key of a new job."""
    return reduce(lambda made, option: option(made), reversed(_KEYS), function)


def taken_ties(fields: dict[str, Any]) -> list[Any]:
    """What `after` is to be by these options, which are taken out of `fields`."""
    found: list[Any] = []
    for name, outcome in _OUTCOMES.items():
        found += [_parent(text, outcome) for text in fields.pop(name)]
    return found


def _parent(text: str, outcome: str) -> Any:
    from queuectl.job import SUCCESS, After

    if text.startswith(_BATCH):
        return After(batch=text[len(_BATCH) :], on=outcome)
    return text if outcome == SUCCESS else After(id=text, on=outcome)


def taken_unique(fields: dict[str, Any], *, keyed: bool) -> Any:
    """What is to become of a job whose key another one has, by these options, which are taken out."""
    if_exists, over, within = (fields.pop(name) for name in ("if_exists", "unique_over", "unique_for"))
    if (if_exists, over, within) == (None, None, None):
        return None
    if not keyed:
        raise click.UsageError("--if-exists, --unique-over and --unique-for are about a --unique-key")
    from queuectl.queue.ties import REFUSE, Unique

    return Unique(if_exists or REFUSE, _states(over), within)


def _states(text: Optional[str]) -> Any:
    from queuectl.state import State

    return None if text is None else [State.parse(one.strip()) for one in text.split(",")]
