"""Who lives: a worker while its lock is held, its command while the lock that it inherited is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import dropwhile, islice, takewhile
from typing import Optional, Protocol

from queuectl import locks, system
from queuectl.names import HOST_SUFFIX, LIFE_SUFFIX, RUN_SUFFIX, TASKS_SUFFIX
from queuectl.spool import Spool, layout

GRACE = 3.0
"""Seconds in which a worker that lives notices that its lock's file was deleted, and takes it anew."""
_LONGEST_NOTE = 1 << 16
_LONGEST_TASKS = 1 << 20
NONE_RAN = "/"
"""In place of the job that runs, in a note: none that lies in this worker's folder counts as one that ran."""
_LOST = b"missed by another program: if this worker lives, it takes its lock anew\n"


def is_alive(spool: Spool, worker: str) -> bool:
    """Whether this worker lives."""
    return locks.is_held(spool.lock_path(worker + LIFE_SUFFIX))


def outlived_by_command(spool: Spool, worker: str) -> bool:
    """Whether the command, or the task, of this dead worker goes on (POSIX; on Windows it dies, too)."""
    return any(locks.is_held(spool.lock_path(worker + suffix)) for suffix in (RUN_SUFFIX, HOST_SUFFIX))


def note_tasks(spool: Spool, worker: str, tasks: Iterable[str]) -> None:
    """Say which tasks this worker can run. Raises OSError."""
    text = "".join(f"{task}\n" for task in sorted(tasks))
    with locks.open_over(spool.lock_path(worker + TASKS_SUFFIX)) as file:
        file.truncate()
        file.write(text.encode())


def noted_tasks(spool: Spool, worker: str) -> list[str]:
    """Which tasks this worker has said that it can run."""
    try:
        text, _ = system.read_file(spool.lock_path(worker + TASKS_SUFFIX), _LONGEST_TASKS, patience=0.0)
    except OSError:
        return []
    return text.decode("utf-8", "replace").splitlines()


def is_lost(spool: Spool, worker: str) -> bool:
    """Whether the file of this worker's lock is missing, or was until a moment ago.

    That of a dead worker is removed last, so somebody has deleted this one, and its worker may live: it
    makes it anew within `GRACE`.
    """
    try:
        found = os.stat(spool.lock_path(worker + LIFE_SUFFIX))
    except FileNotFoundError:
        return True
    # Its age in either direction: a clock that was set back must not make this last.
    return found.st_size == len(_LOST) and abs(system.now() - found.st_mtime) < GRACE


def mark_lost(spool: Spool, worker: str) -> None:
    """Make the missing file of this worker's lock, so that its age tells when it was missed."""
    path = spool.lock_path(worker + LIFE_SUFFIX)
    if not os.path.lexists(path):
        system.make_folder(os.path.dirname(path))
        # RACE: its worker may make it just now.
        with suppress(FileExistsError):
            system.write_file(path, _LOST)


class Writable(Protocol):
    """A file that is written from its beginning."""

    def write(self, text: bytes, /) -> None:
        """Write this there. Raises OSError."""


def note_of_runs(spool: Spool, worker: str) -> system.Overwritten:
    """The file in which this worker says what it has begun."""
    return system.Overwritten(spool.lock_path(worker + RUN_SUFFIX))


def note_run(file: Writable, begun: Sequence[str], *, number: int = 0) -> bool:
    """Say which jobs of a worker have been started and not recorded; whether that is done.

    First the one that runs (empty: none), which is its `number`-th run. `file` is `note_of_runs`, which the
    lock that a command inherits holds open as well.
    """
    # Up to an empty line, and the one behind: to cut off what a longer note has left would cost more than to
    # write.
    text = "\n".join([*(begun or [""]), "", f"{number}", ""]).encode()
    try:
        system.with_patience(lambda: file.write(text))
    except OSError:
        return False
    return True


def noted_runs(spool: Spool, worker: str) -> Optional[list[str]]:
    """What this worker has said that it has begun, as `note_run` has it; None when there is no note.

    Raises:
        OSError: that cannot be read for a lack of this machine.
    """
    try:
        text, _ = system.read_file(spool.lock_path(worker + RUN_SUFFIX), _LONGEST_NOTE)
    except OSError as error:
        if system.is_lack(error):
            raise
        return None
    if not text:
        return None
    first, *more = text.decode("utf-8", "replace").split("\n")
    return [first, *takewhile(bool, more)]


def noted_number(spool: Spool, worker: str, job_id: str) -> Optional[int]:
    """Which of this worker's runs that of this job is, by its note; None where that says no such thing."""
    try:
        text, _ = system.read_file(spool.lock_path(worker + RUN_SUFFIX), _LONGEST_NOTE, patience=0.0)
    except OSError:
        return None
    first, *more = text.decode("utf-8", "replace").split("\n")
    number = next(islice(dropwhile(bool, more), 1, None), "")
    return int(number) if first == job_id and number.isdecimal() else None


def still_runs(spool: Spool, job_id: str, *, besides: Optional[str] = None) -> bool:
    """Whether a command of this job runs although its file lies where jobs wait: a person has moved it.

    A worker that asks runs none: `besides` is its name.
    """
    if not system.is_there(spool.log_path(job_id)):
        # It has never been started: a running command has a log.
        return False
    return any(_runs(spool, worker, job_id) for worker in _with_notes(spool) if worker != besides)


def running(spool: Spool, *, besides: str) -> dict[str, list[str]]:
    """The jobs that workers besides this one say that they run, and which workers do.

    A worker that has died may have said so, too: see `goes_on`.
    """
    found: dict[str, list[str]] = {}
    for worker in _with_notes(spool):
        if worker != besides and (noted := noted_runs(spool, worker)) and noted[0]:
            found.setdefault(noted[0], []).append(worker)
    return found


def goes_on(spool: Spool, worker: str) -> bool:
    """Whether a task may run of which this worker has said that it runs it."""
    return is_alive(spool, worker) or outlived_by_command(spool, worker)


def _with_notes(spool: Spool) -> list[str]:
    folder = os.path.join(spool.root, layout.LOCKS)
    return [name[: -len(RUN_SUFFIX)] for name in os.listdir(folder) if name.endswith(RUN_SUFFIX)]


def _runs(spool: Spool, worker: str, job_id: str) -> bool:
    noted = noted_runs(spool, worker)
    if not noted or noted[0] != job_id:
        return False
    return outlived_by_command(spool, worker) if system.SHARES_LOCKS else is_alive(spool, worker)
