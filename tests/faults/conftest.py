from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import pytest

from tests.support.memory import in_memory

if TYPE_CHECKING:
    from tests.support.faults.bench import Bench, Doer

# Before anything imports them: what does not hold is then told in full.
for _name in ("afterwards", "judges", "judges_house", "tampering"):
    pytest.register_assert_rewrite(f"tests.support.faults.{_name}")


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with in_memory(request, tmp_path) as folder:
        yield folder


@pytest.fixture(scope="session")
def doer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doer]:
    """Forked processes where that is sure to work: ten times as many for the same time."""
    from tests.support.faults.bench import Starter
    from tests.support.faults.forker import Forker

    if sys.platform != "linux":
        yield Starter()
        return
    with Forker(tmp_path_factory.mktemp("forker")) as forker:
        yield forker


@pytest.fixture
def bench(tmp_path: Path, doer: Doer) -> Callable[[str], Bench]:
    from tests.support.faults.bench import Bench
    from tests.support.faults.scenarios import SCENARIOS

    return lambda name: Bench(SCENARIOS[name], tmp_path, doer)
