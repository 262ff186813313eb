"""The soak (`python tests/faults/soak.py`, an hour by default) runs, and its verdict means something."""

from __future__ import annotations

import mmap
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import soak
from tests.support.program import environment
from tests.support.storms.vitals import Vitals, vitals


@pytest.mark.e2e
@pytest.mark.slow
def test_half_a_minute_of_it(figure: Callable[[str, int], None]) -> None:
    """Too short for a verdict on memory, long enough to see that all is measured and nothing is lost."""
    done = subprocess.run(
        [sys.executable, soak.__file__, "--minutes", "0.4", "--rate", "8"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.stderr == ""
    (told,) = re.findall(r"^(\d+) jobs given, 0 lost, 0 that nobody gave$", done.stdout, re.MULTILINE)
    assert int(told) > 20
    lines = re.findall(
        r"min +\d+ jobs +(\d+\.\d) MiB((?:, [\d.]+ handles)?(?:, \d+ threads)?), index", done.stdout
    )
    assert len(lines) >= 3, done.stdout
    assert all(5 < float(mib) < 200 for mib, _ in lines)
    assert all(rest for _, rest in lines) or sys.platform not in ("linux", "win32")
    assert "first half: " in done.stdout
    assert done.stdout.splitlines()[-1] in ("verdict: flat", "verdict: not flat")
    assert done.returncode == ("verdict: not flat" in done.stdout)
    figure("soak: jobs in half a minute", int(told))


def test_what_grows_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    flat = [Vitals(40_000, 20, 10)] * 60
    assert soak.verdict(flat) == []
    assert soak.verdict([Vitals(40_000 + 200 * n, 20, 10) for n in range(60)]) == [
        "memory grows: 43800 KiB, then 49200"
    ]
    assert soak.verdict([Vitals(40_000, 20 + n // 10, 10) for n in range(60)]) == [
        "handles grow: 21, then 24"
    ]
    assert soak.verdict([Vitals(40_000, 20, 10 + n // 30) for n in range(60)]) == [
        "threads grow: 10, then 11"
    ]
    assert soak.verdict([Vitals(40_000, None, None)] * 60) == []
    assert "second half: 39.1 MiB, 20 handles, 10 threads" in capsys.readouterr().out


def test_a_process_is_measured() -> None:
    """Our own: what it opens and starts is seen."""
    before = vitals(os.getpid())
    assert before.kib > 5_000
    files = [os.open(__file__, os.O_RDONLY) for _ in range(20)]
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    # Pages of its own: what the interpreter has at hand already would not show.
    with mmap.mmap(-1, 30_000_000) as ballast:
        for page in range(0, len(ballast), mmap.PAGESIZE):
            ballast[page] = 1
        after = vitals(os.getpid())
    stop.set()
    for thread in threads:
        thread.join()
    for file in files:
        os.close(file)
    assert before.handles is None or after.handles >= before.handles + 20
    assert before.threads is None or after.threads >= before.threads + 5
    assert after.kib - before.kib > 20_000


def test_a_process_that_has_ended_is_not_measured(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    child.wait()
    with pytest.raises(OSError, match=str(child.pid)):
        vitals(child.pid)
