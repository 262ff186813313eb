"""Workers that the system starts whenever this user logs on, and again when they have died."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Callable, NamedTuple, Optional

from queuectl import locks, system
from queuectl.duty import PATIENCE, Installed, LastRun, Papers, names_of
from queuectl.errors import Conflict, InvalidInput, QueueError, system_error
from queuectl.layers import OPTION_NAME
from queuectl.moment import format_moment
from queuectl.queue import Queue
from queuectl.service_report import Report, ServiceReports
from queuectl.spool import access
from queuectl.system.starting import Call, Remove, Service, Step, Write, can_be_told

_STEP = 0.05
_PATIENCE = 1.0
"""Seconds before it is told what is waited for."""
START_PATIENCE = 30.0
"""Seconds in which workers are there after they were told to start, on a slow machine."""


class Wish(NamedTuple):
    """What the workers are to be started with."""

    workers: int = 1
    tasks: tuple[str, ...] = ()
    processes: bool = False
    trust_writers: bool = False
    cwd: str = os.curdir
    settings: tuple[tuple[str, str], ...] = ()
    """Those that hold for these workers alone, as text."""


class Services(ServiceReports):
    """Installs and uninstalls those of one spool."""

    # Installing

    def steps(self, wish: Wish, name: str) -> list[Step]:
        """What `install` does to the system.

        Raises:
            InvalidInput: a path cannot be said to every starter.
        """
        return self.starter.install(self._service(wish, name))

    def check(self, wish: Wish, name: str) -> None:
        """Refuse what cannot be installed; nothing is changed.

        Raises:
            QueueError: there is no such starter here, or not the Python that it is to start.
            Conflict: it has something else under this name.
            InvalidInput: as `steps`.
        """
        self.steps(wish, name)
        self._is_found(name)
        if not os.path.isfile(self.starter.python):
            raise QueueError(f"there is no {self.starter.python}", hint="use a Python that has it")
        if why := self.starter.trouble():
            argv = [self.starter.python, "-m", "queuectl", *self._arguments(wish)]
            raise QueueError(why, hint=self.starter.instead(argv, os.path.abspath(wish.cwd)))

    def install(self, wish: Wish, name: str) -> bool:
        """Have the workers started, now and at each logon; in place of what was installed under this name,
        which is asked to stop. Whether there was something.

        Raises:
            QueueError: as `check`, others may write to the spool, or the starter refuses; nothing is left
                then where nothing was.
        """
        self.check(wish, name)
        if not wish.trust_writers:
            access.refuse_strangers(self.root)
        papers, before = Papers(self.root, name), self._is_found(name)
        run = papers.last_run
        papers.keep(
            Installed(
                name=name,
                wanted=wish.workers,
                cwd=os.path.abspath(wish.cwd),
                trust_writers=wish.trust_writers,
                starter=self.starter.called,
                entry=self.starter.entry(name),
                since=format_moment(system.now()),
                python=self.starter.python,
            )
        )
        steps = self.steps(wish, name)
        try:
            self._carry_out(steps)
        except BaseException:
            self._take_back(papers, steps, wholly=not before)
            raise
        # By name: those of now may be there already. Also where the starter had nothing: somebody may have
        # deleted what it had, and what it has started lives.
        self._ask_to_stop(run, kill=False)
        return before

    def await_start(self, name: str, before: Optional[LastRun]) -> Optional[Report]:
        """How the service is once its workers have come, or have ended at once, or some time has passed; None
        while those of `before`, its last run of before it was installed, finish what they run.
        """
        papers, begin = Papers(self.root, name), system.monotonic()
        wanted = papers.installed.wanted if papers.installed else 1
        over: set[str] = set()
        # RACE: one that was started with what was installed before may end just now.
        enough, hastened = 1 if before is None else 2, 0.0
        while (waited := system.monotonic() - begin) < START_PATIENCE:
            run = papers.last_run
            if run is not None and (before is None or run.salt != before.salt):
                over.update([run.salt] if run.over else [])
                if len(over) >= enough or len(self.workers(run)) >= wanted:
                    break
            elif waited > _PATIENCE and self.workers(before):
                return None
            elif not locks.is_held(papers.lock) and waited > hastened + _PATIENCE:
                hastened = waited
                self._carry_out(self.starter.hasten(name))
            system.sleep(_STEP)
        return self.report(name)

    def last_run(self, name: str) -> Optional[LastRun]:
        """The last run of the service of this name."""
        return Papers(self.root, name).last_run

    # Uninstalling

    def uninstall(self, name: str, *, kill: bool, waits: Callable[[str], object]) -> None:
        """Have it started no more, and its workers stop; with `kill` also end what they run, at no attempt's
        cost.

        `waits` is told what it has to wait for. What was begun and not ended is gone on with.

        Raises:
            QueueError: there is no such service, or the starter refuses.
            Conflict: what the starter has under this name is not ours.
        """
        papers, found = Papers(self.root, name), self._is_found(name)
        if not found and not papers.is_there() and not locks.is_held(papers.lock):
            others = [other for other in names_of(self.root) if other != name]
            hint = f"there are: {', '.join(others)}" if others else "queuectl service status"
            raise QueueError(f"no service {name} is installed", hint=hint)
        papers.withdraw()
        if found:
            self._carry_out(self.starter.forget(name))
        self._await_end(papers, kill, waits)
        if found or self.starter.trouble() is None:
            self._carry_out(self.starter.clear(name))
        papers.clear()

    def _await_end(self, papers: Papers, kill: bool, waits: Callable[[str], object]) -> None:
        patience = system.monotonic() + _PATIENCE
        while locks.is_held(papers.lock):
            asked = self._ask_to_stop(papers.last_run, kill=kill)
            while self._any_lives(asked):
                if system.monotonic() > patience:
                    patience = float("inf")
                    waits(", ".join(self._jobs_of(papers.last_run)) or "its workers")
                system.sleep(_STEP)
            system.sleep(_STEP)

    def _ask_to_stop(self, run: Optional[LastRun], *, kill: bool) -> list[str]:
        if run is None:
            return []
        with Queue.open(self.root, create=False) as queue:
            return queue.stop_workers(kill=kill, salt=run.salt)

    def _any_lives(self, names: Sequence[str]) -> bool:
        with Queue.open(self.root, create=False) as queue:
            return bool(queue.living(names))

    def _jobs_of(self, run: Optional[LastRun]) -> list[str]:
        return [row.job for row in self.workers(run) if row.job]

    # What is asked of the starter

    def _service(self, wish: Wish, name: str) -> Service:
        cwd, papers = os.path.abspath(wish.cwd), Papers(self.root, name)
        for text in (self.root, cwd, self.starter.python, *self._arguments(wish)):
            if not can_be_told(text):
                hint = "rename it: it has control characters, or is no Unicode"
                raise InvalidInput(f"a service cannot be told of {text!r}", hint=hint)
        if not os.path.isdir(cwd):
            raise InvalidInput(f"there is no folder {cwd} to work in")
        return Service(
            name=name,
            mark=self.mark(name),
            about=f"queuectl: workers on {self.root}",
            arguments=(*self._arguments(wish), "--log-file", papers.log, "--service", name),
            cwd=cwd,
            folder=papers.folder,
            patience=PATIENCE,
        )

    def _arguments(self, wish: Wish) -> list[str]:
        tasks = [word for module in wish.tasks for word in ("--tasks", module)]
        number = "--processes" if wish.processes else "--count"
        trust = ["--trust-writers"] if wish.trust_writers else []
        settings = [word for name, text in wish.settings for word in (OPTION_NAME, f"{name}={text}")]
        start = ["worker", "start", number, str(wish.workers), *tasks, *trust]
        return ["--spool", self.root, *settings, *start]

    def _is_found(self, name: str) -> bool:
        """Whether the starter has it, and it is ours.

        Raises:
            Conflict: it is not.
        """
        if self.starter.found(name) is None:
            return False
        if not self.is_ours(name):
            where = f"{self.starter.called} has {self.starter.entry(name)}"
            raise Conflict(
                f"{where}, and queuectl has not made it for this spool: it is left alone",
                hint="--name gives another name",
            )
        return True

    def _carry_out(self, steps: Sequence[Step]) -> None:
        for step in steps:
            try:
                self._do(step)
            except OSError as error:
                raise system_error(error) from error

    def _do(self, step: Step) -> None:
        if isinstance(step, Write):
            os.makedirs(os.path.dirname(step.path), exist_ok=True)
            prepared = f"{step.path}.{os.urandom(4).hex()}.tmp"
            system.write_file(prepared, step.data)
            system.replace(prepared, step.path)
        elif isinstance(step, Remove):
            system.remove(step.path)
        else:
            self._call(step)

    def _call(self, step: Call) -> None:
        end = system.monotonic() + step.patience
        while bool((answer := self.starter.run(step.argv)).code) != step.to_fail and not step.may_fail:
            if system.monotonic() >= end:
                said = "goes on" if step.to_fail else answer.said
                raise QueueError(f"{' '.join(step.argv)}: {said}")
            system.sleep(_STEP * 4)

    def _take_back(self, papers: Papers, steps: Sequence[Step], *, wholly: bool) -> None:
        undone: list[Step] = [step for step in steps if isinstance(step, Remove)]
        if wholly:
            papers.withdraw()
            undone += [*self.starter.forget(papers.name), *self.starter.clear(papers.name)]
        for step in undone:
            with suppress(QueueError, OSError):
                self._do(step)
        if wholly:
            papers.clear()
