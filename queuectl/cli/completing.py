"""Completion while somebody types: a shell asks, with its words in the environment, and reads lines.

How the four shells ask is in their scripts below, which `completion install` puts where they look. Whatever
goes wrong here, nobody hears of it: a person is in the middle of a line.
"""

from __future__ import annotations

import os
import sys
from json import dumps
from typing import Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

VARIABLE = "_QUEUECTL_COMPLETE"
PROGRAM = "queuectl"

_BASH = """\
_queuectl_completion() {
    local kind value IFS=$'\\n'
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            plain)
                [[ $value != *= ]] || compopt -o nospace 2>/dev/null
                printf -v value %q "$value"
                COMPREPLY+=("$value") ;;
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
        esac
    done <<< "$(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \\
        _QUEUECTL_COMPLETE=bash_complete "$1" 2>/dev/null </dev/null)"
}
complete -o nosort -F _queuectl_completion queuectl 2>/dev/null || complete -F _queuectl_completion queuectl
"""
_ZSH_SYSTEM = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }\n"
"""What loads zsh's completion where nobody has."""
_FISH = """\
function __queuectl_complete
    set -lx COMP_WORDS (commandline -cp)
    set -lx COMP_CWORD (commandline -ct)
    set -lx _QUEUECTL_COMPLETE fish_complete
    for line in (queuectl 2>/dev/null </dev/null)
        set -l parts (string split --max 1 , -- $line)
        switch $parts[1]
            case plain
                echo $parts[2]
            case dir
                __fish_complete_directories (commandline -ct)
            case file
                __fish_complete_path (commandline -ct)
        end
    end
end
complete --no-files --command queuectl --arguments '(__queuectl_complete)'
"""
# After Register-ArgumentCompleter in Microsoft's reference. What is printed is JSON in ASCII: which code page
# a console has does not matter. A CompletionResult with an empty text or tip is an error.
_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName queuectl -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = foreach ($element in $commandAst.CommandElements) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $text = $element -is [System.Management.Automation.Language.StringConstantExpressionAst]
        if ($text) { $element.Value } else { $element.Extent.Text }
    }
    $before = $env:COMP_WORDS, $env:COMP_CWORD, $env:_QUEUECTL_COMPLETE
    try {
        $env:COMP_WORDS = $words -join "`n"
        $env:COMP_CWORD = $wordToComplete
        $env:_QUEUECTL_COMPLETE = 'powershell_complete'
        $program = $commandAst.GetCommandName()
        $printed = & $program 2>$null | Out-String
        if ($printed.Trim()) {
            foreach ($one in ($printed | ConvertFrom-Json)) {
                [System.Management.Automation.CompletionResult]::new(
                    $one.text, $one.name, 'ParameterValue', $one.tip)
            }
        }
    } catch { } finally {
        $env:COMP_WORDS, $env:COMP_CWORD, $env:_QUEUECTL_COMPLETE = $before
    }
}
"""


class _Bash(BashComplete):
    def source(self) -> str:
        return _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        # To bash `=` is a word between an option and its value.
        if args[-1:] == ["="]:
            args.pop()
        return args, incomplete


class _Zsh(ZshComplete):
    def source(self) -> str:
        # The first line is what tells zsh that a file in $fpath is one of these.
        first, rest = super().source().split("\n", 1)
        return f"{first}\n{_ZSH_SYSTEM}{rest}"


class _Fish(FishComplete):
    def source(self) -> str:
        return _FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        words, begun = split_arg_string(os.environ["COMP_WORDS"]), os.environ["COMP_CWORD"]
        # The word that is being typed is in both.
        last = split_arg_string(begun)[0] if begun else ""
        return words[1:-1] if begun else words[1:], last


class _PowerShell(ShellComplete):
    name = "powershell"

    def source(self) -> str:
        return _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        # PowerShell has no variable that is empty.
        words, begun = os.environ.get("COMP_WORDS", ""), os.environ.get("COMP_CWORD", "")
        return words.split("\n")[1:], begun.lstrip("'\"")

    def complete(self) -> str:
        items = self.get_completions(*self.get_completion_args())
        # Where there are none PowerShell completes files by itself.
        return dumps([_result(item) for item in items if item.type not in ("dir", "file")])


def _result(item: CompletionItem[str]) -> dict[str, str]:
    return {"text": quoted(item.value), "name": item.value, "tip": _help(item) or item.value}


def quoted(word: str) -> str:
    """A word of PowerShell that is this text."""
    plain = word.replace("-", "a").replace("_", "a").replace(".", "a").replace("=", "a")
    return word if plain.isalnum() and word.isascii() else "'" + word.replace("'", "''") + "'"


def _help(item: CompletionItem[Any]) -> str:
    return " ".join((item.help or "").split())


_SHELLS: dict[str, type[ShellComplete]] = {
    "bash": _Bash,
    "zsh": _Zsh,
    "fish": _Fish,
    "powershell": _PowerShell,
}


def script(shell: str) -> str:
    """What makes this shell complete the commands of queuectl, when it has read it."""
    return _shell(shell).source()


def _shell(name: str) -> ShellComplete:
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
