"""Completion while somebody types: a shell asks, with its words in the environment, and reads lines.

How the four shells ask is in `scripts`, which `completion install` puts where they look. Whatever goes wrong
here, nobody hears of it: a person is in the middle of a line.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from json import dumps
from typing import Any, NamedTuple

from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from queuectl.cli import scripts

VARIABLE = "_QUEUECTL_COMPLETE"
PROGRAM = "queuectl"
_QUOTES = re.compile("(['\u2018-\u201b])")
"""To PowerShell each of these is the same quote."""
_BARE = re.compile(r"([^\w./=,:+@%-])")
"""What bash may take for something else than itself."""


class _Shell(ShellComplete):
    """One, to which an option and its value may be one word."""

    script = ""

    def source(self) -> str:
        return self.script

    def complete(self) -> str:
        args, begun = self.get_completion_args()
        return self.told(self.get_completions(args, begun), _option_of(begun))

    def told(self, items: Sequence[CompletionItem[str]], option: str) -> str:
        """What it reads: these for the value of what stands before it in the word, such as `--state=`."""
        return "\n".join(self.line(item, option if item.type == "plain" else "") for item in items)

    def line(self, item: CompletionItem[str], option: str) -> str:
        """Of one."""
        raise NotImplementedError


class Word(NamedTuple):
    """One as it is typed."""

    raw: str
    quote: str
    """That is open in it."""

    @property
    def text(self) -> str:
        """What the program would be given."""
        return "".join(split_arg_string(self.raw)[:1])


class _Bash(_Shell):
    name = "bash"
    script = scripts.BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        words = words_of(os.environ["COMP_LINE"])
        self._last, current = words[-1], os.environ["COMP_CWORD"]
        # To bash it is only what is behind the last `=` or `:`, and that is what it puts ours in place of.
        raw = self._last.raw
        before = raw[: len(raw) - len(current)] if raw.endswith(current) else ""
        self._kept = len(Word(before, "").text)
        return [word.text for word in words[1:-1]], self._last.text

    def line(self, item: CompletionItem[str], option: str) -> str:
        text = f"{option}{item.value}"[self._kept :]
        return f"{item.type},{escaped(text, self._last.quote) if item.type == 'plain' else ''}"


class _Zsh(_Shell):
    name = "zsh"
    script = scripts.ZSH

    def get_completion_args(self) -> tuple[list[str], str]:
        words, last = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
        return words[1:last], "".join(words[last : last + 1])

    def line(self, item: CompletionItem[str], option: str) -> str:
        return f"{item.type}\n{option}{item.value}\n{_help(item)}"


class _Fish(_Shell):
    name = "fish"
    script = scripts.FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        words, begun = os.environ["COMP_WORDS"], os.environ["COMP_CWORD"]
        return words.split("\n")[1:], Word(begun, "").text

    def line(self, item: CompletionItem[str], option: str) -> str:
        tip = _help(item)
        return f"{item.type},{option}{item.value}" + (f"\t{tip}" if tip else "")


class _PowerShell(_Shell):
    name = "powershell"
    script = scripts.POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        # PowerShell has no variable that is empty.
        words, begun = os.environ.get("COMP_WORDS", ""), os.environ.get("COMP_CWORD", "")
        return words.split("\n")[1:], begun.lstrip("'\"")

    def told(self, items: Sequence[CompletionItem[str]], option: str) -> str:
        # Where there are none PowerShell completes files by itself.
        return dumps([_result(item, option) for item in items if item.type not in ("dir", "file")])


def words_of(line: str) -> list[Word]:
    """The words of a line of bash; the last is the one that is being typed, which may be empty."""
    words, begin, quote, escape = [], 0, "", False
    for at, sign in enumerate(line):
        if escape:
            escape = False
        elif sign == "\\" and quote != "'":
            escape = True
        elif quote or sign in "'\"":
            quote = "" if sign == quote else quote or sign
        elif sign.isspace():
            words.append(Word(line[begin:at], ""))
            begin = at + 1
    return [*(word for word in words if word.raw), Word(line[begin:], quote)]


def escaped(text: str, quote: str) -> str:
    """What stands for this text in a word of bash in which this quote is open."""
    if quote == "'":
        return text.replace("'", "'\\''")
    return (re.compile(r'([\\"$`])') if quote else _BARE).sub(r"\\\1", text)


def _option_of(begun: str) -> str:
    name, equals, _ = begun.partition("=")
    return name + equals if equals and name.startswith("--") else ""


def _result(item: CompletionItem[str], option: str) -> dict[str, str]:
    return {"text": quoted(option + item.value), "name": item.value, "tip": _help(item) or item.value}


def quoted(word: str) -> str:
    """A word of PowerShell that is this text."""
    plain = word.replace("-", "a").replace("_", "a").replace(".", "a").replace("=", "a")
    return word if plain.isalnum() and word.isascii() else "'" + _QUOTES.sub(r"\1\1", word) + "'"


def _help(item: CompletionItem[Any]) -> str:
    return " ".join((item.help or "").split())


_SHELLS: dict[str, type[_Shell]] = {shell.name: shell for shell in (_Bash, _Zsh, _Fish, _PowerShell)}


def script(shell: str) -> str:
    """What makes this shell complete the commands of queuectl, when it has read it."""
    return _shell(shell).source()


def _shell(name: str) -> _Shell:
    from queuectl.cli.root import root

    return _SHELLS[name](root, {}, PROGRAM, VARIABLE)


def answer(instruction: str) -> int:
    """Print what may stand where somebody is typing, for the shell that asks; the exit code."""
    shell, _, what = instruction.partition("_")
    try:
        if shell in _SHELLS and what == "complete":
            text = _shell(shell).complete()
            sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")
            sys.stdout.buffer.flush()
    except Exception:  # noqa: BLE001 (a person is in the middle of a line)
        return 1
    return 0
