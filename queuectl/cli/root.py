"""The tree of commands. A command's module is imported when it is called, or when help lists it."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Optional

import click

from queuectl import __version__
from queuectl.cli.common import SuggestingGroup, common_options

_HOMES = {
    "run": "run",
    "enqueue": "enqueue",
    "worker": "worker",
    "service": "service",
    "status": "look",
    "list": "look",
    "show": "look",
    "logs": "logs",
    "open": "open",
    "web": "web",
    "metrics": "metrics",
    "stats": "stats",
    "wait": "wait",
    "cancel": "act",
    "retry": "act",
    "hold": "waiting",
    "release": "waiting",
    "edit": "waiting",
    "pause": "act",
    "resume": "act",
    "schedule": "schedule",
    "group": "group",
    "hook": "hook",
    "dlq": "dlq",
    "config": "config",
    "completion": "completion",
    "prune": "keep",
    "archive": "keep",
    "export": "keep",
    "import": "keep",
    "init": "house",
    "doctor": "house",
    "reindex": "house",
}
"""Each command and its module in `queuectl.cli.commands`, in the order in which help shows them."""


class LazyGroup(SuggestingGroup):
    """After click's own example of lazily loaded subcommands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a newcomer needs them."""
        return list(_HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """The command of this name."""
        if cmd_name not in _HOMES:
            return None
        module: Any = import_module(f"queuectl.cli.commands.{_HOMES[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"{ctx.find_root().info_name} {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  queuectl run examples\n  queuectl COMMAND --help tells more of each command.",
)
@common_options
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def root() -> None:
    """Background jobs from a folder.

    A job is a JSON file, and the folder it lies in is its state: drop one into spool/pending while a worker
    runs, and it runs. No server, no broker, no daemon.
    """
