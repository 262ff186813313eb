"""What a full spool costs: a claim, an enqueue, a drop and `status`, with ever more jobs that wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Callable, Union

from benchmarks.measure import Table, environment, new_folders
from queuectl import Queue
from queuectl.queue.claims import claim
from queuectl.queue.reconcile import reconcile_some
from queuectl.state import State
from queuectl.worker import Worker

_JOB = {"command": "true", "priority": 0}


def run(sizes: Sequence[int], rounds: int) -> Table:
    """Medians in ms, and what the rebuilding of the index takes in all, in s."""
    rows: list[tuple[Union[str, float], ...]] = []
    with new_folders() as new:
        for size in sizes:
            spool = new() / "spool"
            with Queue.open(str(spool)) as queue:
                _fill(spool / "pending", size)
                began = time.perf_counter()
                queue.refresh()
                indexed = time.perf_counter() - began
                # Of a few not more claims than half of them: where nothing waits none is made.
                costs = [
                    _claims(queue, min(rounds, size // 2)),
                    _enqueues(queue, rounds),
                    _drops(queue, spool, rounds),
                ]
            rows.append(
                (f"{size:,}", *costs, _call(spool, "status"), _call(spool, "list", "--limit", "20"), indexed)
            )
    headings = ("waiting", "claim", "enqueue", "drop", "status", "list", "to index, s")
    return Table(f"cost by size, ms, median of {rounds}", headings, rows)


def _fill(pending: Path, count: int) -> None:
    for number in range(count):
        with open(pending / f"job-{number:07}.json", "xb") as file:
            file.write(json.dumps({**_JOB, "id": f"job-{number:07}"}).encode())


def _median(action: Callable[[int], object], rounds: int) -> float:
    taken: list[float] = []
    for number in range(rounds):
        began = time.perf_counter()
        action(number)
        taken.append(time.perf_counter() - began)
    return median(taken) * 1000


def _claims(queue: Queue, rounds: int) -> float:
    worker = Worker(queue.store, "host-1-1-bench")
    worker.start()
    return _median(lambda _: claim(queue.store, worker.name, time.time()), rounds)


def _enqueues(queue: Queue, rounds: int) -> float:
    return _median(lambda _: queue.enqueue([_JOB]), rounds)


def _drops(queue: Queue, spool: Path, rounds: int) -> float:
    """From the move into `pending` until the index has it."""

    def drop(number: int) -> None:
        name = f"drop-{number}.json"
        half = spool.parent / name
        half.write_text(json.dumps(_JOB))
        os.replace(half, spool / "pending" / name)
        reconcile_some(queue.store, [(State.PENDING, name)], time.time())

    return _median(drop, rounds)


def _call(spool: Path, *words: str) -> float:
    """Once the folders have been looked into: that of a million files takes as long as to list them.

    They must have lain still for two seconds before.
    """
    call = [sys.executable, "-m", "queuectl", "--spool", str(spool), *words]
    run = lambda _: subprocess.run(call, env=environment(), stdout=subprocess.DEVNULL, check=True)  # noqa: E731
    time.sleep(2.1)
    run(0)
    return _median(run, 5)
