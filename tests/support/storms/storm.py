"""Bad weather: workers are killed and frozen at random while jobs come in by every way, and people meddle.

Each job writes down its runs (`Runs`); in the end exactly the jobs that were acknowledged are there, each
has succeeded, and no two runs of one job overlap: `Storm.faults` says what is not so.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from queuectl.queue import Queue
from tests.support.invariants import check, job_files
from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, WINDOWS, Running
from tests.support.storms.altered import Altered
from tests.support.tasks import MODULE, Tasks


class Weather(NamedTuple):
    """How bad it is; of what happens again and again the seconds in between on average, None: never."""

    seconds: float
    processes: int = 8
    count: int = 2
    drop: float = 0.02
    enqueue: float = 0.8
    batch: int = 20
    killed_enqueue: Optional[float] = 1.5
    kill: Optional[float] = 0.5
    freeze: Optional[float] = 2.0
    status: Optional[float] = 1.5
    cancel: Optional[float] = 1.0
    retry: Optional[float] = 1.5
    longest: float = 0.5
    """Seconds that a command runs at most; most end at once."""
    most_waiting: int = 1000
    """Where so many jobs wait, no more are added."""
    tasks: Optional[str] = None
    """Every other job is a task; how workers call them: `--count` (in threads), or `--processes`."""


class Runs:
    """What the jobs write down: a line when a run begins and one when it ends, all in one file.

    POSIX: by the shell, which costs a millisecond where Python takes twenty. A line is appended in one write,
    so the order in the file is the order of what happened: a start before the end of another run of this job
    is an overlap. Windows: with `Ledger`, whose jobs hold a lock while they run.
    """

    def __init__(self, folder: Path) -> None:
        self._ledger = Ledger(folder)
        self._file = folder / "runs"
        self._file.touch()
        Tasks(folder.parent, self._ledger)

    def job(self, name: str, seconds: float, fails: bool) -> dict[str, Any]:
        """A job that runs so long, and the first time fails if it should."""
        if WINDOWS:
            return {"command": self._ledger.command(name, "run", seconds, 0)}
        note = f"{name} >>'{self._file}'"
        lines = [f"trap 'echo cut {name} >>\"{self._file}\"; exit 143' TERM", f"echo start {note}"]
        lines += [f"sleep {seconds:.2f}"] * (seconds > 0)
        lines += [f"[ $QUEUECTL_ATTEMPT -gt 1 ] || {{ echo fail {note}; exit 1; }}"] * fails
        return {"command": "; ".join([*lines, f"echo done {note}"])}

    def task(self, name: str, seconds: float, fails: bool) -> dict[str, Any]:
        """The same as a task, which holds a lock while it runs."""
        return Tasks.job("quick", name, seconds, fails)

    def words(self) -> dict[str, list[str]]:
        """Of each job that has run: `start`, `done`, `fail`, `cut` in order, `overlap` where there is one."""
        told = {name: self._ledger.words(name) for name in self._ledger.names()}
        found = {name: ["done" if word == "end" else word for word in told[name]] for name in told}
        if WINDOWS:
            return found
        running: set[str] = set()
        for line in self._file.read_text(encoding="utf-8").splitlines():
            word, name = line.split()
            words = found.setdefault(name, [])
            if word == "start" and name in running:
                words.append("overlap")
            words.append(word)
            (running.add if word == "start" else running.discard)(name)
        return found


class _Call(NamedTuple):
    """A command of a person, and what is done with how it ended."""

    running: Running
    fate: float
    heard: Callable[[int, list[str]], None]


class Storm:
    """One spool in one weather; a context manager that leaves no process behind."""

    def __init__(self, program: Altered, weather: Weather, seed: int) -> None:
        self.program, self.weather = program, weather
        self.runs = Runs(program.here / "runs")
        self.acknowledged: set[str] = set()
        self.unanswered: set[str] = set()
        self.counts: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._workers: list[Running] = []
        self._calls: list[_Call] = []
        self._trouble: list[str] = []
        self._number = 0
        self._has_room = True
        self._stack = ExitStack()

    def __enter__(self) -> Storm:
        with Queue.open(str(self.program.spool)) as queue:
            for name, value in (("backoff_base", "0.1"), ("max_crashes", "1000"), ("poll_interval", "0.2")):
                queue.set_config(name, value)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    # While it lasts

    def rage(self) -> None:
        """Workers, jobs, kills and all, for as long as the weather lasts."""
        weather = self.weather
        self._workers = [self._start_worker() for _ in range(weather.processes)]
        doings: list[tuple[Optional[float], Callable[[], object]]] = [
            (1.0, self._look_for_room),
            (weather.drop, self._drop),
            (weather.enqueue, self._enqueue),
            (weather.killed_enqueue, lambda: self._enqueue(killed=True)),
            (weather.kill, self._kill),
            (None if WINDOWS else weather.freeze, self._freeze),
            (weather.status, lambda: self._ask("status", "--json", allowed={0})),
            # 4: it has ended; 5: its worker has just been killed, and the command goes on.
            (weather.cancel, lambda: self._ask("cancel", self._any(latest=40), allowed={0, 4, 5})),
            (weather.retry, lambda: self._ask("retry", self._any(), allowed={0, 4})),
        ]
        active = [(every, action) for every, action in doings if every is not None]
        end = time.monotonic() + weather.seconds
        due = [time.monotonic() + self._chance.uniform(0, every) for every, _ in active]
        while (now := time.monotonic()) < end:
            time.sleep(max(0.0, min(*due, now + 0.02) - now))
            for number, (every, action) in enumerate(active):
                if due[number] <= time.monotonic():
                    action()
                    due[number] = time.monotonic() + self._chance.uniform(0, 2 * every)
            self._hear(wait=False)

    def calm(self) -> None:
        """It is over: what waits is worked off, the dead are run again, and the workers stop."""
        self._thaw()
        self._hear(wait=True)
        try:
            while not self._all_done():
                self.program.ok("dlq", "retry", "--all")
            self.program.ok("worker", "stop")
        except AssertionError as error:
            self._trouble.append(f"never at its end: {error}")
            self.break_off()
        for worker in self._workers:
            code, _, err = worker.end()
            if code != 0 or "Traceback" in err:
                self._trouble.append(f"a worker has ended with {code}: {err[-2000:]}")
        self._forget_killed_enqueues()

    def break_off(self) -> None:
        """Kill everything, and leave what there is as it is."""
        for running in [*self._workers, *(call.running for call in self._calls)]:
            running.kill()
        self._workers, self._calls = [], []

    def _all_done(self) -> bool:
        """Wait until nothing waits or runs, as long as jobs come to their end; whether none is dead."""
        with Queue.open(str(self.program.spool), create=False) as queue:
            counts, ended, since = queue.status().counts, -1, time.monotonic()
            while counts["pending"] or counts["processing"] or counts["failed"]:
                if (now_ended := counts["completed"] + counts["dead"]) != ended:
                    ended, since = now_ended, time.monotonic()
                assert time.monotonic() - since < PATIENCE, f"nothing goes on any more: {counts}"
                # To look at thousands of files over and over would slow down those who work.
                time.sleep(0.05 + ended / 20_000)
                counts = queue.status().counts
        return counts["dead"] == 0

    def _forget_killed_enqueues(self) -> None:
        # What they leave in tmp/ is removed after a day, so that no slow enqueue loses its file.
        self.counts["left in tmp by killed enqueues"] = len(self.program.names("tmp"))
        for name in self.program.names("tmp"):
            # A supervisor's (number 0) goes at the next look of any program, and none may have come after it.
            if not (name.startswith("-~") or name.split("~")[0].split("-")[-2:-1] == ["0"]):
                self._trouble.append(f"left in tmp: {name}")
            (self.program.spool / "tmp" / name).unlink()

    # What happens

    def _start_worker(self) -> Running:
        options = ["--quiet", self.weather.tasks or "--count", str(self.weather.count)]
        if self.weather.tasks is not None:
            options += ["--tasks", MODULE]
        return self._stack.enter_context(self.program.start("worker", "start", *options))

    def _job(self) -> tuple[str, dict[str, Any]]:
        self._number += 1
        name, luck = f"job-{self._number:05}", self._chance.random()
        seconds = self._chance.uniform(0, self.weather.longest) if luck < 0.2 else 0.0
        is_task = self.weather.tasks is not None and self._number % 2
        make = self.runs.task if is_task else self.runs.job
        return name, make(name, seconds, fails=luck > 0.9)

    def _look_for_room(self) -> None:
        self._has_room = len(self.program.names("pending")) < self.weather.most_waiting

    def _drop(self) -> None:
        if not self._has_room:
            return
        name, job = self._job()
        self.program.drop(f"{name}.json", job)
        self.acknowledged.add(name)
        self.counts["jobs dropped"] += 1

    def _enqueue(self, *, killed: bool = False) -> None:
        """Add some jobs by one call; one that is killed in it has acknowledged those ids that it printed."""
        if self._busy() or not self._has_room:
            return
        jobs = dict(self._job() for _ in range(self.weather.batch))
        source = self.program.here / f"batch-{self._number}"
        source.write_text("".join(json.dumps({"id": name, **job}) + "\n" for name, job in jobs.items()))
        with open(source, "rb") as file:
            running = self.program.start("enqueue", "-", stdin=file)
        self.unanswered.update(jobs)

        def heard(code: int, printed: list[str]) -> None:
            self.counts["enqueues killed" if code else "jobs enqueued"] += 1 if code else len(jobs)
            self.acknowledged.update(printed)
            self.unanswered.difference_update(printed)
            if not (code == 0 and printed == list(jobs)) and not killed:
                self._trouble.append(f"enqueue has ended with {code}: {printed} {running.err}")

        longest = 2.0 if WINDOWS else 0.5
        fate = time.monotonic() + self._chance.uniform(0.1, longest) if killed else float("inf")
        self._call(_Call(running, fate, heard))

    def _kill(self) -> None:
        victim = self._workers.pop(self._chance.randrange(len(self._workers)))
        if not victim.runs:
            self._trouble.append(f"a worker has ended by itself: {victim.end()}")
        victim.kill()
        if "Traceback" in victim.err:
            self._trouble.append(victim.err)
        self._workers.append(self._start_worker())
        self.counts["kills"] += 1

    def _freeze(self) -> None:
        """Stop one until the next is stopped; it may hold the lock of claims, and be killed meanwhile."""
        self._thaw()
        if sys.platform != "win32":
            self._chance.choice(self._workers).interrupt(signal.SIGSTOP)
            self.counts["frozen"] += 1

    def _thaw(self) -> None:
        if sys.platform != "win32":
            for worker in self._workers:
                worker.interrupt(signal.SIGCONT)

    def _any(self, latest: int = 0) -> str:
        return self._chance.choice(sorted(self.acknowledged)[-latest:] or ["none"])

    def _ask(self, *args: str, allowed: set[int]) -> None:
        if self._busy() or "none" in args:
            return

        def heard(code: int, printed: list[str]) -> None:
            self.counts[f"{args[0]}, exit {code}"] += 1
            if code not in allowed:
                self._trouble.append(f"{args} has ended with {code}: {running.err}")

        running = self.program.start(*args)
        self._call(_Call(running, float("inf"), heard))

    def _call(self, call: _Call) -> None:
        self._stack.enter_context(call.running)
        self._calls.append(call)

    def _busy(self) -> bool:
        return len(self._calls) >= 4

    def _hear(self, *, wait: bool) -> None:
        for call in list(self._calls):
            if call.running.runs and call.fate <= time.monotonic():
                call.running.kill()
            if wait or not call.running.runs:
                self._calls.remove(call)
                code, out, err = call.running.end()
                if "Traceback" in err:
                    self._trouble.append(err)
                call.heard(code, out.splitlines())

    # What came of it

    def faults(self) -> list[str]:
        """What is not as it must be, the worst first."""
        found = [path.stem for path in job_files(self.program.spool)]
        words = self.runs.words()
        never = [name for name in found if "done" not in words.get(name, [])]
        overlapping = [name for name, told in words.items() if "overlap" in told]
        kinds = {
            "lost": sorted(self.acknowledged.difference(found)),
            "nobody's": sorted(set(found) - self.acknowledged - self.unanswered),
            "overlapped": sorted(overlapping),
            "without a run that succeeded": sorted(never),
            "run more often than recorded": self._unrecorded(words),
        }
        self.counts.update({kind: len(names) for kind, names in kinds.items()})
        self.counts["runs"] = sum(told.count("start") for told in words.values())
        faults = [f"{kind}: {len(names)}, {names[:5]}" for kind, names in kinds.items() if names]
        return faults + self._broken_invariants() + self._trouble

    def _unrecorded(self, words: dict[str, list[str]]) -> list[str]:
        """Jobs that have started more often than their records tell."""
        unrecorded = []
        for path in (self.program.spool / "done").glob("*.json"):
            history = json.loads(path.read_bytes()).get("history", [])
            self.counts["crashes"] += sum(run["outcome"] == "crashed" for run in history)
            if words.get(path.stem, []).count("start") > len(history):
                unrecorded.append(path.stem)
        return sorted(unrecorded)

    def _broken_invariants(self) -> list[str]:
        try:
            check(self.program.spool, self.acknowledged)
            left = self.program.left_behind()
            return [f"left behind: {left}"] if left else []
        except AssertionError as error:
            return [f"invariants: {error}"]
