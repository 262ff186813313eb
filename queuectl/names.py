"""Job ids and file names: one rule that holds on Windows, Linux and macOS alike. Pure.

A job's id is its file's name without `.json`, so what Windows cannot store as a name is no id on any
system. Two ids that differ in case or Unicode form only are the same job: they would be on Windows and
macOS.
"""

import re
from functools import lru_cache
from typing import Callable, NamedTuple, Optional

SHELLS = ("cmd", "powershell", "pwsh", "bash", "sh")
"""What a job or the setting `shell` may name."""

CATCH_UP = ("skip", "once", "all")
"""What a schedule may say of the moments that it has missed."""
OVERLAP = ("skip", "queue", "stop", "allow")
"""What a schedule may say of moments at which its last job has not ended."""
EVENTS = ("on_success", "on_failure", "on_dead")
"""What a hook may be for."""

SUFFIX = ".json"
HIDDEN_SUFFIX = ".json.txt"
"""What `job.json` becomes in Notepad or Explorer when Windows hides extensions."""
ERROR_SUFFIX = ".error.txt"
LIFE_SUFFIX, RUN_SUFFIX, HOST_SUFFIX = ".lock", ".run", ".host"
"""In `locks/`, behind a worker's name: held while it lives, while its command runs, while the process lives
that calls its tasks.
"""
TASKS_SUFFIX = ".tasks"
"""In `locks/`, behind a worker's name: the tasks that it can run, a line each."""
RESULTS = (".result", *(f".result-{number}" for number in range(2, 10)))
"""In `logs/`, behind a job's id: what its runs left as results, and could not be kept in its record."""
BESIDE = (".log", *RESULTS)
"""In `logs/`, behind a job's id: what its command left there."""
STOP_SUFFIX, CANCEL_SUFFIX = ".stop", ".cancel"
"""In `locks/`, behind a worker's name: the wish that it stop, that it end the job named in the file."""
MAX_ID_BYTES = 200
"""Leaves room in 255 bytes for `-9999` and `.error.txt`."""

UNSEEN = "\x80-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""In a regular expression's brackets: controls beyond ASCII, and marks that turn the direction of writing."""

_WINDOWS = r'<>:"/\\|?*\x00-\x1f\x7f'
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_DEVICES = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$"}) | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}
_IGNORED = frozenset({"desktop.ini", "thumbs.db", "readme.txt"})
_IGNORED_BEGINS, _IGNORED_ENDS = (".", "~$"), (".tmp", ".part", ".crdownload", "~")
# Compiled by `re` when they are first needed: that would take a tenth of `status`.
_FORBIDDEN = f"[{_WINDOWS}{UNSEEN}]"
_WORKER = r"([A-Za-z0-9-]+)-([0-9]+)-([0-9]+)-([A-Za-z0-9]+)"
_LONGEST_WORKER = 80
_NUMBERED = r"(?s)(.+)-([1-9]\d{0,8})\Z"


@lru_cache(256)
def id_problem(job_id: str) -> Optional[str]:
    """What is wrong with `job_id` as a job's id, or None."""
    if not job_id:
        return "an id cannot be empty"
    if text := _size_problem(job_id):
        return text
    if not _PLAIN.issuperset(job_id) and (found := re.search(_FORBIDDEN, job_id)):
        why = "nobody would see it" if found[0] > "\x7f" else "Windows does not allow it in a file name"
        return f"an id cannot contain {found[0]!a}: {why}"
    if job_id[0] in ".-~ " or job_id[-1] in ". ":
        return "an id cannot begin with '.', '-', '~' or a space, nor end with '.' or a space"
    device = job_id.partition(".")[0].rstrip().lower() in _DEVICES
    return f"{job_id!r} is the name of a device on Windows" if device else None


def _size_problem(job_id: str) -> Optional[str]:
    if not is_unicode(job_id):
        return "an id must be valid Unicode"
    size = len(job_id.encode("utf-8"))
    return None if size <= MAX_ID_BYTES else f"an id has at most {MAX_ID_BYTES} bytes, this one {size}"


