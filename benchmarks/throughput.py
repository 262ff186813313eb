"""How fast a full queue is worked off: no-op shell commands, beside what people would pick instead."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.contestants import contestants
from benchmarks.measure import Table, new_folders


def run(rounds: int, jobs: int, *, install: bool, counts: tuple[int, ...]) -> Table:
    """From the start of each to its end; interleaved, so that all meet what else the machine does."""
    field = contestants(jobs, install=install, counts=counts)
    rates: dict[str, list[float]] = {one.name: [] for one in field}
    with new_folders() as new:
        for _ in range(rounds):
            for one in field:
                drain = one.fill(new(), jobs)
                began = time.perf_counter()
                drain()
                rates[one.name].append(jobs / (time.perf_counter() - began))
    measure = median(rates[field[0].name])
    rows = [
        (
            one.name,
            median(rates[one.name]),
            min(rates[one.name]),
            median(rates[one.name]) / measure,
            one.durability,
        )
        for one in field
    ]
    title = f"drain of {jobs} no-op commands, median of {rounds}"
    return Table(title, ("by", "jobs/s", "least", f"x {field[0].name.split()[0]}", "flushed to disk"), rows)
