"""What may be found on a disk after a loss of power: every state, by rules that are weaker than any one file
system's, so that what holds here holds on all of them.

- **Names** (create, rename, remove, mkdir, rmdir) reach the disk some time later, each one whole: a rename is
  atomic over both of its folders. `ORDERS` says how far one may overtake another:
    - in order: what is found is a beginning of what was asked (ext4, XFS: one journal);
    - by folder: those that have no folder in common may overtake one another;
    - by name: so may those in one folder that have neither a name nor a file in common (btrfs).
  In each, a folder is there before what is in it, and is removed after it.
- **fsync of a folder** makes durable the names in it, and what must come before them. It vouches neither for
  other folders nor for its own name in its parent; fsync(2) asks for an fsync of that one.
- **fsync of a file** makes its data durable and not its name (ext4 would commit its whole journal).
- **Data that was not fsynced** is there, or is not (the file is empty: delayed allocation), or is in part, or
  is zeros of the right length, or is there but for its beginning; whatever became of the names.
- What was written through memory (SQLite's -shm) may hold anything.

After Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014): file systems differ in just these
properties, and programs break where they rely on those of one. Not covered: a disk that lies about an fsync,
and file systems whose rename is not atomic (FAT).

Where there are too many states, only those are taken that differ in one thing from "everything is there" or
from "nothing is there but what must be": one name op, with those that depend on it, or one file's data.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from tests.support.power.disk import Change, Disk, File, NameOp, Node, apply, put_on, replay, walk

ORDERS = ("in order", "by folder", "by name")
MOST_SETS = 48
"""Sets of surviving names up to which all are tried, for one moment and one order."""


class Content(NamedTuple):
    """What is found under one path; `data` is None for a folder."""

    data: Optional[bytes]
    mtime_ns: Optional[int]
    digest: bytes


class State(NamedTuple):
    """What is found, and what somebody had been told before the power went."""

    tree: dict[str, Content]
    said: list[str]
    order: str
    story: str

    def put_on(self, target: Path) -> None:
        """Make a real folder of it."""
        target.mkdir()
        for path, content in self.tree.items():
            put_on(target, path, content.data, content.mtime_ns)


def losses(disk: Disk, orders: Sequence[str] = ORDERS) -> Iterator[State]:
    """Every state after a loss of power at any moment; each once for what had been said by then."""
    seen: set[tuple[bytes, int]] = set()
    rules = [_Rule(disk, order) for order in orders]
    remains = _Remains(disk)
    for cut in _moments(disk):
        said = [text for moment, text in disk.said if moment <= cut]
        for rule in rules:
            for names in rule.survivors(cut):
                thorough = names == rule.all_until(cut)
                for harm, tree in remains.found(names, cut, thorough=thorough):
                    key = (_digest(tree), len(said))
                    if key not in seen:
                        seen.add(key)
                        story = f"{rule.order}, after [{disk.stories[cut]}]: {rule.told(names, cut)}, {harm}"
                        yield State(tree, said, rule.order, story)


def _moments(disk: Disk) -> Iterator[int]:
    """After each step; of writes in a row to one file only the last, since part of it may be lost anyway."""
    written = {change.moment: id(file) for file in disk.files for change in file.changes}
    for moment in range(disk.moment + 1):
        if moment not in written or written[moment] != written.get(moment + 1):
            yield moment


def _digest(tree: dict[str, Content]) -> bytes:
    digest = blake2b(digest_size=16)
    for path in sorted(tree):
        digest.update(path.encode("utf-8", "surrogateescape") + b"\0" + tree[path].digest)
    return digest.digest()


# Names. A set of name ops is a number of which bit i stands for the i-th.


def _meet(one: NameOp, two: NameOp) -> bool:
    """Whether they name one file, or one is about the folder that the other happens in."""
    for folder, name, node in one.sets:
        for other, other_name, other_node in two.sets:
            if (folder is other and name == other_name) or (node is not None and node is other_node):
                return True
    happens_before = any(folder is two.removed for folder, _, _ in one.sets)
    return happens_before or _makes_room_for(one, two)


def _makes_room_for(one: NameOp, two: NameOp) -> bool:
    return one.made is not None and any(folder is one.made for folder, _, _ in two.sets)


def _share_a_folder(one: NameOp, two: NameOp) -> bool:
    return any(folder is other for folder, _, _ in one.sets for other, _, _ in two.sets) or _meet(one, two)


_STAY_IN_ORDER: dict[str, Callable[[NameOp, NameOp], bool]] = {
    "in order": lambda one, two: True,
    "by folder": _share_a_folder,
    "by name": _meet,
}


class _Rule:
    """Which names may survive under one of the orders."""

    def __init__(self, disk: Disk, order: str) -> None:
        self.names, self.order = disk.names, order
        self._times = [op.moment for op in disk.names]
        self._before: list[int] = []
        """Of each op those that may not be lost when it is kept."""
        self._needs: list[int] = []
        """The same with those before them, and itself."""
        for i, op in enumerate(disk.names):
            before = [j for j in range(i) if _STAY_IN_ORDER[order](disk.names[j], op)]
            self._before.append(_bits(before))
            needs = 1 << i
            for j in before:
                needs |= self._needs[j]
            self._needs.append(needs)

    def all_until(self, cut: int) -> int:
        return (1 << bisect_right(self._times, cut)) - 1

    def told(self, names: int, cut: int) -> str:
        lost = [op.what for i, op in enumerate(self.names) if op.moment <= cut and not names >> i & 1]
        return f"without {lost}" if lost else "with all names"

    def survivors(self, cut: int) -> Iterator[int]:
        """Sets of ops: each with those before it, and all durable ones."""
        everything, durable = self.all_until(cut), self._durable(cut)
        found = list(islice(self._sets(everything, durable), MOST_SETS + 1))
        if len(found) <= MOST_SETS:
            yield from found
            return
        yield everything
        for i in _members(everything & ~durable):
            yield durable | self._needs[i]
            dependent = _bits(j for j in _members(everything) if self._needs[j] >> i & 1)
            yield (everything & ~dependent) | durable

    def _durable(self, cut: int) -> int:
        durable = 0
        todo = _bits(
            i
            for i, op in enumerate(self.names)
            if any(op.moment < sync <= cut for folder, _, _ in op.sets for sync in folder.syncs)
        )
        while todo:
            durable |= todo
            brought = 0
            for i in _members(todo):
                brought |= self._before[i] & ~self._rooms(i, cut)
            todo = brought & ~durable
        return durable

    def _rooms(self, i: int, cut: int) -> int:
        """Where folders were made whose fsync has made the i-th op durable, but not their own names."""
        op = self.names[i]
        synced = [f for f, _, _ in op.sets if any(op.moment < sync <= cut for sync in f.syncs)]
        return _bits(j for j in range(i) if any(self.names[j].made is folder for folder in synced))

    def _sets(self, everything: int, durable: int) -> Iterator[int]:
        todo = [(0, durable)]
        while todo:
            i, kept = todo.pop()
            while durable >> i & 1:
                i += 1
            if not everything >> i:
                yield kept
                continue
            todo.append((i + 1, kept))
            if not self._before[i] & ~kept:
                todo.append((i + 1, kept | 1 << i))


def _bits(members: Iterable[int]) -> int:
    bits = 0
    for i in members:
        bits |= 1 << i
    return bits


def _members(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


# Data


class _Remains:
    """What the surviving names lead to, and what may have become of the data."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._trees: dict[int, dict[str, Node]] = {}
        self._contents: dict[tuple[int, tuple[Change, ...]], Content] = {}

    def found(self, names: int, cut: int, *, thorough: bool) -> Iterator[tuple[str, dict[str, Content]]]:
        """Trees, each with the name of its harm; `thorough` harms one file after the other, too."""
        tree = self._tree(names)
        kept = {path: self._kept(node, cut) for path, node in tree.items()}
        yield "with all data", kept
        unsure = {path: one for path, one in tree.items() if isinstance(one, File) and _pending(one, cut)}
        if not unsure:
            return
        lost = {path: self._content(file, _synced(file, cut)) for path, file in unsure.items()}
        yield f"without the data of {sorted(unsure)}", {**kept, **lost}
        for path, file in unsure.items() if thorough else ():
            yield f"without the data of {path}", {**kept, path: lost[path]}
            for how, changes in _harms(_pending(file, cut)):
                harmed = self._content(file, [*_synced(file, cut), *changes])
                yield f"with the data of {path} {how}", {**kept, path: harmed}

    def _tree(self, names: int) -> dict[str, Node]:
        if names not in self._trees:
            entries = replay([self._disk.names[i] for i in _members(names)])
            self._trees[names] = dict(walk(self._disk.root, entries))
        return self._trees[names]

    def _kept(self, node: Node, cut: int) -> Content:
        if not isinstance(node, File):
            return Content(None, None, b"a folder")
        return self._content(node, [change for change in node.changes if change.moment <= cut])

    def _content(self, file: File, changes: Sequence[Change]) -> Content:
        key = (id(file), tuple(changes))
        if key not in self._contents:
            data = bytearray(b"\xa5" * 32768 if file.in_memory else file.base)
            for change in changes:
                apply(change, data)
            # The time is the same whatever became of the data: the worst for who trusts in it.
            digest = blake2b(data, digest_size=16).digest()
            self._contents[key] = Content(bytes(data), file.mtime_ns, digest)
        return self._contents[key]


def _synced(file: File, cut: int) -> list[Change]:
    last = max((moment for moment in file.syncs if moment <= cut), default=-1)
    return [change for change in file.changes if change.moment <= last]


def _pending(file: File, cut: int) -> list[Change]:
    return [change for change in file.changes if change.moment <= cut][len(_synced(file, cut)) :]


def _harms(pending: list[Change]) -> Iterator[tuple[str, list[Change]]]:
    """What may be left of writes besides all and nothing."""
    middle = pending[len(pending) // 2]
    if middle.data is not None:
        middle = middle._replace(data=middle.data[: len(middle.data) // 2])
    yield "torn", [*pending[: len(pending) // 2], middle]
    yield "zeros", [one._replace(data=one.data and bytes(len(one.data))) for one in pending]
    if len(pending) > 1:
        yield "but for its end", pending[:-1]
    yield "but for its beginning", pending[-1:] if len(pending) > 1 else _without_beginning(pending[0])


def _without_beginning(change: Change) -> list[Change]:
    if change.data is None:
        return [change]
    half = len(change.data) // 2
    return [change._replace(data=bytes(half) + change.data[half:])]
