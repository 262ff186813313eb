"""How services are: workers that the system starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple, Optional

from queuectl import locks
from queuectl.duty import KILLED, Installed, LastRun, Papers, default_name, key_of, names_of
from queuectl.errors import SpoolUnusable
from queuectl.queue import Queue
from queuectl.queue.report import WorkerRow
from queuectl.spool import access, layout
from queuectl.system.starting import Starter


class Report(NamedTuple):
    """How a service is: the value of `service status --json`."""

    service: str
    spool: str
    installed: bool
    running: bool
    starter: str
    entry: str
    says: str
    """What the starter says of it."""
    wanted: Optional[int]
    """Workers that it was installed with."""
    workers: list[str]
    """Those that live."""
    pid: Optional[int]
    since: Optional[str]
    cwd: Optional[str]
    log: str
    last_exit: Optional[dict[str, object]]
    problems: list[str]

    @property
    def works(self) -> bool:
        """Whether nothing is to be done for its workers to be there."""
        return self.installed and self.running


class ServiceReports:
    """Of the services of the spool at `root`, which need not be there."""

    def __init__(self, root: str, starter: Starter) -> None:
        self.root, self.starter = os.path.abspath(root), starter

    def names(self, name: Optional[str]) -> list[str]:
        """`name`; where none is given, those of the spool, or what the first of them would be called."""
        return [name] if name is not None else names_of(self.root) or [default_name(self.root)]

    def report(self, name: str) -> Report:
        """How the service of this name is; one that is not installed is reported, too."""
        papers = Papers(self.root, name)
        installed, run = papers.installed, papers.last_run
        trouble = self.starter.trouble()
        found = trouble is None and self.starter.found(name) is not None
        ours = found and self.is_ours(name)
        workers = self.workers(run)
        return Report(
            service=name,
            spool=self.root,
            installed=ours and installed is not None,
            running=bool(workers),
            starter=self.starter.called,
            entry=self.starter.entry(name),
            says=self.starter.says(name) if ours else trouble or "nothing",
            wanted=installed and installed.wanted,
            workers=[worker.name for worker in workers],
            pid=run.pid if run and workers else None,
            since=run.since if run and workers else None,
            cwd=installed and installed.cwd,
            log=papers.log,
            last_exit=_exit_of(papers, run),
            problems=[*self._problems(papers, found=found, ours=ours, trouble=trouble)],
        )

    def _problems(self, papers: Papers, *, found: bool, ours: bool, trouble: Optional[str]) -> list[str]:
        lines, installed = list[str](), papers.installed
        if trouble is not None:
            lines.append(trouble)
        if found and not ours:
            lines.append(
                f"{self.starter.called} has something else under the name {self.starter.entry(papers.name)}"
            )
        if installed and not found and trouble is None:
            lines.append(f"{self.starter.called} has it no more: queuectl service install makes it anew")
        if not installed and locks.is_held(papers.lock):
            lines.append("it is uninstalled; its workers finish what they run")
        elif ours and not installed:
            lines.append("what it was installed with is gone from the spool: queuectl service install again")
        if installed:
            lines += _hindrances(self.root, installed)
        return [*lines, *(self.starter.remarks() if ours else [])]

    def workers(self, run: Optional[LastRun]) -> list[WorkerRow]:
        """The workers of this run that live."""
        if run is None or not layout.is_spool(self.root):
            return []
        with Queue.open(self.root, create=False) as queue:
            return [row for row in queue.status().workers if row.name.endswith(f"-{run.salt}")]

    def mark(self, name: str) -> str:
        """What is ours is told by."""
        return f"queuectl-service {name} of {key_of(self.root)}"

    def is_ours(self, name: str) -> bool:
        """Whether what the starter has under this name was made by us for this spool."""
        return self.mark(name) in (self.starter.found(name) or "")


def _hindrances(root: str, installed: Installed) -> Iterator[str]:
    """Why its workers end at once, and the starter tries again and again, or why they do nothing."""
    if not os.path.isdir(str(installed.cwd)):
        yield f"the folder that it works in is gone: {installed.cwd}"
    if installed.python and not os.path.isfile(str(installed.python)):
        yield f"the Python that it is started by is gone: {installed.python}: queuectl service install again"
    if not installed.trust_writers:
        try:
            access.refuse_strangers(root)
        except SpoolUnusable as error:
            yield f"its workers refuse to run: {error}"
    if any(os.path.isfile(os.path.join(root, name)) for name in layout.PAUSED):
        yield "paused: no new job starts until queuectl resume"


def _exit_of(papers: Papers, run: Optional[LastRun]) -> Optional[dict[str, object]]:
    if run is None:
        return None
    exited = run.exited if run.over or locks.is_held(papers.lock) else KILLED
    return exited and exited._asdict()
