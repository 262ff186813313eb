"""The text of a job as somebody wrote it, and where something stands in it, as people count. Pure."""

import re
from typing import NamedTuple, Optional

import msgspec

# Compiled when something is wrong with a job, which mostly is not.
_TOKEN = r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}\[\]:]'
"""A string without an end is one too: were it skipped, each quote in it would be tried as a beginning."""


class Source(NamedTuple):
    """The text of one job, and where in the whole input it begins; None where a place says nothing."""

    text: str
    whole: Optional[str]
    start: int = 0

    def place(self, offset: Optional[int]) -> str:
        """Line and column of this offset in the text, as the end of a sentence."""
        if offset is None or self.whole is None:
            return ""
        at = self.start + offset
        line = self.whole.count("\n", 0, at) + 1
        return f" at line {line}, column {at - self.whole.rfind(chr(10), 0, at)}"

    def place_among_others(self) -> str:
        """Where the text begins, if it is one of several."""
        return self.place(0) if self.text != self.whole else ""

    def place_of_field(self, name: str) -> str:
        """Where the job has this field."""
        return self.place(_field_offset(self.text, name))


def _field_offset(text: str, name: str) -> Optional[int]:
    """Where the outermost object has this key."""
    depth, start = 0, None
    for token in re.finditer(_TOKEN, text, re.S):
        if token[0] == ":" and start is not None:
            return start
        start = None
        if token[0] in ("{", "["):
            depth += 1
        elif token[0] in ("}", "]"):
            depth -= 1
        elif depth == 1 and _unquoted(token[0]) == name:
            start = token.start()
    return None


def _unquoted(literal: str) -> Optional[str]:
    try:
        return msgspec.json.decode(literal.encode(), type=str)
    except (msgspec.DecodeError, UnicodeError):
        return None
