"""Which jobs are meant, of many: a filter of rows, in SQL and in Python."""

import re
import sqlite3
from math import isfinite
from typing import Any, Callable, NamedTuple, Optional

from queuectl.errors import InvalidInput
from queuectl.index.rows import Entry
from queuectl.moment import format_moment
from queuectl.state import State


class Filter(NamedTuple):
    """Jobs of which all of this is true; what is left out does not matter.

    `changed_before` and `changed_since` are seconds since the epoch; a job's last change is its `updated_at`.
    `command_like` and `error_like` are texts that occur in it as `list` shows it, in capitals or not: with a
    space between the words of a command that is a list, and one for white space of any kind and length.
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
    kept: Optional[bool] = None
    """Whether a person keeps it, or it names others that are to end first."""
    like: Optional[str] = None
    """A text that occurs in its id, its command, its task, its error or a tag, as `command_like` does."""


ALL = Filter()


class _Condition(NamedTuple):
    """What is true of the rows that one field of a filter means: in SQL, and the same of one row."""

    sql: str
    holds: Callable[[Entry, Any], bool]


_PIECE = re.compile(r"[!#-\[\]-~]+")
"""What stands in a row as it is shown, but for capitals."""


def _maybe(name: str, *columns: str) -> str:
    """What is true of all rows in one of whose columns the text of that field of a filter occurs, and of few
    others.

    SQLite tells it itself, in a fifth of the time that a function of ours takes. Where a text has more bytes
    than letters, some are beyond ASCII, and may be written in other ways than they are shown.
    """
    each = [f"{one} LIKE :{name}_piece ESCAPE '\\'" for one in columns]
    each += [f"length({one}) <> length(CAST({one} AS BLOB))" for one in columns]
    return f"({' OR '.join(each)})"


_CHANGED = "coalesce(updated_at, written(mtime_ns))"
_ALL_TEXTS = ("id", "command", "task", "error", "tags")
_CONDITIONS = {
    "group": _Condition("lane = :group", lambda row, group: row.lane == group),
    "tag": _Condition("instr(tags, char(10) || :tag || char(10))", lambda row, tag: f"\n{tag}\n" in row.tags),
    "batch": _Condition("batch = :batch", lambda row, batch: row.batch == batch),
    "changed_before": _Condition(f"{_CHANGED} < :changed_before", lambda row, moment: _changed(row) < moment),
    "changed_since": _Condition(f"{_CHANGED} >= :changed_since", lambda row, moment: _changed(row) >= moment),
    "command_like": _Condition(
        f"{_maybe('command_like', 'command')} AND instr(shown_command(command), :command_like)",
        lambda row, text: text in _shown_command(row.command),
    ),
    "error_like": _Condition(
        f"{_maybe('error_like', 'error')} AND instr(shown(error), :error_like)",
        lambda row, text: text in _shown(row.error),
    ),
    "held": _Condition("hold = :held", lambda row, held: row.hold == held),
    "kept": _Condition(
        "(hold = 1 OR after IS NOT NULL) = :kept",
        lambda row, kept: (row.hold == 1 or row.after is not None) == kept,
    ),
    "like": _Condition(
        f"{_maybe('like', *_ALL_TEXTS)} AND occurs(:like, {', '.join(_ALL_TEXTS)})",
        lambda row, text: _occurs(text, row.id, row.command, row.task, row.error, row.tags),
    ),
}
_TEXTS = ("command_like", "error_like", "like")


def checked(where: Filter) -> Filter:
    """`where`, with its states as such, also where they are given as text.

    Raises:
        InvalidInput: there is no such state, a text is blank and so in every one, a time is none.
    """
    given: Any = where.states
    try:
        states = [State.parse(one) for one in ([given] if isinstance(given, str) else given)]
    except TypeError:
        states = [None]
    found = tuple(state for state in states if state is not None)
    if len(found) != len(states):
        raise InvalidInput(f"the states of a filter are some states, not {given!r}")
    for name in _TEXTS:
        text = getattr(where, name)
        if text is not None and not (isinstance(text, str) and text.strip()):
            raise InvalidInput(f"{name}: the text is empty, and so is in every one")
    for name in ("changed_before", "changed_since"):
        moment = getattr(where, name)
        if moment is not None and not (isinstance(moment, (int, float)) and isfinite(moment)):
            raise InvalidInput(f"{name} is in seconds since the epoch, not {moment!r}")
    return where._replace(states=found)


def condition(where: Filter) -> str:
    """What is true of the rows that it means."""
    given = [one.sql for name, one in _CONDITIONS.items() if getattr(where, name) is not None]
    if where.states:
        given.append(f"state IN ({', '.join(repr(state.value) for state in where.states)})")
    return " AND ".join(["1", *given])


def values(where: Filter) -> dict[str, Any]:
    """What the names in `condition` stand for."""
    found = {name: getattr(where, name) for name in _CONDITIONS if getattr(where, name) is not None}
    for name in ("changed_before", "changed_since"):
        if name in found:
            found[name] = format_moment(found[name])
    for name in _TEXTS:
        if name in found:
            # A space at an end of it is meant.
            found[name] = _folded(re.sub(r"\s+", " ", found[name]))
            found[f"{name}_piece"] = _pattern(found[name])
    return found


def _pattern(text: str) -> str:
    """For LIKE: what is longest in this text of that which rows have as it is."""
    longest = max(_PIECE.findall(text), key=len, default="")
    return "%" + re.sub(r"([%_])", r"\\\1", longest) + "%"


def is_meant(where: Filter, row: Entry) -> bool:
    """Whether `condition` is true of this row."""
    if where.states and row.state not in where.states:
        return False
    given = values(where)
    return all(one.holds(row, given[name]) for name, one in _CONDITIONS.items() if name in given)


def prepare(connection: sqlite3.Connection, where: Filter) -> None:
    """Give this connection the functions that `condition` calls: SQLite folds no letter beyond ASCII."""
    if where.command_like is not None:
        connection.create_function("shown_command", 1, _shown_command)
    if where.error_like is not None:
        connection.create_function("shown", 1, _shown)
    if where.like is not None:
        connection.create_function("occurs", 6, _occurs)
    if where.changed_before is not None or where.changed_since is not None:
        connection.create_function("written", 1, _written)


def _changed(row: Entry) -> str:
    """When a job last changed, as `list` tells it; such texts sort as the times do."""
    return _written(row.mtime_ns) if row.updated_at is None else row.updated_at


def _written(mtime_ns: int) -> str:
    return format_moment(mtime_ns / 1e9)


def _folded(text: str) -> str:
    if text.isascii():
        return text.casefold()
    # Lazily: most texts have no letter that can be written in two ways.
    from unicodedata import normalize

    return normalize("NFC", normalize("NFC", text).casefold())


def _occurs(text: str, job_id: Any, command: Any, *others: Any) -> bool:
    """Whether this text, folded, is in one of these values of a row."""
    return text in _shown_command(command) or any(text in _shown(value) for value in (job_id, *others))


def _shown(text: Any) -> str:
    return _folded(" ".join(text.split())) if isinstance(text, str) else ""


def _shown_command(text: Any) -> str:
    """The command of a row, as a person sees it; one that is damaged is what it is."""
    if not isinstance(text, str):
        return ""
    if "\\" not in text:
        # Nothing in it is quoted: to decode a million takes four seconds.
        return _shown(text[2:-2].replace('", "', " ") if text[:1] == "[" else text[1:-1])
    from json import loads

    try:
        command = loads(text)
    except ValueError:
        return _shown(text)
    return _shown(" ".join(map(str, command)) if isinstance(command, list) else command)
