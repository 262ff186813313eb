"""The fixture `queuectl_stage`, which pytest finds by itself where queuectl is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

import pytest

if TYPE_CHECKING:
    from queuectl.queue import Queue
    from queuectl.testing import Stage


@pytest.fixture
def queuectl_stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Call it with a queue, which is in a temporary folder for the rest of the test, or with none for a new
    one: a `queuectl.testing.Stage`.
    """
    # Lazily: every test run where queuectl is installed imports this module.
    from queuectl.testing import rehearse

    with ExitStack() as stages:

        def stage(queue: Optional[Queue] = None) -> Stage:
            folder = tmp_path / f"queuectl-{len(list(tmp_path.glob('queuectl-*')))}"
            folder.mkdir()
            return stages.enter_context(rehearse(queue, str(folder)))

        yield stage
