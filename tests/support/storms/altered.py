"""The program with a part of it replaced: `altered.py ALTERATION ARGS...` is `python -m queuectl ARGS...`.

Careless variants are the controls of a test: it must notice them. The others bring about what a test cannot:
another time, a process that stops in the middle of a step.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Callable

from tests.support.program import ROOT, Program, Running

CLOCK, STOPPED, NO_PROCESSES = "ALTERED_CLOCK", "ALTERED_STOPPED", "ALTERED_NO_PROCESSES"
"""Variables that name a file: with the seconds the clock is ahead, with who stops, there while none start."""


class Altered(Program):
    """`Program`, of which each call is altered like this; see `altered`."""

    alteration = "sound"

    def altered(self, alteration: str, **env: str) -> Altered:
        """The same place and spool, where each call is altered like this."""
        other = Altered(self.here)
        other.alteration = alteration
        other.env = {**self.env, **env}
        other.env["PYTHONPATH"] = os.pathsep.join([str(ROOT), self.env["PYTHONPATH"]])
        return other

    def start(
        self, *args: str, stdin: Any = subprocess.DEVNULL, own_group: bool = False, spool: bool = True
    ) -> Running:
        if self.alteration == "sound":
            return super().start(*args, stdin=stdin, own_group=own_group, spool=spool)
        options = ["--spool", str(self.spool)] if spool else []
        return Running(
            subprocess.Popen(
                [sys.executable, str(Path(__file__)), self.alteration, *options, *args],
                cwd=self.here,
                env=self.env,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )


# Careless variants


def blind_to_life() -> None:
    """Recovery takes every worker of another program for dead, and a claim does not ask either."""
    from queuectl.queue import claims, recovery

    recovery._recover_if_dead = recovery._recover_worker
    claims.still_runs = claims.goes_on = lambda *_, **__: False


def blind_to_commands() -> None:
    """Nobody asks whether the command, or the task, of a dead worker still runs."""
    from queuectl.queue import claims, recovery

    claims.still_runs = claims.goes_on = lambda *_, **__: False
    recovery.outlived_by_command = lambda *_: False


def no_claim_lock() -> None:
    """Claims without a lock, by moves that two can win, as on Windows."""
    import shutil

    from queuectl import system
    from queuectl.queue.store import Store
    from queuectl.spool import Spool
    from queuectl.state import State

    move = Spool.move

    def twice(self: Spool, place: Any, target: Any, **options: Any) -> None:
        if target.state is not State.PROCESSING:
            return move(self, place, target, **options)
        shutil.copyfile(self.path(place), self.path(target))
        system.sleep(0.02)
        system.remove(self.path(place))
        return None

    Store.claiming = lambda self: nullcontext()  # type: ignore[method-assign]
    Store.is_taken = lambda *_, **__: False  # type: ignore[method-assign]
    Spool.move = twice  # type: ignore[method-assign]


def write_after_remove() -> None:
    """A claim removes the file first and writes it where it goes then."""
    from queuectl import system
    from queuectl.spool import Spool
    from queuectl.state import State

    move = Spool.move

    def carry(self: Spool, place: Any, target: Any, **options: Any) -> None:
        if target.state is not State.PROCESSING:
            return move(self, place, target, **options)
        data = Path(self.path(place)).read_bytes()
        system.remove(self.path(place))
        # So long that there is nearly always one in the middle of it: a control must fail each time.
        system.sleep(0.5)
        Path(self.path(target)).write_bytes(data)
        return None

    Spool.move = carry  # type: ignore[method-assign]


# Another time


def clock() -> None:
    """The wall clock is ahead by the seconds that a file holds; it may change at any moment."""
    from queuectl import system

    real, path = system.now, os.environ[CLOCK]

    def now() -> float:
        with open(path, encoding="utf-8") as file:
            return real() + float(file.read() or 0)

    system.now = now


def clock_and_leases() -> None:
    """As `clock`; and who has not renewed a lease for a minute is dead, as in many queues."""
    from queuectl import system
    from queuectl.names import LIFE_SUFFIX
    from queuectl.queue import recovery

    clock()
    recover = recovery._recover_worker

    def recover_if_late(store: Any, worker: str, now: float, luck: float) -> Any:
        renewed = os.stat(store.spool.lock_path(worker + LIFE_SUFFIX)).st_mtime
        return recover(store, worker, now, luck) if system.now() - renewed > 60 else []

    recovery._recover_if_dead = recover_if_late


# A machine at its limit


def no_processes() -> None:
    """No command can be started while a file is there."""
    import errno

    from queuectl.system import process

    start = process.start

    def refusing(*args: Any, **options: Any) -> Any:
        if os.path.exists(os.environ[NO_PROCESSES]):
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return start(*args, **options)

    process.start = refusing


# A process that stops in the middle of a step


def stop_at_claim() -> None:
    """Once, the process stops itself (SIGSTOP) behind the move of a claim, holding `claim.lock`."""
    from queuectl.spool import Spool
    from queuectl.state import State

    move = Spool.move

    def stopping(self: Spool, place: Any, target: Any, **options: Any) -> None:
        move(self, place, target, **options)
        if target.state is State.PROCESSING:
            _stop_once()

    Spool.move = stopping  # type: ignore[method-assign]


def stop_before_claim() -> None:
    """Once, the process stops itself between the look at a record and its move, holding `claim.lock`."""
    from queuectl.spool import Spool
    from queuectl.state import State

    move = Spool.move

    def stopping(self: Spool, place: Any, target: Any, **options: Any) -> None:
        if target.state is State.PROCESSING:
            _stop_once()
        move(self, place, target, **options)

    Spool.move = stopping  # type: ignore[method-assign]


def stop_at_settle() -> None:
    """Once, the process stops itself between the record of a finished run and its move."""
    from queuectl.spool import Spool
    from queuectl.state import FINISHED, State

    move = Spool.move

    def stopping(self: Spool, place: Any, target: Any, **options: Any) -> None:
        if place.state is State.PROCESSING and target.state in FINISHED:
            _stop_once()
        move(self, place, target, **options)

    Spool.move = stopping  # type: ignore[method-assign]


def stop_in_index() -> None:
    """Once, the process stops itself in the middle of a transaction, holding the index."""
    from queuectl.index import Entry, Index
    from queuectl.index.staging import Staging

    put, merge = Index.put, Staging.merge

    def stopping(self: Index, entries: Any) -> None:
        with self.transaction():
            put(self, entries)
            _stop_once()

    def stopping_in_a_look(self: Staging) -> Iterator[list[Entry]]:
        with self._transaction():
            yield from list(merge(self))
            _stop_once()

    Index.put = stopping  # type: ignore[method-assign]
    Staging.merge = stopping_in_a_look  # type: ignore[method-assign]


def impatient() -> None:
    """Nobody waits for `claim.lock` or for the index longer than a moment."""
    from queuectl import locks
    from queuectl.index import connection
    from queuectl.queue.store import CLAIM_LOCK, Store

    def claiming(self: Store) -> Any:
        return locks.exclusive(self.spool.lock_path(CLAIM_LOCK), 0.3)

    Store.claiming = claiming  # type: ignore[method-assign]
    connection.BUSY_SECONDS = 0.3


def _stop_once() -> None:
    import signal
    import threading

    try:
        with open(os.environ[STOPPED], "x", encoding="utf-8") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return
    # To this thread: one that is sent to the process may stop others first, and this one goes on a while.
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


ALTERATIONS: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (
        blind_to_life,
        blind_to_commands,
        no_claim_lock,
        write_after_remove,
        clock,
        clock_and_leases,
        no_processes,
        stop_at_claim,
        stop_before_claim,
        stop_at_settle,
        stop_in_index,
        impatient,
    )
}


def main(alteration: str, *args: str) -> None:
    ALTERATIONS[alteration]()
    from queuectl.cli import main as queuectl

    queuectl(list(args))


if __name__ == "__main__":
    main(*sys.argv[1:])
