"""An index in which single bytes have flipped: what SQLite does not notice must not stop anybody either."""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl import system
from tests.support.hostile.calls import call, drain, ok
from tests.support.hostile.indexes import COUNTS, JOBS, index_of, job_files, set_aside

Figure = Callable[[str, int], None]

SEED = 20270115
VERBS = (
    ("status",),
    ("list", "--json"),
    ("list", "--tag", "t" * 50),
    ("show", "job-003"),
    ("worker", "list"),
    ("config", "get"),
    ("enqueue", "--", "x"),
    ("retry", "given-up"),
    ("cancel", "job-001"),
    ("dlq", "list"),
    ("doctor",),
    ("doctor", "--fix"),
    ("worker", "start", "--drain", "--quiet"),
    ("reindex",),
)
WORDS = {
    "a table": [(b"CREATE TABLE jobs (", b"CREATE TABLE jobs )")],
    "a table and its name": [(b"CREATE TABLE jobs (", b"CREATE TABLE jobs )"), (b"jobsjobs", b"job\xffjobs")],
    "a column's name": [(b"max_retries INTEGER", b"mix_retries INTEGER")],
    "a trigger": [(b"NEW.state IN", b"NEW.\x80tate IN")],
    "a state": [(b"pending", b"pend\xffng")],
    "a state of no meaning": [(b"pending", b"panding")],
    "a command": [(b'"echo hi"', b'\xff"echo hi')],
    "a command that is no JSON": [(b'"echo hi"', b'#echo hi"')],
    "a time": [(b"2027-01-15T08:00:00", b"2027-01-15\xff08:00:00")],
    "a tag": [(b"\n" + b"t" * 50, b"\n\xff" + b"t" * 49)],
    "a setting's name": [(b"max_retries7", b"max_r\xfftries7")],
    "a setting": [(b"max_retries7", b"max_retries\xff")],
    "an id": [(b"job-003", b"jo\xff-003")],
    "an id that is another": [(b"job-003", b"job-004")],
}
"""Texts in the file, and what becomes of each."""


def damage(spool: Path, what: str) -> None:
    data = index_of(spool).read_bytes()
    for before, after in WORDS[what]:
        assert before in data
        data = data.replace(before, after)
    index_of(spool).write_bytes(data)


def flipped(data: bytes, chance: random.Random) -> bytes:
    """Between one and two hundred bytes become others; half of the times, only where there is something."""
    changed, dense = bytearray(data), chance.random() < 0.5
    for _ in range(chance.choice([1, 1, 2, 5, 20, 200])):
        at = chance.randrange(len(data))
        while dense and not data[at]:
            at = chance.randrange(len(data))
        changed[at] = chance.randrange(256)
    return bytes(changed)


def survives(spool: Path, chance: random.Random, verbs: int) -> None:
    """Whoever is asked whatever answers with a documented code; `reindex` puts all right; all jobs run."""
    before = job_files(spool)
    for verb in [*chance.sample(VERBS, verbs), ("status", "--json"), ("list", "--json")]:
        answer = call(spool, *verb)
        assert answer.code in (0, 1, 4), (verb, answer)
    assert len(job_files(spool)) >= len(before)
    ok(spool, "reindex")
    drain(spool, "--quiet")
    done = {path.stem for path in (spool / "done").glob("*.json")}
    cancelled = {path.stem for path in (spool / "dead").glob("job-*.json")}
    assert {*JOBS, "ran"} <= done | cancelled
    status = ok(spool, "status", "--json").json["counts"]
    assert sum(status.values()) == len(job_files(spool))
    assert status["completed"] == len(done)


def sweep(original: Path, tmp_path: Path, cases: int) -> None:
    data = index_of(original).read_bytes()
    for case in range(cases):
        chance = random.Random(SEED + case)
        spool = Path(shutil.copytree(original, tmp_path / f"spool-{case}"))
        index_of(spool).write_bytes(flipped(data, chance))
        try:
            survives(spool, chance, verbs=4)
        except BaseException as error:
            raise AssertionError(f"case {case} of seed {SEED}: {error!r}") from error
        shutil.rmtree(spool)


def test_flipped_bytes_stop_nobody(original: Path, tmp_path: Path, figure: Figure) -> None:
    sweep(original, tmp_path, 5)
    figure("damaged indexes", 5)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_flipped_bytes_stop_nobody_in_many_tries(original: Path, tmp_path: Path, figure: Figure) -> None:
    sweep(original, tmp_path, 300)
    figure("damaged indexes", 300)


@pytest.mark.parametrize("what", WORDS)
def test_a_damaged_word_stops_nobody(spool: Path, what: str, figure: Figure) -> None:
    damage(spool, what)
    survives(spool, random.Random(SEED), verbs=len(VERBS))
    figure("damaged indexes", 1)


@pytest.mark.parametrize("verb", [("doctor",), ("doctor", "--fix")], ids=" ".join)
@pytest.mark.parametrize("what", WORDS)
def test_the_doctor_alone_sees_to_it(spool: Path, what: str, verb: tuple[str, ...]) -> None:
    damage(spool, what)
    assert call(spool, *verb).code in (0, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is not told what is open")
def test_a_damaged_index_is_closed_before_it_is_set_aside(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows it could not be moved else. A cursor, in a traceback perhaps, keeps its database open."""
    held: list[str] = []
    real = system.replace

    def replace(source: str, target: str, **options: Any) -> None:
        ours = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        held.extend(path for path in map(os.path.realpath, ours) if path == os.path.realpath(source))
        real(source, target, **options)

    damage(spool, "a time")
    monkeypatch.setattr(system, "replace", replace)
    ok(spool, "list")
    assert len(set_aside(spool)) == 1
    assert held == []


def test_an_index_of_this_kind_that_is_sound_is_kept(spool: Path) -> None:
    """The control: what the tests above do is no reason to set an index aside."""
    survives(spool, random.Random(SEED), verbs=len(VERBS))
    assert set_aside(spool) == []
    assert sum(COUNTS.values()) < len(job_files(spool)) + 1
