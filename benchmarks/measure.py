"""What the benchmarks share: a fresh spool, the program, percentiles, a table."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Callable, NamedTuple, Union

HERE = Path(__file__).resolve().parent.parent
place = HERE.parent
"""Where everything is done, on the disk that the repository is on (a tmpfs would flatter)."""
idle_first = 0.0
"""Seconds for which workers have had nothing to do before the latency is measured."""


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


@cache
def _top() -> Path:
    """A folder in `place`.

    Nothing is deleted before the program ends: on some file systems (ext4 without a journal) a file costs ten
    times as much to make while the ones that were deleted are remembered.
    """
    folder = tempfile.mkdtemp(dir=place, prefix=".queuectl-benchmark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(dir=_top()))


@contextmanager
def new_folders() -> Iterator[Callable[[], Path]]:
    yield new_folder


@contextmanager
def temporary_spool() -> Iterator[Path]:
    spool = new_folder() / "spool"
    queuectl(spool, "init").wait()
    yield spool


def disk() -> str:
    """The file system that is measured, and whether it keeps a journal (ext4 may not)."""
    device = os.stat(place).st_dev
    number = f"{os.major(device)}:{os.minor(device)}" if hasattr(os, "major") else ""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        kind, source = next(line[line.index("-") + 1 :][:2] for line in mounts if line[2] == number)
    except (OSError, StopIteration):
        return "a disk of unknown kind"
    name = Path(source).name
    journals = [one.name for one in Path("/proc/fs/jbd2").glob("*")]
    kept = any(one.rpartition("-")[0] == name for one in journals)
    return f"{kind} with a journal" if kept else f"{kind} without a journal" if kind == "ext4" else kind


def cost_of_a_file() -> float:
    """Microseconds that it takes to make one here and now; over 100 tells of a disk that was just tidied."""
    folder = new_folder()
    began = time.perf_counter()
    for number in range(200):
        (folder / str(number)).touch()
    return (time.perf_counter() - began) / 200 * 1e6


class Cost(NamedTuple):
    """Of what this process has started and waited for, and of the whole machine's disks."""

    cpu: float
    """Seconds."""
    written: float
    """Bytes; 0 where that is not told (not Linux)."""

    @staticmethod
    def so_far() -> Cost:
        if hasattr(os, "sync"):
            os.sync()
        times = os.times()
        return Cost(times.children_user + times.children_system, _written())

    def since(self, before: Cost) -> Cost:
        return Cost(self.cpu - before.cpu, self.written - before.written)


def _written() -> float:
    try:
        disks = [line.split() for line in Path("/proc/diskstats").read_text().splitlines()]
    except OSError:
        return 0.0
    # Whole disks only: what a partition writes its disk does too.
    whole = {path.name for path in Path("/sys/block").iterdir() if (path / "device").exists()}
    return sum(int(fields[9]) * 512.0 for fields in disks if fields[2] in whole)


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
