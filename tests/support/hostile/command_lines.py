"""Command lines at random: of every command and option that there is, with values that nobody would give."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import click

from queuectl.cli.root import root
from queuectl.config import SETTINGS

IDS = ["waits", "later", "failed", "done", "dead", "bad"]
"""Of the jobs that are there, and of a file that is none."""


class Verb(NamedTuple):
    """A command, by the words that call it, with its options; True for those that take a value."""

    words: tuple[str, ...]
    options: dict[str, bool]


def verbs(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[Verb]:
    """Every command, so that a new one is tried too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield Verb((*words, name), {"--help": False})
            yield from verbs(command, (*words, name))
        elif command is not None:
            known = [one for one in command.params if isinstance(one, click.Option)]
            options = {text: not one.is_flag for one in known for text in (*one.opts, *one.secondary_opts)}
            yield Verb((*words, name), {**options, "--help": False, "-h": False})


VERBS = list(verbs(root))
NUMBERS = [
    "0",
    "1",
    "-1",
    "2",
    "99999999999999999999",
    "1.5",
    "1e999",
    "NaN",
    "inf",
    "0x10",
    "٣",
    "1_000",
    "+1",
    " 1",
]
SIZES = ["none", "NONE", "64 KiB", "1 GiB", "1.5s", "64kib", "1 k b"]
TIMES = [
    "10m",
    "2h30m",
    "-5s",
    "0",
    "1e9",
    "9" * 400,
    "2027-01-01T09:00:00+01:00",
    "9999-12-31T23:59:59Z",
    "noon",
]
FILES = [
    "job.json",
    "several.json",
    "bad.json",
    "*.json",
    "[.json",
    ".",
    "sub",
    "sub/*.json",
    "no-such.json",
    "nul",
]
JSON = [
    '{"command": "x"}',
    '{"id": "new", "command": ["x"]}',
    "[]",
    "{",
    '[{"command": "x"}, {}]',
    "{command: x}",
    "-",
]
WORDS = [
    "a=b",
    "=",
    "A=",
    "sh",
    "zsh",
    "cmd",
    "pending",
    "DONE",
    "text",
    "json",
    "--",
    "-",
    "--=",
    "-x",
    "--jso",
    "@x",
]
STRANGE = [
    "",
    " ",
    "\n",
    "\x1b[31m",
    "\x07",
    "\u202e",
    "\ufeff",
    "é",
    "e\u0301",
    "🎉",
    "\udcff",
    "\ud800",
    "%s",
    "{}",
]
STRANGE += [
    "../x",
    "..",
    "a/b",
    "a\\b",
    "C:\\x",
    "con",
    "x" * 300,
    "*",
    "?",
    "$(id)",
    "`id`",
    "'",
    '"',
    "a\nb",
    "a\r",
]

VALUES = [*IDS, *IDS, *NUMBERS, *TIMES, *FILES, *JSON, *WORDS, *STRANGE, *SETTINGS]
SPOOLS = ["spool", "spool", "other", "sub", "job.json", "job.json/x", "spool/pending", "", " "]
LETTERS = [
    chr(code) for code in (*range(1, 128), 0x85, 0xA0, 0xE9, 0x301, 0x2028, 0xD800, 0xDCFF, 0xFFFE, 0x1F389)
]


def text(chance: random.Random) -> str:
    """Of any letters; not the name of a place that is not ours."""
    made = "".join(chance.choices(LETTERS, k=chance.randrange(8)))
    return made.replace("/", "").replace("~", "").replace("**", "*")


def value(chance: random.Random) -> str:
    return chance.choice(VALUES) if chance.random() < 0.85 else text(chance)


def command_line(chance: random.Random) -> list[str]:
    """A command, or something like it, with some of its options and with arguments, in any order."""
    verb = chance.choice(VERBS)
    words = [*verb.words] if chance.random() < 0.93 else [value(chance) for _ in range(chance.randrange(3))]
    for _ in range(chance.randrange(5)):
        way = chance.randrange(10)
        option = chance.choice([*verb.options])
        if way < 5:
            words += _with_value(chance, option) if verb.options[option] else [option]
        elif way < 9:
            words.append(value(chance))
        else:
            words.insert(chance.randrange(len(words) + 1), value(chance))
    return words


def _with_value(chance: random.Random, option: str) -> list[str]:
    given = chance.choice(SPOOLS) if option == "--spool" else value(chance)
    return [f"{option}={given}"] if chance.random() < 0.5 else [option, given]


def number(chance: random.Random) -> str:
    """A number, or nearly, in one of the forms that settings have."""
    digits = "".join(chance.choices("0123456789", k=chance.choice((1, 1, 2, 3, 9, 20, 400))))
    at = chance.randrange(len(digits) + 1)
    point = chance.choice(("", "", ".", "..", ","))
    unit = chance.choice(
        ("", "", "ms", "s", "m", "h", "d", "k", "KiB", " GiB", "e9", "e999", "e-999", "_", "٣", "\n")
    )
    return f"{chance.choice(('', '', '-', '+', ' '))}{digits[:at]}{point}{digits[at:]}{unit}"
