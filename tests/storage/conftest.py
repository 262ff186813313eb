from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.memory import in_memory
from tests.support.spools import Desk


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with in_memory(request, tmp_path) as folder:
        yield folder


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path / "spool") as one:
        yield one


@pytest.fixture(autouse=True)
def nothing_lasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test leaves behind for the end of its program goes with the test: here others follow in it.

    And what it has altered is as it was when its folder is deleted, which is made before therefore.
    """
    monkeypatch.setattr("queuectl.life._lasting", [])
