"""What an action really asks of the disk, taken down by strace: `record(box, action, variant)`.

Everything below the folder `box`, which holds the spool, is played to a `Disk` call by call; what the process
says on stdout are its acknowledgements. In the end the disk must hold what the real folder holds: a call
that was not understood does not go unnoticed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Optional

from tests.support.power.disk import Disk, File, Node
from tests.support.program import ROOT, environment

SPOOL = "spool"
PATIENCE = 60.0
_CALLS = (
    "open openat creat close dup dup2 dup3 fcntl lseek write pwrite64 writev pwritev pwritev2 sendfile "
    "copy_file_range truncate ftruncate fallocate rename renameat renameat2 link linkat symlink symlinkat "
    "unlink unlinkat mkdir mkdirat rmdir fsync fdatasync sync syncfs sync_file_range "
    "stat lstat fstat newfstatat"
)
_STRACE = ("strace", "-f", "-qq", "-v", "-xx", "-s", "99999999", "-e", "signal=none")
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_UNFINISHED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)$")
_WRITTEN = re.compile(r"st_mtime=(-?\d+)[^,]*, st_mtime_nsec=(\d+)")


class Recording(NamedTuple):
    disk: Disk
    code: int
    """How the process ended."""
    err: str


class _Open:
    """An open file; `node` is None where it is none of ours."""

    def __init__(self, path: str, node: Optional[Node], *, appends: bool = False) -> None:
        self.path, self.node, self.appends = path, node, appends
        self.position = 0


def why_not() -> Optional[str]:
    """Why nothing can be recorded here; None if it can."""
    if not sys.platform.startswith("linux"):
        return "strace is for Linux"
    if shutil.which("strace") is None:
        return "there is no strace"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True)
    return f"strace is not allowed here: {tried.stderr}" if tried.returncode else None


def record(box: Path, action: str, variant: str = "sound") -> Recording:
    """Do this to the spool in `box`, and take down what is asked of the disk."""
    box = Path(os.path.realpath(box))
    disk, trace = Disk(box), box.with_name(f"{box.name}.trace")
    calls = ",".join(f"?{name}" for name in _CALLS.split())
    strace = [*_STRACE, "-e", f"trace={calls}", "-o", str(trace)]
    env = environment()
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env["PYTHONPATH"]])
    child = subprocess.run(
        [*strace, sys.executable, "-m", "tests.support.power.recorded", str(box / SPOOL), action, variant],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
    )
    player = _Player(disk, str(box))
    with open(trace, encoding="ascii") as lines:
        for line in _whole(lines):
            player.play(line)
    _compare(disk, box)
    said = [text for _, text in disk.said]
    assert said == child.stdout.decode().splitlines(), f"{said} was seen, {child.stdout!r} was said"
    return Recording(disk, child.returncode, child.stderr.decode("utf-8", "replace"))


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Each call in one line: strace breaks one off where another thread comes in between."""
    begun: dict[str, str] = {}
    for line in lines:
        if broken := _UNFINISHED.match(line):
            begun[broken[1]] = line[: broken.end(2)]
        elif rest := _RESUMED.match(line):
            yield begun.pop(rest[1]) + rest[2]
        else:
            yield line


def _compare(disk: Disk, box: Path) -> None:
    """Fail where the disk is not told of something that has happened."""
    real = {path.relative_to(box).as_posix(): path.read_bytes() for path in box.rglob("*") if path.is_file()}
    played = disk.contents()
    assert real.keys() == played.keys(), f"names: {real.keys() ^ played.keys()}"
    wrong = [path for path, data in real.items() if played[path] != data and not path.endswith("-shm")]
    assert not wrong, f"the contents of {wrong} were not taken down"
    for path in real:
        file, mtime_ns = disk.find(path), (box / path).stat().st_mtime_ns
        assert isinstance(file, File)
        if file.mtime_ns is not None and path.endswith(".json"):
            # By it the index knows a record again.
            assert file.mtime_ns == mtime_ns, f"the time of {path} was taken down wrongly"
        file.mtime_ns = mtime_ns


