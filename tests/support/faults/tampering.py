"""Which system calls an action makes on its spool, and what strace is to do to each of them (Linux)."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from tests.support.faults.bench import Bench
from tests.support.faults.forker import STRACE, Ended

WHY_NOT = None if STRACE else "needs strace, which Linux has"

CHANGES = frozenset(
    (
        *("write", "pwrite64", "pwritev", "ftruncate", "fallocate", "fsync", "fdatasync", "syncfs"),
        *("rename", "renameat", "renameat2", "link", "linkat"),
        *("unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
    )
)
"""The calls that change what is on the disk; an `openat` does when it creates its file."""
ERRORS = {
    "openat": ("EACCES", "EMFILE"),
    "write": ("ENOSPC", "EIO"),
    "pwrite64": ("ENOSPC", "EIO"),
    "ftruncate": ("ENOSPC",),
    "fsync": ("EIO",),
    "fdatasync": ("EIO",),
    "syncfs": ("EIO",),
    "rename": ("EACCES", "ENOSPC"),
    "unlink": ("EACCES",),
    "mkdir": ("ENOSPC",),
    "rmdir": ("EACCES",),
    "read": ("EIO",),
    "pread64": ("EIO",),
    "getdents64": ("EIO",),
}
"""What each of them may be answered; other names of the same call likewise (`unlinkat`)."""


PAGES = ("pread64", "pwrite64")
"""By these SQLite reads and writes the pages of the index, and the frames of its journal."""
STRIDE_OF_PAGES = 5
"""Of them one in so many is tried: what is half written there SQLite undoes, whichever page it is. Not an
even number, since a frame's head and its page take turns."""
OF_SETTINGS = ("config set",)
"""The scenarios of what lies in the index alone: there each page counts."""


class Call(NamedTuple):
    """The `number`-th call of this name that an action makes."""

    name: str
    number: int
    text: str
    """As strace tells it."""

    @property
    def creates(self) -> bool:
        return "O_CREAT" in self.text

    @property
    def of_index(self) -> bool:
        return "index.sqlite3" in self.text

    @property
    def changes(self) -> bool:
        return self.name in CHANGES or self.creates

    @property
    def errors(self) -> tuple[str, ...]:
        known = next((ERRORS[name] for name in (self.name, self.name.split("at")[0]) if name in ERRORS), ())
        return (*known, "ENOSPC") if self.creates else known


def calls_of(bench: Bench, variant: str = "sound") -> list[Call]:
    """The calls on files of the spool, in order, when nothing goes wrong."""
    with bench.attempt(variant=variant, trace=True) as (spool, ended):
        assert ended.code == 0, ended.err
        lines = Path(f"{spool}.trace").read_text(encoding="utf-8", errors="replace").splitlines()
        return list(told_of(lines, str(spool)))


def told_of(lines: Iterable[str], path: str) -> Iterator[Call]:
    """The calls that mention `path`, out of all that strace tells."""
    counted: Counter[str] = Counter()
    for line in lines:
        name = line.split("(", 1)[0]
        counted[name] += 1
        if path in line:
            yield Call(name, counted[name], line)


def telling_calls(bench: Bench) -> list[Call]:
    """As `calls_of`, but few of the many by which SQLite reads and writes pages."""
    calls = calls_of(bench)
    if bench.scenario.name in OF_SETTINGS:
        return calls
    pages = [call for call in calls if call.of_index and call.name in PAGES]
    chosen = {*calls} - {*pages} | {*pages[::STRIDE_OF_PAGES]}
    return [call for call in calls if call in chosen]


def kill_at(bench: Bench, calls: Sequence[Call], variant: str = "sound") -> int:
    """Kill the process at each of these calls and judge what is left; how many deaths that were."""
    deaths = 0
    for call in calls:
        inject = f"{call.name}:signal=KILL:when={call.number}"
        with bench.attempt(inject=inject, variant=variant) as (spool, ended):
            # Another course of things, of which this call is no part, may end well.
            assert ended.code in (0, -signal.SIGKILL), ended
            bench.judge(spool, ended, f"killed at {call.text!r}")
        deaths += ended.code != 0
    return deaths


class Fault(NamedTuple):
    """An error that a call is answered: once, or from then on."""

    call: Call
    error: str
    for_good: bool

    @property
    def inject(self) -> str:
        return f"{self.call.name}:error={self.error}:when={self.call.number}{'+' if self.for_good else ''}"

    def __str__(self) -> str:
        return f"{self.error}{' for good' if self.for_good else ''} from {self.call.text!r}"


def faults(calls: Iterable[Call]) -> Iterator[Fault]:
    """Every error of every call once; and for good one of them, by turns."""
    for call in calls:
        for error in call.errors:
            yield Fault(call, error, False)
        if call.errors:
            yield Fault(call, call.errors[call.number % len(call.errors)], True)


def meet(bench: Bench, fault: Fault, variant: str = "sound", deadline: Optional[float] = None) -> Ended:
    """Do it with this fault: it ends well or with a documented error, and everything is still there."""
    options = {} if deadline is None else {"deadline": deadline}
    told = f"{bench.scenario.name}, {fault}"
    with bench.attempt(inject=fault.inject, variant=variant, **options) as (spool, ended):
        assert ended.code is not None, f"{told}: it hung"
        assert 0 <= ended.code <= 7, f"{told}: {ended}"
        assert "Traceback" not in ended.err, f"{told}: {ended.err}"
        assert ended.code == 0 or ended.err, f"{told}: not a word"
        # What is refused to the person in the scenario counts as a lack: the job waits for a second.
        of_person = "from-elsewhere" in told
        if not fault.for_good and "ran job" in ended.said and not of_person:
            assert ended.code == 0, f"{told}: it is not tried again to record a run"
        if "unlink" not in fault.call.name:
            refused = ended.code != 0 and bench.scenario.action.startswith("enqueue")
            left = [
                name for folder in ("tmp", *(["pending"] * refused)) for name in bench.new_in(spool, folder)
            ]
            assert left == [], f"{told}: it has left {left}"
        bench.judge(spool, ended, str(fault))
    return ended
