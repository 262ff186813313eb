"""A module with tasks for programs of their own: `Tasks` writes it into a folder, and makes their jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from tests.support import ledger_job
from tests.support.ledger import Ledger
from tests.support.program import PACKAGE_HOME, ROOT

MODULE = "chores"
_TEXT = '''
import os
import signal
import sys
import threading
import time

from queuectl import GiveUp, Queue, current
from tests.support import ledger_job

queue = Queue()
LEDGER = {ledger!r}


def runs(name, work):
    """Written down as a command of `ledger_job` does it."""
    path = os.path.join(LEDGER, name)
    held = ledger_job.lock(path + ".lock")
    ledger_job.note(path, "overlap" if held is None else "start")
    try:
        found = work(path)
        ledger_job.note(path, "end", "0")
        return found
    except BaseException:
        ledger_job.note(path, "cut")
        raise
    finally:
        if held is not None:
            os.close(held)


@queue.task
def quick(name, seconds=0.0, fails=False):
    def work(path):
        print(name, "runs")
        time.sleep(seconds)
        if fails and current().attempt == 1:
            raise ValueError("the first time")
        return name
    return runs(name, work)


@queue.task
def hold(name):
    return runs(name, ledger_job.await_go)


def hears_nothing(path):
    try:
        ledger_job.note(path, "deaf")
        ledger_job.await_go(path)
    except BaseException:
        # Not in a loop, which has gaps.
        hears_nothing(path)


@queue.task
def stuck(name):
    """What does not heed that it is to stop: wait for its word `deaf`."""
    return runs(name, hears_nothing)


@queue.task
def tells(name):
    def work(path):
        current().progress(40, "almost half")
        ledger_job.await_go(path)
    return runs(name, work)


@queue.task
def leaves(code=7):
    os._exit(code)


@queue.task
def crashes():
    os.abort() if os.name == "nt" else os.kill(os.getpid(), signal.SIGSEGV)


@queue.task
def gives_up():
    raise GiveUp("never")


@queue.task
def answers(value):
    return value


@queue.task
def big(size):
    return "x" * size


@queue.task
def measures(*args):
    return len(args[0])


@queue.task
def fails_at(name):
    raise RuntimeError(name)


{more}
'''


class Tasks:
    """The module `chores` in a folder; what it runs is written into a ledger."""

    def __init__(self, folder: Path, ledger: Ledger, more: str = "") -> None:
        self.folder = folder
        (folder / f"{MODULE}.py").write_text(_TEXT.format(ledger=str(ledger.folder), more=more), "utf-8")

    @staticmethod
    def job(task: str, *args: Any, job_id: Optional[str] = None, **fields: Any) -> dict[str, Any]:
        """A job that calls one of them."""
        made = {"task": f"{MODULE}.{task}", "args": list(args), **fields}
        return made if job_id is None else {"id": job_id, **made}

    @staticmethod
    def path(*more: str) -> list[str]:
        """What PYTHONPATH must have for it."""
        return [str(ROOT), PACKAGE_HOME, *more]


assert ledger_job.__file__
