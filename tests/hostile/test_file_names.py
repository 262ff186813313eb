"""Files of every strange name and kind in the state folders: run, set aside, told or left; none is lost."""

from __future__ import annotations

import os
import random
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Optional

import pytest

from queuectl.names import fold, id_problem, is_ignored, job_id_of
from tests.support.hostile.calls import call, drain, ok
from tests.support.hostile.strange_names import BAD, BYTES, GOOD, NOBODYS, TOLD, TWINS, random_name
from tests.support.hostile.zoo import job

Figure = Callable[[str, int], None]

WINDOWS = sys.platform == "win32"
SEED = 20270115
WORKER = "processing/host-1-1-old"
FOLDERS = ["pending", WORKER, "failed", "done", "dead"]


def write(path: Path, data: bytes) -> bool:
    """Whether this system has made a file of exactly this name."""
    try:
        with open(path, "xb") as file:
            file.write(data)
        if path.name in os.listdir(path.parent):
            return True
        path.unlink()
    except (OSError, ValueError):
        return False
    return False


class Cabinet:
    """A spool that is filled with files, each with a command of its own."""

    def __init__(self, root: Path, ran: list[Any]) -> None:
        self.root, self.ran = root, ran
        self.commands: dict[str, str] = {}
        ok(root, "init")
        ok(root, "config", "set", "settle_time", "0")
        (root / WORKER).mkdir()
        (root / "locks" / "host-1-1-old.lock").touch()

    def put(self, folder: str, *names: str) -> None:
        for name in names:
            command, path = f"{folder} {len(self.commands)}", self.root / folder / name
            # On Windows a backslash in it would lead out of here.
            if path.name == name and write(path, job(command=command)):
                self.commands[name] = command

    def contents(self) -> list[str]:
        """What is in the files of the state folders, whatever they are called."""
        paths = [
            os.path.join(folder, name)
            for state in ("pending", "processing", "failed", "done", "dead")
            for folder, _, names in os.walk(os.fsencode(self.root / state))
            for name in names
        ]
        plain = [path for path in paths if stat.S_ISREG(os.lstat(path).st_mode)]
        return [Path(os.fsdecode(path)).read_bytes().decode("utf-8", "replace") for path in plain]

    def expect_all_kept(self) -> None:
        contents = self.contents()
        for name, command in self.commands.items():
            copies = sum(f'"command": "{command}"' in text for text in contents)
            assert copies == 1, f"of {name!r} there are {copies}"

    def look(self) -> None:
        """Everyone may look, and changes nothing; nothing that a name holds acts on a terminal."""
        before = sorted(self.contents())
        for verb in (
            ("status",),
            ("list",),
            ("dlq", "list"),
            ("doctor",),
            ("reindex",),
            ("status", "--json"),
        ):
            answer = call(self.root, *verb)
            assert not {"\x1b", "\x07", "\r", "\x7f"} & {*answer.out, *answer.err}, (verb, answer)
        assert sorted(self.contents()) == before


@pytest.fixture
def cabinet(tmp_path: Path, ran: list[Any]) -> Cabinet:
    return Cabinet(tmp_path / "spool", ran)


