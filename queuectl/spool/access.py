"""Who may write into a spool, and so run commands as the user of its workers.

Workers refuse a spool that others may write to, and in any spool a job file that somebody else owns or may
change, as cron and sshd refuse such files (OpenSSH: StrictModes).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Optional

from queuectl import system
from queuectl.errors import SpoolUnusable
from queuectl.spool import layout
from queuectl.state import State


class Trust:
    """Whose job files count in one spool: those of this user and of root or Administrators; for who runs
    none of them also those of its owner.
    """

    def __init__(self, root: str, *, everyone: bool = False, to_run: bool = False) -> None:
        from queuectl.system import access

        self._everyone = everyone
        if not everyone:
            found, real = os.stat(root), os.path.realpath(root)
            # Who has exchanged the spool after workers looked at it would be the owner.
            self._owner = None if to_run else access.owner_of(root, found)
            elsewhere = any(_leads_out(path, real) for _, path in _folders(real))
            self._open = elsewhere or access.may_enter(found)

    def objection(self, path: str, found: os.stat_result) -> Optional[str]:
        """Why this job file must not be run, or None; `found` is its stat.

        Raises:
            OSError: that cannot be told just now.
        """
        from queuectl.system import access

        if self._everyone:
            return None
        owner = access.owner_of(path, found)
        if owner != self._owner and not access.is_ours(owner):
            return f"it belongs to somebody else ({access.called(owner)})"
        reached = self._open or found.st_nlink > 1
        others = access.writers(path, found) if reached else []
        return f"others may change it ({', '.join(others)})" if others else None


def strangers(root: str) -> list[str]:
    """Who else may write into this spool: a line a folder, as in "pending (everyone)"."""
    from queuectl.system import access

    real = os.path.realpath(root)
    folders = list(_folders(real))
    # Whoever may exchange a link on the way to it has us work elsewhere.
    inner = [os.path.join(real, name) for name, _ in folders[1:]]
    elsewhere = [way for path in inner for way in access.ways_to(path) if _leads_out(way, real)]
    ways = dict.fromkeys([real, os.path.abspath(root), *access.ways_to(root), *elsewhere])
    above = dict.fromkeys(found for way in ways for found in access.replacers(way))
    lines = [f"{path} ({who}), which it lies in" for path, who in above]
    lines += [line for way in ways for line in _of_a_link(way)]
    for name, path in folders:
        if others := _of_a_folder(path):
            lines.append(f"{name} ({', '.join(others)})")
    return lines


def _of_a_folder(path: str) -> list[str]:
    from queuectl.system import access

    def ask() -> list[str]:
        found = os.stat(path)
        owner = access.owner_of(path, found)
        others = [] if access.is_ours(owner) else [access.called(owner)]
        return others + access.writers(path, found)

    try:
        return system.with_patience(ask)
    except FileNotFoundError:
        # RACE: that of a worker who has just ended.
        return []


def _of_a_link(path: str) -> Iterator[str]:
    from queuectl.system import access

    if os.path.islink(path):
        owner = access.owner_of(path, os.lstat(path))
        if not access.is_ours(owner):
            yield f"{path} ({access.called(owner)}), which leads to it"


def _leads_out(path: str, root: str) -> bool:
    return not path.startswith(os.path.join(root, "")) and path != root


def refuse_strangers(root: str) -> None:
    """Refuse to run commands that others may give.

    Raises:
        SpoolUnusable: others may write into the spool.
    """
    lines = strangers(root)
    if lines:
        raise SpoolUnusable(
            f"others may write to {root}, and so run commands as you: {'; '.join(lines)}",
            hint="queuectl init --private makes it yours alone; --trust-writers runs what they give, too",
        )


def make_private(root: str) -> None:
    """Make the spool its owner's alone, but for folders of somebody else to which it leads.

    Raises:
        OSError: that is not ours to say.
    """
    from queuectl.system import access

    real = os.path.realpath(root)
    owner = access.owner_of(real, os.stat(real))
    for _, path in _folders(real):
        # RACE: that of a worker who has just ended.
        with suppress(FileNotFoundError):
            access.make_private(os.path.realpath(path), owner)


def refuse_still_open(root: str) -> None:
    """What is to be said when a spool was made private, and is not.

    Raises:
        SpoolUnusable: others may write into the spool, or put another in its place.
    """
    if lines := strangers(root):
        raise SpoolUnusable(
            f"{root} itself is private now, but others may still write to {'; '.join(lines)}",
            hint="put it into a folder that is yours alone, or have its owner do this",
        )


def _folders(root: str) -> Iterator[tuple[str, str]]:
    yield os.path.basename(root), root
    for name in layout.FOLDERS:
        if os.path.isdir(path := os.path.join(root, name)):
            yield name, os.path.realpath(path)
    for kept in (f"{name}/{layout.RECORDS}" for name in (layout.SCHEDULES, layout.GROUPS)):
        if os.path.isdir(path := os.path.join(root, *kept.split("/"))):
            yield kept, os.path.realpath(path)
    processing = os.path.join(root, State.PROCESSING.folder)
    for name in sorted(system.names_in(processing)):
        if os.path.isdir(path := os.path.join(processing, name)):
            yield f"{State.PROCESSING.folder}/{name}", path
