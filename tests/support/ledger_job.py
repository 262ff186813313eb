"""The command of the tests' jobs: it writes down that it runs. Started with `python -I -S`, so: fast.

`<folder> run NAME SECONDS CODE`   runs so long, ends with this code
`<folder> hold NAME`               runs until NAME.go is there (a minute at most)
`<folder> tree NAME`               like `hold`, with a child that does the same as NAME-child
`<folder> daemon NAME`             leaves a child behind, with our open files, that does `hold NAME-child`
`<folder> crash NAME`              kills the worker that runs it (POSIX)

A lock, which the system frees on any death, is held meanwhile: a run that does not get it overlaps another.
"""

import os
import subprocess
import sys
import time


def lock(path):
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def note(path, word, *details):
    with open(path + ".txt", "a") as file:
        file.write(" ".join([word, str(os.getpid()), *details]) + "\n")


def await_go(path):
    end = time.monotonic() + 60
    while not os.path.exists(path + ".go") and time.monotonic() < end:
        time.sleep(0.01)


def child(folder, name, **options):
    subprocess.Popen([sys.executable, "-I", "-S", __file__, folder, "hold", name + "-child"], **options)
    while not os.path.exists(os.path.join(folder, name + "-child.txt")):
        time.sleep(0.01)


def main(folder, mode, name, seconds="0", code="0"):
    path = os.path.join(folder, name)
    if mode == "tree":
        child(folder, name)
    elif mode == "daemon":
        child(folder, name, close_fds=False, start_new_session=True)
    held = lock(path + ".lock")
    note(path, "overlap" if held is None else "start")
    if mode in ("hold", "tree"):
        await_go(path)
    elif mode == "crash":
        import signal

        os.kill(os.getppid(), signal.SIGKILL)
    else:
        time.sleep(float(seconds))
    note(path, "end", code)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