class TestInPending:
    def test_a_good_name_runs_whatever_is_in_it(self, cabinet: Cabinet) -> None:
        cabinet.put("pending", *GOOD)
        assert len(cabinet.commands) > len(GOOD) // 2
        cabinet.look()
        drain(cabinet.root)
        assert sorted(cabinet.ran) == sorted(cabinet.commands.values())
        cabinet.expect_all_kept()
        assert len(list((cabinet.root / "done").iterdir())) == len(cabinet.commands)

    def test_of_two_names_of_one_id_both_run(self, cabinet: Cabinet) -> None:
        for pair in TWINS:
            cabinet.put("pending", *pair)
        drain(cabinet.root)
        assert sorted(cabinet.ran) == sorted(cabinet.commands.values())
        cabinet.expect_all_kept()
        done = [path.stem for path in (cabinet.root / "done").iterdir()]
        assert len({fold(name) for name in done}) == len(done) == len(cabinet.commands)

    def test_a_bad_name_is_set_aside_under_a_good_one(self, cabinet: Cabinet) -> None:
        cabinet.put("pending", *BAD)
        cabinet.look()
        drain(cabinet.root)
        assert cabinet.ran == []
        cabinet.expect_all_kept()
        dead = [path for path in (cabinet.root / "dead").iterdir() if path.suffix == ".json"]
        assert len(dead) == len([name for name in cabinet.commands if not is_ignored(name)])
        assert all(id_problem(path.stem) is None for path in dead)
        assert all(path.with_name(f"{path.stem}.error.txt").exists() for path in dead)
        cabinet.look()

    def test_what_is_nobodys_is_left_and_not_told(self, cabinet: Cabinet) -> None:
        cabinet.put("pending", *NOBODYS)
        drain(cabinet.root)
        assert cabinet.ran == []
        assert {*os.listdir(cabinet.root / "pending")} == {*cabinet.commands}
        assert ok(cabinet.root, "status", "--json").json["problems"] == []

    def test_what_is_not_named_like_a_job_is_left_and_told(self, cabinet: Cabinet) -> None:
        cabinet.put("pending", *TOLD)
        drain(cabinet.root)
        assert cabinet.ran == []
        assert {*os.listdir(cabinet.root / "pending")} == {*cabinet.commands}
        assert len(ok(cabinet.root, "status", "--json").json["problems"]) == len(cabinet.commands)

    @pytest.mark.skipif(WINDOWS, reason="names are Unicode there")
    def test_a_name_of_another_encoding_is_left_and_told(self, cabinet: Cabinet) -> None:
        made = [name for name in BYTES if write(cabinet.root / "pending" / os.fsdecode(name), job())]
        if not made:
            pytest.skip("this file system takes Unicode names only")
        cabinet.look()
        drain(cabinet.root)
        assert {*os.listdir(os.fsencode(cabinet.root / "pending"))} == {*made}
        assert len(ok(cabinet.root, "status", "--json").json["problems"]) == len(made)


@pytest.mark.parametrize("folder", FOLDERS[1:])
def test_elsewhere_no_name_stops_anybody_and_no_file_is_lost(cabinet: Cabinet, folder: str) -> None:
    twins = [name for pair in TWINS for name in pair]
    cabinet.put(folder, *GOOD, *twins, *BAD, *NOBODYS, *TOLD)
    if not WINDOWS:
        for name in BYTES:
            write(cabinet.root / folder / os.fsdecode(name), job())
    cabinet.look()
    drain(cabinet.root)
    cabinet.expect_all_kept()
    cabinet.look()
    call(cabinet.root, "doctor", "--fix")
    cabinet.expect_all_kept()
    assert len(cabinet.ran) == len({*cabinet.ran})


@pytest.mark.skipif(WINDOWS, reason="Windows keeps no such names")
@pytest.mark.parametrize(
    "name", ["x", "a b", "host", "host-1", "..a", "a\nb", "\x1b[31m", "a\udcff", "x" * 255]
)
def test_a_folder_in_processing_that_is_no_workers_is_told_and_left(cabinet: Cabinet, name: str) -> None:
    (cabinet.root / "processing" / name).mkdir()
    cabinet.put(f"processing/{name}", "a.json")
    cabinet.look()
    drain(cabinet.root)
    assert cabinet.ran == []
    assert (cabinet.root / "processing" / name / "a.json").exists()
    assert len(ok(cabinet.root, "status", "--json").json["problems"]) == 1


# Things that are no files


def _device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))


def _socket(path: Path) -> None:
    # An address has at most about a hundred bytes.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with closing(socket.socket(socket.AF_UNIX)) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


