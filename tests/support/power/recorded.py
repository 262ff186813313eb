"""An action whose calls are recorded: `recorded.py SPOOL ACTION [VARIANT]`, of `crasher` and of here."""

from __future__ import annotations

import os
import sys
from typing import Any, Callable

from tests.support.faults import careless, crasher

# Careless variants that are told from the sound one by a loss of power only


def no_fsync_of_files() -> None:
    """A file is moved in before what was written to it is on the disk."""
    from queuectl.system import writing

    vars(writing)["sync_descriptors"] = lambda descriptors: None


def no_fsync_of_folders() -> None:
    """Somebody is told of a change before the names are on the disk."""
    from queuectl import system

    system.sync_folder = lambda path: None


def no_fsync_of_the_spool() -> None:
    """A new spool's own folders are not made durable, only what is in them."""
    from queuectl import system

    sync_folder = system.sync_folder
    system.sync_folder = lambda path: sync_folder(path) if os.path.basename(path) == "pending" else None


def settings_not_fsynced() -> None:
    """A setting is kept like a row, which can be read again from the files."""
    from queuectl.index import Index

    Index._durable_transaction = Index.transaction  # type: ignore[method-assign]


def write_in_place_and_fsync() -> None:
    """A record is written over the old one, and fsynced then."""
    from queuectl import system
    from queuectl.codec import encode_job
    from queuectl.spool import Spool

    def stamp(self: Spool, place: Any, job: Any, **_: Any) -> tuple[int, int]:
        with open(self.path(place), "wb") as file:
            file.write(encode_job(job))
            file.flush()
            os.fsync(file.fileno())
        return system.file_stamp(os.stat(self.path(place)))

    Spool.stamp = stamp  # type: ignore[method-assign]


def copy_fsync_and_remove() -> None:
    """A file is moved by a copy, which is on the disk before the original is removed."""
    from queuectl import system
    from queuectl.spool import Spool

    def move(self: Spool, place: Any, target: Any, **_: Any) -> None:
        prepared = self.tmp.new("copy.json")
        with open(self.path(place), "rb") as file:
            system.write_file(prepared, file.read())
        system.replace(prepared, self.path(target))
        system.sync_folder(os.path.dirname(self.path(target)))
        os.unlink(self.path(place))

    Spool.move = move  # type: ignore[method-assign]


def write_through_memory() -> None:
    """A record is changed in a way that the recorder cannot see."""
    import mmap

    from queuectl.spool import Spool

    admit = Spool.admit

    def admit_changed(self: Spool, prepared: str, place: Any) -> None:
        admit(self, prepared, place)
        with open(self.path(place), "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
            data[0:1] = b" "

    Spool.admit = admit_changed  # type: ignore[method-assign]


VARIANTS: dict[str, Callable[[], None]] = {
    **careless.VARIANTS,
    "no_fsync_of_files": no_fsync_of_files,
    "no_fsync_of_folders": no_fsync_of_folders,
    "no_fsync_of_the_spool": no_fsync_of_the_spool,
    "settings_not_fsynced": settings_not_fsynced,
    "write_in_place_and_fsync": write_in_place_and_fsync,
    "copy_fsync_and_remove": copy_fsync_and_remove,
    "write_through_memory": write_through_memory,
}

# Actions


def set_config_beside(spool: str) -> None:
    """A setting is set while a worker has the index open, so that nobody puts it in order at the end."""
    from queuectl.queue.store import Store

    with Store.open(spool):
        crasher.set_config(spool)
        os._exit(0)


def cancel_running(spool: str) -> None:
    """One thread runs the job, another cancels it."""
    import threading

    from queuectl.errors import QueueError
    from queuectl.names import CANCEL_SUFFIX
    from tests.support.waiting import wait_until

    request = os.path.join(spool, "locks", f"host-{os.getpid()}-1-abc123{CANCEL_SUFFIX}")
    canceller = threading.Thread(target=crasher.verb, args=(spool, "cancel", "job"))

    def meanwhile() -> None:
        canceller.start()
        wait_until(lambda: os.path.exists(request), "the worker is asked to end its job")

    try:
        crasher.work(spool, "cancelled", meanwhile=meanwhile)
    except QueueError:
        # To `work` that is a run without an end of its own.
        pass
    canceller.join()


def live(spool: str) -> None:
    """What a queue does in its life, in one process: what one verb leaves unsynced is so in the next."""
    crasher.enqueue(spool, "first", "second")
    crasher.work(spool)
    crasher.work(spool, "failed")
    crasher.verb(spool, "cancel", "second")
    crasher.verb(spool, "retry", "first", "second")
    crasher.work(spool)
    crasher.enqueue(spool, "third")
    crasher.work(spool, "interrupted")


ACTIONS: dict[str, Callable[[str], None]] = {
    "set_config_beside": set_config_beside,
    "cancel_running": cancel_running,
    "live": live,
}


def main(spool: str, action: str, variant: str = "sound") -> None:
    crasher.ACTIONS.update(ACTIONS)
    VARIANTS[variant]()
    code = crasher.perform(spool, action)
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