def is_unicode(name: str) -> bool:
    """Whether `name` is text, not bytes of another encoding that a POSIX file system holds as a name."""
    if name.isascii():
        return True
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(2048)
def fold(job_id: str) -> str:
    """The form in which two ids are compared: case and Unicode composition do not count."""
    if job_id.isascii():
        return job_id.lower()
    from unicodedata import normalize

    return normalize("NFC", normalize("NFC", job_id).casefold())


def event_named(name: str) -> Optional[str]:
    """The event that a hook's file of this name is for; None if there is none."""
    return next((event for event in EVENTS if event == fold(name)), None)


def is_ignored(file_name: str) -> bool:
    """Whether `file_name` is none of our business: hidden, temporary, or the system's own."""
    lowered = file_name.lower()
    return (
        lowered in _IGNORED
        or lowered.startswith(_IGNORED_BEGINS)
        or (lowered.endswith(_IGNORED_ENDS) and "\n" not in lowered)
    )


def job_id_of(file_name: str) -> Optional[str]:
    """The id that `file_name` stands for, or None when it is not named like a job file."""
    return None if is_ignored(file_name) else stem_of(file_name)


def stem_of(file_name: str) -> Optional[str]:
    """Like `job_id_of`, of a name that is not ignored."""
    lowered = file_name.lower()
    for suffix in (SUFFIX, HIDDEN_SUFFIX):
        if lowered.endswith(suffix) and len(file_name) > len(suffix):
            return file_name[: -len(suffix)]
    return None


def is_canonical(file_name: str) -> bool:
    """Whether `file_name` is exactly the name that we give a job's file."""
    return file_name.endswith(SUFFIX)


def safe_id(raw: str) -> str:
    """`raw` made into a valid id, for a file that must be set aside under some name."""
    text = raw.encode("utf-8", "backslashreplace").decode("utf-8")
    text = re.sub(_FORBIDDEN, "_", text).strip(". ").lstrip("-~")
    encoded = text.encode("utf-8")[: MAX_ID_BYTES - 1]
    text = encoded.decode("utf-8", "ignore").rstrip(". ")
    if not text:
        return "unnamed"
    return f"_{text}" if id_problem(text) else text


def next_free(job_id: str, taken: Callable[[str], bool]) -> str:
    """`job_id`, or the first of `job_id-2`, `job_id-3`, … that is not `taken`."""
    if not taken(job_id):
        return job_id
    match = re.match(_NUMBERED, job_id)
    base, number = (match[1], int(match[2])) if match else (job_id, 1)
    while True:
        number += 1
        tail = f"-{number}"
        room = MAX_ID_BYTES - len(tail)
        candidate = base.encode("utf-8")[:room].decode("utf-8", "ignore") + tail
        if not taken(candidate):
            return candidate


class WorkerName(NamedTuple):
    """What a worker's name tells: it is `<host>-<pid>-<number>-<salt>`, unique for all time."""

    host: str
    pid: int
    number: int


SUPERVISOR = 0
"""The number of who sweeps for the workers of a process: it has a lock and files in `tmp/`, but no jobs."""


def make_worker_name(host: str, pid: int, number: int, salt: str) -> str:
    """The name of the `number`-th worker of a process; `salt` keeps it apart from an older one's.

    The processes of a fleet have one salt.
    """
    return f"{host}-{pid}-{number}-{salt}"


def program_of(worker: str) -> tuple[str, str]:
    """What the names of the workers of its process begin with, and those of its fleet end with."""
    process, _, salt = worker.rsplit("-", 2)
    return f"{process}-", f"-{salt}"


def read_worker_name(name: str) -> Optional[WorkerName]:
    """What the name tells, or None when it is no worker's."""
    match = re.fullmatch(_WORKER, name) if len(name) <= _LONGEST_WORKER else None
    return match and WorkerName(match[1], int(match[2]), int(match[3]))
