"""Each verb of the product once: the spool before it, what a process does, and what must hold afterwards.

The process may end well, die or lose its power anywhere, or be refused what it asks of the system. `judge`
then carries on as another process would that meets no fault: what was acknowledged is there, nothing is lost
or doubled, and the work can be finished.
"""

from __future__ import annotations

import json
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any, Callable, NamedTuple

from queuectl import system
from queuectl.events import nobody
from queuectl.hands import Hands
from queuectl.queue import Queue
from queuectl.queue.firing import Firing
from queuectl.queue.store import Store
from queuectl.runner import COMPLETED, FAILED, Outcome
from queuectl.worker import Worker
from tests.support.faults import crasher, judges, judges_hooks, judges_house
from tests.support.faults.judges import NO_JOB, PERSON, SETTINGS

A_YEAR = 366 * 86400.0
EARLIER = 50_000.0
"""Seconds before now at which what is in the spool has happened: every retry is due."""
DEAD_WORKER = "host-1-1-dead"
HOOKS = {"on_success": ["x"], "on_failure": ["x"]}


class Scenario(NamedTuple):
    """One verb, whatever happens to the process that does it."""

    name: str
    make: Callable[[Path], None]
    """Makes the spool at this path as it is before the verb."""
    action: str
    """What the process does, of `crasher.ACTIONS`."""
    judge: Callable[[Path, list[str], bool], None]
    """Told the spool, what the process has said (which acknowledges it) and whether it came to its end by
    itself: carries on, finishes the work, and fails at the first thing that does not hold."""


# The spools


def no_spool(spool: Path) -> None:
    """There is nothing yet."""


def empty(spool: Path) -> None:
    _enqueue(spool)


def one_waits(spool: Path, **fields: Any) -> None:
    _enqueue(spool, "job", **fields)


def one_task_waits(spool: Path, **fields: Any) -> None:
    _enqueue(spool, "job", command=None, task=crasher.TASK, **fields)


def one_waits_for_another(spool: Path) -> None:
    _enqueue(spool, "job", priority=9)
    _enqueue(spool, "child", after=["job"])


def one_waits_in_a_group(spool: Path) -> None:
    _enqueue(spool)
    (spool / "groups" / "g.json").write_text('{"limit": 1, "rate": "100/s"}', encoding="utf-8")
    _enqueue(spool, "job", group="g")


def five_wait(spool: Path, **fields: Any) -> None:
    _enqueue(spool, *judges.FIVE, **fields)


def one_failed(spool: Path) -> None:
    """A job that has failed once, and whose retry is due."""
    _enqueue(spool, "job", max_retries=2)
    _run(spool, "failed")


def one_waits_and_its_name_will_be_taken(spool: Path) -> None:
    _enqueue(spool, "job")
    (spool / "from-elsewhere.json").write_bytes(PERSON)


def one_waits_paused(spool: Path) -> None:
    _enqueue(spool, "job")
    with Queue.open(str(spool)) as queue:
        queue.pause()


def drops(spool: Path) -> None:
    """Files that people have dropped; `known` is the name of a finished job."""
    _enqueue(spool, "known")
    _run(spool, "done")
    for name, data in {
        "good.json": b'{"command": ["x"]}',
        "bad.json": NO_JOB,
        "known.json": b'{"command": ["x"], "id": "known"}',
        "notepad.json.txt": b'{"command": ["x"]}',
    }.items():
        (spool / "pending" / name).write_bytes(data)


def left_by_a_dead_worker(spool: Path) -> None:
    """A worker that died with one job running, one recorded but not moved, one given up, and one torn."""
    folder = _die_with(spool, "running", "recorded", "given_up", "torn")
    (spool / "locks" / f"{DEAD_WORKER}.cancel").write_text("given_up", encoding="utf-8")
    (folder / "torn.json").write_bytes(b'{"command": ')
    (spool / "tmp" / f"{DEAD_WORKER}~123456789abc~running.json").write_bytes(b'{"comm')
    _refresh(spool)


def left_by_a_dead_worker_and_taken(spool: Path) -> None:
    """A worker that died; where its jobs are to go a person has put files of their names meanwhile."""
    _die_with(spool, "running", "recorded")
    (spool / "done" / "recorded.json").write_bytes(PERSON)
    (spool / "failed" / "running.json").write_bytes(PERSON)
    _refresh(spool)


def left_by_a_dead_worker_with_hooks(spool: Path) -> None:
    """A worker that died with one job running, and one recorded but not moved: each is to have a hook."""
    record = _die_with(spool, "running", "recorded", **HOOKS) / "recorded.json"
    run = {"outcome": "completed", "worker": DEAD_WORKER, "finished_at": "2026-01-01T00:00:00.000Z"}
    record.write_text(json.dumps({**json.loads(record.read_bytes()), "history": [run]}), encoding="utf-8")
    _refresh(spool)


