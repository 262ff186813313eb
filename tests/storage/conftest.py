from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.spools import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path / "spool") as one:
        yield one


@pytest.fixture(autouse=True)
def nothing_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test leaves behind for the end of its program goes with the test: here others follow in it."""
    monkeypatch.setattr("queuectl.life._lasting", [])
