"""completion: have a shell complete commands, options, ids and names."""

from __future__ import annotations

import os
from shlex import quote
from typing import NamedTuple, Optional

import click

from queuectl import system
from queuectl.cli.common import SuggestingGroup, command, say
from queuectl.cli.profiles import OWN_FILE, with_script, without_script
from queuectl.cli.terminal import cell, put
from queuectl.errors import Conflict, QueueError
from queuectl.system import shells
from queuectl.system.rewriting import read_through, rewrite

shell_argument = click.argument("shell", required=False, type=click.Choice(shells.NAMES))
dry_run_option = click.option("--dry-run", is_flag=True, help="Only tell what would be done.")


class _File(NamedTuple):
    """One that a shell reads."""

    shell: str
    path: str
    new_line: str = "\n"
    lead: str = ""
    """What the script begins with in a file that has nothing else."""

    @property
    def ours(self) -> bool:
        """Whether all of it is."""
        return self.shell == shells.FISH


@click.group("completion", cls=SuggestingGroup, epilog="\b\nExample:\n  queuectl completion install")
def completion_command() -> None:
    """Have your shell complete commands, options, ids of jobs and names with the Tab key."""


@command("show", "queuectl completion show zsh", completion_command)
@shell_argument
def show_completion(shell: Optional[str]) -> None:
    """Print the script for a shell: bash, zsh, fish, powershell; else for the one that you use."""
    from queuectl.cli.completing import script

    # As bytes: lines of bash end in the same way wherever they are written.
    put(script(shell or _used()).encode())


@command(
    "install", "queuectl completion install\nqueuectl completion install zsh --dry-run", completion_command
)
@shell_argument
@dry_run_option
def install_completion(shell: Optional[str], dry_run: bool) -> None:
    """Have a shell complete queuectl from its next start on: the one that you use, or the one named.

    A block is added to the file that it reads when it starts (bash, zsh, and every PowerShell that is here),
    or a file is put where it looks (fish). Doing it again changes nothing, or brings the block up to date.
    """
    from queuectl.cli.completing import script

    shell = shell or _used()
    text = script(shell)
    for file in _files(shell, to_run=True):
        before = read_through(file.path)
        after = _changed(file, before, text)
        if before == after:
            say(f"{cell(file.path)} has it already")
            continue
        _change(file, after, dry_run=dry_run)
        if not dry_run:
            say(_now(file))


@command("uninstall", "queuectl completion uninstall zsh", completion_command)
@shell_argument
@dry_run_option
def uninstall_completion(shell: Optional[str], dry_run: bool) -> None:
    """Take out again what install has put there, and nothing else."""
    files = _files(shell or _used(), to_run=False)
    befores = [read_through(file.path) for file in files]
    found = [(file, before, _without(file, before)) for file, before in zip(files, befores)]
    changes = [(file, after) for file, before, after in found if before != after]
    for file, after in changes:
        _change(file, after, dry_run=dry_run)
    if not changes:
        for file in files:
            say(f"{cell(file.path)} has nothing of it")


def _used() -> str:
    used = shells.used_shell()
    if used is None:
        raise click.UsageError(f"which shell? say one of {', '.join(shells.NAMES)}")
    return used


def _change(file: _File, after: bytes, *, dry_run: bool) -> None:
    if not dry_run:
        try:
            # One that holds nothing else goes. What a link leads to is emptied: it may be kept elsewhere.
            if after or os.path.islink(file.path):
                rewrite(file.path, after)
            else:
                system.remove(file.path)
        except OSError as error:
            hint = f"queuectl completion show {file.shell} prints what would be in it"
            raise QueueError(f"cannot change {file.path}: {error.strerror or error}", hint=hint) from error
    say(f"{'would change' if dry_run else 'changed'} {cell(file.path)}")


def _without(file: _File, before: bytes) -> bytes:
    if file.ours:
        return b"" if before.startswith(OWN_FILE.encode()) else before
    return without_script(before, file.path)


def _changed(file: _File, before: bytes, script: str) -> bytes:
    if not file.ours:
        if file.lead and (not before or file.lead.encode() in before):
            script = file.lead + script
        return with_script(before, script, file.new_line, file.path)
    if before and not before.startswith(OWN_FILE.encode()):
        raise Conflict(f"{file.path} is there and is not of queuectl completion install; move it away")
    return (OWN_FILE + script).encode()


def _files(shell: str, *, to_run: bool) -> list[_File]:
    if shell != shells.POWERSHELL:
        paths = shells.startup_files(shell)
        return [_startup(shell, path) for path in (paths[:1] if to_run else paths)]
    found = shells.powershells()
    if not found:
        raise QueueError("no PowerShell is here: neither powershell.exe nor a pwsh on the PATH")
    chosen = [one for one in found if one.runs_profiles or not to_run]
    hint = "Set-ExecutionPolicy -Scope CurrentUser RemoteSigned, in that PowerShell"
    for one in found:
        if one not in chosen:
            told = f"{one.program} runs no profile: its execution policy is {one.policy}"
            if not chosen:
                raise QueueError(told, hint=hint)
            say(f"{told} ({hint})")
        elif one.policy is None:
            say(f"{one.program} does not tell its profile; by Microsoft's documentation it is {one.profile}")
    return [_File(shell, one.profile, shells.NEW_LINE) for one in chosen]


def _startup(shell: str, path: str) -> _File:
    hidden = shells.hidden_by(path)
    lead = "" if hidden is None else f"[ ! -r {quote(hidden)} ] || . {quote(hidden)}\n"
    return _File(shell, path, lead=lead)


def _now(file: _File) -> str:
    if file.ours:
        return "fish completes queuectl from now on"
    if file.shell == shells.POWERSHELL:
        return "new windows complete queuectl; this one does after: . $PROFILE"
    return f"new terminals complete queuectl; this one does after: source {cell(quote(file.path))}"
