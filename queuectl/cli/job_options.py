"""What `enqueue` and `schedule add` share: where a job comes from, and the options that go over it."""

from __future__ import annotations

import os
from functools import reduce
from typing import TYPE_CHECKING, Any, Callable, Optional

import click

from queuectl.cli.common import Command, Function, spool_path
from queuectl.errors import InvalidInput
from queuectl.moment import parse_duration
from queuectl.names import SHELLS

if TYPE_CHECKING:
    # msgspec takes as long to import as click; `queuectl --help` only wants the names of the options.
    from queuectl.job import Job

_PROGRAM = "queuectl.program"
LONGEST = 1e9
"""Seconds, about 30 years: more is a mistake."""


def seconds(ctx: click.Context, parameter: click.Parameter, text: Optional[str]) -> Optional[float]:
    """A duration that was given as an option, in seconds."""
    if text is None:
        return None
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if found > LONGEST:
        raise click.BadParameter(f"{text!r} is more than {LONGEST:g} seconds")
    return found


def _variables(ctx: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    for text in texts:
        if not text.partition("=")[1]:
            raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE")
    return dict(text.split("=", 1) for text in texts)


class ProgramCommand(Command):
    """click swallows `--`; here everything behind it is the program to run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, of what stands before `--`."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[_PROGRAM] = args[cut + 1 :]
            args = args[:cut]
        return super().parse_args(ctx, args)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--priority", type=int, help="Higher runs first."),
    click.option("--group", metavar="NAME", help="The group whose limits it is under."),
    click.option("--max-retries", type=click.IntRange(min=0), help="Runs after the first."),
    click.option("--timeout", callback=seconds, metavar="TIME", help="Kill the command after so long."),
    click.option("--cwd", help="Folder to run in."),
    click.option("--shell", type=click.Choice(SHELLS), help="Shell for a command that is a string."),
    click.option(
        "--env",
        multiple=True,
        callback=_variables,
        metavar="K=V",
        help="Environment variable; may be repeated.",
    ),
    click.option("--tag", "tags", multiple=True, help="A word to find the job by; may be repeated."),
)


def job_options(function: Function) -> Function:
    """The options that go over what a job says itself."""
    return reduce(lambda made, option: option(made), reversed(_OPTIONS), function)


def given_program() -> Optional[list[str]]:
    """The program behind `--`, if that was given."""
    program: Optional[list[str]] = click.get_current_context().meta.get(_PROGRAM)
    return program


def given_jobs(files: tuple[str, ...], source: tuple[str, ...]) -> list[Job]:
    """The jobs that a call is about.

    Raises:
        InvalidInput, click.UsageError: there is none, or more than one of the ways to give it.
    """
    program = given_program()
    if sum((bool(files), bool(source), program is not None)) != 1:
        raise click.UsageError(
            "give one of: --file F, a JSON argument, - for standard input, -- PROGRAM ARG..."
        )
    if program is not None:
        return [_program_job(program)]
    from queuectl.cli.sources import jobs_from_argument, jobs_from_files

    return jobs_from_files(files) if files else jobs_from_argument(source)


def _program_job(program: list[str]) -> Job:
    from queuectl.job import Job

    if not program:
        raise click.UsageError("there is no program behind --")
    here = os.getcwd()
    # It runs where it was typed, wherever the worker was started.
    elsewhere = os.path.realpath(here) != os.path.realpath(os.path.dirname(spool_path()))
    return Job(command=program, cwd=here if elsewhere else None)


def unnamed(job: Job) -> Job:
    """The job of a file without the name that it has from there."""
    from msgspec.structs import replace

    return replace(job, id=None)


def with_options(job: Job, fields: dict[str, Any]) -> Job:
    """The job with those of these fields that were given."""
    changes = {name: value for name, value in fields.items() if value not in (None, (), {}, [])}
    if "env" in changes:
        changes["env"] = {**job.env, **changes["env"]}
    if "tags" in changes:
        changes["tags"] = [*job.tags, *(tag for tag in changes["tags"] if tag not in job.tags)]
    return replaced(job, changes)


def replaced(job: Job, changes: dict[str, Any]) -> Job:
    """The job with these fields, checked.

    Raises:
        InvalidInput: one of them cannot be.
    """
    import msgspec

    from queuectl.codec import checked

    try:
        return checked(msgspec.structs.replace(job, **changes))
    except UnicodeEncodeError as error:
        raise InvalidInput(f"not valid Unicode: {error.object!r}") from None
