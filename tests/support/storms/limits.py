"""What the tests of limits share: jobs in a spool, a refusal in words, and the end, when all is done."""

from __future__ import annotations

from queuectl.queue import Queue
from tests.support.invariants import check
from tests.support.ledger import Ledger
from tests.support.program import Program, Result


def enqueue(program: Program, ledger: Ledger, *names: str) -> None:
    with Queue.open(str(program.spool)) as queue:
        queue.set_config("poll_interval", "0.2")
        queue.set_config("backoff_base", "0.1")
        queue.enqueue([{"id": name, **ledger.job(name)} for name in names])


def work_off(program: Program, names: list[str]) -> None:
    """Without a limit all of these end in `done`."""
    with program.workers() as worker:
        program.wait_in("done", *names)
        program.ok("worker", "stop")
        assert worker.end().code == 0
    assert program.names("done") == sorted(f"{name}.json" for name in names)


def finish(program: Program, ledger: Ledger, names: list[str], crashes: int = 0) -> None:
    """Without a limit all of these run, or have run, once."""
    work_off(program, names)
    records = [program.record("done", name) for name in names]
    assert [(one["attempts"], one["crashes"]) for one in records] == [(1, crashes)] * len(names)
    assert [ledger.runs(name) for name in names] == [1 + crashes] * len(names)
    assert ledger.overlaps() == []
    assert program.left_behind() == []
    check(program.spool, names)


def clear(result: Result) -> Result:
    """Success or a documented refusal, in words."""
    assert result.code in (0, 7), result
    assert "Traceback" not in result.err
    assert result.err.startswith("queuectl: ") or result.code == 0
    return result
