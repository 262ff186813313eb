"""Have words counted by a worker, and print what it has found: `python send.py [FILE...]`."""

from __future__ import annotations

import sys
from pathlib import Path

from words import count_words

from queuectl import JobFailed

if __name__ == "__main__":
    files = sys.argv[1:] or [str(Path(__file__).resolve())]
    made = [count_words.enqueue(file, most=2) for file in files]
    for file, job in zip(files, made):
        try:
            print(file, job.wait(timeout=60))
        except JobFailed as error:
            print(file, error, file=sys.stderr)
