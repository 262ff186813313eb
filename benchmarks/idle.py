"""What idle workers cost: CPU time of the process over a while, next to a Python process that only sleeps."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional

from benchmarks.measure import Table, queuectl, temporary_spool, wait_for

SLEEPER = [sys.executable, "-c", "import time; time.sleep(3600)"]


def run(seconds: int) -> Table:
    with temporary_spool() as spool:
        worker = queuectl(spool, "worker", "start", "--count", "8", "--quiet")
        sleeper = subprocess.Popen(SLEEPER)
        try:
            wait_for(lambda: len(list((spool / "processing").iterdir())) == 8, "all workers")
            time.sleep(2)
            before = [_cpu(one.pid) for one in (sleeper, worker)]
            time.sleep(seconds)
            after = [_cpu(one.pid) for one in (sleeper, worker)]
        finally:
            for one in (worker, sleeper):
                one.terminate()
                one.wait()
    used = [(end - start) * 1000 for start, end in zip(before, after)]
    rows = [
        ("floor: a Python that sleeps", used[0], used[0] / seconds / 10),
        ("worker start --count 8, idle", used[1], used[1] / seconds / 10),
    ]
    return Table(f"CPU in {seconds} s", ("process", "ms", "% of a core"), rows)


def _cpu(pid: int) -> float:
    """Seconds of CPU that the process and those that it has started have used (Linux)."""
    all_of_them = [_fields(path) for path in Path("/proc").iterdir() if path.name.isdigit()]
    family = [fields for number, fields in filter(None, all_of_them) if pid in (number, int(fields[1]))]
    return sum(int(fields[11]) + int(fields[12]) for fields in family) / os.sysconf("SC_CLK_TCK")


def _fields(path: Path) -> Optional[tuple[int, list[str]]]:
    try:
        return int(path.name), (path / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        # It has just ended.
        return None
