"""How long commands take that scripts call in a loop, as ratios to the imports that all of them need.

What changes the queue takes a lock, and so needs the lock library as well: with that there is a second floor.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.measure import Table, environment, queuectl, temporary_spool, wait_for

FLOOR = [sys.executable, "-c", "import click, sqlite3"]
LOCKING = [sys.executable, "-c", "import click, sqlite3, msgspec, portalocker"]


def run(rounds: int) -> Table:
    with temporary_spool() as spool:
        for name in ("one", "two", "three"):
            queuectl(spool, "enqueue", "--id", name, "--", "echo", name).wait()
        worked = spool.parent / "worked"
        fed = spool.parent / "fed"
        for one in (worked, fed):
            queuectl(one, "init").wait()
        calls = _calls(spool, worked, fed)
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


def _calls(spool: Path, worked: Path, fed: Path) -> dict[str, list[str]]:
    """`worked` has workers, and only `fed` is changed."""
    program = [sys.executable, "-m", "queuectl", "--spool"]
    return {
        "floor: import click, sqlite3": FLOOR,
        "queuectl status": [*program, str(spool), "status"],
        "the same, two workers live": [*program, str(worked), "status"],
        "queuectl list": [*program, str(spool), "list"],
        "queuectl --help": [*program, str(spool), "--help"],
        "floor: portalocker, msgspec, too": LOCKING,
        "queuectl enqueue": [*program, str(fed), "enqueue", "--", "true"],
    }
