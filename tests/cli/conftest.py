from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commandline import CommandLine, LivingWorker
from tests.support.memory import in_memory


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with in_memory(request, tmp_path) as folder:
        yield folder


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(tmp_path, monkeypatch, capsys)


@pytest.fixture
def worker(cli: CommandLine) -> Iterator[LivingWorker]:
    """A worker that lives in this process; what it runs ends as the test says."""
    cli.ok("init")
    with LivingWorker(cli.spool) as living:
        yield living
