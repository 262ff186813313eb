"""One scenario again and again, each time on a fresh copy of the spool that it begins with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.support.faults import crasher
from tests.support.faults.forker import DEADLINE, Ended
from tests.support.faults.scenarios import Scenario
from tests.support.program import ROOT, environment


class Doer(Protocol):
    """Does an action of `crasher` in a process of its own."""

    def warm(self, spool: Path, action: str) -> None: ...

    def perform(
        self, spool: Path, action: str, *, step: int = 0, variant: str = "sound", **options: Any
    ) -> Ended: ...


class Starter:
    """A new interpreter each time: for systems that cannot fork."""

    def warm(self, spool: Path, action: str) -> None:
        """A new interpreter is always cold."""

    def perform(
        self, spool: Path, action: str, *, step: int = 0, variant: str = "sound", **options: Any
    ) -> Ended:
        assert not options, f"only strace can do {options}"
        env = environment()
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env["PYTHONPATH"]])
        child = subprocess.run(
            [sys.executable, crasher.__file__, str(spool), action, str(step), variant],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=6 * DEADLINE,
        )
        said = child.stdout.decode("utf-8").split("\n")[:-1]
        return Ended(child.returncode, said, child.stderr.decode("utf-8", "replace"))


class Bench:
    """Where a scenario is tried."""

    def __init__(self, scenario: Scenario, folder: Path, doer: Doer) -> None:
        self.scenario, self.doer = scenario, doer
        self._folder = folder
        self._before = folder / "before"
        self._tries = 0
        scenario.make(self._before)
        with self._copy("warm") as spool:
            doer.warm(spool, scenario.action)

    @contextmanager
    def attempt(self, **how: Any) -> Iterator[tuple[Path, Ended]]:
        """Do it (see `Forker.perform`): the spool as it is then; it stays for a look if the block fails."""
        self._tries += 1
        with self._copy(f"try-{self._tries}") as spool:
            yield spool, self.doer.perform(spool, self.scenario.action, **how)

    def judge(self, spool: Path, ended: Ended, told: str) -> None:
        """Fail if something does not hold, with what was `told` of the attempt."""
        try:
            self.scenario.judge(spool, ended.said, ended.code == 0)
        except Exception as error:
            raise AssertionError(f"{self.scenario.name}, {told}, in {spool}: {error}") from error

    def new_in(self, spool: Path, folder: str) -> set[str]:
        """What lies in this folder and did not before."""
        return _names(spool / folder) - _names(self._before / folder)

    @contextmanager
    def _copy(self, name: str) -> Iterator[Path]:
        spool = self._folder / name
        if self._before.exists():
            shutil.copytree(self._before, spool)
        yield spool
        shutil.rmtree(spool, ignore_errors=True)
        spool.with_name(f"{name}.trace").unlink(missing_ok=True)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
