"""What passes between a program and its tasks: what JSON has a form for, and gives back as it was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from queuectl.checks import DEEPEST
from queuectl.errors import InvalidInput

_LEAST, _MOST = -(2**63), 2**64 - 1
"""Whole numbers beyond these no reader of a job's file takes."""


def plain_arguments(task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The fields `args` and `kwargs` of a job that calls `task` so; those that are empty are left out.

    A tuple becomes a list. What else would come back as something else is refused: a worker must not call a
    function with text where it was given a path.

    Raises:
        InvalidInput: an argument has no form in JSON.
    """
    named = [(f"argument {number}", value) for number, value in enumerate(args, 1)]
    for name, value in [*named, *((f"argument {name!r}", value) for name, value in kwargs.items())]:
        if problem := _problem(value):
            raise InvalidInput(
                f"{name} of {task} is {problem}", hint="give text, numbers, lists and dicts with text as keys"
            )
    found: dict[str, Any] = {"args": list(args)} if args else {}
    return {**found, "kwargs": dict(kwargs)} if kwargs else found


def _problem(value: Any) -> Optional[str]:
    """What in this value has no form in JSON, or None."""
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        for one in level:
            if problem := _problem_of_one(one):
                return problem if one is value else f"a {type(value).__name__} with {problem} in it"
        # Each once: one that holds itself twice would be twice as many on each level.
        level = list({id(inner): inner for outer in level for inner in _inside(outer)}.values())
        if not level:
            return None
    return f"nested too deeply (more than {DEEPEST} levels)"


def _inside(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, (list, tuple)) else ()


def _problem_of_one(value: Any) -> Optional[str]:
    kind = type(value)
    if kind is str:
        return None if _is_unicode(value) else "text that is no Unicode"
    if kind is int:
        return None if _LEAST <= value <= _MOST else "a whole number that is too large for JSON"
    if kind is float:
        return None if math.isfinite(value) else f"the number {value}, which JSON does not know"
    if kind is dict:
        keys = [key for key in value if type(key) is not str or not _is_unicode(key)]
        return f"a dict whose key {keys[0]!r} is no text" if keys else None
    if value is None or kind in (bool, list, tuple):
        return None
    # Also what is derived from these: it would come back without what makes it special.
    return f"of the type {kind.__name__}, which JSON has no form for"


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
