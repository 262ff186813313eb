"""How workers are spread over processes."""

from __future__ import annotations

import pytest

from queuectl import fleet as fleet_module
from queuectl.errors import QueueError
from queuectl.fleet import Fleet, shares
from queuectl.shift import Plan


@pytest.mark.parametrize(
    ("workers", "processes", "counts"),
    [(1, 8, [1]), (2, 1, [2]), (2, 2, [1, 1]), (3, 2, [2, 1]), (7, 3, [3, 2, 2]), (8, 16, [1] * 8)],
)
def test_all_of_them_are_shared_out_and_numbered_through(
    workers: int, processes: int, counts: list[int]
) -> None:
    plans = shares(Plan(workers=workers, drain=True, trust_writers=True), processes)
    assert [plan.workers for plan in plans] == counts
    numbers = [number for plan in plans for number in range(plan.first, plan.first + plan.workers)]
    assert numbers == list(range(1, workers + 1))
    assert all(plan.trust_writers for plan in plans)


def test_the_first_one_alone_hears_signals_looks_and_ends_a_drain() -> None:
    first, *others = shares(Plan(workers=3, drain=True), 3)
    assert (first.helps, first.drain) == (False, True)
    assert {(plan.helps, plan.drain) for plan in others} == {(True, False)}


def test_without_room_for_another_process_those_that_began_end_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[bytes] = []

    class One:
        pid, rests, ended = 1, True, False

        def tell(self, letter: bytes) -> None:
            told.append(letter)

        def await_end(self, *_: object) -> tuple[bytes, int]:
            told.append(b"waited for")
            return b"", 0

        def close(self) -> None:
            told.append(b"closed")

    children = iter([One()])

    def fork(*_: object) -> One:
        try:
            return next(children)
        except StopIteration:
            raise BlockingIOError(11, "Resource temporarily unavailable") from None

    monkeypatch.setattr(fleet_module, "fork", fork)
    monkeypatch.setattr(fleet_module, "cores", lambda: 3)
    with pytest.raises(QueueError, match="cannot start workers"):
        Fleet("spool", Plan(workers=3)).run()
    assert told == [b"s", b"waited for", b"closed"]
