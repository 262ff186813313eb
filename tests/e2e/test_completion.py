"""The Tab key in the shells themselves, as `completion install` leaves them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.program import PATIENCE, WINDOWS, Program
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(WINDOWS, reason="needs a terminal that a test can open: pty"),
]
READY = "ready to type"
IN_FRONT = [
    sys.executable,
    "-c",
    """import os, sys, fcntl, termios
os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])""",
]
"""Starts what follows as that whose terminal it is, which shells wait for."""


class Shell(NamedTuple):
    name: str
    starts: list[str]
    file: str
    """What it reads when it starts, in the home of its user."""
    prompt: bytes
    completion: str
    """The file that install changes there."""


SHELLS = [
    Shell("bash", ["bash", "--noprofile", "-i"], ".bashrc", b"PS1='ready to type '", ".bashrc"),
    Shell("zsh", ["zsh", "-i"], ".zshrc", b"PS1='ready to type '", ".zshrc"),
    Shell(
        "fish",
        ["fish", "-i"],
        ".config/fish/config.fish",
        b"function fish_prompt; echo -n 'ready to type '; end\n",
        ".config/fish/completions/queuectl.fish",
    ),
]
both = pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell.name)
in_turn = pytest.mark.parametrize(
    "shell",
    [pytest.param(one, marks=[] if one.name == "bash" else pytest.mark.slow, id=one.name) for one in SHELLS],
)
"""Of the finer points the fast form tries one."""


class Home:
    """Of somebody who uses this shell, and has `queuectl` on the PATH."""

    def __init__(self, program: Program, shell: Shell) -> None:
        if shutil.which(shell.name) is None:
            pytest.skip(f"no {shell.name} here")
        self.program, self.shell = program, shell
        self.folder = program.here / "home"
        self.told = program.here / "told"
        # Where it is missing, fish reads every page of the manual in the background, for twenty seconds.
        (self.folder / ".local" / "share" / "fish" / "generated_completions").mkdir(parents=True)
        start = self.folder / shell.file
        start.parent.mkdir(parents=True, exist_ok=True)
        start.write_bytes(shell.prompt)
        programs = program.here / "bin"
        programs.mkdir()
        ours = programs / "queuectl"
        # What the shell asks is answered; what is typed is told.
        ours.write_text(
            f'#!/bin/sh\n[ -z "$_QUEUECTL_COMPLETE" ] || exec {sys.executable} -m queuectl\n'
            f'printf "<%s>" "$@" >> {self.told}\n'
        )
        ours.chmod(0o755)
        program.env.update(HOME=str(self.folder), PATH=f"{programs}:{program.env['PATH']}")
        for variable in ("ZDOTDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "ENV", "BASH_ENV"):
            program.env.pop(variable, None)

    def content(self) -> bytes:
        path = self.folder / self.shell.completion
        return path.read_bytes() if path.exists() else b""

    def typed(self, text: str, words: str) -> None:
        """What is typed, with its tabs, is a call with these words."""
        self.told.write_bytes(b"")
        with Terminal(self.program, command=[*IN_FRONT, *self.shell.starts]) as terminal:
            wait_until(lambda: READY in terminal.text, "a prompt", PATIENCE)
            terminal.type(text + "\r")
            try:
                # Whether a folder that was completed keeps its slash is the shell's affair.
                wait_until(lambda: self.told.read_text().replace("/>", ">") == words, words, PATIENCE)
            except AssertionError as error:
                told = self.told.read_text()
                raise AssertionError(f"{error}, but {told}; seen:\n{terminal.text}") from None


@pytest.fixture
def spool(program: Program) -> Program:
    names = ("back-up", "my job [1], late", "it's")
    program.put(*({"id": name, "command": ["x"]} for name in names))
    return program


@both
def test_tab_completes_and_uninstall_takes_it_out_again(spool: Program, shell: Shell) -> None:
    home = Home(spool, shell)
    before = home.content()
    spool.ok("completion", "install", shell.name)
    once = home.content()
    assert once != before
    spool.ok("completion", "install", shell.name)
    assert home.content() == once
    home.typed("queuectl sho\tbac\t", "<show><back-up>")
    home.typed("queuectl show my\t", "<show><my job [1], late>")
    home.typed("queuectl list --sta\tcomp\t", "<list><--state><completed>")
    home.typed("queuectl --spool spo\t show it\t", "<--spool><spool><show><it's>")
    home.typed("queuectl run told\t", "<run><told>")
    home.typed("queuectl list --state=comp\t", "<list><--state=completed>")
    home.typed("queuectl --set=max_r\t5 status", "<--set=max_retries=5><status>")
    home.typed("queuectl --spool=spo\t status", "<--spool=spool><status>")
    home.typed("queuectl enqueue --file=tol\t", "<enqueue><--file=told>")
    spool.ok("completion", "uninstall", shell.name)
    assert home.content() == before


@in_turn
def test_whatever_is_before_the_word_and_within_a_quote(spool: Program, shell: Shell) -> None:
    spool.put({"id": "a=b,", "command": ["x"]})
    home = Home(spool, shell)
    spool.ok("completion", "install", shell.name)
    home.typed("queuectl --set max_r\t5 status", "<--set><max_retries=5><status>")
    home.typed("queuectl --set max_retries=5 statu\t", "<--set><max_retries=5><status>")
    home.typed("queuectl --spool=./spool show it\t", "<--spool=./spool><show><it's>")
    home.typed('A=b queuectl show "my\t', "<show><my job [1], late>")
    home.typed("queuectl show 'my\t", "<show><my job [1], late>")
    home.typed("queuectl show a=\t", "<show><a=b,>")
    home.typed("queuectl enqueue -- cat tol\t", "<enqueue><--><cat><told>")


@in_turn
def test_the_program_that_is_typed_is_the_one_that_is_asked(spool: Program, shell: Shell) -> None:
    home = Home(spool, shell)
    spool.ok("completion", "install", shell.name)
    shutil.copytree(spool.here / "bin", spool.here / "elsewhere")
    # fish loads nothing for a name that is not on the PATH.
    (spool.here / "bin" / "queuectl").write_text("#!/bin/sh\n")
    home.typed("./elsewhere/queuectl show back\t", "<show><back-up>")
    (home.folder / "mine").symlink_to(spool.here / "elsewhere")
    home.typed("~/mine/queuectl show back\t", "<show><back-up>")


@both
def test_the_shell_that_is_used_is_found(spool: Program, shell: Shell) -> None:
    home = Home(spool, shell)
    script = Path(spool.here / "install")
    script.write_text(f"{sys.executable} -m queuectl completion install\necho done\n")
    spool.env["SHELL"] = "/bin/sh"
    with Terminal(spool, command=[shell.name, str(script)]) as terminal:
        assert terminal.end() == 0, terminal.text
    assert b"_QUEUECTL_COMPLETE" in home.content()


@both
def test_where_the_program_is_gone_nothing_is_said(spool: Program, shell: Shell) -> None:
    """It would be said in the middle of the line that somebody types."""
    home = Home(spool, shell)
    spool.ok("completion", "install", shell.name)
    asks = {
        "bash": "{ . ~/.bashrc; COMP_LINE='queuectl sho' COMP_POINT=12; _queuectl_completion queuectl sho; }",
        "zsh": "{ . ~/.zshrc; words=(queuectl sho) CURRENT=2 PREFIX=sho; _queuectl_completion || true; }",
        "fish": "begin; source ~/.config/fish/completions/queuectl.fish; complete -C 'queuectl sho'; end",
    }
    (spool.here / "bin" / "queuectl").unlink()
    started = str(shutil.which(shell.name))
    for name in ("env", "mv", "rm"):
        (spool.here / "bin" / name).symlink_to(str(shutil.which(name)))
    spool.env["PATH"] = str(spool.here / "bin")
    with Terminal(spool, command=[started, "-c", f"{asks[shell.name]}; echo said nothing"]) as terminal:
        assert terminal.end() == 0
    assert terminal.text.split() == ["said", "nothing"]
    assert home.content()
