"""The verbs whose power is cut: the scenarios and a few more, and what must hold of whatever is found then.

`judge` first looks at the files as they are found, before the product has touched them; then the scenario's
own judge carries on. A run, or a change that nobody was told of, may be lost with the power: the process
counts as one that did not come to its end.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from queuectl import system
from queuectl.queue import Queue
from queuectl.queue.intake import settle_drops
from queuectl.queue.recovery import recover
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from tests.support.faults.afterwards import carry_on, places, rows, run_all
from tests.support.faults.judges import FIVE, judge_config, judge_enqueue, judge_whole
from tests.support.faults.judges_house import ENDED
from tests.support.faults.scenarios import (
    SCENARIOS,
    Scenario,
    empty,
    five_wait,
    in_the_middle_of_its_life,
    no_spool,
    one_waits,
)
from tests.support.invariants import check, job_files
from tests.support.power.powerloss import State

ENQUEUED = ("first", "second", "third")
"""What any of the actions enqueues, and says so."""
PROMISED: Mapping[str, tuple[Collection[str], Optional[str]]] = {
    "retry": (("dead", "done", "mended"), "pending"),
    "cancel": (("waits", "failed"), "dead"),
    "purge": (("dead", "other", "bad"), None),
    "keep": (ENDED, None),
    "prune": (ENDED, None),
    "archive": (ENDED, None),
}
"""Once it was said: the jobs that the verb was for, and where they lie."""


LENIENT: Mapping[str, tuple[Collection[str], Collection[str]]] = {
    # The note beside a file that was no job may be lost or left; the file itself tells what is wrong with it.
    "take in drops": (("by name",), ("bad", "good", "known", "known-2", "notepad")),
    "purge": (("by name",), ()),
    "dlq retry": (("by name",), ()),
    # So may be the request to end a job, before anybody was told that it has ended: it waits for a retry.
    "recover": (("by folder", "by name"), ("given_up", "recorded", "running", "torn")),
    # What the person has done may be lost while what the worker did then is not.
    "run to a taken name": (("by folder", "by name"), ()),
}
"""Orders in which more may happen than the scenario's judge knows, and the ids that are there in the end."""


def judge_first(spool: Path, said: list[str], ended: bool) -> None:
    """Of a spool that was being made as much may be there as of its job."""
    Queue.open(str(spool)).close()
    judge_enqueue(("first",), spool, said, ended)


def judge_cancelled_run(spool: Path, said: list[str], ended: bool) -> None:
    """A job whose cancel was acknowledged does not run again."""
    carry_on(spool)
    check(spool, ["job"])
    assert run_all(spool) == ([] if rows(spool, "job")[0]["state"] == "dead" else ["job"])
    assert "cancel" not in said or places(spool) == {"job": "dead"}


def judge_batch(spool: Path, said: list[str], ended: bool) -> None:
    """What is recorded has run; the rest runs again: a claim, and the note of what runs, may be lost."""
    carry_on(spool)
    check(spool, FIVE)
    found = rows(spool, *FIVE)
    assert {row["state"] for row in found} <= {"completed", "failed", "pending"}
    completed = [row["id"] for row in found if row["state"] == "completed"]
    assert {f"ran {job_id}" for job_id in completed} <= set(said)
    assert all(row["attempts"] == len(row["history"]) - row["crashes"] <= 1 for row in found)
    assert run_all(spool) == sorted(set(FIVE).difference(completed))
    check(spool, FIVE)


def judge_life(spool: Path, said: list[str], ended: bool) -> None:
    """Every job that was acknowledged comes to its end, one that was cancelled and not retried too."""
    acknowledged = [one for one in ENQUEUED if one in said]
    if "cancel" in said and "retry" not in said:
        assert places(spool)["second"] in ("dead", "pending")
    carry_on(spool)
    check(spool, acknowledged)
    run_all(spool)
    assert set(acknowledged) <= set(places(spool)) <= set(ENQUEUED)
    assert set(places(spool).values()) <= {"done", "dead"}
    check(spool, acknowledged)


