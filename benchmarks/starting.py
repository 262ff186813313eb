"""What it takes to start a no-op command and wait for it, from its own folder and from another one."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Callable

from benchmarks.contestants import COMMAND
from benchmarks.measure import Table, new_folder
from queuectl.system import process


def run(rounds: int, commands: int) -> Table:
    """Medians in ms; interleaved."""
    folder, before, env = new_folder(), Path.cwd(), dict(os.environ)
    ways: dict[str, Callable[[], object]] = {
        "floor: subprocess.run": lambda: subprocess.run(COMMAND, check=True),
        "from another folder (subprocess.Popen)": lambda: _start(folder, folder.parent, env),
        "from its own folder (posix_spawn)": lambda: _start(folder, folder, env),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    try:
        os.chdir(folder)
        for _ in range(rounds):
            for name, way in ways.items():
                began = time.perf_counter()
                for _ in range(commands):
                    way()
                taken[name].append((time.perf_counter() - began) / commands * 1000)
    finally:
        os.chdir(before)
    floor = median(next(iter(taken.values())))
    rows = [(name, median(times), median(times) / floor) for name, times in taken.items()]
    return Table(f"start of a no-op command, median of {rounds}", ("how", "ms", "x floor"), rows)


def _start(folder: Path, cwd: Path, env: dict[str, str]) -> int:
    return process.start(COMMAND, cwd=str(cwd), env=env, stdin=None, log_path=str(folder / "log")).wait()
