"""One look at every state folder: what lies there, by name and version; no file is opened."""

import os
import stat as stat_module
from collections.abc import Iterator
from typing import NamedTuple, Optional, Union

from queuectl import system
from queuectl.names import ERROR_SUFFIX, is_canonical, is_ignored, is_unicode, read_worker_name, stem_of
from queuectl.state import WAITING, State

SCAN_ORDER = (
    State.PENDING,
    State.FAILED,
    State.PROCESSING,
    State.FAILED,
    State.COMPLETED,
    State.DEAD,
)
"""Along the moves, so that a job which moves meanwhile is met: from `failed` to a worker, and back."""
_PATIENCE = 0.5
"""Seconds for which a folder that cannot be looked into just now is tried again."""


class Found(NamedTuple):
    """A regular file that is named like a job."""

    state: State
    worker: Optional[str]
    job_id: str
    file_name: str
    mtime_ns: int
    size: int


class Stray(NamedTuple):
    """Something that cannot be a job, and why; `path` is relative to the spool, with forward slashes."""

    path: str
    reason: str


Seen = Union[Found, Stray]


def scan(root: str) -> Iterator[Seen]:
    """Everything in the state folders, along the moves; a name may come twice."""
    for state in SCAN_ORDER:
        yield from scan_state(root, state)


def count_entries(root: str, state: State) -> int:
    """How much lies in the folder of this state; what workers own does not count."""
    return sum(1 for _ in _entries(os.path.join(root, state.folder)))


def scan_state(root: str, state: State) -> Iterator[Seen]:
    """Everything in the folder of this state."""
    if state is State.PROCESSING:
        return _scan_processing(root)
    return _scan_folder(os.path.join(root, state.folder), state.folder, state, None)


def _scan_processing(root: str) -> Iterator[Seen]:
    folder = State.PROCESSING.folder
    for entry in _entries(os.path.join(root, folder)):
        shown = f"{folder}/{entry.name}"
        if not is_unicode(entry.name):
            yield _unnameable(shown, "folder")
        elif entry.is_dir(follow_symlinks=False) and read_worker_name(entry.name) is None:
            yield Stray(shown, "no worker's folder; move what is in it to pending")
        elif entry.is_dir(follow_symlinks=False):
            yield from _scan_folder(entry.path, shown, State.PROCESSING, entry.name)
        elif not is_ignored(entry.name):
            yield Stray(shown, "no worker owns a file that lies here; move it to pending")


def look(root: str, state: State, file_name: str, worker: Optional[str]) -> Optional[Seen]:
    """What `scan` would tell of this one name; None when nothing of that name lies there."""
    shown = "/".join(filter(None, (state.folder, worker, file_name)))
    try:
        stat = os.stat(os.path.join(root, *shown.split("/")), follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _seen(shown, file_name, state, worker, stat)


def scan_worker(root: str, worker: str) -> Iterator[Seen]:
    """Everything in one worker's folder."""
    folder = State.PROCESSING.folder
    path = os.path.join(root, folder, worker)
    return _scan_folder(path, f"{folder}/{worker}", State.PROCESSING, worker)


def _scan_folder(path: str, shown: str, state: State, worker: Optional[str]) -> Iterator[Seen]:
    for entry in _entries(path):
        try:
            stat = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if seen := _seen(f"{shown}/{entry.name}", entry.name, state, worker, stat):
            yield seen


def _seen(shown: str, name: str, state: State, worker: Optional[str], stat: os.stat_result) -> Optional[Seen]:
    if not is_unicode(name):
        return _unnameable(shown, "file")
    if is_ignored(name) or name.endswith(ERROR_SUFFIX):
        return None
    if not stat_module.S_ISREG(stat.st_mode):
        return Stray(shown, "not a plain file (a folder, link or device): never followed")
    job_id = stem_of(name)
    if job_id is not None and (is_canonical(name) or state in WAITING):
        return Found(state, worker, job_id, name, *system.file_stamp(stat))
    return _misnamed(shown, job_id, state)


def _misnamed(shown: str, job_id: Optional[str], state: State) -> Optional[Stray]:
    if job_id is not None:
        return Stray(shown, "to be renamed: a job's file ends in .json")
    if state is State.PENDING:
        return Stray(shown, "not named like a job: a job's file ends in .json")
    return None


def _unnameable(shown: str, what: str) -> Stray:
    readable = shown.encode("utf-8", "backslashreplace").decode()
    return Stray(readable, f"the {what}'s name is not valid Unicode; rename it")


def _entries(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        # RACE: the folder of a worker that has just left is being deleted (Windows).
        with system.with_patience(lambda: os.scandir(path), patience=_PATIENCE) as entries:
            yield from entries
    except OSError:
        # Of one that goes in this moment Windows may say something else.
        if os.path.isdir(path):
            raise
