"""Which jobs wait in a circle, or behind one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from queuectl.queue.vain import entangled

names = st.sampled_from("abcdef")


def test_who_waits_for_one_in_a_circle_waits_for_ever_too() -> None:
    assert entangled({"a": ["b"], "b": ["a"], "c": ["b"], "d": ["e"], "e": [], "f": ["gone"]}) == [
        "a",
        "b",
        "c",
    ]


def test_who_waits_for_itself_does() -> None:
    assert entangled({"a": ["a"]}) == ["a"]


@given(st.dictionaries(names, st.sets(names)))
def test_the_others_are_those_that_can_be_done_one_after_the_other(waits: dict[str, set[str]]) -> None:
    done: set[str] = set()
    while ready := {one for one, others in waits.items() if others & waits.keys() <= done} - done:
        done |= ready
    assert entangled(waits) == sorted(waits.keys() - done)


def test_a_long_chain_takes_no_recursion() -> None:
    assert entangled({str(number): [str(number + 1)] for number in range(20_000)}) == []