class _Player:
    """Plays traced calls to a disk; keeps the table of open files as the kernel does."""

    def __init__(self, disk: Disk, box: str) -> None:
        self.disk, self.box = disk, box
        self.open: dict[str, _Open] = {}

    def play(self, line: str) -> None:
        call = _LINE.match(line)
        if call is None or int(call[4]) < 0:
            return
        assert '"...' not in line, f"cut off: {line[:200]}"
        played = getattr(self, f"_{call[2].rstrip('0123456789')}", None)
        if played is not None:
            played(call[3].split(", "), int(call[4]))

    # Paths

    def _inside(self, path: str) -> Optional[str]:
        """The path below the box; None for one elsewhere, or of the box itself."""
        return path[len(self.box) + 1 :] if path.startswith(self.box + os.sep) else None

    def _at(self, folder: str, text: str) -> str:
        path = os.fsdecode(_bytes(text))
        if not os.path.isabs(path) and folder in self.open:
            path = os.path.join(self.open[folder].path, path)
        return os.path.normpath(path)

    def _node(self, path: str) -> Optional[Node]:
        inside = self._inside(path)
        return self.disk.root if path == self.box else None if inside is None else self.disk.find(inside)

    def _file(self, number: str) -> Optional[File]:
        found = self.open.get(number)
        return found.node if found is not None and isinstance(found.node, File) else None

    # Open files

    def _openat(self, args: list[str], result: int) -> None:
        path, flags = self._at(args[0], args[1]), args[2].split("|")
        inside, node = self._inside(path), self._node(path)
        if inside is not None and node is None:
            node = self.disk.create(inside)
            node.in_memory = inside.endswith("-shm")
        elif isinstance(node, File) and "O_TRUNC" in flags and node.size:
            self._change(path, node, 0, None)
        self.open[str(result)] = _Open(path, node, appends="O_APPEND" in flags)

    def _open(self, args: list[str], result: int) -> None:
        self._openat(["AT_FDCWD", *args], result)

    def _creat(self, args: list[str], result: int) -> None:
        self._openat(["AT_FDCWD", args[0], "O_CREAT|O_TRUNC"], result)

    def _close(self, args: list[str], result: int) -> None:
        self.open.pop(args[0], None)

    def _dup(self, args: list[str], result: int) -> None:
        self.open.pop(str(result), None)
        if args[0] in self.open:
            self.open[str(result)] = self.open[args[0]]

    def _fcntl(self, args: list[str], result: int) -> None:
        if args[1].startswith("F_DUPFD"):
            self._dup(args, result)

    def _lseek(self, args: list[str], result: int) -> None:
        if args[0] in self.open:
            self.open[args[0]].position = result

    # Data

    def _write(self, args: list[str], result: int) -> None:
        data = b"".join(_bytes(text) for text in args)[:result]
        if args[0] == "1" and "1" not in self.open:
            for line in data.decode().splitlines():
                self.disk.say(line)
        elif (file := self._file(args[0])) is not None:
            mine = self.open[args[0]]
            at = file.size if mine.appends else mine.position
            mine.position = at + result
            self._change(mine.path, file, at, data)

    _writev = _write

    def _pwrite(self, args: list[str], result: int) -> None:
        if (file := self._file(args[0])) is not None:
            self._change(self.open[args[0]].path, file, int(args[3]), _bytes(args[1])[:result])

    def _sendfile(self, args: list[str], result: int) -> None:
        source, target = self._file(args[1]), self._file(args[0])
        if source is not None and target is not None and result:
            at = int(re.findall(r"\d+", args[2])[0]) if args[2] != "NULL" else self.open[args[1]].position
            mine = self.open[args[0]]
            self._change(mine.path, target, mine.position, source.now()[at : at + result])
            mine.position += result

    def _ftruncate(self, args: list[str], result: int) -> None:
        file = self._file(args[0])
        if file is not None and file.size != int(args[1]):
            self._change(self.open[args[0]].path, file, int(args[1]), None)

    def _change(self, path: str, file: File, at: int, data: Optional[bytes]) -> None:
        name = os.path.relpath(path, self.box)
        if data is None and not file.in_memory:
            self.disk.cut(file, at, name)
        elif data is not None and not file.in_memory:
            self.disk.write(file, at, data, name)

    def _fsync(self, args: list[str], result: int) -> None:
        found = self.open.get(args[0])
        if found is not None and found.node is not None:
            self.disk.sync(found.node, os.path.relpath(found.path, self.box))

    _fdatasync = _fsync

    def _syncfs(self, args: list[str], result: int) -> None:
        if args[0] in self.open and self.open[args[0]].node is not None:
            self.disk.sync_all()

    # Names

    def _renameat(self, args: list[str], result: int) -> None:
        old, new = self._inside(self._at(*args[:2])), self._inside(self._at(*args[2:4]))
        assert (old is None) == (new is None), f"a move across the border: {old} {new}"
        if old is not None and new is not None:
            self.disk.rename(old, new)

    def _rename(self, args: list[str], result: int) -> None:
        self._renameat(["AT_FDCWD", args[0], "AT_FDCWD", args[1]], result)

    def _link(self, args: list[str], result: int) -> None:
        old, new = (self._inside(self._at("AT_FDCWD", text)) for text in args)
        if old is not None and new is not None:
            self.disk.link(old, new)

    def _unlinkat(self, args: list[str], result: int) -> None:
        inside = self._inside(self._at(*args[:2]))
        if inside is not None and args[2:] == ["AT_REMOVEDIR"]:
            self.disk.remove_folder(inside)
        elif inside is not None:
            self.disk.remove(inside)

    def _unlink(self, args: list[str], result: int) -> None:
        self._unlinkat(["AT_FDCWD", args[0]], result)

    def _rmdir(self, args: list[str], result: int) -> None:
        self._unlinkat(["AT_FDCWD", args[0], "AT_REMOVEDIR"], result)

    def _mkdirat(self, args: list[str], result: int) -> None:
        inside = self._inside(self._at(*args[:2]))
        if inside is not None:
            self.disk.make_folder(inside)

    def _mkdir(self, args: list[str], result: int) -> None:
        self._mkdirat(["AT_FDCWD", args[0]], result)

    # Times

    def _newfstatat(self, args: list[str], result: int) -> None:
        path = self._at(*args[:2])
        node = self._file(args[0]) if args[1] == '""' else self._node(path)
        written = _WRITTEN.search(", ".join(args))
        if isinstance(node, File) and written is not None:
            node.mtime_ns = int(written[1]) * 10**9 + int(written[2])

    def _stat(self, args: list[str], result: int) -> None:
        self._newfstatat(["AT_FDCWD", *args], result)

    _lstat = _stat

    def _fstat(self, args: list[str], result: int) -> None:
        self._newfstatat([args[0], '""', *args[1:]], result)


def _bytes(text: str) -> bytes:
    """The bytes of what strace prints in hexadecimal, wherever in `text` they are."""
    return b"".join(bytes.fromhex(found.replace("\\x", "")) for found in re.findall(r'"([^"]*)"', text))
