"""How long `queuectl status` and `queuectl --help` take, as ratios to the imports that they cannot avoid."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from benchmarks.measure import Table, environment, queuectl, temporary_spool, wait_for

FLOOR = [sys.executable, "-c", "import click, sqlite3"]


def run(rounds: int) -> Table:
    with temporary_spool() as spool:
        for name in ("one", "two", "three"):
            queuectl(spool, "enqueue", "--id", name, "--", "echo", name).wait()
        worked = spool.parent / "worked"
        queuectl(worked, "init").wait()
        calls = {
            "floor: import click, sqlite3": FLOOR,
            "queuectl status": [sys.executable, "-m", "queuectl", "--spool", str(spool), "status"],
            "the same, two workers live": [
                sys.executable,
                "-m",
                "queuectl",
                "--spool",
                str(worked),
                "status",
            ],
            "queuectl list": [sys.executable, "-m", "queuectl", "--spool", str(spool), "list"],
            "queuectl --help": [sys.executable, "-m", "queuectl", "--help"],
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        worker = queuectl(worked, "worker", "start", "--count", "2", "--quiet")
        try:
            wait_for(lambda: len(list((worked / "processing").iterdir())) == 2, "both workers")
            for _ in range(rounds):
                # Interleaved: what else the machine does meanwhile meets all of them.
                for name, call in calls.items():
                    began = time.perf_counter()
                    subprocess.run(call, check=True, capture_output=True, env=environment())
                    times[name].append(time.perf_counter() - began)
        finally:
            worker.terminate()
            worker.wait()
    floor = median(next(iter(times.values())))
    rows = [(name, median(taken) * 1000, median(taken) / floor) for name, taken in times.items()]
    return Table(f"start-up, median of {rounds}", ("call", "ms", "x floor"), rows)
