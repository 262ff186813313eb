"""What commands that scripts call in a loop do not wait for: start-up time is a feature."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from queuectl import Queue
from tests.support.program import environment

SLOW = {
    "portalocker",
    "watchdog",
    "rich",
    "subprocess",
    "msgspec",
    "json",
    "unicodedata",
    "locale",
    "asyncio",
}


@pytest.mark.parametrize("words", [["status"], ["list"], ["config", "get"], ["dlq", "list"]], ids=" ".join)
def test_looking_imports_nothing_that_is_slow(tmp_path: Path, words: list[str]) -> None:
    spool = str(tmp_path / "spool")
    with Queue.open(spool) as queue:
        queue.enqueue([{"command": "echo hi", "id": "a"}])
    # What click itself takes is not ours to choose.
    code = (
        "import sys, click, sqlite3; before = set(sys.modules)\n"
        f"from queuectl.cli import run; code = run(['--spool', {spool!r}, *{words!r}])\n"
        f"print(code, sorted({SLOW!r} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, check=True)
    assert done.stdout.decode().splitlines()[-1] == "0 []"
