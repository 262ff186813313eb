"""Write the parts of the documentation that can be read off the code.

python docs/generate.py            rewrites what stands between the markers
python docs/generate.py --check    changes nothing; exit 1 when something is stale
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from json import loads
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parent.parent
for _folder in (str(ROOT / "docs"), str(ROOT)):
    if _folder not in sys.path:
        # This checkout is documented, whatever is installed.
        sys.path.insert(0, _folder)

import click  # noqa: E402
import reference  # noqa: E402

from queuectl import errors, retry  # noqa: E402
from queuectl.cli.root import root  # noqa: E402
from queuectl.codec import job_schema  # noqa: E402
from queuectl.config import SETTINGS, config_from, show_value  # noqa: E402
from queuectl.group import Group  # noqa: E402
from queuectl.group_codec import group_schema  # noqa: E402
from queuectl.job import KEPT_FIELDS, USER_FIELDS  # noqa: E402
from queuectl.moment import format_duration  # noqa: E402
from queuectl.schedule import Schedule  # noqa: E402
from queuectl.schedule_codec import schedule_schema  # noqa: E402
from queuectl.state import State  # noqa: E402

PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.S)
RETRIES_SHOWN = 6
_HELP_LIMIT = 200
_JSON_TYPES = {"string": "text", "integer": "whole number", "number": "number", "object": "object"}
_JSON_TYPES["boolean"] = "true or false"


def documents() -> list[Path]:
    """The files that have generated parts."""
    return [
        path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))] if PART.search(_read(path))
    ]


def rendered(text: str) -> str:
    """`text` with its generated parts as the code has them now."""
    return PART.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[3]}", text)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its full name."""
    return _walk(root, click.Context(root, info_name="queuectl"))


