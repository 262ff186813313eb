from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.hostile.calls import tame
from tests.support.hostile.indexes import make_original
from tests.support.memory import in_memory


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with in_memory(request, tmp_path) as folder:
        yield folder


@pytest.fixture(autouse=True)
def ran() -> Iterator[list[Any]]:
    """The commands that were run, or would have been: no call of the command line goes on for ever."""
    with tame() as commands:
        yield commands


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_original(tmp_path_factory.mktemp("original") / "spool")


@pytest.fixture
def spool(original: Path, tmp_path: Path) -> Path:
    """A spool with jobs in every state, whose index no program has open."""
    return Path(shutil.copytree(original, tmp_path / "spool"))
