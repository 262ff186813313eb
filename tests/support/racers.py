"""Several processes that do the same at the same moment: `Race` starts them, and this is their program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Callable, Optional


class Race:
    """Processes that start when all are ready, each with one line of JSON as its answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"

    def run(
        self, action: str, count: int, *details: str, meanwhile: Optional[Callable[[], Any]] = None
    ) -> list[Any]:
        """The answers of ``count`` processes; ``meanwhile`` is called over and over until they have ended."""
        from tests.support.program import ROOT, environment
        from tests.support.waiting import wait_until

        env = environment()
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env["PYTHONPATH"]])
        ready = self.folder / "ready"
        ready.mkdir()
        racers = [
            subprocess.Popen(
                [sys.executable, __file__, str(self.spool), str(ready), action, str(number), *details],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for number in range(count)
        ]
        try:
            wait_until(
                lambda: len(list(ready.iterdir())) == count or any(racer.poll() for racer in racers),
                "all are ready",
                60,
            )
            (self.folder / "ready.go").touch()
            if meanwhile is not None:
                while any(racer.poll() is None for racer in racers):
                    meanwhile()
            outputs = [racer.communicate(timeout=90) for racer in racers]
        finally:
            for racer in racers:
                if racer.poll() is None:
                    racer.kill()
                    racer.communicate()
        errors = [err.decode("utf-8", "replace") for _, err in outputs]
        assert [racer.returncode for racer in racers] == [0] * count, "\n".join(errors)
        return [json.loads(out) for out, _ in outputs]


# What they do


def claim(spool: str, number: int, variant: str = "sound") -> list[str]:
    """Run whatever can be claimed; the ids, in order."""
    from queuectl import system
    from queuectl.hands import Hands
    from queuectl.queue.store import Store
    from queuectl.runner import COMPLETED, Outcome
    from queuectl.worker import Worker

    if variant == "careless":
        _be_careless()
    ran: list[str] = []

    def run(job: Any, setting: Any) -> Outcome:
        ran.append(job.name)
        return Outcome(COMPLETED, 0, None, system.now(), system.now())

    with Store.open(spool) as store:
        # A careless worker may not find again what it has claimed: then it gives up.
        hands = Hands(gives_up=lambda: variant == "careless")
        worker = Worker(store, f"host-{os.getpid()}-{number}-abc123", hands)
        worker.runner.run = run  # type: ignore[method-assign]
        worker.start()
        while True:
            try:
                if not worker.run_once():
                    break
            except Exception:
                if variant == "sound":
                    raise
        worker.close()
    return ran


def _be_careless() -> None:
    """No lock around the claim, and a move that two can win, as on Windows."""
    import shutil

    from queuectl import system
    from queuectl.queue.store import Store
    from queuectl.spool import Spool

    def move(self: Spool, place: Any, target: Any, **_: Any) -> None:
        shutil.copyfile(self.path(place), self.path(target))
        # Wide enough that another meets it: a control must fail each time.
        system.sleep(0.02)
        try:
            os.remove(self.path(place))
        except FileNotFoundError:
            return

    Store.claiming = lambda self: nullcontext()  # type: ignore[method-assign]
    Store.is_taken = lambda *_, **__: False  # type: ignore[method-assign]
    Spool.move = move  # type: ignore[method-assign]


def fail_once(spool: str, number: int) -> list[str]:
    """Run jobs, each of which fails the first time and succeeds at once when tried again."""
    from queuectl import system
    from queuectl.queue.store import Store
    from queuectl.runner import COMPLETED, FAILED, Outcome
    from queuectl.worker import Worker

    ran: list[str] = []

    def run(job: Any, setting: Any) -> Outcome:
        ran.append(job.name)
        verdict = COMPLETED if job.attempts else FAILED
        return Outcome(verdict, 0 if job.attempts else 1, None, system.now(), system.now())

    with Store.open(spool) as store:
        worker = Worker(store, f"host-{os.getpid()}-{number}-abc123")
        worker.runner.run = run  # type: ignore[method-assign]
        worker.start()
        while worker.run_once():
            pass
        worker.close()
    return ran


def enqueue(spool: str, number: int, rounds: str) -> list[Any]:
    """Enqueue the same ids as all others, half of them in upper case; the exit codes."""
    from queuectl.cli import main

    codes: list[Any] = []
    sys.stdout = sys.stderr
    for turn in range(int(rounds)):
        job_id = f"job-{turn}" if number % 2 else f"JOB-{turn}"
        try:
            main(["--spool", spool, "enqueue", "--id", job_id, "--", "x", str(number)])
        except SystemExit as ended:
            codes.append(ended.code)
    sys.stdout = sys.__stdout__
    return codes


ACTIONS: dict[str, Callable[..., Any]] = {"claim": claim, "enqueue": enqueue, "fail_once": fail_once}


def main(spool: str, ready: str, action: str, number: str, *details: str) -> None:
    from queuectl import codec, queue, worker  # noqa: F401  before the start

    Path(ready, number).touch()
    while not os.path.exists(f"{ready}.go"):
        time.sleep(0.001)
    print(json.dumps(ACTIONS[action](spool, int(number), *details)))


if __name__ == "__main__":
    main(*sys.argv[1:])
