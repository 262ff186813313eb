"""What a page of a list costs, the first one and one far behind it, and searches for what is rare."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Callable, Union

from benchmarks.measure import Table, new_folders
from queuectl import Filter, Queue

_PAGE = 50
_BEHIND = 200
"""Pages before the one that is far behind."""


def run(sizes: Sequence[int], rounds: int) -> Table:
    """Medians in ms."""
    rows: list[tuple[Union[str, float], ...]] = []
    with new_folders() as new:
        for size in sizes:
            spool = new() / "spool"
            with Queue.open(str(spool)) as queue:
                _fill(spool / "done", size)
                queue.refresh()
                behind = None
                for _ in range(min(_BEHIND, size // _PAGE - 1)):
                    behind = queue.page(limit=_PAGE, behind=behind).following
                last = f"job-{size - 1:07}"
                found = [
                    _median(partial(queue.page, limit=_PAGE), rounds),
                    _median(partial(queue.page, limit=_PAGE, behind=behind), rounds),
                    *(_median(partial(queue.page, where), rounds) for where in _searches(last)),
                ]
            rows.append((f"{size:,}", *found))
    headings = ("jobs", "first page", f"page {_BEHIND}", "one id", "no such text", "no such group")
    return Table(f"a page of {_PAGE}, ms, median of {rounds}", headings, rows)


def _searches(last: str) -> list[Filter]:
    return [Filter(like=last), Filter(like="nothing like it"), Filter(group="none")]


def _fill(folder: Path, size: int) -> None:
    for number in range(size):
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1.7e9 + number))
        kept = {"state": "completed", "attempts": 1, "created_at": at, "updated_at": at}
        job = {"id": f"job-{number:07}", "command": f"python render.py --frame {number}", **kept}
        with open(folder / f"job-{number:07}.json", "xb") as file:
            file.write(json.dumps(job).encode())


def _median(action: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        taken.append((time.perf_counter() - began) * 1000)
    return median(taken)
