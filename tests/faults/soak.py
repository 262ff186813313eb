"""An hour of work: do memory, open files and threads of a worker stay flat? `python tests/faults/soak.py`

`--minutes 60`, `--rate 4` jobs a second, `--count 4` workers. They work on a spool in a temporary folder that
is fed with small jobs: enqueued and dropped ones, some slow, some that fail and die, are retried from the
dead letter queue and purged in the end; `status` is asked for every second. Old jobs in `done/` are deleted
with their logs, as a person would do: index and folders grow with the jobs that are kept and with nothing
else. A line a minute, then the verdict; the exit code is 0 when all of it is flat and no job was lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from queuectl import Queue  # noqa: E402
from tests.support.invariants import check  # noqa: E402
from tests.support.program import environment  # noqa: E402
from tests.support.storms.vitals import Vitals, vitals  # noqa: E402
from tests.support.waiting import wait_until  # noqa: E402

SEED = 20261124
KEPT = 300
"""Finished jobs that are kept in `done/`."""
MORE_MEMORY = 1.10
MORE_HANDLES = 2
MORE_THREADS = 0
"""What the second half may have above the first; threads are started with the program and no more."""


class Feed:
    """Jobs for the workers, and what becomes of them."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.queue = Queue.open(str(spool))
        self.given: set[str] = set()
        self.deleted: set[str] = set()
        self._chance = random.Random(SEED)

    def one(self) -> None:
        """One more job: three of five are enqueued, the others dropped; some are slow, some fail."""
        job_id = f"job-{len(self.given):07}"
        luck = self._chance.random()
        command = "echo one more" if luck < 0.8 else "exit 1"
        job: dict[str, object] = {"command": command, "max_retries": 1, "backoff_base": 0.5}
        if 0.7 < luck < 0.8:
            job["command"] = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(2)"]
        if self._chance.random() < 0.6:
            self.queue.enqueue([{"id": job_id, **job}])
        else:
            made = self.spool / "tmp" / f"{job_id}.made"
            made.write_text(json.dumps(job), encoding="utf-8")
            os.replace(made, self.spool / "pending" / f"{job_id}.json")
        self.given.add(job_id)

    def status(self) -> dict[str, int]:
        return self.queue.status().counts

    def retry_dead(self) -> None:
        """Some dead jobs again; they will fail again."""
        for job in self.queue.jobs(state="dead", limit=5):
            self.queue.retry([job["id"]])

    def tidy(self) -> None:
        """Purge dead jobs, and delete the oldest in `done/` with their logs."""
        self.deleted.update(self.queue.purge())
        done = sorted((self.spool / "done").glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in done[:-KEPT]:
            path.unlink()
            (self.spool / "logs" / f"{path.stem}.log").unlink(missing_ok=True)
            self.deleted.add(path.stem)


class Every(NamedTuple):
    """Something that is done again and again."""

    seconds: float
    action: Callable[[], object]


def soak(here: Path, minutes: float, rate: float, count: int) -> list[str]:
    """Work for so long; what is wrong at the end."""
    feed, samples = Feed(here / "spool"), []  # type: tuple[Feed, list[Vitals]]
    seconds, queuectl = minutes * 60, [sys.executable, "-m", "queuectl", "--spool", str(feed.spool)]
    with open(here / "stderr", "wb") as stderr:
        worker = subprocess.Popen(
            [*queuectl, "worker", "start", "--quiet", "--count", str(count)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
        )
        try:
            wait_until(lambda: len(feed.queue.status().workers) == count, "the workers live", 60)
            # Not the pid of what was started: a virtual environment's python.exe starts another one.
            pid = feed.queue.status().workers[0].pid or worker.pid
            began = time.monotonic()
            doings = [
                Every(1 / rate, feed.one),
                Every(1, feed.status),
                Every(1, lambda: samples.append(vitals(pid))),
                Every(min(20, seconds / 5), feed.retry_dead),
                Every(min(30, seconds / 4), feed.tidy),
                Every(min(60, seconds / 4), lambda: say(line(began, feed, samples[-60:]))),
            ]
            for _ in repeat(doings, seconds):
                if worker.poll() is not None:
                    return [f"the worker has ended with {worker.poll()}: {(here / 'stderr').read_text()}"]
            problems = drain(feed, worker)
        finally:
            feed.queue.close()
            if worker.poll() is None:
                worker.kill()
                worker.wait()
    return problems + verdict(samples)


def repeat(doings: Sequence[Every], seconds: float) -> Iterator[None]:
    """Do each of these in its turn until the time is over; what is late is not made up for."""
    now = time.monotonic()
    end, due = now + seconds, [now + every.seconds for every in doings]
    while now < end:
        time.sleep(max(0.0, min(due) - now))
        for number, every in enumerate(doings):
            if due[number] <= time.monotonic():
                every.action()
                due[number] = max(due[number] + every.seconds, time.monotonic())
        now = time.monotonic()
        yield


def drain(feed: Feed, worker: subprocess.Popen[bytes]) -> list[str]:
    """Wait until all is done and stop the workers; what is wrong."""
    wait_until(lambda: feed.queue.status().counts["processing"] == 0, "nothing runs", 60)
    waiting = ("pending", "processing", "failed")
    wait_until(lambda: not any(feed.status()[state] for state in waiting), "nothing waits", 120)
    feed.queue.stop_workers()
    code = worker.wait(60)
    there = {job["id"] for job in feed.queue.jobs()}
    lost, strange = feed.given - feed.deleted - there, there - feed.given
    check(feed.spool, there)
    say(f"{len(feed.given)} jobs given, {len(lost)} lost, {len(strange)} that nobody gave")
    return [f"exit code {code}"] * (code != 0) + [f"lost: {sorted(lost)[:5]}"] * bool(lost)


def line(began: float, feed: Feed, samples: Sequence[Vitals]) -> str:
    """How it is, for the log."""
    counts = ", ".join(f"{name} {count}" for name, count in feed.status().items() if count)
    size = sum(path.stat().st_size for path in feed.spool.glob("index.sqlite3*")) // 1024
    return (
        f"{(time.monotonic() - began) / 60:6.1f} min  {len(feed.given):>7} jobs  {shown(samples)}, "
        f"index {size} KiB; {counts}"
    )


def shown(samples: Sequence[Vitals]) -> str:
    kib, handles, threads = medians(samples)
    told = (f"{value:g} {name}" for value, name in ((handles, "handles"), (threads, "threads")) if value)
    return ", ".join((f"{kib / 1024:.1f} MiB", *told))


def medians(samples: Sequence[Vitals]) -> tuple[float, Optional[float], Optional[float]]:
    told = [[value for value in values if value is not None] for values in zip(*samples)]
    kib, handles, threads = (statistics.median(values) if values else None for values in told)
    return kib or 0.0, handles, threads


def verdict(samples: Sequence[Vitals]) -> list[str]:
    """What the second half takes more than the first; the first tenth, when all is loaded, is left out."""
    rest = samples[len(samples) // 10 :]
    first, second = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    say(f"first half:  {shown(first)}\nsecond half: {shown(second)}")
    was, now = medians(first), medians(second)
    problems = [f"memory grows: {was[0]:.0f} KiB, then {now[0]:.0f}"] * (now[0] > was[0] * MORE_MEMORY)
    if was[1] is not None and now[1] is not None and now[1] > was[1] + MORE_HANDLES:
        problems.append(f"handles grow: {was[1]:g}, then {now[1]:g}")
    if was[2] is not None and now[2] is not None and now[2] > was[2] + MORE_THREADS:
        problems.append(f"threads grow: {was[2]:g}, then {now[2]:g}")
    return problems


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=4, help="jobs a second")
    parser.add_argument("--count", type=int, default=4, help="workers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as here:
        problems = soak(Path(here), options.minutes, options.rate, options.count)
    for problem in problems:
        say(f"NOT FLAT: {problem}")
    say("verdict: " + ("not flat" if problems else "flat"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
