"""Who may write into a spool, and so run commands as the user of its workers.

Workers refuse a spool that others may write to, and in any spool a job file that somebody else owns or may
change, as cron and sshd refuse such files (OpenSSH: StrictModes).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Optional

from queuectl.errors import SpoolUnusable
from queuectl.spool import layout
from queuectl.state import State


class Trust:
    """Whose job files count in one spool: those of this user, of its owner and of root or Administrators."""

    def __init__(self, root: str, *, everyone: bool = False) -> None:
        from queuectl.system import access

        self._everyone = everyone
        if not everyone:
            found = os.stat(root)
            self._owner = access.owner_of(root, found)
            self._open = access.may_enter(found)

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
        others = access.writers(path, found) if self._open else []
        return f"others may change it ({', '.join(others)})" if others else None


def strangers(root: str) -> list[str]:
    """Who else may write into this spool: a line a folder, as in "pending (everyone)"."""
    from queuectl.system import access

    real = os.path.realpath(root)
    folders = list(_folders(real))
    # Whoever may exchange a link on the way to it has us work elsewhere.
    elsewhere = [path for _, path in folders if _leads_out(path, real)]
    ways = dict.fromkeys([real, os.path.abspath(root), *elsewhere])
    above = dict.fromkeys(found for way in ways for found in access.replacers(way))
    lines = [f"{path} ({who}), which it lies in" for path, who in above]
    for name, path in folders:
        found = os.stat(path)
        owner = access.owner_of(path, found)
        others = [] if access.is_ours(owner) else [access.called(owner)]
        if others := others + access.writers(path, found):
            lines.append(f"{name} ({', '.join(others)})")
    return lines


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
    """Make the spool this user's alone.

    Raises:
        OSError: that is not ours to say.
    """
    from queuectl.system import access

    for _, path in _folders(os.path.realpath(root)):
        access.make_private(path)


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
    processing = os.path.join(root, State.PROCESSING.folder)
    for name in sorted(os.listdir(processing)) if os.path.isdir(processing) else []:
        if os.path.isdir(path := os.path.join(processing, name)):
            yield f"{State.PROCESSING.folder}/{name}", path
