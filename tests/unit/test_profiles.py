"""Our lines in a person's file: added once, taken out to the byte."""

from __future__ import annotations

import pytest

from queuectl.cli.profiles import with_script, without_script
from queuectl.errors import Conflict

SCRIPT = "one\n    two\n"
FILES = [
    b"",
    b"alias x=y\n",
    b"alias x=y",
    b"a\r\nb\r\n",
    b"a\r\nb",
    "# \u00e4 \u20ac\n".encode(),
    b"\xef\xbb\xbf# with a mark\r\n",
    b"\xef\xbb\xbf",
    b"\xe4 in Latin-1\n",
    "# \u00e4 \u20ac\r\n".encode("utf-16"),
    "# \u00e4 \u20ac".encode("utf-16"),
    b"\xff\xfe",
    b"\xfe\xff" + "x\r\n".encode("utf-16-be"),
]


@pytest.mark.parametrize("before", FILES, ids=repr)
@pytest.mark.parametrize("new_line", ["\n", "\r\n"], ids=repr)
def test_it_is_added_once_and_taken_out_to_the_byte(before: bytes, new_line: str) -> None:
    once = with_script(before, SCRIPT, new_line, "it")
    assert once.startswith(before)
    assert with_script(once, SCRIPT, new_line, "it") == once
    assert without_script(once, "it") == before
    assert without_script(before, "it") == before


@pytest.mark.parametrize("before", FILES, ids=repr)
def test_what_is_written_behind_it_stays_a_line_of_its_own(before: bytes) -> None:
    wide = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(before[:2], "ascii")
    later = "later\n".encode(wide)
    left = without_script(with_script(before, SCRIPT, "\n", "it") + later, "it")
    assert left.endswith(later)
    assert left.startswith(before)
    assert left[len(before) : -len(later)].decode(wide) in ("", "\n", "\r\n")


def test_lines_end_as_those_of_the_file() -> None:
    assert with_script(b"a\r\n", SCRIPT, "\n", "it").count(b"\r\n") == 5
    assert b"\r" not in with_script(b"a\n", SCRIPT, "\r\n", "it")
    assert with_script(b"", SCRIPT, "\r\n", "it").count(b"\r\n") == 4


def test_another_script_takes_the_place_of_the_one_that_is_there() -> None:
    once = with_script(b"a\n", SCRIPT, "\n", "it") + b"b\n"
    changed = with_script(once, "three\n", "\n", "it")
    assert b"two" not in changed
    assert changed.startswith(b"a\n#")
    assert changed.endswith(b"#\nb\n".replace(b"#", b"# <<< queuectl completion <<<"))
    assert without_script(changed, "it") == b"a\nb\n"


@pytest.mark.parametrize(
    "data",
    [
        b"# >>> queuectl completion >>>\nits end is gone\n",
        b"its begin is gone\n# <<< queuectl completion <<<\n",
        b"\xff\xfe\x00",
        b"a\0b\0",
    ],
    ids=repr,
)
def test_what_cannot_be_told_is_let_alone(data: bytes) -> None:
    with pytest.raises(Conflict, match="it"):
        with_script(data, SCRIPT, "\n", "it")
    with pytest.raises(Conflict):
        without_script(data, "it")
