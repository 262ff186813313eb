"""Making a spool, and what is missing of one."""

from __future__ import annotations

import os
from typing import Callable

from queuectl import system
from queuectl.errors import SpoolUnusable, system_error
from queuectl.spool import layout
from queuectl.spool.tmp import TmpFolder


def ensure_spool(root: str) -> bool:
    """Make `root` a whole spool where it is not; True if it was none before.

    Raises:
        SpoolUnusable: it holds other things, or cannot be made.
    """
    if layout.is_whole(root) or (layout.is_spool(root) and not os.access(root, os.W_OK)):
        # One of an earlier release that this user may only look at does as it is.
        return False
    return make_spool(root)


def make_spool(root: str, *, force: bool = False) -> bool:
    """Make `root` a spool, adding what is missing; True if it was none before.

    `force` turns a folder into a spool even when it holds other things.

    Raises:
        SpoolUnusable: it cannot be made there.
    """
    layout.refuse_to_lead_root(root)
    layout.check_format(root)
    new = not layout.is_spool(root)
    if os.path.isfile(root):
        raise SpoolUnusable(f"{root} is a file, not a folder")
    try:
        if new and not force and os.path.isdir(root) and not _may_become_spool(root):
            raise SpoolUnusable(
                f"{root} is no spool and holds other files",
                hint=f'if it should become one: queuectl --spool "{root}" init',
            )
        _make_root(root)
        complete(root)
        if new:
            system.sync_folder(os.path.dirname(os.path.abspath(root)))
    except OSError as error:
        raise _unusable(root, error) from error
    return new


def complete(root: str) -> None:
    """Make what is missing of a spool.

    Raises:
        SpoolUnusable: that cannot be done; where `root` is not there (any more) nothing is made.
    """
    try:
        for name in layout.FOLDERS:
            system.make_folder(os.path.join(root, name))
        _write_texts(root)
        system.sync_folder(root)
    except OSError as error:
        raise _unusable(root, error) from error


def _unusable(root: str, error: OSError) -> SpoolUnusable:
    return SpoolUnusable(f"cannot use {root} as a spool: {system_error(error).message}")


def _make_root(root: str) -> None:
    if not os.path.isdir(root):
        from queuectl.system import access

        try:
            access.make_private_folder(root)
        except FileExistsError:
            # RACE: another program makes the same spool.
            return


def _may_become_spool(root: str) -> bool:
    ours = (*layout.FOLDERS, layout.ARCHIVE, layout.SERVICE, *layout.TEXTS, *layout.PAUSED)
    names = os.listdir(root)
    return all(name.startswith((".", layout.INDEX)) or name in ours for name in names)


def _write_texts(root: str) -> None:
    # Where they are there, as mostly, they are not made: a schema takes as long as many jobs.
    tmp = TmpFolder(root)
    for name, text in _TEXTS.items():
        path = os.path.join(root, name)
        if not os.path.lexists(path):
            # By way of tmp/, so that none is found half written.
            tmp.put(path, text())


def _readme() -> bytes:
    # Notepad before Windows 10 1809 shows one long line without the carriage returns.
    return layout.README_TEXT.replace("\n", "\r\n").encode()


def _format() -> bytes:
    return f"{layout.FORMAT_LINE} {layout.FORMAT_NUMBER}\r\n".encode()


def _job_schema() -> bytes:
    from queuectl.codec import job_schema

    return job_schema()


def _schedule_schema() -> bytes:
    from queuectl.schedule_codec import schedule_schema

    return schedule_schema()


def _group_schema() -> bytes:
    from queuectl.group_codec import group_schema

    return group_schema()


_TEXTS: dict[str, Callable[[], bytes]] = {
    layout.README: _readme,
    layout.FORMAT: _format,
    layout.SCHEMA: _job_schema,
    layout.SCHEDULE_SCHEMA: _schedule_schema,
    layout.GROUP_SCHEMA: _group_schema,
}
