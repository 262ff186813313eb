"""Which jobs are meant, of many: a filter of rows, and its SQL."""

import sqlite3
from typing import Any, NamedTuple, Optional

from queuectl.moment import format_moment
from queuectl.state import State

_CHANGED = "coalesce(updated_at, strftime('%Y-%m-%dT%H:%M:%fZ', mtime_ns / 1e9, 'unixepoch'))"
"""When a job last changed, as `list` tells it; such texts sort as the times do."""
_CONDITIONS = {
    "group": "lane = :group",
    "tag": "instr(tags, char(10) || :tag || char(10))",
    "batch": "batch = :batch",
    "changed_before": f"{_CHANGED} < :changed_before",
    "changed_since": f"{_CHANGED} >= :changed_since",
    "command_like": "instr(shown_command(command), :command_like)",
    "error_like": "instr(folded(error), :error_like)",
    "held": "hold = :held",
}


class Filter(NamedTuple):
    """Jobs of which all of this is true; what is left out does not matter.

    `changed_before` and `changed_since` are seconds since the epoch; a job's last change is its `updated_at`.
    `command_like` and `error_like` are texts that occur in it as they are, in capitals or not; a command that
    is a list counts as `list` shows it, with a space between its words.
    """

    states: tuple[State, ...] = ()
    group: Optional[str] = None
    tag: Optional[str] = None
    batch: Optional[str] = None
    changed_before: Optional[float] = None
    changed_since: Optional[float] = None
    command_like: Optional[str] = None
    error_like: Optional[str] = None
    held: Optional[bool] = None
    """Whether a person keeps it."""


ALL = Filter()


def condition(where: Filter) -> str:
    """What is true of the rows that it means."""
    given = [text for name, text in _CONDITIONS.items() if getattr(where, name) is not None]
    if where.states:
        given.append(f"state IN ({', '.join(repr(state.value) for state in where.states)})")
    return " AND ".join(["1", *given])


def values(where: Filter) -> dict[str, Any]:
    """What the names in `condition` stand for."""
    found = {name: getattr(where, name) for name in _CONDITIONS if getattr(where, name) is not None}
    for name in ("changed_before", "changed_since"):
        if name in found:
            found[name] = format_moment(found[name])
    for name in ("command_like", "error_like"):
        if name in found:
            found[name] = found[name].casefold()
    return found


def prepare(connection: sqlite3.Connection, where: Filter) -> None:
    """Give this connection the functions that `condition` calls: SQLite folds no letter beyond ASCII."""
    if where.command_like is not None:
        connection.create_function("shown_command", 1, _shown_command)
    if where.error_like is not None:
        connection.create_function("folded", 1, _folded)


def _folded(text: Any) -> str:
    return text.casefold() if isinstance(text, str) else ""


def _shown_command(text: Any) -> str:
    """The command of a row, as a person sees it; one that is damaged is what it is."""
    if not isinstance(text, str):
        return ""
    if "\\" not in text:
        # Nothing in it is quoted: to decode a million takes four seconds.
        return (text[2:-2].replace('", "', " ") if text[:1] == "[" else text[1:-1]).casefold()
    from json import loads

    try:
        command = loads(text)
    except ValueError:
        return text.casefold()
    return _folded(" ".join(map(str, command)) if isinstance(command, list) else command)
