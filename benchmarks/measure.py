"""What the benchmarks share: a fresh spool, the program, percentiles, a table."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, NamedTuple, Union

HERE = Path(__file__).resolve().parent.parent


class Table(NamedTuple):
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Union[str, float]]]

    def __str__(self) -> str:
        lines = [self.headings, *([_cell(cell) for cell in row] for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join([self.title, *("  " + line for line in drawn)])


def _cell(cell: Union[str, float]) -> str:
    return cell if isinstance(cell, str) else f"{cell:.2f}"


def environment() -> dict[str, str]:
    """As a user has it: with compiled modules kept."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(HERE)}


@contextmanager
def new_folders() -> Iterator[Callable[[], Path]]:
    """Makes new folders on the disk of the repository; nothing is deleted before the end: on some file
    systems a file costs more to make after others were deleted.
    """
    with tempfile.TemporaryDirectory(dir=HERE.parent, prefix=".queuectl-benchmark-") as folder:
        yield lambda: Path(tempfile.mkdtemp(dir=folder))


@contextmanager
def temporary_spool() -> Iterator[Path]:
    """A new spool on the disk that the repository is on (a tmpfs would flatter)."""
    with tempfile.TemporaryDirectory(dir=HERE.parent, prefix=".queuectl-benchmark-") as folder:
        spool = Path(folder) / "spool"
        queuectl(spool, "init").wait()
        yield spool


def queuectl(spool: Path, *words: str) -> subprocess.Popen[bytes]:
    call = [sys.executable, "-m", "queuectl", "--spool", str(spool), *words]
    return subprocess.Popen(call, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(condition: Callable[[], bool], what: str, *, pause: float = 0.01, deadline: float = 60) -> None:
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline} s for {what}")
        time.sleep(pause)


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
