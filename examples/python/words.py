"""Functions as jobs.

In this folder: `queuectl worker start --tasks words --count 2`, and in another terminal `python send.py`.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from queuectl import GiveUp, Queue, current

queue = Queue()  # the folder in QUEUECTL_SPOOL, else ./spool, as the commands have it


@queue.task(max_retries=5, timeout=60)
def count_words(path: str, most: int = 3) -> dict[str, int]:
    """The words that occur most in a file of text, and how often each does."""
    file = Path(path)
    if not file.exists():
        raise GiveUp(f"there is no file {path}")
    words = Counter(file.read_text(encoding="utf-8").lower().split())
    current().progress(50, "counted")
    print(path, "has", sum(words.values()), "words")
    return dict(words.most_common(most))
