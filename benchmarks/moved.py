"""Many files that a shell moves into `pending` while workers work: how soon the index knows all of them."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from pathlib import Path

from benchmarks.measure import Table, new_folder, queuectl, temporary_spool, wait_for


def run(counts: list[int]) -> Table:
    rows = [_moved(count) for count in counts]
    headings = ("files", "mv took, s", "in the index after, s", "done by then")
    return Table("files moved into pending by a shell, two workers at work", headings, rows)


def _moved(count: int) -> tuple[str, float, float, str]:
    with temporary_spool() as spool:
        aside = new_folder()
        for number in range(count):
            (aside / f"job-{number:06}.json").write_text('{"command": "true"}')
        worker = queuectl(spool, "worker", "start", "--count", "2", "--quiet")
        try:
            wait_for(lambda: len(list((spool / "processing").iterdir())) == 2, "both workers")
            began = time.perf_counter()
            call = f"find . -name '*.json' -print0 | xargs -0 mv -t '{spool}/pending'"
            subprocess.run(call, shell=True, cwd=aside, check=True)
            moved = time.perf_counter() - began
            wait_for(lambda: _known(spool) >= count, "all rows", pause=0.05, deadline=600)
            known = time.perf_counter() - began
            done = _known(spool, "WHERE state = 'completed'")
        finally:
            worker.terminate()
            worker.wait()
    return f"{count:,}", moved, known, f"{done:,}"


def _known(spool: Path, which: str = "") -> int:
    index = sqlite3.connect(f"file:{spool}/index.sqlite3?mode=ro", uri=True, timeout=30)
    try:
        return int(index.execute(f"SELECT count(*) FROM jobs {which}").fetchone()[0])
    finally:
        index.close()
