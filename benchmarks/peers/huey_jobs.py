"""Fill a queue of huey, or work it off with two threads: `huey_jobs.py fill|drain sqlite|file FOLDER COUNT`.

Runs in huey's own environment. Each task runs one command, as its users would: by `subprocess.run`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from huey import FileHuey, SqliteHuey  # type: ignore[import-not-found]
from huey.consumer import Consumer  # type: ignore[import-not-found]

action, storage, folder, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
queue = SqliteHuey(filename=str(folder / "huey.db")) if storage == "sqlite" else FileHuey(path=str(folder))
done = threading.Semaphore(0)


@queue.task()  # type: ignore[untyped-decorator]
def job() -> None:
    subprocess.run(["/bin/sh", "-c", "true"], check=True)
    done.release()


if action == "fill":
    for _ in range(count):
        job()
else:
    Consumer(queue, workers=2, periodic=False, initial_delay=0.01, check_worker_health=False).start()
    for _ in range(count):
        done.acquire()
    # What it tidies up at its end is not to count.
    os._exit(0)
