"""What the jobs of a test have done, written down by themselves: once each? side by side?"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from queuectl.queue.invariants import Ran
from tests.support import ledger_job
from tests.support.program import PATIENCE
from tests.support.waiting import wait_until


class Ledger:
    """A folder in which each job that runs has a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def command(self, name: str, mode: str = "run", *details: object) -> list[str]:
        """A job's command; see `ledger_job`."""
        script = [sys.executable, "-I", "-S", str(ledger_job.__file__), str(self.folder)]
        return [*script, mode, name, *map(str, details)]

    def job(self, name: str, mode: str = "run", *details: object, **fields: Any) -> dict[str, Any]:
        """A job with such a command."""
        return {"command": self.command(name, mode, *details), **fields}

    def words(self, name: str) -> list[str]:
        """`start` and `end` of each run so far; `overlap` where a run began while another went on."""
        return [line.split()[0] for line in self._lines(name)]

    def pids(self, name: str) -> list[int]:
        return [int(line.split()[1]) for line in self._lines(name)]

    def runs(self, name: str) -> int:
        return self.words(name).count("start")

    def ran(self, name: str) -> list[Ran]:
        """The runs of this job; their times are the places of their words in the ledger."""
        runs: dict[str, Ran] = {}
        for at, line in enumerate(self._lines(name)):
            word, pid, *code = line.split()
            if word == "end":
                runs[pid] = runs[pid]._replace(ended=float(at), succeeded=code in ([], ["0"]))
                continue
            if word == "overlap":
                # The one before held its lock at that moment.
                others = [key for key, run in runs.items() if run.ended is None]
                runs.update((key, runs[key]._replace(ended=at + 0.5)) for key in others)
            runs[pid] = Ran(name, float(at))
        return list(runs.values())

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.txt"))

    def overlaps(self) -> list[str]:
        """The jobs of which two runs went on side by side."""
        return [name for name in self.names() if "overlap" in self.words(name)]

    def wait_started(self, name: str, times: int = 1) -> None:
        wait_until(lambda: self.runs(name) >= times, f"{name} has started {times} times", PATIENCE)

    def lives(self, name: str) -> bool:
        """Whether a process that has noted its start under this name still runs."""
        path = self.folder / f"{name}.lock"
        if not path.exists():
            return False
        held = ledger_job.lock(str(path))
        if held is None:
            return True
        os.close(held)
        return False

    def wait_dead(self, *names: str) -> None:
        for name in names:
            wait_until(lambda name=name: not self.lives(name), f"{name} is dead", PATIENCE)

    def let_go(self, name: str) -> None:
        """Let a `hold` end."""
        (self.folder / f"{name}.go").touch()

    def _lines(self, name: str) -> list[str]:
        path = self.folder / f"{name}.txt"
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        # The last line may be half written.
        return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
