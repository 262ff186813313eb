"""A filter means the same in SQL and in Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queuectl.index import Entry, Filter, Index, is_meant, written_command
from queuectl.moment import format_moment
from queuectl.state import State
from tests.property.test_pure_properties import PROFILE

DAY = 86400
words = st.text(alphabet="aAbß\u0130é\u0301İ \t\n\xa0%_\\\"',[]\0", max_size=6)
texts = words.filter(str.strip)
labels = st.sampled_from(["g", "G", "gé", "a b"])
# Few, so that some are equal.
moments = st.integers(0, 6).map(lambda number: number * DAY / 2 + 0.001)
entries = st.fixed_dictionaries(
    {
        "id": st.just(""),
        "fold": st.just(""),
        "state": st.sampled_from([state.value for state in State]),
        "worker": st.none(),
        "mtime_ns": moments.map(lambda moment: int(moment * 10**9)) | st.integers(-(10**9), 4 * DAY * 10**9),
        "size": st.just(1),
        "created": st.just(1.0),
        "command": st.one_of(words, st.lists(words, min_size=1, max_size=3)).map(written_command),
        "updated_at": st.none() | moments.map(format_moment),
        "error": st.none() | words,
        "tags": st.lists(labels, max_size=2).map(
            lambda tags: "".join(f"\n{tag}" for tag in tags) + "\n" * bool(tags)
        ),
        "lane": st.none() | labels,
        "batch": st.none() | labels,
        "after": st.none() | st.just("success x"),
        "hold": st.integers(0, 1),
    }
).map(lambda fields: Entry(**fields))


fields: dict[str, Any] = {
    "states": st.lists(st.sampled_from(State), max_size=2).map(tuple),
    "group": labels,
    "tag": labels,
    "batch": labels,
    "changed_before": moments,
    "changed_since": moments,
    "command_like": texts,
    "error_like": texts,
    "held": st.booleans(),
    "kept": st.booleans(),
    "like": texts,
}
wheres = st.fixed_dictionaries({}, optional=fields).map(lambda given: Filter(**given))
one_field = st.sampled_from(sorted(fields)).flatmap(
    lambda name: fields[name].map(lambda value: Filter(**{name: value}))
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder: Path = tmp_path_factory.mktemp("index")
    made = Index(str(folder / "index.sqlite3"), str(folder / "claim.lock"))
    yield made
    made.close()


@settings(PROFILE, max_examples=300)
@given(rows=st.lists(entries, min_size=1, max_size=5), where=one_field | wheres)
def test_both_agree(index: Index, rows: list[Entry], where: Filter) -> None:
    named = [row._replace(id=f"j{number}", fold=f"j{number}") for number, row in enumerate(rows)]
    index.clear()
    index.put(named)
    meant = {row.id for row in named if is_meant(where, row)}
    assert set(fields) == set(Filter._fields)
    assert set(index.matches(where)) == meant
    assert {row.id for row in index.entries(where=where)} == meant
