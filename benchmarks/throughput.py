"""How fast a full queue is worked off: no-op shell commands, beside what people would pick instead."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Union

from benchmarks.contestants import Contestant, contestants
from benchmarks.measure import Cost, Table, new_folders


def run(rounds: int, jobs: int, *, install: bool, counts: tuple[int, ...]) -> Table:
    """From the start of each to its end; interleaved, so that all meet what else the machine does."""
    field = contestants(install=install, counts=counts)
    return compare(field, rounds, jobs, f"drain of {jobs} no-op commands, median of {rounds}")


def compare(field: Sequence[Contestant], rounds: int, jobs: int, title: str) -> Table:
    """A row for each, with its rate beside that of the first one."""
    rates: dict[str, list[float]] = {one.name: [] for one in field}
    costs: dict[str, list[Cost]] = {one.name: [] for one in field}
    with new_folders() as new:
        for _ in range(rounds):
            for one in field:
                count = one.share(jobs)
                drain = one.fill(new(), count)
                before = Cost.so_far()
                began = time.perf_counter()
                drain()
                rates[one.name].append(count / (time.perf_counter() - began))
                costs[one.name].append(Cost.so_far().since(before))
    measure = median(rates[field[0].name])
    rows = [_row(one, rates[one.name], costs[one.name], measure, jobs) for one in field]
    ratio = f"x {field[0].name.split()[0]}"
    headings = ("by", "jobs/s", "least", ratio, "CPU ms/job", "KiB written/job", "flushed to disk")
    return Table(title, headings, rows)


def _row(
    one: Contestant, rates: list[float], costs: list[Cost], measure: float, jobs: int
) -> tuple[str, float, float, float, Union[float, str], float, str]:
    count = one.share(jobs)
    cpu = median(cost.cpu for cost in costs) / count * 1000
    written = median(cost.written for cost in costs) / count / 1024
    told = cpu if one.waited_for else "not told"
    return (one.name, median(rates), min(rates), median(rates) / measure, told, written, one.durability)
