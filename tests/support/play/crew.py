"""Who acts at one spool: people at command lines, workers, and the one who looks at what is in the
folders.
"""

from __future__ import annotations

import errno
import json
import os
import re
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Optional

from queuectl.codec import encode_job
from queuectl.engine import Conditions
from queuectl.job import Job
from queuectl.names import CANCEL_SUFFIX, RUN_SUFFIX
from queuectl.runner import INTERRUPTED, Outcome
from queuectl.worker import Worker
from tests.support.play.actors import BLOCKED, WAITING, Actor, Stage
from tests.support.play.model import FINAL, HOWS, Record, Thing
from tests.support.spools import Clock, Desk

RUBBISH = b"rubbish "
PADDING = "x" * 2000
"""What makes a job fat."""
_TOKEN = re.compile(rb"token\d{4}")


class Client:
    """Somebody who has the queue open, and keeps it open."""

    def __init__(self, actor: Actor, root: Path, clock: Clock) -> None:
        self.actor = actor
        self.desk: Desk = actor.run(lambda: Desk(root, clock))

    def close(self) -> None:
        """Its connection is its thread's alone."""
        self.actor.run(self.desk.close)


class Employee:
    """A worker; it asks how each of its commands ends."""

    def __init__(self, actor: Actor, desk: Desk, name: str) -> None:
        self.actor, self.name, self._desk = actor, name, desk
        self.inherited: Optional[int] = None
        """The lock of its command, shared by a command that outlives it."""
        self._exit = ExitStack()
        self.worker: Worker = actor.run(self._enter)

    def close(self) -> None:
        """Leave as it should; of one that was killed, the system closes what it had open."""
        self.actor.run(self._exit.close)

    def die(self, *, outlived: bool) -> None:
        """With `outlived`, its command goes on."""
        if outlived and self._shared is not None:
            self.inherited = os.dup(self._shared)
        # Not by a store: this thread would open one for it, and nobody close it.
        note = self._desk.path("locks", self.name + RUN_SUFFIX)
        told = note.read_bytes() if note.exists() else None
        self.actor.kill()
        try:
            self.close()
        except BaseException:  # noqa: BLE001  the dead tidy nothing up
            pass
        if told is not None and note.exists():
            # Nor do they take back what they have said: the thread has, on its way out.
            note.write_bytes(told)

    def end_command(self) -> None:
        """The command that outlived it ends."""
        if self.inherited is not None:
            os.close(self.inherited)
            self.inherited = None

    def _enter(self) -> Worker:
        self._shared: Optional[int] = None
        hands = {"pause": lambda _: self.actor.pause(BLOCKED)}
        return self._exit.enter_context(self._desk.worker(self._run, name=self.name, **hands))

    def _run(self, job: Job, conditions: Conditions) -> Outcome:
        self._shared = conditions.inherit
        Path(conditions.log_path).touch()
        how = self.actor.pause(WAITING)
        self._shared = None
        if how == "no start":
            raise OSError(errno.EMFILE, "too many open files")
        now = self._desk.clock()
        if how == "interrupted":
            return Outcome(INTERRUPTED, None, "interrupted", now, now)
        return Outcome(*HOWS[how], now, now)


