"""What a spool keeps of a service, workers that the system starts: what it was installed with, its last run.

In `service/`, by its name: `<name>.json` while it is installed (without it, what the system starts ends at
once), `<name>.run.json` of its last run, `<name>.log`, and `<name>.lock`, which its program holds for life.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, NamedTuple, Optional

from queuectl import locks, system
from queuectl.errors import InvalidInput, QueueError
from queuectl.moment import format_moment
from queuectl.names import id_problem
from queuectl.spool import layout
from queuectl.spool.tmp import TmpFolder

PATIENCE = 60.0
"""Seconds that what runs is given when the system asks a service to stop, at logoff for example."""
LOCK_PATIENCE = 5.0
"""Seconds that a service waits for its own lock, which who looks holds for a moment."""
_LARGEST = 1 << 16
_RECORD, _RUN = ".json", ".run.json"
_NAME = r"(?!.*--)[A-Za-z0-9][A-Za-z0-9_-]{0,59}"
"""Two hyphens would end the note in an agent of launchd: no XML has them there."""
_KEY_LENGTH = 12

_UNREADABLE = (OSError, ValueError, TypeError)
"""What comes of a file that is not there, or that a person has edited."""


class Installed(NamedTuple):
    """What a service was installed with: `wanted` is how many workers, `since` when."""

    name: str
    wanted: int
    cwd: str
    trust_writers: bool
    starter: str
    entry: str
    since: str
    python: Optional[str] = None
    """The program that it is started by."""


class Exit(NamedTuple):
    """How a run has ended: `at` (RFC 3339) and `exit_code` are None where it could not say so."""

    at: Optional[str]
    exit_code: Optional[int]
    error: Optional[str]


KILLED = Exit(None, None, "killed, or the machine went off")


class LastRun(NamedTuple):
    """The last time that it was started: `salt` ends the names of its workers, `over` is whether it has ended
    by itself, `exited` how the run before has ended, or once it is over, this one.
    """

    salt: str
    pid: int
    since: str
    over: bool = False
    exited: Optional[Exit] = None


class Papers:
    """What lies in the spool at `root` of the service of this name."""

    def __init__(self, root: str, name: str) -> None:
        self.root, self.name = root, name
        self.folder = os.path.join(root, layout.SERVICE)

    def path(self, suffix: str) -> str:
        """The path of one of its files."""
        return os.path.join(self.folder, self.name + suffix)

    @property
    def log(self) -> str:
        """The path of what its workers tell."""
        return self.path(".log")

    @property
    def lock(self) -> str:
        """The path of the lock that its program holds."""
        return self.path(".lock")

    @property
    def installed(self) -> Optional[Installed]:
        """What it was installed with; None if it is not, or that cannot be read."""
        try:
            return Installed(**_read(self.path(_RECORD)))
        except _UNREADABLE:
            return None

    @property
    def last_run(self) -> Optional[LastRun]:
        """Its last run; None if there was none, or that cannot be read."""
        try:
            run = LastRun(**_read(self.path(_RUN)))
            return run if run.exited is None else run._replace(exited=Exit(*run.exited))
        except _UNREADABLE:
            return None

    def is_there(self) -> bool:
        """Whether it is installed, as far as the spool knows."""
        return os.path.isfile(self.path(_RECORD))

    def keep(self, record: Installed) -> None:
        """Write down what it is installed with. Raises OSError."""
        system.make_folder(self.folder)
        _write(self.root, self.path(_RECORD), record._asdict())

    def keep_run(self, run: LastRun) -> None:
        """Write down its last run. Raises OSError."""
        _write(self.root, self.path(_RUN), run._asdict())

    def withdraw(self) -> None:
        """Have it installed no more: what starts it finds so, and ends. Raises OSError."""
        system.remove(self.path(_RECORD))

    def clear(self) -> None:
        """Delete what is left but its log. Raises OSError."""
        for path in (self.path(_RUN), self.lock, f"{self.log}.lock"):
            system.remove(path)
        system.remove_folder(self.folder)


def names_of(root: str) -> list[str]:
    """The services that are installed for this spool, as far as it knows."""
    try:
        names = system.names_in(os.path.join(root, layout.SERVICE))
    except NotADirectoryError:
        return []
    stems = (name[: -len(_RECORD)] for name in names if name.endswith(_RECORD) and not name.endswith(_RUN))
    return sorted(stem for stem in stems if re.fullmatch(_NAME, stem))


def default_name(root: str) -> str:
    """What the service of this spool is called where nobody has said: no other spool has the same."""
    words = re.findall(r"[A-Za-z0-9]+", " ".join(os.path.realpath(root).replace("\\", "/").split("/")[-2:]))
    return "-".join([*words, ""])[-40:].lstrip("-") + key_of(root)[:6]


def key_of(root: str) -> str:
    """Twelve characters by which this spool is told from others, whether it is there or not."""
    real = os.path.normcase(os.path.realpath(root))
    return sha256(real.encode("utf-8", "surrogatepass")).hexdigest()[:_KEY_LENGTH]


def check_name(name: str) -> str:
    """`name`, if a service may have it.

    Raises:
        InvalidInput: it may not.
    """
    if not re.fullmatch(_NAME, name) or id_problem(name):
        raise InvalidInput(
            f"a service cannot be called {name!r}",
            hint="letters, digits, '_', and '-' between them, at most 60; no name of a device (con, nul)",
        )
    return name


@contextmanager
def on_duty(root: str, name: str, salt: str) -> Iterator[None]:
    """Be the service of this name for the block, and keep how it ends.

    Raises:
        QueueError: it is not installed (any more), or runs already.
    """
    papers = Papers(root, name)
    check_installed(root, name)
    held = locks.wait_lock(papers.lock, LOCK_PATIENCE)
    try:
        before = papers.last_run
        exited = before and (before.exited if before.over else KILLED)
        run = LastRun(salt, system.process_id(), format_moment(system.now()), exited=exited)
        papers.keep_run(run)
        # Once more: who uninstalls it between looks for who holds the lock, and finds us there.
        check_installed(root, name)
        try:
            yield
        except BaseException as error:
            _keep_end(papers, run, error)
            raise
        _keep_end(papers, run, None)
    finally:
        held.release()


def check_installed(root: str, name: str) -> None:
    """Refuse to be a service that is none.

    Raises:
        QueueError: it is not installed, or not any more.
    """
    if not Papers(root, check_name(name)).is_there():
        raise QueueError(
            f"the service {name} is not installed for the spool {root}", hint="queuectl service install"
        )


def _keep_end(papers: Papers, run: LastRun, error: Optional[BaseException]) -> None:
    code = getattr(error, "exit_code", 1) if error else 0
    told = str(error) or type(error).__name__ if error else None
    # What is full or gone by now is what the error tells of.
    with suppress(OSError):
        papers.keep_run(run._replace(over=True, exited=Exit(format_moment(system.now()), code, told)))


def _write(root: str, path: str, value: dict[str, Any]) -> None:
    TmpFolder(root).put(path, f"{json.dumps(value, indent=2)}\n".encode())


def _read(path: str) -> Any:
    return json.loads(system.read_file(path, _LARGEST)[0])
