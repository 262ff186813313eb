"""The generated parts of the documentation are what the code says now."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from tests.docs.documents import DOCUMENTS, generate, read


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return generate()


def test_every_document_is_as_generated(generator: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    code = generator.main(["--check"])
    assert code == 0, capsys.readouterr().err


def test_every_part_is_in_some_document(generator: ModuleType) -> None:
    used = {match[2] for path in DOCUMENTS for match in generator.PART.finditer(read(path))}
    assert used == set(generator.PARTS)
    assert all(re.search(rf"^\| `queuectl {name}", read("README.md"), re.M) for name in ("run", "dlq retry"))


def test_a_stale_part_is_noticed(generator: ModuleType) -> None:
    """The control: a check that never fails would prove nothing."""
    text = read("README.md")
    stale = text.replace("| 130 |", "| 131 |")
    assert stale != text
    assert generator.rendered(stale) == text


def test_a_marker_of_an_unknown_part_is_an_error(generator: ModuleType) -> None:
    with pytest.raises(KeyError):
        generator.rendered("<!-- generated: no-such-part -->\n<!-- end -->\n")


def test_a_marker_without_an_end_is_noticed(generator: ModuleType) -> None:
    for path in DOCUMENTS:
        text = read(path)
        assert (
            text.count("<!-- generated:") == text.count("<!-- end -->") == len(generator.PART.findall(text))
        )
