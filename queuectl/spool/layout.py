"""The spool's folders and files by name, and what its README says to somebody who opens it in Explorer."""

from __future__ import annotations

import os

from queuectl import system
from queuectl.errors import SpoolUnusable
from queuectl.state import State

LOGS, TMP, LOCKS = "logs", "tmp", "locks"
INDEX = "index.sqlite3"
SCHEMA = "job.schema.json"
README = "README.txt"
PAUSED = ("paused.txt", "paused.txt.txt")
"""The second is what Notepad makes of the first where Windows hides extensions."""
STATE_FOLDERS = {state.folder: state for state in State}
FOLDERS = (*STATE_FOLDERS, LOGS, TMP, LOCKS)

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
  logs         What the commands printed.
  tmp, locks   queuectl's own.

What you do here counts. Drag a file from dead or failed to pending: it is
tried again. Delete it from pending: it is cancelled. Edit it there: it runs
as edited. A file called paused.txt beside this one keeps new jobs from
starting until it is deleted.

index.sqlite3 holds the settings and makes queuectl status quick. It can be
deleted while nothing runs; no job is lost, but settings go back to their
defaults. job.schema.json lets an editor check a job as you type.
"""


def is_spool(root: str) -> bool:
    """Whether `root` is a spool, even one of which somebody has removed a folder or two."""
    return sum(os.path.isdir(os.path.join(root, name)) for name in STATE_FOLDERS) >= ENOUGH


def is_whole(root: str) -> bool:
    """Whether `root` has every folder of a spool."""
    return all(os.path.isdir(os.path.join(root, name)) for name in FOLDERS)


def ensure_spool(root: str) -> bool:
    """Make `root` a whole spool where it is not; True if it was none before.

    Raises:
        SpoolUnusable: it holds other things, or cannot be made.
    """
    return not is_whole(root) and make_spool(root)


def make_spool(root: str, *, force: bool = False) -> bool:
    """Make `root` a spool, adding what is missing; True if it was none before.

    `force` turns a folder into a spool even when it holds other things.

    Raises:
        SpoolUnusable: it cannot be made there.
    """
    new = not is_spool(root)
    if os.path.isfile(root):
        raise SpoolUnusable(f"{root} is a file, not a folder")
    try:
        if new and not force and os.path.isdir(root) and not _may_become_spool(root):
            raise SpoolUnusable(
                f"{root} is no spool and holds other files",
                hint=f'if it should become one: queuectl --spool "{root}" init',
            )
        system.make_folder(root)
        for name in FOLDERS:
            system.make_folder(os.path.join(root, name))
        _write_texts(root)
    except OSError as error:
        raise SpoolUnusable(f"cannot use {root} as a spool: {error.strerror or error}") from error
    return new


def _may_become_spool(root: str) -> bool:
    ours = (*FOLDERS, README, SCHEMA, *PAUSED)
    names = os.listdir(root)
    return all(name.startswith((".", INDEX)) or name in ours for name in names)


def _write_texts(root: str) -> None:
    from queuectl.codec import job_schema

    # Notepad before Windows 10 1809 shows one long line without the carriage returns.
    texts = {README: README_TEXT.replace("\n", "\r\n").encode(), SCHEMA: job_schema()}
    for name, data in texts.items():
        path = os.path.join(root, name)
        if not os.path.lexists(path):
            try:
                system.write_file(path, data)
            except FileExistsError:
                continue
