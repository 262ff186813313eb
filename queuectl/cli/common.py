"""What all commands share: --spool, --json, an example in the help, opening the queue."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Callable, Optional, TypeVar

import click

from queuectl import system
from queuectl.cli.terminal import cell, echo, forget
from queuectl.errors import Interrupted
from queuectl.layers import OPTION_NAME, Layers, assigned, misspelt, settings_in
from queuectl.queue import DEFAULT_SPOOL, Queue

Function = TypeVar("Function", bound=Callable[..., Any])
_SPOOL, _SETTINGS, _TOLD = "queuectl.spool", "queuectl.settings", "queuectl.told"


@cache
def _help_option(names: tuple[str, ...]) -> click.Option:
    # One for all of them: click tells options apart by being the same object.
    return click.Option(
        names,
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_help,
        help="Show this message and exit.",
    )


def _show_help(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


class Command(click.Command):
    """A command whose --help is not looked up among the translations that click could have: that takes as
    long as to read the index.
    """

    def get_help_option(self, ctx: click.Context) -> Optional[click.Option]:
        """As click's own."""
        names = self.get_help_option_names(ctx)
        return _help_option(tuple(sorted(names))) if names and self.add_help_option else None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """As click's own; while a shell completes they know what may stand there."""
        parameters = super().get_params(ctx)
        if ctx.resilient_parsing:
            from queuectl.cli.candidates import teach

            teach(parameters)
        return parameters


class SuggestingGroup(Command, click.Group):
    """A group that suggests a command for a name that is nearly one, whatever click's version."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[Optional[str], Optional[click.Command], list[str]]:
        """As click does."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = " or ".join(map(repr, get_close_matches(args[0], names, n=2)))
            ctx.fail(f"no command {args[0]!r}" + (f"; did you mean {close}?" if close else ""))
        return super().resolve_command(ctx, args)


def _remember_spool(ctx: click.Context, parameter: click.Parameter, value: Optional[str]) -> None:
    if value == "":
        raise click.BadParameter("a folder's name cannot be empty")
    if value is not None:
        ctx.meta[_SPOOL] = value


def _remember_settings(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    for assignment in value:
        ctx.meta[_SETTINGS] = assigned(ctx.meta.get(_SETTINGS, {}), assignment)


def common_options(function: Function) -> Function:
    """--spool DIR and --set KEY=VALUE, which may stand before or behind the command's name."""
    function = click.option(
        OPTION_NAME,
        metavar="KEY=VALUE",
        multiple=True,
        expose_value=False,
        callback=_remember_settings,
        help="A setting for this call alone (see config get).",
    )(function)
    return click.option(
        "--spool",
        metavar="DIR",
        expose_value=False,
        callback=_remember_spool,
        help="The spool folder; else QUEUECTL_SPOOL, else ./spool.",
    )(function)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def command(
    name: str, example: str, group: Optional[click.Group] = None, **options: Any
) -> Callable[[Function], click.Command]:
    """A command with the options of all, and an example in its help; `options` are click's."""

    def wrap(function: Function) -> click.Command:
        epilog = "\b\nExample:\n" + "\n".join(f"  {line}" for line in example.splitlines())
        make = click.command if group is None else group.command
        decorate = make(name, epilog=epilog, **{"cls": Command, **options})
        made: click.Command = decorate(common_options(function))
        return made

    return wrap


def spool_path() -> str:
    """The spool that this call is about."""
    chosen = click.get_current_context().meta.get(_SPOOL) or os.environ.get("QUEUECTL_SPOOL")
    return os.path.abspath(os.path.expanduser(str(chosen or DEFAULT_SPOOL)))


def layers() -> Layers:
    """What of the settings holds for this call alone; a variable that may be meant for one is told of.

    Raises:
        InvalidInput: a variable of the environment is not what its setting can be.
    """
    meta = click.get_current_context().meta
    if not meta.setdefault(_TOLD, False):
        meta[_TOLD] = True
        for name, meant in misspelt(os.environ).items():
            say(f"{cell(name)} is no setting's; did you mean {meant}?")
    options = meta.get(_SETTINGS, {})
    return Layers(settings_in(os.environ), options).checked()


def ensure_spool(tell: Optional[Callable[[str], None]] = None) -> str:
    """The spool's path; made, with a word on stderr (or to `tell`), where there is none."""
    from queuectl.spool import making

    path = spool_path()
    if making.ensure_spool(path):
        (tell or say)(f"made a new spool in {path}")
    return path


@contextmanager
def open_queue() -> Iterator[Queue]:
    """The queue that this call is about; what goes wrong beside it is told in the end."""
    # Before a spool is made for what cannot be done.
    options = layers().options
    with Queue.open(ensure_spool(), create=False, settings=options) as queue:
        try:
            yield queue
        finally:
            for text in queue.store.taken_troubles():
                say(text)


def say(text: str) -> None:
    """A word to the person, not to the program that reads our output."""
    try:
        echo(text, err=True)
    except OSError:
        # Whether it is heard must not decide what becomes of what we do.
        forget(sys.stderr)


def refuse_without_person() -> None:
    """Raise UsageError if nobody is here to be asked."""
    if not system.is_interactive(sys.stdin):
        raise click.UsageError("nobody is here to ask: say --yes")


def confirm(question: str) -> None:
    """Go on if the person says yes.

    Raises:
        UsageError: nobody is here to ask.
        Interrupted: they say no.
    """
    refuse_without_person()
    if not click.confirm(question, err=True):
        raise Interrupted("nothing done")


def print_json(value: Any) -> None:
    """The one JSON value that stdout carries; ASCII, so that no console's code page can spoil it."""
    from json import dumps

    click.echo(dumps(value, indent=2).replace("\x7f", "\\u007f"))
