"""What open pages of `queuectl web` cost: how long they take, when they hear of a change, and what that takes
from the workers, who drain a queue meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Union

from benchmarks.idle import _cpu
from benchmarks.measure import Table, environment, percentile, queuectl, temporary_spool, wait_for
from queuectl import Filter, Queue, State
from queuectl.state import WAITING

_PEER = str(Path(__file__).resolve().parent / "peers" / "open_pages.py")
_HEADINGS = ("page ms p50", "p95", "p99", "heard ms p50", "p99", "MiB", "% of a core")
_PATHS = ("/", "/jobs", "/jobs?state=completed", "/jobs?q=old-0000007", "/jobs/old-0000001", "/dead")


class _Pages(NamedTuple):
    server: subprocess.Popen[bytes]
    client: subprocess.Popen[bytes]

    def close(self) -> Any:
        """What the pages have measured."""
        out, _ = self.client.communicate()
        return json.loads(out.splitlines()[-1])


def run(size: int, jobs: int, pages: int, rounds: int) -> Table:
    with temporary_spool() as spool:
        _fill(spool, size)
        with Queue.open(str(spool)) as queue:
            queue.refresh()
        kinds = {"no queuectl web": -1, "queuectl web, no page": 0, "5 pages": 5, f"{pages} pages": pages}
        rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        rows: dict[str, list[Union[str, float]]] = {}
        workers = queuectl(spool, "worker", "start", "--count", "2", "--quiet")
        try:
            # Their first look at all of it is not what is measured.
            _drain(spool, 1)
            _drain(spool, jobs)
            for _ in range(rounds):
                for kind, count in kinds.items():
                    rate, rows[kind] = _round(spool, jobs, count)
                    rates[kind].append(rate)
        finally:
            workers.terminate()
            workers.wait()
        first = median(rates["no queuectl web"])
        found = [(kind, median(each), median(each) / first, *rows[kind]) for kind, each in rates.items()]
    headings = ("workers beside", "jobs/s", "x alone", *_HEADINGS)
    return Table(
        f"{jobs} no-ops by 2 workers in a spool of {size:,} jobs, median of {rounds}", headings, found
    )


def _fill(spool: Path, size: int) -> None:
    times = '"created_at": "%s", "updated_at": "%s"'
    record = f'{{"id": "%s", "command": "echo %d", "state": "completed", "attempts": 1, {times}}}'
    for number in range(size):
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1.7e9 + number))
        (spool / "done" / f"old-{number:07}.json").write_text(
            record % (f"old-{number:07}", number, moment, moment)
        )


def _round(spool: Path, jobs: int, count: int) -> tuple[float, list[Union[str, float]]]:
    """How many jobs a second the workers do beside so many pages, and what these measure."""
    if count < 0:
        return _drain(spool, jobs), [""] * len(_HEADINGS)
    with _pages(spool, count) as pages:
        quiet = _changes(spool, 10) if count else []
        before, began = _cpu(pages.server.pid), time.monotonic()
        rate = _drain(spool, jobs)
        used = (_cpu(pages.server.pid) - before) / (time.monotonic() - began) * 100
        memory = _memory(pages.server.pid)
        if not count:
            return rate, [*[""] * 5, memory, used]
        told = pages.close()
    took = [ms for _, ms in told["took"]]
    heard = [
        (min(moment for moment in each if moment >= change) - change) * 1000
        for each in told["heard"]
        for change in quiet
    ]
    ranks = [percentile(took, rank) for rank in (50, 95, 99)]
    return rate, [*ranks, percentile(heard, 50), percentile(heard, 99), memory, used]


@contextmanager
def _pages(spool: Path, count: int) -> Iterator[_Pages]:
    words = [sys.executable, "-m", "queuectl", "--spool", str(spool), "web", "--port", "0"]
    server = subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdout is not None
    address = server.stdout.readline().decode().strip()
    port, key = address.split(":")[2].split("/")[0], address.rpartition("=")[2]
    paths = [_PATHS[number % len(_PATHS)] for number in range(count)]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    client = subprocess.Popen([sys.executable, _PEER, port, key, *paths], **streams)  # type: ignore[call-overload]
    try:
        if count:
            assert client.stdout.readline() == b"open\n"
        yield _Pages(server, client)
    finally:
        if client.poll() is None:
            client.kill()
        client.wait()
        server.terminate()
        server.wait()


def _changes(spool: Path, count: int) -> list[float]:
    """When the queue was changed, a second apart, while nothing else happens."""
    moments = []
    with Queue.open(str(spool)) as queue:
        for _ in range(count):
            time.sleep(1.0)
            moments.append(time.monotonic())
            queue.enqueue({"command": "true", "hold": True})
    time.sleep(1.5)
    return moments


def _drain(spool: Path, jobs: int) -> float:
    """So many jobs that do nothing, all there when the first one starts; how many a second are done."""
    with Queue.open(str(spool)) as queue:
        queue.pause()
        queue.enqueue([{"command": "true"} for _ in range(jobs)])
        began = time.perf_counter()
        queue.resume()
        wait_for(lambda: _is_done(queue), "the jobs", pause=0.05, deadline=600)
        return jobs / (time.perf_counter() - began)


def _is_done(queue: Queue) -> bool:
    index = queue.store.index
    waits = [row for row in index.entries(where=Filter(states=WAITING), limit=1) if row.due is None]
    return not waits and not index.entries(state=State.PROCESSING, limit=1)


def _memory(pid: int) -> float:
    """MiB that the process has in memory (Linux)."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
