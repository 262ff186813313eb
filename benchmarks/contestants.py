"""Who works off a queue of no-op shell commands: two at a time, each in the way that its users would."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from benchmarks.measure import environment
from benchmarks.peers.found import program, python_with, version_of

SLOTS = 2
COMMAND = ["/bin/sh", "-c", "true"]
_THREADS = """
import subprocess, sys, threading
count = iter(range(int(sys.argv[1])))
def work():
    for _ in count:
        subprocess.run(["/bin/sh", "-c", "true"])
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
SPOOLER_MOST = 900
"""Jobs that wait in task-spooler at most: from the thousandth on its clients were seen to wait for ever."""
NQ_MOST = 400
"""Jobs that wait in nq at most: each is a process that looks at all before it, so many are slow."""
HUEY = str(Path(__file__).resolve().parent / "peers" / "huey_jobs.py")

Drain = Callable[[], object]


class Contestant(NamedTuple):
    """`fill` puts so many jobs into a new folder; what it returns works them off, and is what is timed."""

    name: str
    durability: str
    """What is flushed to the disk, and when."""
    fill: Callable[[Path, int], Drain]
    waited_for: bool = True
    """Whether what works is a child that ends with the drain, and so tells what it has used."""
    most: Optional[int] = None
    """How many jobs it takes, if not any number."""

    def share(self, jobs: int) -> int:
        """How many of so many jobs it is given; its rate is that of these."""
        return jobs if self.most is None else min(jobs, self.most)


def contestants(*, install: bool, counts: tuple[int, ...]) -> list[Contestant]:
    """Those that are here, the measure of all first; `counts` are those of queuectl's workers."""
    found = [_xargs(), _threads(), *(_queuectl(count) for count in counts), _spooler(), _nq()]
    # Of few jobs its start takes a larger part: beside those that are given few.
    found += [_queuectl(SLOTS, most=NQ_MOST), _parallel()]
    huey = python_with("huey", install=install)
    if huey is not None:
        found += [_huey(huey, "sqlite", "each commit (FULL)"), _huey(huey, "file", "nothing")]
    return [one for one in found if one is not None]


def run_program(
    call: list[str],
    *,
    stdin: str = "",
    env: Optional[dict[str, str]] = None,
    cwd: Optional[Path] = None,
    check: bool = True,
) -> None:
    """Run it to its end, unheard."""
    quiet = subprocess.DEVNULL
    subprocess.run(call, input=stdin.encode(), env=env, cwd=cwd, stdout=quiet, stderr=quiet, check=check)


def _gate(folder: Path) -> str:
    """What holds up those behind it until `go` is there, or the benchmark has been broken off."""
    return f"while [ -d {folder} ] && [ ! -e {folder}/go ]; do sleep 0.01; done"


def _xargs() -> Contestant:
    def fill(folder: Path, count: int) -> Drain:
        lines = "\n".join(map(str, range(count)))
        return lambda: run_program(["xargs", f"-P{SLOTS}", "-n1", *COMMAND], stdin=lines)

    return Contestant("xargs -P2 (no queue)", "keeps nothing", fill)


def _threads() -> Contestant:
    def fill(folder: Path, count: int) -> Drain:
        return lambda: run_program([sys.executable, "-c", _THREADS, str(count)])

    return Contestant("Python, 2 threads (no queue)", "keeps nothing", fill)


def _queuectl(workers: int, *, most: Optional[int] = None) -> Contestant:
    # In the folder that the spool lies in, as the README has it.
    call = [sys.executable, "-m", "queuectl"]

    def fill(folder: Path, count: int) -> Drain:
        jobs = "\n".join(json.dumps({"command": "true"}) for _ in range(count))
        run_program([*call, "enqueue", "-"], stdin=jobs, env=environment(), cwd=folder)
        drain = [*call, "worker", "start", "--drain", "--quiet", "--count", str(workers)]
        return lambda: run_program(drain, env=environment(), cwd=folder)

    name = f"queuectl --count {workers}" + (f" (of {most})" if most else "")
    return Contestant(name, "each record, each acknowledged job", fill, most=most)


def _spooler() -> Optional[Contestant]:
    spooler = program("tsp")
    if spooler is None:
        return None

    def fill(folder: Path, count: int) -> Drain:
        own = {**os.environ, "TS_SOCKET": str(folder / "socket"), "TMPDIR": str(folder)}
        gate = _gate(folder)
        run_program([spooler, "-S", str(SLOTS)], env=own)
        atexit.register(run_program, [spooler, "-K"], env=own, check=False)
        # Its slots are taken until all are in the queue.
        for command in [*[["sh", "-c", gate]] * SLOTS, *[COMMAND] * count]:
            run_program([spooler, "-n", *command], env=own)

        def drain() -> None:
            (folder / "go").touch()
            # Numbered from 0, gates first: they end in order but for the last two.
            for number in range(count, count + SLOTS):
                run_program([spooler, "-w", str(number)], env=own, check=False)

        return drain

    name = f"task-spooler, 2 slots (of {SPOOLER_MOST})"
    return Contestant(name, "nothing, in memory", fill, waited_for=False, most=SPOOLER_MOST)


def _nq() -> Optional[Contestant]:
    nq = program("nq")
    if nq is None:
        return None

    def fill(folder: Path, count: int) -> Drain:
        # A queue of it runs one at a time: as many queues as there are slots.
        queues = [{**os.environ, "NQDIR": str(folder / str(slot))} for slot in range(SLOTS)]
        gate = _gate(folder)
        for number, own in enumerate(queues):
            mine = len(range(number, count, SLOTS))
            for command in [["/bin/sh", "-c", gate], *[COMMAND] * mine]:
                run_program([nq, "-q", *command], env=own)

        def drain() -> None:
            (folder / "go").touch()
            for own in queues:
                run_program([nq, "-w"], env=own)

        return drain

    name = f"nq, {SLOTS} queues (of {NQ_MOST})"
    return Contestant(name, "nothing", fill, waited_for=False, most=NQ_MOST)


def _parallel() -> Optional[Contestant]:
    parallel = program("parallel")
    if parallel is None:
        return None

    def fill(folder: Path, count: int) -> Drain:
        lines = "\n".join(["true"] * count)
        call = [parallel, f"-j{SLOTS}", "--joblog", str(folder / "log")]
        return lambda: run_program(call, stdin=lines)

    return Contestant("GNU parallel --joblog", "nothing", fill)


def _huey(python: str, storage: str, durability: str) -> Contestant:
    def fill(folder: Path, count: int) -> Drain:
        run_program([python, HUEY, "fill", storage, str(folder), str(count)])
        return lambda: run_program([python, HUEY, "drain", storage, str(folder), str(count)])

    kind = "SqliteHuey" if storage == "sqlite" else "FileHuey"
    return Contestant(f"huey {version_of(python, 'huey')} {kind}, 2 threads", durability, fill)
