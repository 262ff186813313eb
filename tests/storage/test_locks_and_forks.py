"""A copy of a process holds none of its locks: what a task forks is not its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from queuectl import locks
from tests.support.program import PATIENCE, WINDOWS, environment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(WINDOWS, reason="there nothing forks")

HOLDER = """
import os, sys, threading, time
from queuectl import locks

path, note = sys.argv[1:]
held = locks.try_lock(path)
begun = threading.Event()


def claims():
    with locks.exclusive(path + ".claim"):
        begun.set()
        time.sleep(600)


threading.Thread(target=claims, daemon=True).start()
begun.wait()
child = os.fork()
if child == 0:
    # Of a thread that is not here any more: it would be waited for in vain.
    with locks.exclusive(path + ".other"):
        pass
    gate = locks._gates.get(path + ".claim")
    with open(note + ".new", "w") as file:
        file.write(f"{os.getpid()} {gate}")
    os.rename(note + ".new", note)
time.sleep(600)
"""


def test_a_copy_of_a_process_holds_none_of_its_locks(tmp_path: Path) -> None:
    left: list[int] = []
    path, note = str(tmp_path / "lock"), tmp_path / "note"
    holder = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLDER, path, str(note)], env=environment()
    )
    try:
        wait_until(note.exists, "it has forked", PATIENCE)
        pid, gate = note.read_text().split(maxsplit=1)
        left.append(int(pid))
        assert gate == "None"
        assert locks.is_held(path), "by the one that has taken it"
        holder.send_signal(signal.SIGKILL)
        holder.wait(PATIENCE)
        os.kill(left[0], 0)
        for one in (path, f"{path}.claim"):
            wait_until(lambda one=one: not locks.is_held(one), "nobody holds it any more", PATIENCE)
    finally:
        holder.kill()
        for one in left:
            os.kill(one, signal.SIGKILL)
