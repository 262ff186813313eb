from __future__ import annotations

import pytest

from queuectl.names import MAX_ID_BYTES, fold, id_problem, next_free, safe_id

GOOD = [
    "a",
    "backup",
    "Backup 2026",
    "a.b.c",
    "übung-日本",
    "x" * MAX_ID_BYTES,
    "é" * (MAX_ID_BYTES // 2),
    "con2",
    "console",
    "com10",
    "lpt",
    "nulls",
    "a.json",
    "a'b",
    "%TEMP%",
    "a;b&c",
    "end-",
    "end~",
]


@pytest.mark.parametrize("job_id", GOOD)
def test_what_every_system_can_store_is_an_id(job_id: str) -> None:
    assert id_problem(job_id) is None


DEVICES = [
    "con",
    "CON",
    "Prn",
    "aux",
    "nul",
    "com1",
    "COM9",
    "com0",
    "lpt3",
    "com¹",
    "LPT²",
    "conin$",
    "CONOUT$",
]


@pytest.mark.parametrize("job_id", [*DEVICES, "con.txt", "nul.tar.gz", "aux .log", "com1.json"])
def test_a_device_of_windows_is_no_id(job_id: str) -> None:
    assert "device on Windows" in (id_problem(job_id) or "")


@pytest.mark.parametrize("character", [*'<>:"/\\|?*', "\0", "\n", "\t", "\x1f", "\x7f"])
def test_a_character_that_windows_refuses_is_named(character: str) -> None:
    assert repr(character) in (id_problem(f"a{character}b") or "")


@pytest.mark.parametrize("job_id", ["a.", "a ", "a. ", ".a", " a", "-a", "--all", "~a", ".", "..", " "])
def test_no_id_begins_or_ends_with_what_gets_lost_or_hides_it(job_id: str) -> None:
    assert "begin with" in (id_problem(job_id) or "")


@pytest.mark.parametrize(
    ("job_id", "problem"),
    [
        ("", "empty"),
        ("x" * (MAX_ID_BYTES + 1), "at most 200 bytes, this one 201"),
        ("é" * 101, "at most 200 bytes, this one 202"),
        ("a\ud800", "valid Unicode"),
    ],
)
def test_other_bad_ids_are_explained(job_id: str, problem: str) -> None:
    assert problem in (id_problem(job_id) or "")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Backup", "bACKUP"), ("Ü", "ü"), ("e\u0301", "é"), ("E\u0301", "é"), ("straße", "STRASSE"), ("Å", "å")],
)
def test_ids_that_differ_in_case_or_composition_only_are_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("a", "a-2"), ("e", "é"), ("a b", "ab")])
def test_ids_that_differ_in_more_are_two(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def _free(job_id: str, *taken: str) -> str:
    return next_free(job_id, set(taken).__contains__)


@pytest.mark.parametrize(
    ("job_id", "taken", "expected"),
    [
        ("backup", [], "backup"),
        ("backup", ["backup"], "backup-2"),
        ("backup", ["backup", "backup-2", "backup-3"], "backup-4"),
        ("backup", ["backup", "backup-3"], "backup-2"),
        ("backup-2", ["backup-2"], "backup-3"),
        ("backup-0", ["backup-0"], "backup-0-2"),
        ("v-1234567890", ["v-1234567890"], "v-1234567890-2"),
    ],
)
def test_the_next_free_name(job_id: str, taken: list[str], expected: str) -> None:
    assert _free(job_id, *taken) == expected


def test_the_next_free_name_of_a_longest_id_is_still_an_id() -> None:
    longest = "é" * (MAX_ID_BYTES // 2)
    candidate = _free(longest, longest)
    assert candidate.endswith("-2")
    assert id_problem(candidate) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("backup", "backup"),
        ("a:b/c", "a_b_c"),
        ("con", "_con"),
        ("nul.txt", "_nul.txt"),
        ("a. .", "a"),
        ("-rf", "rf"),
        ("", "unnamed"),
        (". .", "unnamed"),
        ("~", "unnamed"),
        ("-~ a", "_ a"),
    ],
)
def test_any_name_becomes_a_safe_id(raw: str, expected: str) -> None:
    assert safe_id(raw) == expected


@pytest.mark.parametrize(
    "raw", ["x" * 300, "é" * 300, "con." + "x" * 300, "\udcff\udcfe", "x" * 198 + ". .y"]
)
def test_a_safe_id_is_one(raw: str) -> None:
    assert id_problem(safe_id(raw)) is None
