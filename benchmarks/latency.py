"""From a job's coming in to the start of its command: dropped (with idle workers, and right after another
claim), enqueued from Python, and from a shell.

Run side by side with the floor of cost, `subprocess.Popen` of the same command from Python, and with
task-spooler where it is. What comes from a shell contains the start of the client.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

from benchmarks import measure
from benchmarks.measure import Table, environment, percentile, queuectl, temporary_spool, wait_for
from benchmarks.peers.found import program
from queuectl import Queue

_PACE = 0.05
"""Seconds between two of a kind: the workers are idle again."""
Way = Callable[[str], float]


def run(rounds: int) -> Table:
    """Interleaved; milliseconds. With `measure.idle_first` the first drop after so many seconds is told
    by itself.
    """
    with temporary_spool() as spool, Queue.open(str(spool)) as queue:
        worker = queuectl(spool, "worker", "start", "--count", "2", "--quiet")
        # Of the socket's path not more than a hundred characters count.
        slots = tempfile.mkdtemp(prefix="tsp")
        ways: dict[str, Way] = {
            "floor: Popen": lambda name: _popen(spool, name),
            "dropped, idle": lambda name: _drop(spool, name),
            # Just now that one was claimed: the moved_from of the claim must not hold up this event.
            "dropped after a claim": lambda name: _drop(spool, name),
            "Queue.enqueue": lambda name: _enqueue(queue, spool, name),
            "queuectl enqueue, from a shell": lambda name: _from_a_shell(spool, name),
        }
        spooler = program("tsp")
        if spooler is not None:
            ways["task-spooler, from a shell"] = lambda name: _spool(str(spooler), slots, spool, name)
        took: dict[str, list[float]] = {name: [] for name in ways}
        try:
            wait_for(lambda: len(list((spool / "processing").iterdir())) == 2, "both workers")
            if measure.idle_first:
                time.sleep(measure.idle_first)
                took[f"dropped after {measure.idle_first:.0f} s of nothing"] = [_drop(spool, "the-first")]
            _interleave(rounds, ways, took)
        finally:
            worker.terminate()
            worker.wait()
            if spooler is not None:
                subprocess.run([spooler, "-K"], env=_slots(slots), check=False)
    rows = [
        (name, percentile(values, 50), percentile(values, 99), max(values)) for name, values in took.items()
    ]
    return Table(f"from coming in to the start, ms ({rounds} rounds)", ("case", "p50", "p99", "max"), rows)


def _interleave(rounds: int, ways: dict[str, Way], took: dict[str, list[float]]) -> None:
    for number in range(rounds):
        for kind, (name, way) in enumerate(ways.items()):
            took[name].append(way(f"job-{number}-{kind}"))
            if name != "dropped, idle":
                time.sleep(_PACE)


def _command(marker: Path) -> list[str]:
    if os.name == "posix":
        return ["/bin/sh", "-c", f": > '{marker}'"]
    return [sys.executable, "-S", "-E", "-c", f"open({str(marker)!r}, 'x')"]


def _drop(spool: Path, name: str) -> float:
    marker, half = spool.parent / name, spool.parent / f"{name}.json"
    half.write_text(json.dumps({"command": _command(marker)}))
    began = time.perf_counter()
    os.replace(half, spool / "pending" / half.name)
    return _until(marker, began)


def _enqueue(queue: Queue, spool: Path, name: str) -> float:
    marker = spool.parent / name
    began = time.perf_counter()
    queue.enqueue([{"command": _command(marker)}])
    return _until(marker, began)


def _from_a_shell(spool: Path, name: str) -> float:
    marker = spool.parent / name
    call = [sys.executable, "-m", "queuectl", "--spool", str(spool), "enqueue", "--", *_command(marker)]
    began = time.perf_counter()
    client = subprocess.Popen(call, env=environment(), stdout=subprocess.DEVNULL)
    took = _until(marker, began)
    client.wait()
    return took


def _slots(folder: str) -> dict[str, str]:
    return {**os.environ, "TS_SOCKET": f"{folder}/socket", "TMPDIR": folder, "TS_SLOTS": "2"}


def _spool(spooler: str, folder: str, spool: Path, name: str) -> float:
    marker = spool.parent / name
    began = time.perf_counter()
    client = subprocess.Popen(
        [spooler, "-n", *_command(marker)], env=_slots(folder), stdout=subprocess.DEVNULL
    )
    took = _until(marker, began)
    client.wait()
    return took


def _popen(spool: Path, name: str) -> float:
    marker = spool.parent / name
    began = time.perf_counter()
    process = subprocess.Popen(_command(marker))
    took = _until(marker, began)
    process.wait()
    return took


def _until(marker: Path, began: float) -> float:
    wait_for(marker.exists, f"the start of {marker.name}", pause=0.0002)
    return (time.perf_counter() - began) * 1000
