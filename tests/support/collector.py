"""A collector of OpenTelemetry in this process: it keeps the spans that programs send to it."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    """A span as it was sent."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    attributes: dict[str, Any]
    error: str
    begin: int
    end: int
    service: str


class Collector:
    """Listens at `address` within the block."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                outer.spans += _spans(data)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *said: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """What programs are told by."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.address, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def named(self, name: str) -> list[Span]:
        """Those of this name, the earliest first."""
        return sorted((one for one in self.spans if one.name == name), key=lambda one: (one.begin, one.end))


def _spans(data: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(data)
    found = []
    for resource in request.resource_spans:
        service = {one.key: one.value.string_value for one in resource.resource.attributes}["service.name"]
        for scope in resource.scope_spans:
            for one in scope.spans:
                told = {each.key: _value(each.value) for each in one.attributes}
                times = one.start_time_unix_nano, one.end_time_unix_nano
                ids = one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex()
                found.append(Span(one.name, *ids, told, one.status.message, *times, service))
    return found


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return (
        [each.string_value for each in value.array_value.values]
        if kind == "array_value"
        else getattr(value, kind)
    )
