"""Traces as a collector gets them, from real workers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.support.ledger import Ledger
from tests.support.program import PATIENCE, Program
from tests.support.waiting import wait_until

pytest.importorskip("opentelemetry.sdk", reason='needs pip install ".[otel]"')

from tests.support.collector import Collector

pytestmark = pytest.mark.e2e

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector(program: Program) -> Iterator[Collector]:
    with Collector() as made:
        program.env.update(made.environment)
        program.ok("init")
        program.ok("config", "set", "traces", "on")
        yield made


def test_a_job_is_one_trace_over_all_its_attempts(program: Program, collector: Collector) -> None:
    tell = "import os; print(os.environ['TRACEPARENT']); raise SystemExit(3)"
    command = [sys.executable, "-c", tell]
    retries = {"max_retries": 1, "backoff_base": 0.01}
    program.drop("a.json", {"command": command, **retries, "group": "video", "tags": ["x"]})
    for _ in range(2):
        # By two programs: each ends when nothing is left to do now.
        program.ok("worker", "start", "--drain")
    program.wait_in("dead", "a")
    wait_until(lambda: len(collector.spans) == 3, "three spans", PATIENCE)
    first, second = collector.named("process video")
    (whole,) = collector.named("job video")
    assert len({one.trace_id for one in collector.spans}) == 1
    assert first.parent == second.parent == whole.span_id and whole.parent == ""
    assert [one.attributes["queuectl.attempt"] for one in (first, second)] == [1, 2]
    assert first.error == second.error == whole.error == "exit code 3"
    assert first.attributes["messaging.message.id"] == "a" and first.attributes["queuectl.tags"] == ["x"]
    assert (first.service, first.attributes["queuectl.outcome"]) == ("queuectl", "failed")
    assert whole.begin <= first.begin <= first.end <= second.begin <= second.end == whole.end
    log = (program.spool / "logs" / "a.log").read_text()
    for one in (first, second):
        assert f"00-{one.trace_id}-{one.span_id}-01" in log, "its command was told of it"


def test_it_joins_the_trace_of_whoever_has_added_it(program: Program, collector: Collector) -> None:
    program.drop("a.json", {"command": "exit 0", "env": {"TRACEPARENT": PARENT}})
    program.drop("b.json", {"command": "exit 0", "env": {"TRACEPARENT": PARENT.replace("-01", "-00")}})
    program.drop("c.json", {"command": "exit 0", "env": {"TRACEPARENT": "nonsense"}})
    program.ok("worker", "start", "--drain")
    found = {one.attributes["messaging.message.id"]: one for one in collector.named("job spool")}
    assert sorted(found) == ["a", "c"], "b is not sampled"
    assert (found["a"].trace_id, found["a"].parent) == tuple(PARENT.split("-")[1:3])
    assert found["c"].parent == "" and found["c"].trace_id != found["a"].trace_id


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is the other systems'")
def test_a_run_whose_worker_has_died_is_told_of_by_who_finds_it(
    program: Program, ledger: Ledger, collector: Collector
) -> None:
    program.ok("config", "set", "max_crashes", "1")
    with program.workers(1) as worker:
        program.drop("a.json", ledger.job("a", "tree"))
        ledger.wait_started("a")
        os.kill(worker.pid, signal.SIGKILL)
        worker.process.wait()
    for pid in ledger.pids("a"):
        os.kill(pid, signal.SIGKILL)
    with program.workers(1):
        program.wait_in("dead", "a")
        wait_until(lambda: len(collector.spans) == 2, "its spans", PATIENCE)
    (crashed,) = collector.named("process spool")
    assert crashed.attributes["queuectl.outcome"] == "crashed" and "died while it ran" in crashed.error
    assert collector.named("job spool")[0].span_id == crashed.parent


def test_a_task_runs_within_its_span(program: Program, collector: Collector) -> None:
    (program.here / "traced.py").write_text(
        "from opentelemetry import trace\n"
        "from queuectl import Queue\n"
        "queue = Queue('spool')\n"
        "@queue.task(name='t')\n"
        "def t():\n"
        "    found = trace.get_current_span().get_span_context()\n"
        "    return f'{found.trace_id:032x}-{found.span_id:016x}'\n"
    )
    for number, options in enumerate(((), ("--processes", "1"))):
        program.drop(f"t{number}.json", {"task": "t"})
        program.ok("worker", "start", "--drain", "--tasks", "traced", *options)
        program.wait_in("done", f"t{number}")
        spans = collector.named("process spool")
        (span,) = [one for one in spans if one.attributes["messaging.message.id"] == f"t{number}"]
        assert program.record("done", f"t{number}")["result"] == f"{span.trace_id}-{span.span_id}"


def test_a_collector_that_is_not_there_holds_nothing_up(program: Program) -> None:
    program.env.update(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY="50")
    program.ok("init")
    for number in range(20):
        program.drop(f"j{number}.json", {"command": "exit 0"})
    result = program.call("--set", "traces=on", "worker", "start", "--drain")
    assert result.code == 0 and len(program.names("done")) == 20
    assert result.err.count("traces are not sent") <= 1 and "Traceback" not in result.err


def test_off_nothing_is_sent_and_no_command_is_told(program: Program, collector: Collector) -> None:
    """The control run."""
    program.ok("config", "unset", "traces")
    tell = "import os; print(os.environ.get('TRACEPARENT'))"
    program.drop("a.json", {"command": [sys.executable, "-c", tell]})
    program.ok("worker", "start", "--drain")
    assert collector.spans == []
    assert (program.spool / "logs" / "a.log").read_text().strip() == "None"
