"""The reference pages, read off the code: every command with its help, and what programs in Python call."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from textwrap import dedent
from typing import Any, NamedTuple

import click

import queuectl
from queuectl import errors, testing
from queuectl.group import Group
from queuectl.index.gauges import Count
from queuectl.index.paging import Mark
from queuectl.index.runs import Part, Total
from queuectl.layers import Held
from queuectl.pytest_plugin import queuectl_stage
from queuectl.queue.archiving import Archived
from queuectl.queue.doctor import Finding
from queuectl.queue.edits import Editable
from queuectl.queue.exporting import Exported
from queuectl.queue.groups import GroupVerbs
from queuectl.queue.hook_verbs import HookVerbs
from queuectl.queue.house import House, Plan, Pruned
from queuectl.queue.importing import Imported
from queuectl.queue.many import Acted, Chosen
from queuectl.queue.numbers import Numbers, Waits
from queuectl.queue.paging import JobsPage
from queuectl.queue.report import Coming, Status, WorkerRow
from queuectl.queue.schedules import Schedules
from queuectl.queue.ties import Unique
from queuectl.schedule import Schedule
from queuectl.spool.place import Place

EVERYWHERE = ("spool", "set", "help")
"""Options that every command has."""
_SPECIAL = ("__call__", "__await__", "__contains__", "__iter__", "__len__")
"""Methods that are used by way of the language; they are told of where they have a docstring."""
_INTERNAL = {
    "Queue": frozenset({"add", "hindered", "look", "moved", "run_here", "store", "watch"}),
    "Current": frozenset({"end"}),
    **dict.fromkeys(("Schedules", "GroupVerbs", "HookVerbs", "House", "Numbers"), frozenset({"store"})),
}
"""What these have for other modules of ours alone."""


# Commands


def command_pages(commands: Iterable[tuple[str, click.Command]]) -> str:
    """Each command: how it is called, what it does, its options, an example."""
    return "\n\n".join(_command(path, command) for path, command in commands)


def _command(path: str, command: click.Command) -> str:
    parts = [f"## {path}", f"```text\n{_usage(path, command)}\n```", *_paragraphs(command.help or "")]
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    rows = [
        f"| `{_spelled(one)}` | {_escaped(_meaning(one))} |" for one in options if one.name not in EVERYWHERE
    ]
    if rows:
        parts.append("\n".join(["| option | meaning |", "| --- | --- |", *rows]))
    if example := _example(command):
        parts.append(f"```sh\n{example}\n```")
    return "\n\n".join(parts)


def _usage(path: str, command: click.Command) -> str:
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    names = [one.metavar or (one.name or "").upper() for one in arguments]
    return " ".join([path, "[OPTIONS]", *names])


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.partition("\f")[0]) if part.strip()]


def _spelled(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return names
    if isinstance(option.type, click.Choice):
        return f"{names} {_escaped('|'.join(map(str, option.type.choices)))}"
    return f"{names} {option.metavar or _kind(option)}"


def _kind(option: click.Option) -> str:
    number = isinstance(option.type, (click.types.IntParamType, click.types.IntRange))
    return "N" if number else option.opts[0].lstrip("-").rsplit("-", 1)[-1].upper()


def _meaning(option: click.Option) -> str:
    default = option.default
    shown = option.show_default and isinstance(default, (str, int, float))
    return f"{option.help or ''}{f' Else {default}.' if shown else ''}"


def _example(command: click.Command) -> str:
    _, _, example = (command.epilog or "").partition("Example:\n")
    return dedent(example).strip()


# Python


class _Group(NamedTuple):
    heading: str
    text: str
    things: tuple[Any, ...]


_KEPT = (Plan, Pruned, Exported, Imported, Archived)
_GROUPS = (
    _Group("The queue", "What the commands do are methods of it.", (queuectl.Queue,)),
    _Group(
        "What belongs to a queue",
        "`queue.schedules`, `queue.groups`, `queue.hooks`, `queue.house` and `queue.numbers`.",
        (Schedules, GroupVerbs, HookVerbs, House, Numbers),
    ),
    _Group(
        "Functions as jobs",
        "",
        (queuectl.Task, queuectl.Handle, queuectl.current, queuectl.Current, queuectl.GiveUp),
    ),
    _Group(
        "What is handed over",
        "The fields of a `Job` are those of [its file](job-file.md), those of a `Schedule` "
        "[those of its](schedules.md#again-and-again). `JobLike` is a `Job`, or its fields by name; "
        "`Ids` is one id or several; `Age` is seconds, or text such as `30d`; `Value` is that of a setting.",
        (queuectl.Job, Schedule, queuectl.Filter, Unique, queuectl.State),
    ),
    _Group(
        "What is handed back",
        "The fields of a `Group` are those of [its file](order.md#groups).",
        (
            Place,
            Status,
            WorkerRow,
            Coming,
            Chosen,
            Acted,
            JobsPage,
            Mark,
            Count,
            Waits,
            Total,
            Part,
            Editable,
            Group,
            Held,
            Finding,
            *_KEPT,
        ),
    ),
    _Group("Tests", "", (testing.rehearse, testing.Stage, testing.Clock, queuectl_stage)),
)


def python_pages() -> str:
    """What programs in Python import, with its docstrings."""
    return "\n\n".join(part for group in _GROUPS for part in _group(group))


def _group(group: _Group) -> Iterator[str]:
    yield f"## {group.heading}"
    if group.text:
        yield group.text
    for thing in group.things:
        if inspect.isclass(thing):
            yield from _class(thing)
        else:
            called = _called(thing)
            yield f"### `{called.__name__}`"
            yield f"`{_home(called)}.{called.__name__}`"
            yield from _function(called, called.__name__)


def _class(kind: type) -> Iterator[str]:
    name = kind.__name__
    yield f"### `{name}`"
    yield f"`{_home(kind)}.{name}`"
    yield from _described(kind.__doc__)
    if issubclass(kind, Enum):
        yield ", ".join(f"`{one.name}`" for one in kind)
    yield from _fields(kind)
    if attributes := _attributes(kind):
        yield f"Attributes: {', '.join(attributes)}."
    if _said(kind.__dict__.get("__init__")):
        yield from _function(kind.__dict__["__init__"], name)
    for member_name, member in _members(kind):
        yield f"#### `{name}.{member_name}`"
        yield from _function(member, member_name)


def _home(thing: Any) -> str:
    return "queuectl" if thing.__name__ in queuectl.__all__ else str(thing.__module__)


def _fields(kind: type) -> Iterator[str]:
    """Those of a named tuple, with the texts below them, as one list."""
    if not hasattr(kind, "_fields"):
        return
    body = _parsed(kind).body
    told = [
        (ast.unparse(node), _text_of(after))
        for node, after in zip(body, [*body[1:], None])
        if isinstance(node, ast.AnnAssign)
    ]
    yield "\n".join(f"- `{field}`{f': {text}' if text else ''}" for field, text in told)


def _attributes(kind: type) -> list[str]:
    """What its `__init__` gives to whoever has one, without a word of its own."""
    if kind is queuectl.Queue or "__init__" not in vars(kind) or _said(vars(kind)["__init__"]):
        return []
    left_out = {name for name, _ in _members(kind)} | _INTERNAL.get(kind.__name__, frozenset())
    given = [
        node.attr
        for node in ast.walk(_parsed(vars(kind)["__init__"]))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and not node.attr.startswith("_")
    ]
    return [f"`{name}`" for name in dict.fromkeys(given) if name not in left_out]


def _text_of(node: ast.AST | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return " ".join(str(node.value.value).split())
    return ""


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """Its public methods and properties, its own and those of ours that it inherits, in the order of code."""
    seen = set(_INTERNAL.get(kind.__name__, ()))
    for base in kind.__mro__:
        if not base.__module__.startswith("queuectl"):
            continue
        for name, member in vars(base).items():
            public = not name.startswith("_") or name in _SPECIAL
            if public and name not in seen and _said(member):
                seen.add(name)
                yield name, member


def _said(member: Any) -> bool:
    return callable(_called(member)) and bool(_called(member).__doc__)


def _called(member: Any) -> Any:
    if isinstance(member, property):
        return member.fget
    # pytest has wrapped a fixture, functools what is guarded, Python a class method.
    return inspect.unwrap(getattr(member, "_fixture_function", getattr(member, "__func__", member)))


def _function(thing: Any, name: str) -> Iterator[str]:
    called = _called(thing)
    if isinstance(thing, property):
        yield f"`{name}: {ast.unparse(_parsed(called).returns)}`"
    else:
        yield f"```python\n{_signature(called, name)}\n```"
    yield from _described(called.__doc__)


def _parsed(thing: Any) -> Any:
    return ast.parse(dedent(inspect.getsource(thing))).body[0]


def _signature(called: Any, name: str) -> str:
    """As it is written, from `def` to the colon, without `self`."""
    source = dedent(inspect.getsource(called))
    node: Any = ast.parse(source).body[0]
    lines = source.splitlines()[node.lineno - 1 : node.body[0].lineno - 1]
    text = dedent("\n".join(lines)).rstrip().removesuffix(":")
    text = re.sub(r"\b(?:self|cls)(?:,\s*|(?=\)))", "", text, count=1)
    # A class is called by its own name.
    return text.replace("def __init__", name).removesuffix(" -> None") if node.name == "__init__" else text


def _described(doc: str | None) -> Iterator[str]:
    """A docstring as Markdown: what it raises is a list."""
    text, raises, errors_raised = inspect.cleandoc(doc or "").partition("\nRaises:\n")
    # Examples in docstrings are for `help`; the pages have longer ones.
    text = re.sub(r"::\n\n(?: {4}.*\n?|\n)+", ".", text)
    yield from _paragraphs(text)
    if raises:
        items = re.split(r"\n(?=[A-Z][\w, ]*: )", dedent(errors_raised).strip())
        yield "Raises:\n\n" + "\n".join(_raised(item) for item in items)


def _raised(item: str) -> str:
    names, _, why = " ".join(item.split()).partition(": ")
    return f"- {', '.join(f'`{name}`' for name in names.split(', '))}: {why}"


def error_table() -> str:
    """Each error that Python meets, and the exit code that the command line makes of it."""
    kinds = sorted([errors.QueueError, *errors.QueueError.__subclasses__()], key=lambda one: one.exit_code)
    rows = [
        f"| `{one.__name__}` | {(one.__doc__ or '').splitlines()[0]} | {one.exit_code} |" for one in kinds
    ]
    return "\n".join(["| error | meaning | exit code |", "| --- | --- | --- |", *rows])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


# What other documents say


def json_tables(documents: Iterable[tuple[str, str]]) -> str:
    """What the sections `JSON, for programs` of these documents, by path from docs/, say of commands."""
    parts = []
    for path, text in documents:
        found = re.search(
            r"^## (.*\bJSON.*)\n(?:.*\n)*?(?=\| command \| value \|\n)((?:\|.*\n)+)", text, re.M
        )
        if found:
            title, link = text.partition("\n")[0].lstrip("# "), f"{path}#{_anchor(found[1])}"
            # What the README links to in docs/ lies beside the page that this is for.
            parts.append((title, link, found[2].strip().replace("](docs/", "](")))
    return "\n\n".join(f"From [{title}]({link}):\n\n{table}" for title, link, table in parts)


def tried_table(text: str) -> str:
    """The table `What has been tried` of tests/README.md, without the commands."""
    section = text.partition("## What has been tried\n")[2]
    lines = [line for line in section.partition("\n\nDeaths")[0].splitlines() if line.startswith("|")]
    return "\n".join(f"{line.rsplit(' | ', 1)[0]} |" for line in lines)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
