"""Bad files by the thousand, dropped at once, do not stop the good ones among them; none is lost."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from queuectl.queue import intake
from tests.support.hostile.calls import drain, ok
from tests.support.hostile.zoo import job
from tests.support.program import Program
from tests.support.waiting import wait_until

Figure = Callable[[str, int], None]

BAD = [
    b'{"command": "ec',
    b"command: echo\n",
    b'{"comand": "echo"}',
    b'{"command": ["a", 3]}',
    b"PK\x03\x04",
    b"[]",
]
GOOD = [f"good-{number:02}" for number in range(20)]
BOUND = 60.0
"""Seconds until the last good one must have run; a busy machine takes a sixth of it."""
MOST_MEMORY = 150 * 2**20
"""Bytes that the workers may take at most."""


def put_among(bad: int, folder: Path, command: list[str]) -> dict[str, bytes]:
    """Bad files with the good ones spread among them, in the order in which they are to be dropped."""
    files = {f"bad-{number:05}": BAD[number % len(BAD)] for number in range(bad)}
    names, step = [*files], max(bad // len(GOOD), 1)
    for place, name in enumerate(GOOD):
        names.insert(place * (step + 1), name)
        files[name] = job(command=command)
    folder.mkdir()
    for name in names:
        (folder / f"{name}.json").write_bytes(files[name])
    return {name: files[name] for name in names}


def drop_all(names: list[str], source: Path, pending: Path) -> None:
    for name in names:
        os.replace(source / f"{name}.json", pending / f"{name}.json")


def expect_all_set_aside(spool: Path, files: dict[str, bytes]) -> None:
    """Each bad one lies in `dead`, byte for byte, with a note; each good one has run."""
    dead = {path.stem: path.read_bytes() for path in (spool / "dead").glob("*.json")}
    assert dead == {name: data for name, data in files.items() if name not in GOOD}
    assert len(list((spool / "dead").glob("*.error.txt"))) == len(dead)
    assert {path.stem for path in (spool / "done").glob("*.json")} == {*GOOD}
    assert list((spool / "pending").iterdir()) == []
    counts = ok(spool, "status", "--json").json["counts"]
    assert (counts["completed"], counts["dead"], counts["pending"]) == (len(GOOD), len(dead), 0)


def test_some_hundred_stop_no_good_one(tmp_path: Path, ran: list[Any], figure: Figure) -> None:
    spool = tmp_path / "spool"
    ok(spool, "init")
    ok(spool, "config", "set", "settle_time", "3600")
    files = put_among(500, tmp_path / "made", ["x"])
    drop_all([*files], tmp_path / "made", spool / "pending")
    drain(spool, "--quiet")
    assert len(ran) == len(GOOD)
    assert len(list((spool / "pending").iterdir())) == 500, "they are given time"
    assert len(ok(spool, "status", "--json").json["problems"]) < 100, "not all are told"
    ok(spool, "config", "set", "settle_time", "0")
    drain(spool, "--quiet")
    expect_all_set_aside(spool, files)
    figure("bad files at once", 500)


def test_an_intake_that_throws_bad_files_away_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    spool = tmp_path / "spool"
    ok(spool, "init")
    ok(spool, "config", "set", "settle_time", "0")
    files = put_among(30, tmp_path / "made", ["x"])
    drop_all([*files], tmp_path / "made", spool / "pending")
    real = intake.set_aside

    def careless(store: Any, place: Any, *details: Any) -> Any:
        target = real(store, place, *details)
        os.remove(store.spool.path(target))
        return target

    monkeypatch.setattr(intake, "set_aside", careless)
    drain(spool, "--quiet")
    with pytest.raises(AssertionError):
        expect_all_set_aside(spool, files)


def memory_of(pid: int) -> int:
    """The most bytes that this process has had in memory; 0 where that is not told."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def seconds_until_all_good_have_run(program: Program, source: Path, names: list[str]) -> float:
    began = time.monotonic()
    drop_all(names, source, program.spool / "pending")
    program.wait_in("done", *GOOD, deadline=BOUND)
    return time.monotonic() - began


def work_off(here: Path, bad: int) -> float:
    """Seconds until the good ones had run; all is seen to when this returns."""
    here.mkdir()
    program = Program(here)
    program.ok("init")
    program.ok("config", "set", "settle_time", "0")
    files = put_among(bad, here / "made", [sys.executable, "-I", "-S", "-c", ""])
    with program.workers(2, "--quiet") as running:
        taken = seconds_until_all_good_have_run(program, here / "made", [*files])
        wait_until(lambda: not program.names("pending"), "all have been seen to", 240)
        assert memory_of(running.pid) < MOST_MEMORY
        program.ok("worker", "stop")
        ended = running.end()
    assert ended.code == 0, ended.err[-2000:]
    assert "Traceback" not in ended.err
    expect_all_set_aside(program.spool, files)
    return taken


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ten_thousand_stop_no_good_one(tmp_path: Path, figure: Figure) -> None:
    count = 1000 if sys.platform == "win32" else 10_000
    alone, among = work_off(tmp_path / "alone", 0), work_off(tmp_path / "among", count)
    figure("bad files at once", count)
    figure("bad files at once: ms until the good ones among them had run", int(among * 1000))
    figure("bad files at once: ms until they had run without the bad", int(alone * 1000))
