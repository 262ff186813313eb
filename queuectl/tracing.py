"""OpenTelemetry: one trace a job, a span for each of its runs, whichever program they were in.

The ids of spans are derived from the record, so that every program derives the same: a command is told of its
run's span before that has ended (W3C Trace Context), and a run whose worker has died gets the span that its
command was told of. What is sent where is up to OpenTelemetry's own environment variables.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

import msgspec

from queuectl.errors import QueueError
from queuectl.job import Job, Run
from queuectl.measures import measured
from queuectl.moment import format_moment, read_moment
from queuectl.state import State

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import SpanContext

VARIABLE = "TRACEPARENT"
"""In a job's `env`: the span of whoever has added it. In what its command finds: that of its run."""
_PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})\Z")
_NAME = "queuectl"
_FLUSH = 2.0
"""Seconds that what is left is given to be sent when the workers end."""
_LONGEST = 200
_ENDS = (State.COMPLETED, State.DEAD)
_NO_ERRORS = ("completed", "cancelled")


class Trace(NamedTuple):
    """Where the spans of a job belong."""

    trace_id: int
    parent: Optional[int]
    """The span of whoever has added the job, if that was told."""
    sampled: bool
    key: str
    """What the ids of its spans are derived from."""

    def span(self, what: str) -> int:
        """The id of a span of it."""
        return _number(f"{self.trace_id:032x} {self.key} {what}", 8)


def trace_of(job: Job, created: float) -> Trace:
    """That of a job which came in then, unless its record says another time."""
    told = _PARENT.match(job.env.get(VARIABLE, ""))
    came = job.created_at or format_moment(created)
    # One that was retried by hand lives again: so many runs it has had before.
    life = len(job.history) - job.attempts - job.crashes
    key = f"{job.name} {came} {life}"
    if told is None:
        return Trace(_number(f"{job.name} {came}", 16), None, True, key)
    return Trace(int(told[1], 16), int(told[2], 16), bool(int(told[3], 16) & 1), key)


def run_span(trace: Trace, job: Job) -> int:
    """The id of the span of the run that is next, by the record from before it."""
    return trace.span(f"run {len(job.history)} {job.attempts} {job.crashes}")


def traceparent(job: Job, created: float) -> str:
    """What the next run of this job is told of its span."""
    trace = trace_of(job, created)
    return f"00-{trace.trace_id:032x}-{run_span(trace, job):016x}-{int(trace.sampled):02x}"


def _number(text: str, length: int) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:length], "big") or 1


def enter(parent: str) -> None:
    """Have what is called next in this context belong to that span, if OpenTelemetry is here."""
    told = _PARENT.match(parent)
    try:
        from opentelemetry import context, trace
    except ImportError:
        return
    if told is not None:
        span = trace.NonRecordingSpan(_context(int(told[1], 16), int(told[2], 16), sampled=told[3] == "01"))
        context.attach(trace.set_span_in_context(span))


def _context(trace_id: int, span_id: int, *, sampled: bool) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)


