"""Every command tells what it does, with an example."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from queuectl import __version__
from queuectl.cli.root import root
from tests.support.commandline import CommandLine

PRINTS_DATA = {
    "run",
    "enqueue",
    "status",
    "list",
    "show",
    "stats",
    "wait",
    "worker list",
    "service status",
    "schedule add",
    "schedule list",
    "schedule show",
    "schedule next",
    "schedule run-now",
    "group set",
    "group list",
    "hook set",
    "hook list",
    "hook show",
    "hook remove",
    "dlq list",
    "dlq show",
    "cancel",
    "retry",
    "hold",
    "release",
    "dlq retry",
    "dlq purge",
    "config get",
    "prune",
    "archive",
    "export",
    "import",
    "doctor",
}
COMMANDS = {
    "init",
    "run",
    "enqueue",
    "worker start",
    "worker stop",
    "worker list",
    "service install",
    "service status",
    "service uninstall",
    "status",
    "list",
    "show",
    "logs",
    "open",
    "completion install",
    "completion show",
    "completion uninstall",
    "stats",
    "wait",
    "cancel",
    "retry",
    "pause",
    "resume",
    "schedule add",
    "schedule list",
    "schedule show",
    "schedule next",
    "schedule pause",
    "schedule resume",
    "schedule remove",
    "schedule run-now",
    "group set",
    "group list",
    "group pause",
    "group resume",
    "group remove",
    "hook set",
    "hook list",
    "hook show",
    "hook remove",
    "hold",
    "release",
    "edit",
    "dlq list",
    "dlq show",
    "dlq retry",
    "dlq purge",
    "config get",
    "config set",
    "config unset",
    "metrics",
    "web",
    "prune",
    "archive",
    "export",
    "import",
    "doctor",
    "reindex",
}


def walk(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{name} is listed and not there"
            yield from walk(inner, (*path, name))


TREE = list(walk(root))
LEAVES = [(path, command) for path, command in TREE if not isinstance(command, click.Group)]


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_the_commands_are_those_of_the_documentation() -> None:
    assert {" ".join(path) for path, _ in LEAVES} == COMMANDS


@pytest.mark.parametrize("path", [path for path, _ in TREE], ids=" ".join)
def test_help_has_an_example(cli: CommandLine, path: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        text = cli.ok(*path, flag).out
        assert text.startswith(f"Usage: queuectl{' ' if path else ''}{' '.join(path)} ")
        example = text.partition("Example:\n")[2]
        assert example.strip().startswith("queuectl"), "there is an example"
        if path:
            assert " ".join(path) in example
    assert not cli.spool.exists(), "help makes no spool"


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_options_that_all_have(path: tuple[str, ...], command: click.Command) -> None:
    assert "--spool" in options(command)
    assert ("--json" in options(command)) == (" ".join(path) in PRINTS_DATA)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.opts} has no help"


def test_no_arguments_are_a_wish_for_help(cli: CommandLine) -> None:
    assert cli.ok().out.startswith("Usage: queuectl ")
    for group in ("worker", "service", "schedule", "group", "hook", "dlq", "config"):
        assert cli(group).out.startswith(f"Usage: queuectl {group} ")


def test_version(cli: CommandLine) -> None:
    assert cli.ok("--version").out == f"queuectl {__version__}\n"


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (("lst",), "'list'"),
        (("statsu",), "'status'"),
        (("worker", "strat"), "start"),
        (("dlq", "retyr"), "retry"),
    ],
)
def test_an_unknown_command_is_told_what_was_meant(
    cli: CommandLine, args: tuple[str, ...], meant: str
) -> None:
    line = cli.fails(2, *args)
    assert args[-1] in line
    assert meant in line


def test_an_unknown_command_without_likeness_and_an_unknown_option(cli: CommandLine) -> None:
    assert "'xyzzy'" in cli.fails(2, "xyzzy")
    assert "--priorty" in cli.fails(2, "enqueue", "--priorty", "1", "--", "x")
    assert "--priority" in cli.fails(2, "enqueue", "--priorty", "1", "--", "x")
    assert not cli.spool.exists(), "nothing was made"


@pytest.mark.parametrize("option", ["--file", "--env", "--tag"])
def test_what_may_be_given_more_than_once_says_so(cli: CommandLine, option: str) -> None:
    words = " ".join(cli.ok("enqueue", "--help").out.split())
    described = words.split(option, 1)[1].split(" --", 1)[0]
    assert "may be repeated" in described