def in_the_middle_of_its_life(spool: Path) -> None:
    """Jobs in each state (`judges.STATES`), two files that were no jobs, one of them mended, and settings."""
    _enqueue(spool, "done", "failed")
    _enqueue(spool, "dead", "other", max_retries=0)
    _run(spool, "done", "failed", "dead", "other")
    _enqueue(spool, "waits")
    for name in ("bad", "mended"):
        (spool / "pending" / f"{name}.json").write_bytes(NO_JOB)
    crasher.take_in(str(spool))
    (spool / "dead" / "mended.json").write_bytes(b'{"command": ["x"]}')
    with Queue.open(str(spool)) as queue:
        for name, value in SETTINGS.items():
            queue.set_config(name, value)
        queue.refresh()


def without_index(spool: Path) -> None:
    in_the_middle_of_its_life(spool)
    for path in spool.glob("index.sqlite3*"):
        path.unlink()


def with_an_index_of_another_version(spool: Path) -> None:
    in_the_middle_of_its_life(spool)
    connection = sqlite3.connect(spool / "index.sqlite3")
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def one_is_due(spool: Path) -> None:
    """A schedule of which one moment has come since it was looked at last."""
    _enqueue(spool)
    folder = spool / "schedules"
    (folder / "yearly.json").write_text(
        '{"cron": "0 0 1 1 *", "timezone": "UTC", "job": {"command": ["x"]}}', encoding="utf-8"
    )
    with Store.open(str(spool)) as store:
        Firing(store, nobody).look(system.now() - A_YEAR)


def with_what_may_go(spool: Path) -> None:
    """Jobs that have ended longer ago than the settings keep them, with logs; of one a child is to run."""
    in_the_middle_of_its_life(spool)
    _enqueue(spool, "parent", priority=9)
    _enqueue(spool, "child", after=["parent"])
    _run(spool, "done")
    for name in ("failed", "parent", *judges_house.ENDED):
        (spool / "logs" / f"{name}.log").write_bytes(name.encode())
    with Queue.open(str(spool)) as queue:
        for name in ("keep_done", "keep_dead"):
            queue.set_config(name, "1h")


def with_an_archive(spool: Path) -> None:
    """One job has been put away before, in the month in which the others ended."""
    _enqueue(spool, "before")
    _run(spool, "done")
    (spool / "logs" / "before.log").write_bytes(b"before")
    with Queue.open(str(spool)) as queue:
        queue.house.archive()
    with_what_may_go(spool)


def with_a_file_from_elsewhere(spool: Path) -> None:
    """Jobs of each kind, one of them with its log."""
    _enqueue(spool)
    record = {
        "command": ["x"],
        "created_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:00:01.000Z",
    }
    ran = {"attempts": 1, "crashes": 0}
    lines: list[dict[str, Any]] = [
        {"id": "first", **record, "state": "completed", **ran, "history": [{"outcome": "completed"}]},
        {"log": "first", "text": "hi\n"},
        {"id": "second", **record, "state": "failed", **ran, "run_at": "2026-01-01T00:00:02.000Z"},
        {"id": "third", **record, "state": "processing"},
    ]
    data = "".join(f"{json.dumps(line)}\n" for line in lines)
    (spool / "from-elsewhere.jsonl").write_text(data, encoding="utf-8")


def _enqueue(spool: Path, *ids: str, **fields: Any) -> None:
    with Queue.open(str(spool)) as queue:
        if ids:
            queue.enqueue([{"id": job_id, "command": ["x"], **fields} for job_id in ids])
        queue.refresh()


def _refresh(spool: Path) -> None:
    with Queue.open(str(spool)) as queue:
        queue.refresh()


def _run(spool: Path, *endings: str) -> None:
    """Run as many jobs as there are endings, in order; `done` is a success, anything else none."""
    left = list(endings)

    def run(job: Any, setting: Any) -> Outcome:
        verdict = COMPLETED if left.pop(0) == "done" else FAILED
        now = system.now() - EARLIER
        return Outcome(verdict, 0 if verdict == COMPLETED else 1, None, now, now)

    with Store.open(str(spool)) as store:
        worker = Worker(store, "host-1-1-early", Hands(now=lambda: system.now() - EARLIER))
        worker.runner.run = run  # type: ignore[method-assign]
        worker.start()
        while left:
            assert worker.run_once()
        worker.close()


def _die_with(spool: Path, *ids: str, **fields: Any) -> Path:
    """The folder of a worker that has died with these jobs; the run of `recorded` had ended."""
    _enqueue(spool, *ids, **fields)
    folder = spool / "processing" / DEAD_WORKER
    folder.mkdir()
    for job_id in ids:
        os.replace(spool / "pending" / f"{job_id}.json", folder / f"{job_id}.json")
    record = folder / "recorded.json"
    text = record.read_text(encoding="utf-8").replace('"state": "pending"', '"state": "completed"')
    record.write_text(text.replace('"attempts": 0', '"attempts": 1'), encoding="utf-8")
    for suffix in (".lock", ".run", ".stop"):
        (spool / "locks" / f"{DEAD_WORKER}{suffix}").touch()
    return folder


