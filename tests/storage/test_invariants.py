"""The control: what `check` is there to notice, it notices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import pytest

from queuectl.queue.invariants import Ran, broken
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


def _told(desk: Desk, *ids: str, runs: Sequence[Ran] = ()) -> list[str]:
    return list(broken(desk.store, ids, runs))


class TestTheProductsOwnChecker:
    """What `doctor` asks, and what knows the two ledgers."""

    def test_an_acknowledged_job_that_is_nowhere(self, desk: Desk) -> None:
        desk.add("a")
        assert _told(desk, "a") == []
        assert _told(desk, "a", "b") == ["b was acknowledged and is nowhere"]

    @pytest.mark.parametrize("other", ["a", "A"])
    def test_a_job_in_two_places(self, desk: Desk, other: str) -> None:
        desk.put_job("done", "a", state="completed")
        desk.put_job("failed", other, state="failed")
        assert _told(desk) == [f"{other} lies in 2 places: failed/{other}.json, done/a.json"]

    def test_a_record_that_is_none_or_another_ones(self, desk: Desk) -> None:
        desk.drop("a.json", b"{", "done")
        desk.put_job("done", "b", state="completed", id="c")
        torn, other = sorted(_told(desk))
        assert torn.startswith("done/a.json: holds no job: ")
        assert other == "done/b.json: its record gives another id; the file's name counts"

    def test_runs_side_by_side(self, desk: Desk) -> None:
        runs = [Ran("a", 0, 5, True), Ran("b", 4, 6, True), Ran("a", 4, 9, True)]
        assert _told(desk, runs=runs) == ["a ran beside itself: from 0 and from 4"]
        # One that was killed has no end.
        assert _told(desk, runs=[Ran("a", 0), Ran("a", 4, 9, True)]) == []

    def test_a_completed_job_without_a_good_run_or_with_too_many(self, desk: Desk) -> None:
        desk.put_job("done", "a", state="completed")
        desk.put_job("done", "b", state="completed", crashes=1)
        good = [Ran("a", 0, 1, True), Ran("b", 0, 1, True), Ran("b", 2, 3, True)]
        assert _told(desk, runs=good) == []
        assert _told(desk, runs=[Ran("a", 0, 1, False)]) == ["a is completed, and no run of it has succeeded"]
        twice = [*good, Ran("a", 2, 3, True)]
        assert _told(desk, runs=twice) == ["a has succeeded 2 times, and none of its runs crashed"]
