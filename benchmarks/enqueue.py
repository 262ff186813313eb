"""What it costs to put a job in, durably: from Python one by one, and many by `enqueue -`.

Beside it the least that a durable file needs (write, fsync, replace, fsync of the folder), and SqliteHuey.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Callable

from benchmarks.contestants import HUEY
from benchmarks.measure import Table, environment, new_folders
from benchmarks.peers.found import python_with, version_of
from queuectl import Queue


def run(rounds: int, jobs: int, many: int, *, install: bool) -> Table:
    """Jobs a second; interleaved."""
    ways: dict[str, Callable[[Path], float]] = {
        "floor: write, fsync, replace, fsync of the folder": lambda new: _bare(new, jobs),
        "Queue.enqueue, one by one": lambda new: _one_by_one(new, jobs),
        f"Queue.enqueue of {many} at once": lambda new: _at_once(new, many),
        f"queuectl enqueue - ({many} lines)": lambda new: _lines(new, many),
    }
    huey = python_with("huey", install=install)
    if huey is not None:
        ways[f"huey {version_of(huey, 'huey')} SqliteHuey, with start-up"] = lambda new: _huey(
            huey, new, jobs
        )
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with new_folders() as new:
        for _ in range(rounds):
            for name, way in ways.items():
                rates[name].append(way(new()))
    floor = median(next(iter(rates.values())))
    rows = [(name, median(seen), median(seen) / floor) for name, seen in rates.items()]
    return Table(f"jobs put in, median of {rounds} (one by one: {jobs})", ("by", "jobs/s", "x floor"), rows)


def _bare(folder: Path, count: int) -> float:
    aside, pending = folder / "tmp", folder / "pending"
    aside.mkdir()
    pending.mkdir()
    data = json.dumps({"id": "job-00000", "command": "true"}, indent=2).encode()
    began = time.perf_counter()
    for number in range(count):
        half = aside / f"{number}.json"
        with open(half, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, pending / half.name)
        whole = os.open(pending, os.O_RDONLY)
        os.fsync(whole)
        os.close(whole)
    return count / (time.perf_counter() - began)


def _one_by_one(folder: Path, count: int) -> float:
    with Queue.open(str(folder / "spool")) as queue:
        # The first one imports what it needs.
        queue.enqueue([{"command": "true"}])
        began = time.perf_counter()
        for _ in range(count):
            queue.enqueue([{"command": "true"}])
        return count / (time.perf_counter() - began)


def _at_once(folder: Path, count: int) -> float:
    jobs = [{"command": "true"}] * count
    with Queue.open(str(folder / "spool")) as queue:
        began = time.perf_counter()
        queue.enqueue(jobs)
        return count / (time.perf_counter() - began)


def _lines(folder: Path, count: int) -> float:
    jobs = "\n".join([json.dumps({"command": "true"})] * count)
    call = [sys.executable, "-m", "queuectl", "--spool", str(folder / "spool"), "enqueue", "-"]
    began = time.perf_counter()
    subprocess.run(call, input=jobs.encode(), env=environment(), stdout=subprocess.DEVNULL, check=True)
    return count / (time.perf_counter() - began)


def _huey(python: str, folder: Path, count: int) -> float:
    began = time.perf_counter()
    subprocess.run([python, HUEY, "fill", "sqlite", str(folder), str(count)], check=True)
    return count / (time.perf_counter() - began)
