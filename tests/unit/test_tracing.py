"""Traces: ids that every program derives alike, and what is told of a run."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import msgspec
import pytest

from queuectl import tracing
from queuectl.errors import QueueError
from queuectl.job import Job, Run
from queuectl.moment import format_moment
from queuectl.state import State
from queuectl.tracing import run_span, trace_of, traceparent

T = 1_800_000_000.0
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def job(**fields: Any) -> Job:
    return Job(**{"id": "a", "command": "x", "created_at": format_moment(T), **fields})


def run(outcome: str = "failed", **fields: Any) -> Run:
    times = {"started_at": format_moment(T + 1), "finished_at": format_moment(T + 3)}
    return Run(outcome=outcome, **{**times, **fields})


def after(before: Job, **changes: Any) -> Job:
    return msgspec.structs.replace(before, history=[*before.history, run()], **changes)


def test_ids_are_the_same_wherever_they_are_derived() -> None:
    told = traceparent(job(), 0.0)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", told)
    assert told == traceparent(job(priority=9, tags=["x"]), T + 5)
    assert told != traceparent(job(id="b"), 0.0) and told != traceparent(
        job(created_at=format_moment(T + 1)), 0.0
    )


def test_one_that_does_not_say_when_it_came_in_is_the_same_once_it_does() -> None:
    dropped = job(created_at=None)
    assert traceparent(dropped, T + 0.1234567) == traceparent(
        job(created_at=format_moment(T + 0.1234567)), 0.0
    )


def test_each_run_has_a_span_of_its_own_in_one_trace() -> None:
    one = job()
    two = after(one, attempts=1)
    three = after(two, attempts=1, crashes=1)
    found = [trace_of(each, T) for each in (one, two, three)]
    assert len({each.trace_id for each in found}) == 1 and len({each.span("job") for each in found}) == 1
    assert len({run_span(trace, each) for trace, each in zip(found, (one, two, three))}) == 3


def test_one_that_is_retried_by_hand_lives_again_in_the_same_trace() -> None:
    first, again = job(), after(job(), attempts=0)
    assert trace_of(first, T).trace_id == trace_of(again, T).trace_id
    assert trace_of(first, T).span("job") != trace_of(again, T).span("job")


NO_PARENTS = (
    *("", "x", PARENT + "0", PARENT.upper(), "01" + PARENT[2:], PARENT.replace("0af765", "g")),
    *(f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01"),
)


@pytest.mark.parametrize("text", NO_PARENTS)
def test_a_parent_that_is_none_is_left_out(text: str) -> None:
    assert trace_of(job(env={"TRACEPARENT": text}), T) == trace_of(job(), T)


def test_a_parent_is_joined() -> None:
    trace = trace_of(job(env={"TRACEPARENT": PARENT}), T)
    assert (f"{trace.trace_id:032x}", f"{trace.parent:016x}", trace.sampled) == (
        *PARENT.split("-")[1:3],
        True,
    )
    assert not trace_of(job(env={"TRACEPARENT": PARENT[:-1] + "0"}), T).sampled
    assert traceparent(job(env={"TRACEPARENT": PARENT[:-1] + "0"}), T).endswith("-00")


# What is sent


class Sent:
    """In place of what sends."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.on_end = self.spans.append

    def shutdown(self) -> None:
        self.spans.append("end")


@pytest.fixture
def sent() -> Sent:
    pytest.importorskip("opentelemetry.sdk", reason='needs pip install ".[otel]"')
    return Sent()


def test_of_a_run_that_failed_and_is_tried_again(sent: Sent) -> None:
    tracer = tracing.Tracer("/spool", sent)  # type: ignore[arg-type]
    tracer.ended(
        job(group="g", env={"SECRET": "s3cret"}, stdin="s3cret"),
        run(exit_code=3, error="exit code 3"),
        State.FAILED,
        T,
    )
    (span,) = sent.spans
    assert (span.name, span.kind.name, span.status.status_code.name) == ("process g", "CONSUMER", "ERROR")
    assert span.status.description == "exit code 3"
    assert (span.start_time, span.end_time) == (round((T + 1) * 1e9), round((T + 3) * 1e9))
    assert span.attributes["queuectl.waited_seconds"] == 1.0 and span.attributes["queuectl.exit_code"] == 3
    assert "s3cret" not in span.to_json()


def test_of_the_last_run_and_of_the_job(sent: Sent) -> None:
    tracer = tracing.Tracer("/spool", sent)  # type: ignore[arg-type]
    tracer.ended(job(), run("completed"), State.COMPLETED, T)
    process, whole = sent.spans
    assert process.parent.span_id == whole.context.span_id and whole.parent is None
    assert (whole.name, whole.start_time, whole.end_time) == ("job spool", round(T * 1e9), process.end_time)
    assert process.status.status_code.name == whole.status.status_code.name == "UNSET"


def test_a_cancelled_one_is_no_error(sent: Sent) -> None:
    tracer = tracing.Tracer("/spool", sent)  # type: ignore[arg-type]
    tracer.ended(job(), run("cancelled", error="cancelled"), State.DEAD, T)
    assert {span.status.status_code.name for span in sent.spans} == {"UNSET"}


@pytest.mark.parametrize(
    ("outcome", "counts"), [("failed", {"attempts": 2}), ("crashed", {"attempts": 1, "crashes": 1})]
)
def test_a_run_that_was_recovered_has_the_span_that_its_command_was_told_of(
    sent: Sent, outcome: str, counts: dict[str, int]
) -> None:
    before = after(job(), attempts=1)
    told = traceparent(before, T)
    times = {} if outcome == "failed" else {"started_at": None}
    record = msgspec.structs.replace(before, history=[*before.history, run(outcome, **times)], **counts)
    tracing.Tracer("/spool", sent).recovered(record, T)  # type: ignore[arg-type]
    assert f"{sent.spans[0].context.trace_id:032x}-{sent.spans[0].context.span_id:016x}" in told


def test_what_is_left_is_sent_in_the_end(sent: Sent) -> None:
    tracing.Tracer("/spool", sent).close()  # type: ignore[arg-type]
    assert sent.spans == ["end"]


# Where it cannot be


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(QueueError, match=r'pip install "queuectl-spool\[otel\]"'):
        tracing.started("/spool", print)
    tracing.enter(PARENT)


def test_an_exporter_that_we_do_not_know(monkeypatch: pytest.MonkeyPatch, sent: Sent) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(QueueError, match="knows otlp and console"):
        tracing.started("/spool", print)


def test_of_what_goes_wrong_the_first_is_told() -> None:
    told: list[str] = []
    once = tracing._Once(told.append)
    for _ in range(3):
        once.handle(logging.LogRecord("x", logging.WARNING, "x", 1, "cannot reach %s", ("it",), None))
    assert told == ["traces are not sent: cannot reach it"]
