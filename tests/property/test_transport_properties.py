"""Whatever a record holds, it is the same after an export and an import, and after an archive."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from queuectl.codec import encode_job
from queuectl.index import OLDEST, Position, latest_at
from queuectl.job import Job
from queuectl.names import fold
from queuectl.queue import Queue
from queuectl.state import State
from tests.property.test_pure_properties import PROFILE, ids, jobs
from tests.support.memory import memory

NEWEST = latest_at("\U0010ffff")
RESTING = (State.PENDING, State.FAILED, State.COMPLETED, State.DEAD)
logs = st.none() | st.binary(max_size=40)


def files(spool: Path) -> dict[str, bytes]:
    return {
        path.relative_to(spool).as_posix(): path.read_bytes()
        for folder in ("pending", "failed", "done", "dead", "processing", "logs")
        for path in (spool / folder).rglob("*.*")
    }


@st.composite
def spools(draw: st.DrawFn, *states: State) -> list[tuple[Job, Any]]:
    """Jobs as queuectl has written them, each with its log, or none."""
    names = draw(st.lists(ids, min_size=1, max_size=4, unique_by=fold))
    return [
        (replace(draw(jobs()), id=name, state=draw(st.sampled_from(states))), draw(logs)) for name in names
    ]


def told(queue: Queue, some: list[tuple[Job, Any]]) -> dict[str, Any]:
    """What `list` tells, but for times that a record does not tell: then its file's counts."""
    timeless = {job.id for job, _ in some if not (job.created_at and job.updated_at)}
    rows = {row["id"]: row for row in queue.jobs()}
    return {
        job_id: {**row, "created_at": None, "updated_at": None} if job_id in timeless else row
        for job_id, row in rows.items()
    }


def write(spool: Path, some: list[tuple[Job, Any]]) -> None:
    for job, log in some:
        (spool / job.state.folder / f"{job.id}.json").write_bytes(encode_job(job))
        if log is not None:
            (spool / "logs" / f"{job.id}.log").write_bytes(log)


@settings(PROFILE, max_examples=20)
@given(some=spools(*RESTING))
def test_what_is_exported_comes_back_byte_for_byte(some: list[tuple[Job, Any]]) -> None:
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        one, other = Path(folder) / "one", Path(folder) / "other"
        with Queue.open(str(one)) as queue, Queue.open(str(other)) as target:
            write(one, some)
            file = io.BytesIO()
            assert queue.house.export(file, logs=True).jobs == len(some)
            file.seek(0)
            assert len(target.house.import_(file).places) == len(some)
            # An empty log is none.
            assert files(other) == {path: data for path, data in files(one).items() if data}
            again = io.BytesIO()
            target.house.export(again, logs=True)
            assert sorted(again.getvalue().splitlines()) == sorted(file.getvalue().splitlines())
            assert told(target, some) == told(queue, some)


@settings(PROFILE, max_examples=15)
@given(some=spools(State.COMPLETED, State.DEAD))
def test_what_is_archived_comes_back_byte_for_byte(some: list[tuple[Job, Any]]) -> None:
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        spool = Path(folder) / "spool"
        with Queue.open(str(spool)) as queue:
            write(spool, some)
            before = files(spool)
            done = sum(queue.house.archive(state=state).jobs for state in ("completed", "dead"))
            assert (done, files(spool)) == (len(some), {})
            for path in (spool / "archive").glob("*.zip"):
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(spool)
            assert files(spool) == before


characters = st.characters(codec="utf-8", exclude_characters="\0")
words = st.text(min_size=1, max_size=3)
positions = st.builds(Position, st.none() | st.text(max_size=3), words)


@settings(PROFILE, max_examples=100)
@given(one=positions, two=positions)
def test_any_two_positions_have_an_order(one: Position, two: Position) -> None:
    assert [one.is_after(two), two.is_after(one)].count(True) == (one != two)
    assert one.is_after(OLDEST) and NEWEST.is_after(one)


@settings(PROFILE, max_examples=25)
@given(
    times=st.lists(st.none() | st.text(alphabet=characters, max_size=3), min_size=1, max_size=9),
    most=st.integers(1, 4),
    kept=st.integers(0, 9),
)
def test_the_index_goes_through_all_in_the_same_order(times: list[Any], most: int, kept: int) -> None:
    with tempfile.TemporaryDirectory(dir=memory()) as folder, Queue.open(f"{folder}/spool") as queue:
        for number, at in enumerate(times):
            job = Job(id=f"j{number}", command="x", state=State.DEAD, updated_at=at)
            (Path(folder) / "spool" / "dead" / f"j{number}.json").write_bytes(encode_job(job))
        queue.refresh()
        index, found, back = queue.store.index, [], []
        after, before = OLDEST, NEWEST
        while rows := index.ended_after(State.DEAD, after, most):
            found += [row.position for row in rows]
            after = rows[-1].position
        while rows := index.ended_before(State.DEAD, before, most):
            back += [row.position for row in rows]
            before = rows[-1].position
        assert len(found) == len(times)
        assert all(two.is_after(one) for one, two in zip(found, found[1:]))
        assert back == found[::-1]
        assert index.ended_nth(State.DEAD, kept, "\U0010ffff") == (back[kept] if kept < len(back) else None)
