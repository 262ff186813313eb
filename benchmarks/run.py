"""Run the benchmarks and print their tables: `python benchmarks/run.py [NAME ...] [--quick]`.

Every figure stands next to a floor of cost that is measured in the same call. `--quick` only shows that the
harness works.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import (
    charts,
    enqueue,
    flushing,
    idle,
    latency,
    measure,
    moved,
    paging,
    size,
    starting,
    startup,
    tasks,
    throughput,
    web,
)
from benchmarks.measure import Table, cost_of_a_file

# Of each, its amount of work: in full, and for --quick.
ALL: dict[str, tuple[Callable[[], Table], Callable[[], Table]]] = {
    "startup": (lambda: startup.run(31), lambda: startup.run(3)),
    "starting": (lambda: starting.run(21, 100), lambda: starting.run(1, 3)),
    "throughput": (
        lambda: throughput.run(5, 3000, install=True, counts=(1, 2, 3, 4)),
        lambda: throughput.run(1, 20, install=False, counts=(2,)),
    ),
    "tasks": (
        lambda: tasks.run(5, 10_000, install=True),
        lambda: tasks.run(1, 20, install=False),
    ),
    "enqueue": (
        lambda: enqueue.run(5, 500, 10_000, install=True),
        lambda: enqueue.run(1, 5, 20, install=False),
    ),
    "flushing": (
        lambda: flushing.run(21, (1, 2, 4, 8, 16, 64)),
        lambda: flushing.run(1, (1, 8)),
    ),
    "size": (
        lambda: size.run([10**power for power in range(2, 7)], 200),
        lambda: size.run([20], 3),
    ),
    "paging": (lambda: paging.run([1000, 1_000_000], 21), lambda: paging.run([120], 3)),
    "moved": (lambda: moved.run([1000, 10_000, 100_000]), lambda: moved.run([20])),
    "latency": (lambda: latency.run(300), lambda: latency.run(5)),
    "idle": (lambda: idle.run(60), lambda: idle.run(2)),
    "web": (lambda: web.run(1_000_000, 6000, 50, 3), lambda: web.run(50, 20, 3, 1)),
}
CHARTS: dict[str, Callable[[Table], str]] = {
    "throughput": lambda table: charts.bars(table, 1, "jobs/s"),
    "tasks": lambda table: charts.bars(table, 1, "tasks/s"),
    "enqueue": lambda table: charts.bars(table, 1, "jobs/s"),
    "size": lambda table: charts.lines(table, [1, 2, 3, 4, 5], "ms"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", nargs="*", metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--quick", action="store_true", help="a few rounds only")
    parser.add_argument(
        "--store", metavar="DIR", type=Path, help="write tables and charts into this folder, too"
    )
    parser.add_argument("--on", metavar="DIR", type=Path, help="do it here: the disk that is measured")
    parser.add_argument(
        "--idle-first",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="let the workers rest so long before the latency is measured",
    )
    chosen = parser.parse_args()
    measure.idle_first = chosen.idle_first
    if chosen.on:
        measure.place = chosen.on.resolve()
    if unknown := set(chosen.benchmarks) - set(ALL):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    said = machine()
    print(said)
    for name, (full, quick) in ALL.items():
        if not chosen.benchmarks or name in chosen.benchmarks:
            table = quick() if chosen.quick else full()
            print(f"\n{table}", flush=True)
            if chosen.store:
                _store(chosen.store, name, table, said)


def _store(folder: Path, name: str, table: Table, said: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text(f"{said}\n\n{table}\n", encoding="utf-8")
    if name in CHARTS:
        (folder / f"{name}.svg").write_text(CHARTS[name](table), encoding="utf-8")


def machine() -> str:
    """What the figures depend on."""
    from queuectl import __version__

    return (
        f"queuectl {__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.release()}, {os.cpu_count()} cores, {measure.disk()}; "
        f"a new file takes {cost_of_a_file():.0f} us"
    )


if __name__ == "__main__":
    main()