THINGS: dict[str, Callable[[Path], Any]] = {
    "folder": lambda path: path.mkdir(),
    "fifo": lambda path: os.mkfifo(path),  # noqa: PLW0108 (there is none on Windows)
    "socket": _socket,
    "device": _device,
    "link out": lambda path: path.symlink_to(
        path.parents[path.parts[::-1].index("spool")] / "../secret.json"
    ),
    "link to nowhere": lambda path: path.symlink_to("no/such/file"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a folder": lambda path: path.symlink_to(".."),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_no_file_is_told_and_left(cabinet: Cabinet, tmp_path: Path, folder: str) -> None:
    secret, before = tmp_path / "secret.json", {}
    secret.write_bytes(job(command="secret"))
    for number, (kind, make) in enumerate(THINGS.items()):
        path = cabinet.root / folder / f"thing{number}.json"
        try:
            make(path)
            before[path] = os.lstat(path)
        except (OSError, AttributeError):
            print("this user cannot make here: a", kind)
    cabinet.look()
    for path in before:
        # In a dead worker's folder a cancel waits for whoever frees it, a quarter of a minute.
        for verb in ("show", "logs", "retry", *(["cancel"] if folder != WORKER else [])):
            assert "secret" not in call(cabinet.root, verb, path.stem).out
    drain(cabinet.root)
    assert cabinet.ran == []
    told = " ".join(_problems(cabinet.root))
    for path, was in before.items():
        assert (os.lstat(path).st_ino, os.lstat(path).st_mode) == (was.st_ino, was.st_mode)
        assert f"{folder}/{path.name}" in told
    assert secret.read_bytes() == job(command="secret")


def _problems(root: Path) -> list[str]:
    return [str(text) for text in ok(root, "status", "--json").json["problems"]]


@pytest.mark.skipif(WINDOWS, reason="hard links are rare there")
def test_two_names_of_one_file_are_two_jobs(cabinet: Cabinet) -> None:
    cabinet.put("pending", "first.json")
    os.link(cabinet.root / "pending" / "first.json", cabinet.root / "pending" / "second.json")
    drain(cabinet.root)
    assert len(cabinet.ran) == 2
    assert {path.stem for path in (cabinet.root / "done").iterdir()} == {"first", "second"}


@pytest.mark.skipif(WINDOWS, reason="hard links are rare there")
def test_a_file_that_has_another_name_elsewhere_is_not_written_to(cabinet: Cabinet, tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_bytes(job(command="mine"))
    os.link(mine, cabinet.root / "pending" / "a.json")
    drain(cabinet.root)
    assert cabinet.ran == ["mine"]
    assert mine.read_bytes() == job(command="mine")


# Names at random


def some_names_at_random(tmp_path: Path, ran: list[Any], rounds: int) -> Iterator[int]:
    chance = random.Random(SEED)
    for number in range(rounds):
        cabinet = Cabinet(tmp_path / f"{number}" / "spool", ran)
        names = [random_name(chance) for _ in range(25)]
        for name in names:
            cabinet.put("pending", name)
        ran.clear()
        drain(cabinet.root)
        cabinet.expect_all_kept()
        runs = {name for name in cabinet.commands if _will_run(name)}
        assert sorted(ran) == sorted(cabinet.commands[name] for name in runs), (SEED, number)
        cabinet.look()
        yield len(cabinet.commands)


def _will_run(name: str) -> bool:
    job_id: Optional[str] = job_id_of(name)
    return job_id is not None and id_problem(job_id) is None


def test_names_at_random(tmp_path: Path, ran: list[Any], figure: Figure) -> None:
    figure("fuzz: file names", sum(some_names_at_random(tmp_path, ran, 4)))


@pytest.mark.slow
def test_many_names_at_random(tmp_path: Path, ran: list[Any], figure: Figure) -> None:
    figure("fuzz: file names", sum(some_names_at_random(tmp_path, ran, 100)))
