from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.spools import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk(tmp_path / "spool") as one:
        yield one
