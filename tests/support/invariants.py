"""What must hold of a spool after anything that may have happened to it (DESIGN, "Proving it")."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from queuectl.queue import Queue
from queuectl.queue.invariants import Ran, broken
from queuectl.queue.report import Status

_PLAIN_FOLDERS = ("pending", "done", "failed", "dead")


def check(
    spool_root: Union[str, Path],
    acknowledged_ids: Collection[str],
    runs: Collection[Ran] = (),
    *,
    max_attempts: Optional[int] = None,
    attempts_matter: bool = True,
) -> None:
    """Fail with the first invariant that does not hold; call it while no worker is in the middle of a step.

    First the product's own checker is asked (`queuectl.queue.invariants`), then, by other means, the files:
    every acknowledged id lies in exactly one state folder; every record parses and its name is its id;
    attempts are within the limit (the job's own, else `max_attempts`, else the setting); nothing is left in
    `tmp/`; the index built anew tells the same as the one that is there.

    With `attempts_matter` False the limit is not looked at: a person who drags a finished job back into
    `failed` gives it one run more than its limit.
    """
    root = Path(spool_root)
    with Queue.open(str(root), create=False) as queue:
        faults = list(broken(queue.store, acknowledged_ids, runs))
        assert not faults, "; ".join(faults)
        _check_files(root, acknowledged_ids)
        rows = _index_follows(queue)
    if attempts_matter:
        _attempts_in_limit(rows, max_attempts)


def _check_files(root: Path, acknowledged_ids: Collection[str]) -> None:
    files = job_files(root)
    _each_in_one_place(files, acknowledged_ids)
    for path in files:
        _sound_record(root, path, path.stem in acknowledged_ids)
    assert not any((root / "tmp").iterdir()), f"left in tmp: {sorted((root / 'tmp').iterdir())}"


def job_files(root: Path) -> list[Path]:
    """Every file that is named like a job's record, in whatever state."""
    found = [path for folder in _PLAIN_FOLDERS for path in (root / folder).glob("*.json")]
    return sorted([*found, *(root / "processing").glob("*/*.json")])


def _each_in_one_place(files: list[Path], ids: Collection[str]) -> None:
    for job_id in ids:
        places = [path for path in files if path.name == f"{job_id}.json"]
        assert len(places) == 1, f"{job_id} lies in {len(places)} places: {[str(one) for one in places]}"
    for path in files:
        twins = [one for one in files if one.name == path.name]
        assert len(twins) == 1, f"one name, several places: {[str(one) for one in twins]}"


def _sound_record(root: Path, path: Path, acknowledged: bool) -> None:
    if path.parent.name == "dead" and path.with_name(f"{path.stem}.error.txt").exists():
        return  # A file that was no job, kept as it was.
    if path.parent.name == "pending" and not acknowledged:
        return  # A drop that no worker has looked at: its name counts, whatever it holds.
    record = _record(path)
    assert isinstance(record, dict), f"{path} holds no record: {record!r}"
    where = path.relative_to(root).as_posix()
    if "id" not in record and "updated_at" not in record:
        return  # A drop is stamped when its first run has ended; it runs, or was dragged here before.
    assert record.get("id") == path.stem, f"{where} gives the id {record.get('id')!r}"


def _record(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _index_follows(queue: Queue) -> Sequence[dict[str, Any]]:
    """The rows of all jobs."""
    before = _told(queue)
    queue.reindex()
    after = _told(queue)
    assert before == after, "the index built anew tells something else"
    return after.rows


class _Told(NamedTuple):
    counts: Mapping[str, int]
    paused: bool
    problems: list[str]
    rows: list[dict[str, Any]]


def _told(queue: Queue) -> _Told:
    rows = sorted(queue.jobs(), key=lambda row: str(row["id"]))
    status = queue.status()
    return _Told(status.counts, status.paused, lasting_problems(status), rows)


def lasting_problems(status: Status) -> list[str]:
    """Those that the files tell of; what could not be done with a job the last time is soon known again."""
    return [line for line in status.problems if not line.startswith("job ")]


def _attempts_in_limit(rows: Iterable[dict[str, Any]], max_attempts: Optional[int]) -> None:
    for row in rows:
        limit = row["max_retries"] + 1 if max_attempts is None else max_attempts
        assert row["attempts"] <= limit, f"{row['id']} has run {row['attempts']} times, the limit is {limit}"
