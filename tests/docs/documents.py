"""What is written for people: the documents, and what can be read out of them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Union

from tests.support.program import ROOT

DOCUMENTS = [
    path
    for path in (
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *sorted(ROOT.glob("docs/*.md")),
        ROOT / "examples" / "README.md",
        ROOT / "tests" / "README.md",
        *sorted(ROOT.glob(".github/*.md")),
    )
    if path.exists()  # the source distribution leaves .github out
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_GENERATED = re.compile(r"<!-- generated: .*?<!-- end -->", re.S)
_HEADING = re.compile(r"^#+ (.*)$", re.M)


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    text: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]


def read(path: Union[Path, str]) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def generate() -> ModuleType:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(path: Union[Path, str], language: str = "") -> Iterator[Block]:
    """The code blocks of a document; of one language if it is given."""
    for match in _FENCE.finditer(read(path)):
        if language in ("", match[1]):
            yield Block(match[1], match[2])


def marked_block(path: str, mark: str) -> Block:
    """The code block that follows the comment `<!-- mark -->`."""
    text = read(path)
    match = _FENCE.search(text, text.index(f"<!-- {mark} -->"))
    assert match is not None, mark
    return Block(match[1], match[2])


def inline_code(path: Union[Path, str]) -> list[str]:
    """The `spans` of a document, outside of code blocks and generated parts."""
    prose = _GENERATED.sub("", _FENCE.sub("", read(path)))
    return re.findall(r"`([^`\n]+)`", prose)


def section(path: str, heading: str) -> str:
    """The text below a heading, up to the next one of any level."""
    text = _FENCE.sub("", read(path))
    match = re.search(rf"^#+ {re.escape(heading)}$\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert match is not None, heading
    return match[1]


def table_rows(text: str) -> list[list[str]]:
    """The cells of the rows of the tables in `text`, without their headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = [number for number, row in enumerate(rows) if all(re.fullmatch(r"-+", cell) for cell in row)]
    return [row for number, row in enumerate(rows) if number not in rules and number + 1 not in rules]


def anchors(path: Path) -> set[str]:
    """The names that headings can be linked to by, as GitHub makes them."""
    titles = _HEADING.findall(_FENCE.sub("", read(path)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