class Tracer:
    """Sends the spans of one process. Any thread may call it; none is held up."""

    def __init__(self, root: str, processor: SpanProcessor) -> None:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource

        ours = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: _NAME}
        self._root, self._processor, self._resource = root, processor, Resource.create(ours)

    def ended(self, job: Job, run: Run, state: State, created: float) -> None:
        """A run has ended and brought the job to this state; `job` is the record from before it."""
        trace = trace_of(job, created)
        if not trace.sampled:
            return
        end = read_moment(run.finished_at) or 0.0
        begin = read_moment(run.started_at) or end
        whole = trace.span("job")
        self._send("process", trace, run_span(trace, job), whole, (begin, end), _of_run(job, run, created))
        if state in _ENDS:
            came = read_moment(job.created_at) or created
            told = {**_of_job(job), "queuectl.state": state.value}
            failed = run.error or state.value if state is State.DEAD and run.outcome != "cancelled" else None
            self._send("job", trace, whole, trace.parent, (min(came, begin), end), (told, failed))

    def recovered(self, job: Job, created: float) -> None:
        """Of a run that its worker has not lived to tell of: `job` is the record after it."""
        run = job.history[-1]
        crashed = run.outcome == "crashed" or run.started_at is None
        before = msgspec.structs.replace(
            job,
            history=job.history[:-1],
            attempts=job.attempts - (not crashed),
            crashes=job.crashes - crashed,
            run_at=None,
        )
        self.ended(before, run, job.state, created)

    def _send(
        self,
        what: str,
        trace: Trace,
        span_id: int,
        parent: Optional[int],
        time: tuple[float, float],
        told: tuple[dict[str, Any], Optional[str]],
    ) -> None:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanKind, Status, StatusCode

        attributes, error = told
        destination = attributes["messaging.destination.name"]
        span = ReadableSpan(
            f"{what} {destination}",
            context=_context(trace.trace_id, span_id, sampled=True),
            parent=None if parent is None else _context(trace.trace_id, parent, sampled=True),
            resource=self._resource,
            attributes=attributes,
            kind=SpanKind.CONSUMER if what == "process" else SpanKind.INTERNAL,
            status=Status() if error is None else Status(StatusCode.ERROR, error),
            start_time=round(time[0] * 1e9),
            end_time=round(max(time) * 1e9),
            instrumentation_scope=InstrumentationScope(_NAME),
        )
        self._processor.on_end(span)

    def close(self) -> None:
        """Send what is left, as far as that can be done soon."""
        thread = threading.Thread(target=self._processor.shutdown, daemon=True, name="queuectl-traces")
        try:
            thread.start()
        except RuntimeError:
            # No room for another thread: what is left is not sent.
            return
        thread.join(_FLUSH)


def _of_run(job: Job, run: Run, created: float) -> tuple[dict[str, Any], Optional[str]]:
    told = {
        **_of_job(job),
        "messaging.operation.type": "process",
        "messaging.operation.name": "run",
        "queuectl.outcome": run.outcome,
        "queuectl.attempt": run.attempt,
        "queuectl.exit_code": run.exit_code,
        "queuectl.worker": run.worker,
        "queuectl.waited_seconds": measured(job, run, dead=False, created=created).waited,
    }
    failed = None if run.outcome in _NO_ERRORS else run.error or run.outcome
    return {name: value for name, value in told.items() if value is not None}, failed


def _of_job(job: Job) -> dict[str, Any]:
    """What is told of a job: what lists show of it, and neither its `env` nor what it prints."""
    command = job.command if isinstance(job.command, str) else " ".join(job.command or ())
    told = {
        "messaging.system": _NAME,
        "messaging.message.id": job.name,
        "messaging.destination.name": job.group or "spool",
        "queuectl.command": command[:_LONGEST] or None,
        "queuectl.task": job.task,
        "queuectl.batch": job.batch,
        "queuectl.schedule": job.schedule,
        "queuectl.tags": list(job.tags) or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def started(root: str, told: Callable[[str], object]) -> Tracer:
    """A tracer for the spool at `root`; `told` is called once with what goes wrong as it sends.

    Raises:
        QueueError: OpenTelemetry is not installed, or its variables ask for what is not there.
    """
    try:
        processor = _processor_of(os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower())
    except ImportError as error:
        raise QueueError(
            f"the setting traces is on, and {error.name} is not installed here",
            hint='pip install "queuectl-spool[otel]", or queuectl config set traces off',
        ) from error
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    logger.handlers = [_Once(told)]
    return Tracer(root, processor)


def _processor_of(exporter: str) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    made: SpanExporter
    if exporter == "console":
        made = ConsoleSpanExporter()
    elif exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        made = OTLPSpanExporter()
    else:
        raise QueueError(
            f"OTEL_TRACES_EXPORTER is {exporter!r}, and queuectl knows otlp and console",
            hint="queuectl config set traces off sends none",
        )
    return BatchSpanProcessor(made)


class _Once(logging.Handler):
    """Tells the first thing that goes wrong: of a collector that is not there it would hear each time."""

    def __init__(self, told: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._told: Optional[Callable[[str], object]] = told

    def emit(self, record: logging.LogRecord) -> None:
        """As the module logging asks."""
        told, self._told = self._told, None
        if told is not None:
            told(f"traces are not sent: {record.getMessage()}")
