from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.memory import in_memory
from tests.support.web import Serving


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with in_memory(request, tmp_path) as folder:
        yield folder


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Serving]:
    with Serving(tmp_path / "spool") as serving:
        yield serving
