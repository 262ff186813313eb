"""The spool's folders and files by name, and what its README says to somebody who opens it in Explorer."""

from __future__ import annotations

import os
import stat

from queuectl import system
from queuectl.errors import SpoolUnusable
from queuectl.state import State

LOGS, TMP, LOCKS = "logs", "tmp", "locks"
SCHEDULES, GROUPS, HOOKS = "schedules", "groups", "hooks"
RECORDS = "state"
"""In `schedules/` and `groups/`: what queuectl keeps of each."""
ARCHIVE = "archive"
"""Made when jobs are first put away there; a spool is one without it."""
SERVICE = "service"
"""Made when workers are first to start by themselves: what they are started with, their log."""
INDEX = "index.sqlite3"
SCHEMA, SCHEDULE_SCHEMA, GROUP_SCHEMA = "job.schema.json", "schedule.schema.json", "group.schema.json"
README = "README.txt"
FORMAT = "format.txt"
TEXTS = (README, FORMAT, SCHEMA, SCHEDULE_SCHEMA, GROUP_SCHEMA)
FORMAT_NUMBER = 1
"""Of the files and folders of a spool. A release that older ones would misread or spoil raises it."""
PAUSED = ("paused.txt", "paused.txt.txt")
"""The second is what Notepad makes of the first where Windows hides extensions."""
STATE_FOLDERS = {state.folder: state for state in State}
FOLDERS = (*STATE_FOLDERS, SCHEDULES, GROUPS, HOOKS, LOGS, TMP, LOCKS)

FORMAT_LINE = "A spool of queuectl, format"
_FORMAT_HINT = f"if it is of format {FORMAT_NUMBER}, delete that file"
_LONGEST_FORMAT = 1024
_LONGEST_NUMBER = 9

ENOUGH = 3
"""State folders by which a spool is told."""
README_TEXT = """\
This folder is a job queue of queuectl. A job is a JSON file, and the folder
it lies in is its state.

  pending      Drop a job here and it runs, for example hello.json with
               {"command": "echo hello"} in it. Its name is its id.
  processing   What runs now, in one folder a worker. Leave it alone.
  done         What succeeded.
  failed       What failed and waits for its next retry.
  dead         What failed for good, or was no job: then an .error.txt beside
               it says why.
  schedules    What recurs: put a schedule here, for example nightly.json with
               {"cron": "0 3 * * *", "job": {"command": "echo hello"}} in it.
  groups       Limits of groups of jobs, for example video.json with
               {"limit": 1} in it, for jobs that say "group": "video".
  hooks        on_success.json, on_failure.json, on_dead.json: jobs that are
               run whenever another one has ended so.
  logs         What the commands printed.
  archive      Jobs put away by queuectl archive, in a zip file a month.
  service      Of workers that the system starts: their log.
  tmp, locks   queuectl's own.

What you do here counts. Drag a file from dead or failed to pending: it is
tried again. Delete it from pending: it is cancelled. Edit it there: it runs
as edited. A file called paused.txt beside this one keeps new jobs from
starting until it is deleted.

index.sqlite3 holds the settings and makes queuectl status quick. It can be
deleted while nothing runs; no job is lost, but settings go back to their
defaults. The files that end in .schema.json let an editor check what you
type.
"""


def is_spool(root: str) -> bool:
    """Whether `root` is a spool, even one of which somebody has removed a folder or two."""
    return sum(os.path.isdir(os.path.join(root, name)) for name in STATE_FOLDERS) >= ENOUGH


def is_whole(root: str) -> bool:
    """Whether `root` has every folder of a spool."""
    return all(os.path.isdir(os.path.join(root, name)) for name in FOLDERS)


def check_format(root: str) -> None:
    """Refuse a spool that this release does not understand. One that does not say is of format 1.

    Raises:
        SpoolUnusable: it is of a newer format, or says what is none.
    """
    path = os.path.join(root, FORMAT)
    try:
        text = system.read_file(path, _LONGEST_FORMAT)[0].decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise SpoolUnusable(f"cannot read {path}: {error.strerror or error}") from error
    line, _, number = text.removeprefix("\ufeff").rstrip().rpartition(" ")
    if line != FORMAT_LINE or not (number.isascii() and number.isdigit()) or len(number) > _LONGEST_NUMBER:
        raise SpoolUnusable(f"{path} does not say which format the spool has", hint=_FORMAT_HINT)
    if int(number) > FORMAT_NUMBER:
        raise SpoolUnusable(
            f"{root} is a spool of format {number}, and this queuectl knows {FORMAT_NUMBER}",
            hint="nothing was touched; use a newer queuectl",
        )


def refuse_to_lead_root(root: str) -> None:
    """Refuse to let root follow links that the owner of this spool has put into it, or write to what is also
    elsewhere: it could be anything of root's.

    What they exchange in this very moment is not seen.

    Raises:
        SpoolUnusable: there is such a thing.
    """
    from queuectl.system import access

    if not os.path.isdir(root) or not access.is_visited_by_root(root):
        return
    folders = [
        root,
        *(os.path.join(root, name) for name in (State.PROCESSING.folder, SCHEDULES, GROUPS, HOOKS)),
    ]
    for path in (os.path.join(folder, name) for folder in folders for name in system.names_in(folder)):
        if _is_also_elsewhere(path):
            raise SpoolUnusable(
                f"{root} is somebody else's, and {path} is a link: root does not follow it",
                hint="run this as its owner",
            )


def _is_also_elsewhere(path: str) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        # RACE: a journal of the index, or the folder of a worker, that was just removed.
        return False
    return stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink > 1)
