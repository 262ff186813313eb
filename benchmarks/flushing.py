"""What it takes to bring new files to the disk: each flushed by itself, and a group as queuectl does it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

from benchmarks.measure import Table, new_folders
from queuectl import system

_DATA = b'{"command": "true", "id": "job"}\n' * 8


def run(rounds: int, sizes: tuple[int, ...]) -> Table:
    """Milliseconds for a group; interleaved."""
    ways = (_one_by_one, _together)
    seen: dict[tuple[int, int], list[float]] = {}
    with new_folders() as new:
        for _ in range(rounds):
            for size in sizes:
                for number, way in enumerate(ways):
                    paths = [str(new() / "file") for _ in range(size)]
                    began = time.perf_counter()
                    way(paths)
                    seen.setdefault((size, number), []).append((time.perf_counter() - began) * 1000)
    rows = []
    for size in sizes:
        alone, group = (median(seen[size, number]) for number in range(len(ways)))
        rows.append((str(size), alone, group, alone / group))
    headings = ("files", "each by itself, ms", "as queuectl, ms", "x")
    return Table(f"files written and flushed, median of {rounds}", headings, rows)


def _one_by_one(paths: list[str]) -> None:
    for path in paths:
        with open(Path(path), "xb", buffering=0) as file:
            file.write(_DATA)
            os.fsync(file.fileno())


def _together(paths: list[str]) -> None:
    system.write_files((path, _DATA) for path in paths)
