"""From the drop of a job file to the start of its command, with idle workers and right after another claim.

Run side by side with the floor of cost: `subprocess.Popen` of the same command from Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Table, percentile, queuectl, temporary_spool, wait_for


def run(rounds: int) -> Table:
    idle: list[float] = []
    after: list[float] = []
    floor: list[float] = []
    with temporary_spool() as spool:
        worker = queuectl(spool, "worker", "start", "--count", "2", "--quiet")
        try:
            wait_for(lambda: len(list((spool / "processing").iterdir())) == 2, "both workers")
            for number in range(rounds):
                idle.append(_drop(spool, f"idle-{number}"))
                # Just now that one was claimed: the moved_from of the claim must not hold up this event.
                after.append(_drop(spool, f"after-{number}"))
                floor.append(_popen(spool, f"floor-{number}"))
                time.sleep(0.05)  # a person's pace: the workers are idle again
        finally:
            worker.terminate()
            worker.wait()
    rows = [
        (name, percentile(values, 50), percentile(values, 99), max(values))
        for name, values in (
            ("floor: Popen", floor),
            ("dropped, idle", idle),
            ("dropped after a claim", after),
        )
    ]
    return Table(f"drop to start, ms ({rounds} rounds)", ("case", "p50", "p99", "max"), rows)


def _command(marker: Path) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", f"open({str(marker)!r}, 'x')"]


def _drop(spool: Path, name: str) -> float:
    marker, half = spool.parent / name, spool.parent / f"{name}.json"
    half.write_text(json.dumps({"command": _command(marker)}))
    began = time.perf_counter()
    os.replace(half, spool / "pending" / half.name)
    return _until(marker, began)


def _popen(spool: Path, name: str) -> float:
    marker = spool.parent / name
    began = time.perf_counter()
    process = subprocess.Popen(_command(marker))
    took = _until(marker, began)
    process.wait()
    return took


def _until(marker: Path, began: float) -> float:
    wait_for(marker.exists, f"the start of {marker.name}", pause=0.0005)
    return (time.perf_counter() - began) * 1000
