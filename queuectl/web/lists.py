"""Which jobs a list shows: a filter and a place in the list, in an address and back."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple, Optional

from starlette.datastructures import QueryParams

from queuectl.errors import InvalidInput
from queuectl.index.filters import Filter
from queuectl.index.paging import Mark
from queuectl.moment import parse_duration
from queuectl.state import State

FIELDS = ("q", "group", "tag", "batch", "since")
PAGE = 50
"""Jobs on a page."""
_MOST = 2**63


class Asked(NamedTuple):
    """What somebody wants to see."""

    states: tuple[State, ...]
    fields: dict[str, str]
    behind: Optional[Mark]

    def where(self, now: float) -> Filter:
        """The filter that means it.

        Raises:
            InvalidInput: there is no such time.
        """
        since = self.fields.get("since")
        try:
            changed_since = now - parse_duration(since) if since else None
        except ValueError as error:
            raise InvalidInput(f"changed within: {error}") from None
        return Filter(
            states=self.states,
            like=self.fields.get("q"),
            group=self.fields.get("group"),
            tag=self.fields.get("tag"),
            batch=self.fields.get("batch"),
            changed_since=changed_since,
        )

    def pairs(self, *, behind: Optional[Mark] = None) -> list[tuple[str, str]]:
        """Itself, for an address; on the first page, or behind this mark."""
        pairs = [("state", state.value) for state in self.states] + list(self.fields.items())
        return pairs if behind is None else [*pairs, ("behind", written(behind))]


def asked(parameters: QueryParams) -> Asked:
    """What an address asks for.

    Raises:
        InvalidInput: there is no such state, or no such page.
    """
    states = tuple(State(one) for text in parameters.getlist("state") if (one := State.parse(text or None)))
    fields = {name: value for name in FIELDS if (value := parameters.get(name, "").strip())}
    behind = parameters.get("behind")
    return Asked(tuple(dict.fromkeys(states)), fields, None if not behind else read(behind))


def written(mark: Mark) -> str:
    """A place in a list as text."""
    return (
        urlsafe_b64encode(json.dumps([mark.part, *mark.key], separators=(",", ":")).encode())
        .decode()
        .rstrip("=")
    )


def read(text: str) -> Mark:
    """What `written` wrote.

    Raises:
        InvalidInput: it did not.
    """
    try:
        part, *key = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError):
        raise InvalidInput("there is no such page of this list") from None
    if not isinstance(part, str) or not all(map(_is_value, key)):
        raise InvalidInput("there is no such page of this list")
    return Mark(part, tuple(key))


def _is_value(value: object) -> bool:
    """Whether SQLite takes it."""
    if isinstance(value, str):
        return value.isprintable() or value.encode("utf-8", "ignore").decode() == value
    return isinstance(value, float) or (type(value) is int and abs(value) < _MOST)
