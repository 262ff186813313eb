"""Run the benchmarks and print their tables: `python benchmarks/run.py [startup|latency|idle ...] [--quick]`.

Every figure stands next to a floor of cost that is measured in the same call. `--quick` only shows that the
harness works.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import idle, latency, startup

# Name, benchmark, its amount of work: in full, and for --quick.
ALL = (
    ("startup", startup.run, 31, 3),
    ("latency", latency.run, 300, 5),
    ("idle", idle.run, 60, 2),
)


def main() -> None:
    names = [name for name, *_ in ALL]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmarks", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="a few rounds only")
    chosen = parser.parse_args()
    if unknown := set(chosen.benchmarks) - set(names):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    print(f"Python {platform.python_version()}, {platform.system()} {platform.release()}")
    for name, benchmark, full, quick in ALL:
        if not chosen.benchmarks or name in chosen.benchmarks:
            print(f"\n{benchmark(quick if chosen.quick else full)}")


if __name__ == "__main__":
    main()