def with_a_journal_of_another_version(spool: Path) -> None:
    """An index of another version, whose last words are in its -wal: whoever had it open was killed."""
    in_the_middle_of_its_life(spool)
    names = ("index.sqlite3", "index.sqlite3-wal")
    connection = sqlite3.connect(spool / names[0], isolation_level=None)
    connection.execute("PRAGMA user_version = 99")
    kept = {name: (spool / name).read_bytes() for name in names}
    connection.close()
    for name, data in kept.items():
        (spool / name).write_bytes(data)


_MORE = (
    Scenario("index of another version, killed", with_a_journal_of_another_version, "refresh", judge_whole),
    Scenario("first enqueue", no_spool, "enqueue", judge_first),
    Scenario("config set beside a worker", in_the_middle_of_its_life, "set_config_beside", judge_config),
    Scenario("cancel a run", one_waits, "cancel_running", judge_cancelled_run),
    Scenario("a batch", five_wait, "complete_batch", judge_batch),
    Scenario("a whole life", empty, "live", judge_life),
)
OUTAGES = {**SCENARIOS, **{scenario.name: scenario for scenario in _MORE}}


class Before(NamedTuple):
    """The jobs of a spool before the verb: ids that lie in one place, and whatever bytes their files have."""

    ids: Sequence[str]
    contents: Collection[bytes]


def before(scenario: Scenario, spool: Path) -> Before:
    files = job_files(spool)
    names = Counter(path.stem for path in files)
    ids = [name for name, count in names.items() if count == 1]
    if scenario.name == "run to a taken name":
        # A person moves a file of this name in meanwhile.
        ids = []
    return Before(ids, {path.read_bytes() for path in spool.rglob("*.json")})


def judge(scenario: Scenario, was: Before, state: State, spool: Path) -> None:
    """Fail at the first thing that does not hold of what was found."""
    verb, said = scenario.action, state.said
    goes, target = PROMISED.get(verb, ((), "pending"))
    gone = goes if target is None else ()
    ids = [*(one for one in was.ids if one not in gone), *(one for one in ENQUEUED if one in said)]
    _whole(spool, was.contents)
    in_one_place(spool, ids)
    if verb in PROMISED and verb in said:
        goes, folder = PROMISED[verb]
        now = places(spool)
        assert {one: now.get(one) for one in goes} == dict.fromkeys(goes, folder), f"{verb} is undone"
    wait_for_owners(spool)
    orders, left = LENIENT.get(scenario.name, ((), ()))
    if state.order not in orders:
        scenario.judge(spool, said, False)
        return
    take_in(spool)
    carry_on(spool, left=True)
    in_one_place(spool, [*ids, *left])
    run_all(spool)
    in_one_place(spool, [*ids, *left])


def take_in(spool: Path) -> None:
    """A look at the drops, later than any settle_time."""
    with Store.open(str(spool)) as store:
        settle_drops(store, reconcile_all(store, system.now()), system.now() + 1000)


def wait_for_owners(spool: Path) -> None:
    """A worker whose folder was found, and the file of its lock was not, is given time to show up."""
    workers = [path.name for path in (spool / "processing").glob("*")]
    lost = [name for name in workers if not (spool / "locks" / f"{name}.lock").exists()]
    if lost:
        with Store.open(str(spool)) as store:
            recover(store, system.now(), 0.5)
        for path in (spool / "locks").glob("*.lock"):
            os.utime(path, (0, 0))


def in_one_place(spool: Path, ids: Collection[str]) -> None:
    lie = Counter(path.stem for path in job_files(spool))
    for one in ids:
        assert lie[one] == 1, f"{one} lies in {lie[one]} places"


def _whole(spool: Path, contents: Collection[bytes]) -> None:
    """What bears a job's name in a state folder is a whole record, or what it was before."""
    for path in job_files(spool):
        data = path.read_bytes()
        if data not in contents:
            try:
                record = json.loads(data)
            except ValueError:
                record = None
            assert isinstance(record, dict), f"{path.relative_to(spool)} is torn: {data[:40]!r}"