# The table


def _run_of(ends_in: str, before: int = 0) -> Callable[[Path, list[str], bool], None]:
    return partial(judges.judge_run, ends_in, before=before)


_ALL = (
    Scenario("init", no_spool, "init", judges.judge_init),
    Scenario("enqueue", empty, "enqueue", partial(judges.judge_enqueue, ("first",))),
    Scenario(
        "enqueue many",
        empty,
        "enqueue_many",
        partial(judges.judge_enqueue, ("first", "second", "third")),
    ),
    Scenario("take in drops", drops, "take_in", judges.judge_take_in),
    Scenario("run to success", one_waits, "complete", _run_of("completed")),
    Scenario("run to a retry", partial(one_waits, max_retries=1), "fail", _run_of("failed")),
    Scenario("run to death", partial(one_waits, max_retries=0), "fail", _run_of("dead")),
    Scenario("retry to success", one_failed, "complete", _run_of("completed", before=1)),
    Scenario(
        "run that leaves a result",
        one_waits,
        "leave",
        partial(judges.judge_left, "completed", b'{"rows": 3}'),
    ),
    Scenario(
        "run that leaves no JSON",
        partial(one_waits, max_retries=1),
        "leave_rubbish",
        partial(judges.judge_left, "failed", b"no JSON"),
    ),
    Scenario("run with a hook", partial(one_waits, **HOOKS), "complete", judges_hooks.judge_hook),
    Scenario(
        "a batch with hooks",
        partial(five_wait, priority=1000, **HOOKS),
        "complete_batch",
        partial(judges_hooks.judge_hooks, judges.FIVE),
    ),
    Scenario(
        "recover with hooks",
        left_by_a_dead_worker_with_hooks,
        "recover",
        partial(judges_hooks.judge_hooks, ("running", "recorded")),
    ),
    Scenario(
        "task to success", one_task_waits, "call", partial(judges.judge_left, "completed", b'{"rows": 3}')
    ),
    Scenario("task to a retry", partial(one_task_waits, max_retries=1), "call_and_fail", _run_of("failed")),
    Scenario("task left behind", one_task_waits, "leave_behind", _run_of("pending")),
    Scenario("run before another", one_waits_for_another, "complete", judges.judge_chain),
    Scenario("run of a group", one_waits_in_a_group, "complete", _run_of("completed")),
    Scenario("a batch", five_wait, "complete_batch", judges.judge_batch),
    Scenario("interrupted run", one_waits, "interrupt", _run_of("pending")),
    Scenario("interrupted retry", one_failed, "interrupt", _run_of("pending", before=1)),
    Scenario(
        "run to a taken name",
        one_waits_and_its_name_will_be_taken,
        "complete_beside",
        judges.judge_run_beside,
    ),
    Scenario("recover", left_by_a_dead_worker, "recover", judges.judge_recover),
    Scenario(
        "recover to taken names",
        left_by_a_dead_worker_and_taken,
        "recover",
        judges.judge_recover_beside,
    ),
    Scenario(
        "dlq retry",
        in_the_middle_of_its_life,
        "retry",
        partial(judges.judge_people, "retry", ("dead", "done", "mended"), "pending"),
    ),
    Scenario(
        "cancel",
        in_the_middle_of_its_life,
        "cancel",
        partial(judges.judge_people, "cancel", ("waits", "failed"), "dead"),
    ),
    Scenario(
        "purge",
        in_the_middle_of_its_life,
        "purge",
        partial(judges.judge_people, "purge", ("dead", "other", "bad"), None),
    ),
    Scenario("config set", in_the_middle_of_its_life, "set_config", judges.judge_config),
    Scenario("reindex", in_the_middle_of_its_life, "reindex", judges.judge_whole),
    Scenario("index deleted", without_index, "refresh", partial(judges.judge_whole, settings=False)),
    Scenario("index of another version", with_an_index_of_another_version, "refresh", judges.judge_whole),
    Scenario("fire a schedule", one_is_due, "fire", judges.judge_fire),
    Scenario("add a schedule", empty, "add_schedule", judges.judge_schedule),
    Scenario("pause a schedule", one_is_due, "pause_schedule", judges.judge_paused_schedule),
    Scenario("keep house", with_what_may_go, "keep", partial(judges_house.judge_prune, "keep")),
    Scenario("prune", with_what_may_go, "prune", partial(judges_house.judge_prune, "prune")),
    Scenario("archive", with_an_archive, "archive", judges_house.judge_archive),
    Scenario("import", with_a_file_from_elsewhere, "import", judges_house.judge_import),
    Scenario("pause", one_waits, "pause", partial(judges.judge_pause, "pause")),
    Scenario("resume", one_waits_paused, "resume", partial(judges.judge_pause, "resume")),
)
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
