"""A disk that takes down what programs ask of it, in order; `powerloss` tells what may be left of that."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Union


class Change(NamedTuple):
    """A write of `data` at `offset`, or with None a cut to the length `offset`."""

    moment: int
    offset: int
    data: Optional[bytes]


class File:
    """A file's data (an inode), which may have many names or none."""

    def __init__(self, base: bytes = b"", mtime_ns: Optional[int] = None) -> None:
        self.base = base
        self.mtime_ns = mtime_ns
        self.changes: list[Change] = []
        self.syncs: list[int] = []
        self.in_memory = False
        """Written through memory, where nobody sees it."""
        self._now = bytearray(base)

    @property
    def size(self) -> int:
        return len(self._now)

    def now(self) -> bytes:
        """The data as programs see it."""
        return bytes(self._now)

    def change(self, change: Change) -> None:
        self.changes.append(change)
        # Until somebody looks at it.
        self.mtime_ns = None
        apply(change, self._now)


class Folder:
    """A folder; `entries` is as programs see it, `base` as it was at the start."""

    def __init__(self) -> None:
        self.entries: dict[str, Node] = {}
        self.base: dict[str, Node] = {}
        self.syncs: list[int] = []


Node = Union[File, Folder]
Entries = Callable[[Folder], Mapping[str, Node]]


class NameOp(NamedTuple):
    """A change of names, in one step: what each of these stands for from now on (None: nothing)."""

    moment: int
    what: str
    sets: tuple[tuple[Folder, str, Optional[Node]], ...]
    made: Optional[Folder] = None
    removed: Optional[Folder] = None


class Disk:
    """What was on it at the start, and what was asked of it since; a moment is the time after one step."""

    def __init__(self, base: Path) -> None:
        self.root = Folder()
        self.files: list[File] = []
        self.names: list[NameOp] = []
        self.said: list[tuple[int, str]] = []
        self.stories = ["the start"]
        """Of each moment, the step before it."""
        for path in sorted(base.rglob("*")):
            folder, name = self._parent(path.relative_to(base).as_posix())
            node: Node = Folder()
            if not path.is_dir():
                node = File(path.read_bytes(), path.stat().st_mtime_ns)
                self.files.append(node)
            folder.entries[name] = folder.base[name] = node

    @property
    def moment(self) -> int:
        return len(self.stories) - 1

    def find(self, path: str) -> Optional[Node]:
        node: Optional[Node] = self.root
        for name in filter(None, path.split("/")):
            node = node.entries.get(name) if isinstance(node, Folder) else None
        return node

    def never_synced(self, path: str) -> None:
        """The data of this file was written just before the start, and was not on the disk yet then."""
        file = dict(walk(self.root, lambda folder: folder.base))[path]
        assert isinstance(file, File)
        file.changes.insert(0, Change(0, 0, file.base))
        file.base = b""

    # What is asked of it: names

    def create(self, path: str) -> File:
        file = File()
        self.files.append(file)
        self._name(f"create {path}", (path, file))
        return file

    def link(self, path: str, other: str) -> None:
        self._name(f"link {path} as {other}", (other, self.find(path)))

    def rename(self, path: str, other: str) -> None:
        self._name(f"rename {path} to {other}", (path, None), (other, self.find(path)))

    def remove(self, path: str) -> None:
        self._name(f"remove {path}", (path, None))

    def make_folder(self, path: str) -> None:
        folder = Folder()
        self._name(f"mkdir {path}", (path, folder), made=folder)

    def remove_folder(self, path: str) -> None:
        folder = self.find(path)
        assert isinstance(folder, Folder)
        assert not folder.entries, f"{path} is not empty"
        self._name(f"rmdir {path}", (path, None), removed=folder)

    def _name(
        self,
        what: str,
        *sets: tuple[str, Optional[Node]],
        made: Optional[Folder] = None,
        removed: Optional[Folder] = None,
    ) -> None:
        places = tuple((*self._parent(path), node) for path, node in sets)
        for folder, name, node in places:
            _set(folder.entries, name, node)
        self.names.append(NameOp(self._pass(what), what, places, made, removed))

    def _parent(self, path: str) -> tuple[Folder, str]:
        head, _, name = path.rpartition("/")
        folder = self.find(head)
        assert isinstance(folder, Folder), f"there is no folder {head!r}"
        return folder, name

    # What is asked of it: data

    def write(self, file: File, offset: int, data: bytes, name: str) -> None:
        file.change(Change(self._pass(f"write {len(data)} bytes at {offset} of {name}"), offset, data))

    def cut(self, file: File, size: int, name: str) -> None:
        file.change(Change(self._pass(f"cut {name} to {size} bytes"), size, None))

    def sync(self, node: Node, name: str) -> None:
        node.syncs.append(self._pass(f"fsync {name}"))

    def sync_all(self) -> None:
        """Of everything that is there now, its data, and where it lies."""
        moment = self._pass("syncfs")
        for node in (self.root, *(node for _, node in walk(self.root))):
            node.syncs.append(moment)

    def say(self, text: str) -> None:
        """Somebody was told something."""
        self.said.append((self._pass(f"say {text!r}"), text))

    def _pass(self, story: str) -> int:
        self.stories.append(story)
        return self.moment

    # Looking

    def contents(self) -> dict[str, bytes]:
        """The files as programs see them."""
        return {path: node.now() for path, node in walk(self.root) if isinstance(node, File)}


def walk(root: Folder, entries: Entries = lambda folder: folder.entries) -> Iterator[tuple[str, Node]]:
    """Every path below `root` and what is there, folders before what is in them."""
    todo: list[tuple[str, Node]] = [("", root)]
    while todo:
        path, node = todo.pop()
        if path:
            yield path, node
        if isinstance(node, Folder):
            inside = sorted(entries(node).items(), reverse=True)
            todo += [(f"{path}/{name}" if path else name, child) for name, child in inside]


def replay(names: list[NameOp]) -> Entries:
    """What is in each folder after these, and no others."""
    entries: dict[int, dict[str, Node]] = {}
    for op in names:
        for folder, name, node in op.sets:
            _set(entries.setdefault(id(folder), dict(folder.base)), name, node)
    return lambda folder: entries.get(id(folder), folder.base)


def apply(change: Change, data: bytearray) -> None:
    """Make this change to `data`."""
    _, offset, written = change
    if written is None:
        del data[offset:]
    data += bytes(max(0, offset - len(data)))
    if written is not None:
        data[offset : offset + len(written)] = written


def put_on(target: Path, path: str, data: Optional[bytes], mtime_ns: Optional[int]) -> None:
    """Make a real file, or with None a folder."""
    if data is None:
        (target / path).mkdir()
        return
    (target / path).write_bytes(data)
    if mtime_ns is not None:
        os.utime(target / path, ns=(mtime_ns, mtime_ns))


def _set(entries: dict[str, Node], name: str, node: Optional[Node]) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node
