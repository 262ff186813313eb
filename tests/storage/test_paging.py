"""Lists a page at a time: whatever the filter, all of its jobs once, in the order of the list."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from queuectl.errors import InvalidInput
from queuectl.index import Entry, Index, paging
from queuectl.index.base import HELD
from queuectl.index.filters import ALL, Filter, is_meant
from queuectl.index.paging import Mark
from queuectl.moment import format_moment
from queuectl.state import State

NOW = 1_800_000_000.0
FILTERS = (
    ALL,
    Filter(group="g"),
    Filter(tag="t"),
    Filter(like="needle"),
    Filter(like="NEEDLE in"),
    Filter(like="straße"),
    Filter(like="50%_\\"),
    Filter(command_like="  needle  "),
    Filter(error_like="exit"),
    Filter(changed_since=NOW + 50),
    Filter(group="g", like="needle"),
    Filter(like="nowhere"),
)
STATES: tuple[tuple[State, ...], ...] = (
    (),
    *((state,) for state in State),
    (State.PENDING, State.FAILED),
    (State.COMPLETED, State.PROCESSING),
)
COMMANDS = (
    '"echo hi"',
    '["find", "the NEEDLE in", "hay"]',
    '"needle"',
    '"say \\"needle\\""',
    '"die STRASSE"',
    '"100 50%_\\\\ x"',
    '"50x_"',
)


@pytest.fixture
def index(tmp_path: Path) -> Any:
    made = Index(str(tmp_path / "index.sqlite3"), str(tmp_path / "claim.lock"))
    yield made
    made.close()


def filled(index: Index, count: int) -> list[Entry]:
    chance = random.Random(count)
    rows = []
    for number in range(count):
        state = chance.choice(list(State))
        waits = state in (State.PENDING, State.FAILED)
        rows.append(
            Entry(
                id=f"{chance.choice(['a', 'needle', 'Z'])}-{number}",
                fold=f"x-{number}",
                state=state.value,
                worker="host-1-1-abcd" if state is State.PROCESSING else None,
                mtime_ns=int((NOW + number) * 1e9),
                size=1,
                created=NOW + chance.randrange(5),
                command=chance.choice(COMMANDS),
                task=chance.choice([None, None, "app.it's", "app.other"]),
                priority=chance.randrange(3),
                due=chance.choice([None, None, NOW + chance.randrange(3), HELD]) if waits else None,
                updated_at=chance.choice([None, *[format_moment(NOW + chance.randrange(100))] * 4]),
                error=chance.choice([None, "exit code 3", "needle"]),
                tags=chance.choice(["", "\nt\n", "\nneedle\nt\n"]),
                lane=chance.choice([None, "g", "h"]),
            )
        )
    index.put(rows)
    return rows


def walked(index: Index, where: Filter, limit: int) -> list[Entry]:
    """All pages together."""
    found: list[Entry] = []
    behind: Optional[Mark] = None
    for _ in range(1000):
        page = index.page(where, limit, behind)
        assert len(page.entries) == limit or page.following is None
        found += page.entries
        behind = page.following
        if behind is None:
            return found
    raise AssertionError("it never ends")


def place(row: Entry) -> tuple[Any, ...]:
    """Where a job comes in the list."""
    timeless = row.updated_at is None
    latest = [-ord(one) for one in (row.updated_at or "") + "\0" + row.id] + [1]
    if row.state == "processing":
        return (0, timeless, latest)
    if row.state in ("pending", "failed"):
        return (2, row.due, row.id) if row.due is not None else (1, -row.priority, row.created, row.id)
    return (3, timeless, latest)


@pytest.mark.parametrize("states", STATES, ids=lambda states: "-".join(states) or "all")
@pytest.mark.parametrize(("in_order", "rare"), [(5000, 10_000), (7, 10_000), (7, 3)])
def test_all_that_is_meant_comes_once_and_in_order(
    index: Index, states: Sequence[State], in_order: int, rare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "_IN_ORDER", in_order)
    monkeypatch.setattr(paging, "_RARE", rare)
    rows = filled(index, 400)
    for where in FILTERS:
        chosen = where._replace(states=tuple(states))
        wanted = [row for row in rows if is_meant(chosen, row)]
        for limit in (1, 10, 50):
            if limit == 1 and len(wanted) > 100:
                continue
            found = walked(index, chosen, limit)
            assert sorted(row.id for row in found) == sorted(row.id for row in wanted), chosen
            if states != (State.FAILED,):
                assert [row.id for row in found] == [row.id for row in sorted(wanted, key=place)], chosen


def test_failed_ones_by_themselves_are_shown_the_latest_first(index: Index) -> None:
    rows = [row for row in filled(index, 100) if row.state == "failed" and row.updated_at]
    found = [row for row in walked(index, Filter(states=(State.FAILED,)), 7) if row.updated_at]
    assert [row.updated_at for row in found] == sorted((row.updated_at or "" for row in rows), reverse=True)


def test_a_page_goes_on_where_the_one_before_has_ended_whatever_has_come_meanwhile(index: Index) -> None:
    filled(index, 100)
    before = index.page(Filter(states=(State.COMPLETED,)), 5)
    assert before.following is not None
    rest = walked(index, Filter(states=(State.COMPLETED,)), 5)[5:]
    new = before.entries[0]._replace(id="new", fold="new", updated_at=format_moment(NOW + 999))
    index.put([new])
    assert index.page(Filter(states=(State.COMPLETED,)), 100, before.following).entries == rest


@pytest.mark.parametrize(
    "mark",
    [
        Mark("nowhere", ()),
        Mark("ended", ("one",)),
        Mark("ready", (1, 2)),
        Mark("", ()),
        Mark("due", ("x",) * 3),
    ],
)
def test_a_mark_of_no_page(index: Index, mark: Mark) -> None:
    with pytest.raises(InvalidInput, match="no such page"):
        index.page(ALL, 10, mark)


def test_values_of_any_kind_in_a_mark(index: Index) -> None:
    """They come from an address, which anybody may write."""
    filled(index, 50)
    for key in (("x", 1, None), (1e400, "x", "y"), (-1, -1, -1), ("'; DROP TABLE jobs", 0.5, "")):
        index.page(ALL, 10, Mark("ready", key))  # type: ignore[arg-type]
    assert len(walked(index, ALL, 10)) == 50


def test_more_tasks_than_one_question_can_have(index: Index) -> None:
    rows = filled(index, 10)
    many = [
        rows[0]._replace(
            id=f"t-{n:04}", fold=f"t-{n}", state="pending", worker=None, due=None, task=f"app.t{n}"
        )
        for n in range(400)
    ]
    index.put(many)
    ready = [
        row for row in walked(index, Filter(states=(State.PENDING,), like="app.t"), 50) if row.due is None
    ]
    assert {row.id for row in ready} >= {row.id for row in many}
