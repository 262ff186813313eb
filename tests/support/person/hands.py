"""A person's hands in the folder: what they do to a job's file. `moments` has when they do it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

Act = Callable[[Path], None]
"""What is done to the file at this path, in a folder called `spool`."""

ORIGINAL, EDITED, LINKED = "echo original", "echo edited", "echo linked"
RUBBISH = b'{"command": "echo rubbish'
LETTER = b"mine, and no job"
_OLD = 1_000_000_000
_PLAIN_FOLDERS = ("pending", "failed", "done", "dead")


def spool_of(path: Path) -> Path:
    """The spool that this path lies in."""
    return next(parent for parent in path.parents if parent.name == "spool")


def _drag(folder: str) -> Act:
    def act(path: Path) -> None:
        os.rename(path, spool_of(path) / folder / path.name)

    return act


def _copy(folder: str) -> Act:
    def act(path: Path) -> None:
        target = spool_of(path) / folder / path.name
        if target == path:
            # As Explorer names it.
            target = path.with_name(f"{path.stem} - Copy.json")
        target.write_bytes(path.read_bytes())

    return act


def _touch(path: Path) -> None:
    os.utime(path, (_OLD, _OLD))


def _make_read_only(path: Path) -> None:
    path.chmod(stat.S_IREAD)


def _rename(path: Path) -> None:
    os.rename(path, path.with_name("b.json"))


def _rename_away(path: Path) -> None:
    os.rename(path, path.with_name("a.json.old"))


def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"original", b"edited"))


def _rewrite(path: Path) -> None:
    new = path.with_name("~$new.tmp")
    new.write_text(json.dumps({"command": EDITED}), encoding="utf-8")
    os.replace(new, path)


def _to_rubbish(path: Path) -> None:
    path.write_bytes(RUBBISH)


def _to_nothing(path: Path) -> None:
    path.write_bytes(b"")


def _to_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "letter.txt").write_bytes(LETTER)


def _to_a_link(path: Path) -> None:
    path.unlink()
    aim = spool_of(path).with_name("aim.json")
    aim.write_text(json.dumps({"command": LINKED}), encoding="utf-8")
    path.symlink_to(aim)


ACTS: dict[str, Act] = {
    "touch": _touch,
    "make read-only": _make_read_only,
    "delete": Path.unlink,
    "drag to pending": _drag("pending"),
    "drag to processing": _drag("processing"),
    "drag to failed": _drag("failed"),
    "drag to done": _drag("done"),
    "drag to dead": _drag("dead"),
    "rename": _rename,
    "rename to .old": _rename_away,
    "edit": _edit,  # Notepad: the same file, other words in it
    "rewrite": _rewrite,  # an editor that replaces the file, by one with nothing of the record
    "to rubbish": _to_rubbish,
    "to nothing": _to_nothing,
    "to a folder": _to_a_folder,
    "to a link": _to_a_link,
    "copy to pending": _copy("pending"),
    "copy to failed": _copy("failed"),
    "copy to done": _copy("done"),
    "copy to dead": _copy("dead"),
}

_GIVEN = {"edit": EDITED, "rewrite": EDITED, "to rubbish": "echo rubbish", "to a folder": LETTER.decode()}


def given_by(act: str) -> str:
    """Text of what this act leaves in the spool: it must be found there whatever happens next."""
    if act in ("delete", "to nothing", "to a link"):
        return ""
    return _GIVEN.get(act, ORIGINAL)


def what_lies_where(root: Path) -> str:
    """Every job's file and what it holds: `dead/a-2=rubbish done/a=original`."""
    return " ".join(_shown(root))


def _shown(root: Path) -> Iterator[str]:
    for folder in ("dead", "done", "failed", "pending", "processing"):
        for path in sorted((root / folder).rglob("*")):
            where = path.relative_to(root).as_posix()
            if path.is_symlink() or path.suffix in (".json", ".old"):
                yield f"{where.replace('.json', '')}={_held(path)}"


def _held(path: Path) -> str:
    if path.is_symlink():
        return "a link"
    if path.is_dir():
        return "a folder"
    data = path.read_bytes()
    if data == RUBBISH:
        return "rubbish"
    return str(json.loads(data)["command"]).split()[-1] if data else "nothing"


def everything_in(root: Path) -> str:
    """The text of every file of the spool but the index."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("index"))
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)
