"""What may stand for an option's or an argument's value while a shell completes it.

Parameters are told by their names, so that the commands need not know of it, nor what they import.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Callable, Optional

import click
from click.shell_completion import CompletionItem

from queuectl import system
from queuectl.cli.common import spool_path
from queuectl.config import SETTINGS
from queuectl.index import hints
from queuectl.names import fold, is_ignored, stem_of
from queuectl.spool import layout
from queuectl.state import FINISHED, TO_BE_DONE, WAITING, State

MOST = 200
"""Candidates of a kind: a person types on to see fewer, not to read more."""
if TYPE_CHECKING:
    # Older releases of click have no type of it that takes another.
    Items = list[CompletionItem[str]]
    Source = Callable[[click.Context, str], Items]
_STATES_OF: dict[str, Sequence[State]] = {
    "cancel": TO_BE_DONE,
    "retry": FINISHED,
    "hold": WAITING,
    "release": WAITING,
    "edit": WAITING,
}
"""Of the jobs that a command may be meant for; else of all, and of the dead letter queue of the dead."""


def teach(parameters: Iterable[click.Parameter]) -> None:
    """Have those of these parameters that have candidates tell them."""
    for one in parameters:
        source = source_of(one)
        if source is not None:
            one.shell_complete = partial(_within, source)  # type: ignore[method-assign]


def _within(source: Source, ctx: click.Context, incomplete: str) -> Items:
    # Which spool it is about is asked of the call, as everywhere.
    with ctx.scope(cleanup=False):
        return source(ctx, incomplete)


def source_of(parameter: click.Parameter) -> Optional[Source]:
    """Where the candidates for this parameter come from; None if click itself knows, or nobody."""
    name = parameter.name or ""
    if isinstance(parameter, click.Option) and name == "job_id":
        # The id of a new job.
        return None
    return _SOURCES.get(name)


def _ids(ctx: click.Context, incomplete: str) -> Items:
    states: Iterable[State] = _STATES_OF.get(ctx.info_name or "", State)
    if ctx.parent is not None and ctx.parent.info_name == "dlq":
        states = (State.DEAD,)
    found = hints.ids(_index(), incomplete, [state.value for state in states], MOST)
    return [CompletionItem(job_id, help=state) for job_id, state in found]


def _groups(ctx: click.Context, incomplete: str) -> Items:
    names = {*_files(layout.GROUPS), *hints.groups(_index(), MOST)}
    return _beginning(sorted(names), incomplete)


def _batches(ctx: click.Context, incomplete: str) -> Items:
    return _beginning(sorted(hints.batches(_index(), MOST)), incomplete)


def _names(ctx: click.Context, incomplete: str) -> Items:
    kind = ctx.parent.info_name if ctx.parent is not None else None
    if kind == "group":
        return _groups(ctx, incomplete)
    if kind == "schedule" and ctx.info_name != "add":
        return _beginning(_files(layout.SCHEDULES), incomplete)
    if kind == "service":
        from queuectl.duty import names_of

        return _beginning(names_of(spool_path()), incomplete)
    return []


def _states(ctx: click.Context, incomplete: str) -> Items:
    before, comma, last = incomplete.rpartition(",")
    chosen = [state.value for state in State if state.value.startswith(last)]
    return [CompletionItem(f"{before}{comma}{one}") for one in chosen]


def _settings(ctx: click.Context, incomplete: str) -> Items:
    chosen = [one for one in SETTINGS.values() if one.name.startswith(incomplete)]
    return [CompletionItem(one.name, help=one.meaning) for one in chosen]


def _assignments(ctx: click.Context, incomplete: str) -> Items:
    return [CompletionItem(f"{one.value}=", help=one.help) for one in _settings(ctx, incomplete)]


def _folder(ctx: click.Context, incomplete: str) -> Items:
    return [CompletionItem(incomplete, type="dir")]


def _file(ctx: click.Context, incomplete: str) -> Items:
    return [CompletionItem(incomplete, type="file")]


def _words(ctx: click.Context, incomplete: str) -> Items:
    from queuectl.cli.job_options import given_program

    # Behind a program: a file is what it is most likely given.
    return _file(ctx, incomplete) if given_program() else []


def _files(folder: str) -> list[str]:
    """What the files of a folder that holds few are called. Those of jobs are not looked at."""
    names = system.names_in(os.path.join(spool_path(), folder))
    stems = [stem_of(name) for name in sorted(names) if not is_ignored(name)]
    return [stem for stem in stems if stem is not None]


def _beginning(names: Sequence[str], incomplete: str) -> Items:
    begin = fold(incomplete)
    return [CompletionItem(name) for name in names if fold(name).startswith(begin)][:MOST]


def _index() -> str:
    return os.path.join(spool_path(), layout.INDEX)


_SOURCES: dict[str, Source] = {
    "job_id": _ids,
    "job_ids": _ids,
    "after": _ids,
    "after_failure": _ids,
    "after_any": _ids,
    "group": _groups,
    "batch": _batches,
    "name": _names,
    "names": _names,
    "state": _states,
    "states": _states,
    "unique_over": _states,
    "key": _settings,
    "set": _assignments,
    "spool": _folder,
    "cwd": _folder,
    "to": _folder,
    "file": _file,
    "log_file": _file,
    "textfile": _file,
    "password_file": _file,
    "files": _file,
    "paths": _file,
    "source": _words,
}