def _walk(group: click.Group, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None, name
        child = click.Context(command, info_name=name, parent=ctx)
        if isinstance(command, click.Group):
            yield from _walk(command, child)
        else:
            yield child.command_path, command


def command_table() -> str:
    """Each command, what it does, its options."""
    rows = [
        [f"`{' '.join([path, *_arguments(command)])}`", _sentence(command), " ".join(_options(command))]
        for path, command in commands()
    ]
    return _table(["command", "what it does", "options"], rows)


def _arguments(command: click.Command) -> list[str]:
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    return [one.metavar or _bracketed(one) for one in arguments]


def _bracketed(argument: click.Argument) -> str:
    name = (argument.name or "").upper()
    return name if argument.required else f"[{name}]"


def _sentence(command: click.Command) -> str:
    return command.get_short_help_str(_HELP_LIMIT).rstrip(".")


def _options(command: click.Command) -> list[str]:
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    return [f"`{_option(one)}`" for one in options if one.name not in reference.EVERYWHERE]


def _option(option: click.Option) -> str:
    name = next(one for one in option.opts if one.startswith("--"))
    if option.is_flag:
        return name
    if isinstance(option.type, click.Choice):
        return f"{name} {'/'.join(str(choice) for choice in option.type.choices)}"
    number = isinstance(option.type, (click.types.IntParamType, click.types.IntRange))
    return f"{name} {option.metavar or ('N' if number else name.rsplit('-', 1)[-1].upper())}"


def config_table() -> str:
    """Each setting, its default, its meaning."""
    rows = [[f"`{one.name}`", show_value(one.default), one.meaning] for one in SETTINGS.values()]
    return _table(["setting", "default", "meaning"], rows)


def exit_code_table() -> str:
    """Each exit code, its name in JSON errors, what it stands for."""
    classes = sorted(
        [errors.QueueError, *errors.QueueError.__subclasses__()], key=lambda kind: kind.exit_code
    )
    rows = [[str(kind.exit_code), f"`{kind.kind}`", (kind.__doc__ or "").splitlines()[0]] for kind in classes]
    rows.insert(0, ["0", "", "Done."])
    return _table(["code", "`error` in JSON", "meaning"], rows)


def job_field_table() -> str:
    """What a person may put into a job file."""
    return _fields([name for name in USER_FIELDS if name != "$schema"], job_schema())


def kept_field_table() -> str:
    """What queuectl writes into it."""
    return _fields(KEPT_FIELDS, job_schema())


def schedule_field_table() -> str:
    """What a person may put into a schedule."""
    return _fields(
        [name for name in Schedule.__struct_encode_fields__ if name != "$schema"], schedule_schema()
    )


def group_field_table() -> str:
    """What a person may say of a group."""
    names = [name for name in Group.__struct_encode_fields__ if name != "$schema"]
    return _fields(names, group_schema())


def _fields(names: Sequence[str], schema: bytes) -> str:
    kinds = loads(schema)
    properties: dict[str, dict[str, Any]] = kinds["$defs"][kinds["$ref"].rsplit("/", 1)[-1]]["properties"]
    rows = [[f"`{name}`", _type(properties[name]), _meaning(properties[name])] for name in names]
    return _table(["field", "type", "meaning"], rows)


def _meaning(schema: dict[str, Any]) -> str:
    text = str(schema["description"]).replace("Kept by queuectl: ", "").replace("Kept by queuectl.", "")
    return text[:1].upper() + text[1:]


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"] if value is not None)
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if schema.get("type") == "array":
        named = {"texts": "text", "afters": "objects", "any JSONs": "any JSON"}
        items = f"{_type(schema.get('items', {}))}s"
        return f"list of {' or '.join(named.get(one, one) for one in items.split(' or '))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return ", ".join(f"`{state.value}`" for state in State) if name == "State" else name.lower()
    return _JSON_TYPES[schema["type"]] if "type" in schema else "any JSON"


def retry_table() -> str:
    """How long a job waits after each failed run, at the default settings."""
    rows: list[list[str]] = []
    for failures in range(1, RETRIES_SHOWN + 1):
        decision = decide(failures)
        folder = f"`{decision.state.folder}`"
        if decision.state is not State.FAILED:
            rows.append([str(failures), "", "", folder])
            break
        formula = f"`{config_from({}).backoff_base} ** {failures}`"
        rows.append(
            [str(failures), formula, format_wait(decision.delay), f"{folder}, then run {failures + 1}"]
        )
    return _table(["failed run", "formula", "wait", "the job goes to"], rows)


def decide(failures: int) -> retry.Decision:
    """What follows the `failures`-th failed run at the default settings."""
    defaults = config_from({})
    policy = retry.Policy(
        max_retries=defaults.max_retries,
        backoff_base=defaults.backoff_base,
        backoff_max=defaults.backoff_max,
        backoff_jitter=defaults.backoff_jitter,
        max_crashes=defaults.max_crashes,
    )
    return retry.after_failure(policy, failures=failures, retryable=True, luck=0.5)


def format_wait(seconds: float) -> str:
    """A wait as the table shows it."""
    return f"{seconds:g} s" if seconds < 60 else format_duration(seconds)  # noqa: PLR2004


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def json_tables() -> str:
    """What commands print with `--json`: what each page says of its own."""
    pages = [("../README.md", ROOT / "README.md")]
    pages += [(path.name, path) for path in sorted(ROOT.glob("docs/*.md")) if path.name != "json.md"]
    return reference.json_tables((name, _read(path)) for name, path in pages)


def stored_benchmark(path: Path) -> str:
    """What `benchmarks/run.py --store docs/benchmarks` has measured last."""
    return f"```text\n{_read(path).rstrip()}\n```"


PARTS: dict[str, Callable[[], str]] = {
    "command-reference": lambda: reference.command_pages(commands()),
    "commands": command_table,
    "config": config_table,
    "errors": reference.error_table,
    "exit-codes": exit_code_table,
    "job-fields": job_field_table,
    "kept-fields": kept_field_table,
    "group-fields": group_field_table,
    "json": json_tables,
    "python-reference": reference.python_pages,
    "retry": retry_table,
    "schedule-fields": schedule_field_table,
    "tried": lambda: reference.tried_table(_read(ROOT / "tests" / "README.md")),
}
_MEASURED = ROOT / "docs" / "benchmarks"
for _path in sorted(_MEASURED.rglob("*.txt")):
    # Those of another disk lie in a folder that is called after it.
    PARTS["-".join(["bench", *_path.relative_to(_MEASURED).with_suffix("").parts])] = partial(
        stored_benchmark, _path
    )


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Rewrite, or check; the exit code."""
    check = list(arguments) == ["--check"]
    if arguments and not check:
        click.echo((__doc__ or "").strip(), err=True)
        return 2
    stale = [path for path in documents() if rendered(_read(path)) != _read(path)]
    for path in stale:
        if check:
            click.echo(f"{path.relative_to(ROOT)} is stale: python docs/generate.py", err=True)
        else:
            path.write_bytes(rendered(_read(path)).encode())
            click.echo(f"wrote {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
