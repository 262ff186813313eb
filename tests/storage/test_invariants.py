"""The control: what `check` is there to notice, it notices."""

from __future__ import annotations

from typing import Callable

import pytest

from tests.support.invariants import check
from tests.support.spools import Desk, failing


def _lost(desk: Desk) -> None:
    desk.path("pending", "a.json").unlink()


def _doubled(desk: Desk) -> None:
    desk.put_job("done", "a", state="completed")


def _doubled_in_processing(desk: Desk) -> None:
    desk.put_job("processing/host-1-1-abc", "a")


def _another_job_doubled(desk: Desk) -> None:
    desk.put_job("done", "b", state="completed")
    desk.put_job("dead", "b", state="dead")


def _of_another_id(desk: Desk) -> None:
    desk.drop("b.json", {"id": "c", "command": "x", "updated_at": "2027-01-01T00:00:00Z"}, "done")


def _acknowledged_of_another_id(desk: Desk) -> None:
    desk.drop("a.json", {"id": "c", "command": "x"})


def _torn(desk: Desk) -> None:
    desk.drop("b.json", b'{"command": ', "done")


def _left_in_tmp(desk: Desk) -> None:
    desk.drop("b.json", b"x", "tmp")


def _run_too_often(desk: Desk) -> None:
    desk.put_job("dead", "b", state="dead", attempts=5)


def _indexed_wrongly(desk: Desk) -> None:
    desk.queue.refresh()
    entry = desk.store.index.get("a")
    assert entry is not None
    # Of this version of the file, so that no look repairs it.
    desk.store.index.put([entry._replace(attempts=3)])


WRONGS = [
    _lost,
    _doubled,
    _doubled_in_processing,
    _another_job_doubled,
    _of_another_id,
    _acknowledged_of_another_id,
    _torn,
    _left_in_tmp,
    _run_too_often,
    _indexed_wrongly,
]


@pytest.mark.parametrize("wrong", WRONGS, ids=lambda one: one.__name__)
def test_what_must_not_be_is_noticed(desk: Desk, wrong: Callable[[Desk], None]) -> None:
    desk.add("a")
    check(desk.root, ["a"])
    wrong(desk)
    with pytest.raises((AssertionError, ValueError)):
        check(desk.root, ["a"])


def test_what_may_be_is_not(desk: Desk) -> None:
    desk.add("a", "b")
    desk.run_once(failing(desk.clock))
    desk.drop("drop.json", {"id": "other", "command": "x"})
    desk.drop("new.json", b"")
    desk.drop("rubbish.json", b"{")
    desk.look()
    desk.clock.advance(10)
    desk.look()
    desk.put_job("dead", "worn", state="dead", attempts=5)
    check(desk.root, ["a", "b", "rubbish"], attempts_matter=False)
    check(desk.root, ["a", "b", "rubbish"], max_attempts=5)
