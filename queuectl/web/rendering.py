"""Pages from templates: everything that is not ours is escaped, whatever it is."""

from __future__ import annotations

import json
import os
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from queuectl import __version__
from queuectl.moment import format_duration
from queuectl.state import State

HOME = os.path.dirname(os.path.abspath(__file__))
STATIC = os.path.join(HOME, "static")
_LONGEST = 200
"""Characters of a command or an error in a table."""


def segment(text: str) -> str:
    """As a part of an address' path: an id may have any character but a slash."""
    return quote(text, safe="")


def in_one_line(command: Any) -> str:
    """A command, text or list, as tables show it."""
    text = " ".join(map(str, command)) if isinstance(command, list) else str(command or "")
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def as_json(value: Any) -> str:
    """As it stands in a file; escaped like any text."""
    return json.dumps(value, ensure_ascii=False)


def number(value: float) -> str:
    """A number as people read it."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def _static(name: str) -> str:
    """The address of a file of ours: another one when it is changed, so that browsers may keep it."""
    return f"/static/{name}?{_digest(name)}"


@cache
def _digest(name: str) -> str:
    with open(os.path.join(STATIC, name), "rb") as file:
        return sha256(file.read()).hexdigest()[:12]


def make_environment() -> Environment:
    """What renders the templates."""
    environment = Environment(
        loader=FileSystemLoader(os.path.join(HOME, "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        segment=segment,
        one_line=in_one_line,
        as_json=as_json,
        number=number,
        duration=format_duration,
        query=lambda pairs: urlencode([(name, value) for name, value in pairs if value not in (None, "")]),
    )
    environment.globals.update(static=_static, version=__version__, states=[state.value for state in State])
    return environment
