"""Careless variants of the program, each of which a sweep must find fault with: its controls."""

from __future__ import annotations

import os
import shutil
from typing import Any, Callable


def write_in_place() -> None:
    """A record is written over the old one, in two writes."""
    from queuectl import system
    from queuectl.codec import encode_job
    from queuectl.spool import Spool

    def stamp(self: Spool, place: Any, job: Any, **_: Any) -> tuple[int, int]:
        _write_in_two(self, self.path(place), encode_job(job))
        return system.file_stamp(os.stat(self.path(place)))

    Spool.stamp = stamp  # type: ignore[method-assign]


def write_into_pending() -> None:
    """A new record is written where workers look for it, in two writes."""
    from queuectl import system
    from queuectl.spool import Spool

    def admit(self: Spool, prepared: str, place: Any) -> None:
        with open(prepared, "rb") as file:
            data = file.read()
        _write_in_two(self, self.path(place), data)
        system.remove(prepared)

    Spool.admit = admit  # type: ignore[method-assign]


def _write_in_two(spool: Any, path: str, data: bytes) -> None:
    half, pause = len(data) // 2, os.path.join(spool.root, "tmp", "pause")
    with open(path, "wb") as file:
        file.write(data[:half])
        file.flush()
        # A step, at which the half of it can be found.
        open(pause, "ab").close()
        file.write(data[half:])
    os.unlink(pause)


def copy_then_remove() -> None:
    """A file is moved by a copy, with a removal of the original behind it."""
    from queuectl.spool import Spool

    def move(self: Spool, place: Any, target: Any, **_: Any) -> None:
        shutil.copyfile(self.path(place), self.path(target))
        os.remove(self.path(place))

    Spool.move = move  # type: ignore[method-assign]


def move_then_stamp() -> None:
    """A change of state moves the file first, and records what it means then."""
    from queuectl.queue.store import Store
    from queuectl.spool import Place

    def transfer(self: Store, place: Any, job: Any, now: float, **_: Any) -> Place:
        target = Place(job.state, place.job_id)
        self.spool.move(place, target)
        job, version = self.stamp(target, job)
        self.record(target, job, version, now)
        return target

    Store.transfer = transfer  # type: ignore[method-assign]


def write_settings_anew() -> None:
    """A setting is kept by writing all of them again, after the old ones were removed."""
    from queuectl.index import Index

    def set_setting(self: Index, name: str, value: str) -> None:
        settings = {**self.settings(), name: value}
        self._sql.execute("DELETE FROM config")
        self._sql.executemany("INSERT INTO config VALUES (?, ?)", settings.items())

    Index.set_setting = set_setting  # type: ignore[method-assign]


def acknowledge_anyway() -> None:
    """What the system refuses is not told to who has asked for it."""
    import queuectl.queue.enqueue as module
    from queuectl.errors import SpoolUnusable
    from queuectl.spool import Place
    from queuectl.state import State

    enqueue = module.enqueue

    def hopeful(store: Any, jobs: Any, **options: Any) -> list[Place]:
        try:
            return enqueue(store, jobs, **options)
        except SpoolUnusable:
            return [Place(State.PENDING, job.id) for job in jobs]

    module.enqueue = hopeful


def fail_with_a_traceback() -> None:
    """What the system refuses becomes an error that nobody has thought of."""
    from queuectl import system

    replace = system.replace

    def surprising(source: str, target: str, **options: Any) -> None:
        try:
            replace(source, target, **options)
        except OSError as error:
            raise ZeroDivisionError("nobody has thought of this") from error

    system.replace = surprising


def try_for_ever() -> None:
    """What the system refuses is tried again until it goes through."""
    from queuectl import system

    replace = system.replace

    def stubborn(source: str, target: str, **options: Any) -> None:
        while True:
            try:
                return replace(source, target, **options)
            except OSError:
                system.sleep(0.01)

    system.replace = stubborn


def name_by_chance() -> None:
    """The job of a schedule's moment has an id that does not tell which moment that is."""
    from msgspec.structs import replace

    from queuectl.queue import firing
    from queuectl.queue.enqueue import new_id

    job_of = firing.job_of
    firing.job_of = lambda *args: replace(job_of(*args), id=new_id(args[-1]))


def take_by_a_name_of_its_own() -> None:
    """A result is moved to a name that tells of no worker before it is read."""
    from queuectl import tidings

    take = tidings.take

    def careless(one: tidings.Tidings) -> tidings.Result:
        taken = os.path.join(os.path.dirname(one.result), "taken")
        if os.path.lexists(one.result):
            os.rename(one.result, taken)
        return take(one._replace(result=taken))

    tidings.take = careless


def delete_before_zip() -> None:
    """Jobs are deleted, and then put into the zip file."""
    from queuectl.spool.archives import Archives

    add = Archives.add

    def careless(self: Archives, name: str, members: Any) -> Any:
        found = list(members)
        for one in found:
            os.unlink(os.path.join(self._spool.root, one.state.folder, f"{one.job_id}.json"))
        return add(self, name, found)

    Archives.add = careless  # type: ignore[method-assign]


VARIANTS: dict[str, Callable[[], None]] = {
    "sound": lambda: None,
    "write_in_place": write_in_place,
    "write_into_pending": write_into_pending,
    "copy_then_remove": copy_then_remove,
    "move_then_stamp": move_then_stamp,
    "write_settings_anew": write_settings_anew,
    "name_by_chance": name_by_chance,
    "take_by_a_name_of_its_own": take_by_a_name_of_its_own,
    "delete_before_zip": delete_before_zip,
    "acknowledge_anyway": acknowledge_anyway,
    "fail_with_a_traceback": fail_with_a_traceback,
    "try_for_ever": try_for_ever,
}