class Crew:
    """All of them."""

    def __init__(self, root: Path, clock: Clock) -> None:
        self.root, self.clock = root, clock
        self.stage = Stage(str(root), clock)
        self.clients: dict[int, Client] = {}
        self.employees: dict[str, Employee] = {}
        self.files = self.written = 0

    def client(self, number: int) -> Client:
        if number not in self.clients:
            self.clients[number] = Client(self.stage.actor(), self.root, self.clock)
        return self.clients[number]

    def hire(self, name: str) -> Employee:
        self.employees[name] = Employee(self.stage.actor(), self.client(0).desk, name)
        return self.employees[name]

    def kill_client(self, number: int) -> None:
        client = self.clients.pop(number)
        client.actor.kill()
        client.close()

    def dismiss_clients(self) -> None:
        """Their commands have ended; the next ones open the queue anew."""
        for client in self.clients.values():
            client.close()
        self.clients.clear()

    def close(self) -> None:
        try:
            for one in self.employees.values():
                one.end_command()
                one.die(outlived=False)
            self.dismiss_clients()
        finally:
            self.stage.close()

    # What people see in the folders

    def number(self, count: int = 1) -> int:
        """The first of so many numbers, each for the token of a new file."""
        self.files += count
        return self.files - count + 1

    def token(self) -> str:
        """For the content of a new file."""
        return f"token{self.number():04}"

    def asked(self, name: str) -> Optional[str]:
        """The job that this worker has been asked to end."""
        path = self.root / "locks" / (name + CANCEL_SUFFIX)
        return path.read_text("utf-8") if path.exists() else None

    def running(self, name: str) -> Optional[Thing]:
        """What this worker runs, as it was when it was claimed."""
        current = self.employees[name].worker.batch.current
        if current is None:
            return None
        data, written = encode_job(current.job), current.version[0] / 1e9
        return thing_of(data, f"processing/{name}", f"{current.place.job_id}.json", written)

    def look(self) -> dict[str, Thing]:
        """Every file that is named like a job."""
        found: dict[str, Thing] = {}
        for path in self.paths():
            thing = read_thing(path, path.parent.relative_to(self.root).as_posix())
            assert thing.token not in found, f"{thing} is there twice, the other is {found[thing.token]}"
            found[thing.token] = thing
        return found

    def paths(self) -> list[Path]:
        folders = ["pending", "failed", "done", "dead", *_below(self.root, "processing")]
        names = [(folder, name) for folder in folders for name in os.listdir(self.root / folder)]
        return [self.root / folder / name for folder, name in sorted(names) if _is_job(name)]

    def path(self, token: str) -> Optional[Path]:
        """Where this file lies now."""
        return next((path for path in self.paths() if token.encode() in path.read_bytes()), None)


def read_thing(path: Path, folder: str) -> Thing:
    thing = thing_of(path.read_bytes(), folder, path.name, path.stat().st_mtime)
    return replace(thing, noted=path.with_name(f"{thing.stem}.error.txt").exists())


def thing_of(data: bytes, folder: str, name: str, written: float) -> Thing:
    """What a file of these bytes tells."""
    token = _TOKEN.search(data)
    assert token, f"{folder}/{name} holds what nobody has put there: {data[:100]!r}"
    if data.startswith(RUBBISH):
        return Thing(token[0].decode(), folder, None, name=name, created=written)
    told = json.loads(data)
    record = Record(
        state=told.get("state", "pending"),
        attempts=told.get("attempts", 0),
        crashes=told.get("crashes", 0),
        due=_moment(told.get("run_at")),
        exit_code=told.get("exit_code"),
        error=told.get("error"),
        updated=_moment(told.get("updated_at")),
        runs=tuple(run["outcome"] for run in told.get("history", [])),
        command=told["command"],
        priority=told.get("priority", 0),
        retries=told.get("max_retries"),
        final=FINAL in told.get("no_retry_exit_codes", []),
    )
    created = _moment(told.get("created_at"), exact=True)
    fat = "pad" in told["meta"]
    return Thing(
        token[0].decode(), folder, record, fat, name, written if created is None else created, told.get("id")
    )


def job_of(token: str, **fields: Any) -> dict[str, Any]:
    """A job as people write it, whose content this token tells."""
    fat = fields.pop("fat", False)
    final = {"no_retry_exit_codes": [FINAL]} if fields.pop("final", False) else {}
    meta = {"t": token, "pad": PADDING} if fat else {"t": token}
    return {"command": "x", "meta": meta, **final, **fields}


def _moment(text: Optional[str], *, exact: bool = False) -> Optional[float]:
    if text is None:
        return None
    seconds = datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    return seconds if exact else round(seconds, 3)


def _below(root: Path, folder: str) -> list[str]:
    return [
        f"{folder}/{name}" for name in sorted(os.listdir(root / folder)) if (root / folder / name).is_dir()
    ]


def _is_job(name: str) -> bool:
    return name.endswith((".json", ".json.txt"))
