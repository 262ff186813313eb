"""Fill a SqliteHuey with tasks that do nothing, or work it off: `huey_tasks.py fill|drain KIND FOLDER COUNT`.

KIND is `thread` or `process`: two workers of that. Runs in huey's own environment.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path

from huey import SqliteHuey  # type: ignore[import-not-found]
from huey.consumer import Consumer  # type: ignore[import-not-found]

action, kind, folder, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
queue = SqliteHuey(filename=str(folder / "huey.db"))
done = threading.Semaphore(0)


@queue.task()  # type: ignore[untyped-decorator]
def nothing() -> None:
    if kind == "thread":
        done.release()


if action == "fill":
    for _ in range(count):
        nothing()
else:
    consumer = Consumer(
        queue, workers=2, worker_type=kind, periodic=False, initial_delay=0.01, check_worker_health=False
    )
    consumer.start()
    if kind == "thread":
        for _ in range(count):
            done.acquire()
    else:
        # The last two may still be under way: huey is not told to be slower than it is.
        while queue.pending_count():
            time.sleep(0.002)
    # They outlive this process and ignore a polite signal; waited for, their processor time counts as huey's.
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
    # What it tidies up at its end is not to count.
    os._exit(0)
