from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.racers import Race


@pytest.fixture
def race(tmp_path: Path) -> Race:
    return Race(tmp_path)
