"""What people do with the files of a spool, in Explorer and in an editor. Steps, as in `steps`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

from tests.support.play.actors import Actor
from tests.support.play.crew import RUBBISH, Crew, job_of
from tests.support.play.model import Record, Thing, World, fold
from tests.support.play.steps import Step


@dataclass(frozen=True)
class Person(Step):
    """Acts at once: between the calls of programs, never within one."""

    token: str
    """Of the file at hand."""

    def begin(self, crew: Crew) -> Actor:
        raise AssertionError("people are no programs")

    def act(self, crew: Crew) -> bool:
        """Whether it could be done."""
        path = crew.path(self.token)
        return path is not None and self.handle(crew, path)

    def handle(self, crew: Crew, path: Path) -> bool:
        raise NotImplementedError

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        if thing.token == self.token:
            yield self.handled(thing)

    def handled(self, thing: Thing) -> Optional[Thing]:
        return thing

    def must(self, world: World, answer: Any) -> Iterable[str]:
        return [self.token] if answer and self.token in world.things else []

    def then(self, world: World, answer: Any) -> None:
        world.unseen.add(self.token)


@dataclass(frozen=True)
class Drag(Person):
    folder: str

    def handle(self, crew: Crew, path: Path) -> bool:
        return _free(crew, self.folder, path.name) and _moved(path, crew.root / self.folder / path.name)

    def handled(self, thing: Thing) -> Optional[Thing]:
        return thing.at(self.folder)


@dataclass(frozen=True)
class Rename(Person):
    name: str

    def handle(self, crew: Crew, path: Path) -> bool:
        folder = path.parent.relative_to(crew.root).as_posix()
        return _free(crew, folder, self.name) and _moved(path, path.with_name(self.name))

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        if thing.token == self.token:
            yield replace(thing, name=self.name)


@dataclass(frozen=True)
class Maker(Person):
    """Makes a new file of the one at hand."""

    new: str

    def made_of(self, thing: Thing) -> Thing:
        raise NotImplementedError

    def brings(self, world: World, answer: Any) -> dict[str, Thing]:
        before = world.things.get(self.token)
        return {self.new: self.made_of(before)} if answer and before else {}

    def then(self, world: World, answer: Any) -> None:
        world.unseen.add(self.new)


@dataclass(frozen=True)
class Copy(Maker):
    """To a folder; the copy has the time and size of the original, as in Explorer."""

    folder: str

    def handle(self, crew: Crew, path: Path) -> bool:
        target, stat = crew.root / self.folder / path.name, os.stat(path)
        if not _free(crew, self.folder, path.name):
            return False
        target.write_bytes(path.read_bytes().replace(self.token.encode(), self.new.encode()))
        os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return True

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        yield from ()

    def must(self, world: World, answer: Any) -> Iterable[str]:
        return ()

    def made_of(self, thing: Thing) -> Thing:
        return replace(thing, token=self.new, folder=self.folder)


@dataclass(frozen=True)
class Overwrite(Maker):
    """With something else: what was there is gone, whatever it was."""

    with_job: bool

    def handle(self, crew: Crew, path: Path) -> bool:
        job = json.dumps(job_of(self.new)).encode()
        _write(crew, path, job if self.with_job else RUBBISH + self.new.encode())
        return True

    def handled(self, thing: Thing) -> Optional[Thing]:
        return None

    def then(self, world: World, answer: Any) -> None:
        super().then(world, answer)
        world.written_over[self.new] = self.token

    def made_of(self, thing: Thing) -> Thing:
        record = Record() if self.with_job else None
        return replace(thing, token=self.new, record=record, fat=False, inner=None)


@dataclass(frozen=True)
class Delete(Person):
    def handle(self, crew: Crew, path: Path) -> bool:
        path.unlink()
        return True

    def handled(self, thing: Thing) -> Optional[Thing]:
        return None


@dataclass(frozen=True)
class Edit(Person):
    """Of a job some fields."""

    priority: int
    retries: Optional[int]

    def handle(self, crew: Crew, path: Path) -> bool:
        data = path.read_bytes()
        if data.startswith(RUBBISH):
            return False
        job = json.loads(data) | {"command": "edited", "priority": self.priority, "max_retries": self.retries}
        _write(crew, path, json.dumps(job).encode())
        return True

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        if thing.token == self.token and thing.record is not None:
            edited = {"command": "edited", "priority": self.priority, "retries": self.retries}
            yield replace(thing, record=replace(thing.record, **edited))

    def judge_end(self, world: World, answer: Any, seen: Mapping[str, Thing]) -> None:
        """No program writes over it what it read before."""
        now = seen.get(self.token)
        if answer and now is not None:
            told = now.record and (now.record.command, now.record.priority, now.record.retries)
            assert told == ("edited", self.priority, self.retries), f"the edit is lost: {now}"


@dataclass(frozen=True)
class Drop(Person):
    """A new file."""

    name: str
    folder: str = "pending"
    what: str = "job"
    """Or `fat job`, or `rubbish`."""

    def act(self, crew: Crew) -> bool:
        if not _free(crew, self.folder, self.name):
            return False
        job = json.dumps(job_of(self.token, fat=self.what == "fat job")).encode()
        data = RUBBISH + self.token.encode() if self.what == "rubbish" else job
        _write(crew, crew.root / self.folder / self.name, data)
        return True

    def brings(self, world: World, answer: Any) -> dict[str, Thing]:
        record = None if self.what == "rubbish" else Record()
        thing = Thing(self.token, self.folder, record, self.what == "fat job", self.name)
        return {self.token: thing} if answer else {}

    def then(self, world: World, answer: Any) -> None:
        super().then(world, answer)
        if answer and self.name.split(".json")[0] not in world.names:
            world.drops.add(self.token)


def _moved(path: Path, target: Path) -> bool:
    try:
        os.rename(path, target)
    except FileNotFoundError:
        return False
    return True


def _free(crew: Crew, folder: str, name: str) -> bool:
    """Whether Explorer would not ask, on any system."""
    path = crew.root / folder
    # Nor does a file that is no worker's come under the name of the one that it runs: that would be an edit.
    taken = [one.name for one in map(crew.running, crew.employees) if one and one.folder == folder]
    return path.is_dir() and fold(name) not in {fold(other) for other in (*taken, *os.listdir(path))}


def _write(crew: Crew, path: Path, data: bytes) -> None:
    """At a time later than any before: people do not write twice within one tick of the clock."""
    path.write_bytes(data)
    crew.written += 1
    moment = int(crew.clock() * 1e9) + crew.written * 1_000_000
    os.utime(path, ns=(moment, moment))
