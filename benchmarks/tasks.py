"""How fast Python functions that do nothing are called from a full queue, beside huey: two workers each."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.contestants import Contestant, Drain, run_program
from benchmarks.measure import Table, environment
from benchmarks.peers.found import python_with, version_of
from benchmarks.throughput import compare

_MODULE = """
from queuectl import Queue

queue = Queue("spool")


@queue.task
def nothing() -> None:
    pass


def fill(count: int) -> None:
    queue.enqueue([nothing.job() for _ in range(count)])
"""
_HUEY = str(Path(__file__).resolve().parent / "peers" / "huey_tasks.py")
_EACH = "each record, before it moves; each acknowledged job"


def run(rounds: int, jobs: int, *, install: bool) -> Table:
    """From the start of each program to its end, interleaved."""
    huey = python_with("huey", install=install)
    peers = [] if huey is None else [_huey(huey, kind) for kind in ("thread", "process")]
    ours = [
        _queuectl("--count", "2"),
        _queuectl("--processes", "2"),
        _queuectl("--count", "1"),
    ]
    title = f"drain of {jobs} tasks that do nothing, median of {rounds}"
    return compare([*peers, *ours], rounds, jobs, title)


def _queuectl(*option: str) -> Contestant:
    def fill(folder: Path, count: int) -> Drain:
        (folder / "bench_tasks.py").write_text(_MODULE, encoding="utf-8")
        filling = f"import bench_tasks; bench_tasks.fill({count})"
        run_program([sys.executable, "-c", filling], env=environment(), cwd=folder)
        call = [sys.executable, "-m", "queuectl", "worker", "start", "--drain", "--quiet"]
        call += ["--tasks", "bench_tasks", *option]
        return lambda: run_program(call, env=environment(), cwd=folder)

    return Contestant(f"queuectl {' '.join(option)}", _EACH, fill)


def _huey(python: str, kind: str) -> Contestant:
    def fill(folder: Path, count: int) -> Drain:
        run_program([python, _HUEY, "fill", kind, str(folder), str(count)])
        return lambda: run_program([python, _HUEY, "drain", kind, str(folder), str(count)])

    plural = {"thread": "threads", "process": "processes"}[kind]
    name = f"SqliteHuey {version_of(python, 'huey')}, 2 {plural}"
    return Contestant(name, "each commit (FULL); a task that has begun is gone", fill)
