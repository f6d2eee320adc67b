"""A collector of traces: an OTLP/HTTP server that decodes what it gets, by OpenTelemetry's own protobuf."""

from __future__ import annotations

import gzip
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass
class Received:
    """A span. parent: "" for a root. error: message of a span that failed, else None. resource: attributes
    of the process."""

    name: str
    trace: bytes
    id: bytes
    parent: bytes
    start: int
    end: int
    kind: int
    error: str | None
    attributes: dict[str, Any]
    links: list[tuple[bytes, bytes]]
    resource: dict[str, Any]


@dataclass
class Collector:
    url: str = ""
    status: int = 200
    spans: list[Received] = field(default_factory=list)
    requests: int = 0
    delay: float = 0.0

    def of(self, trace: bytes) -> dict[str, list[Received]]:
        """The spans of a trace by name, each name's in the order of their starts."""
        found: dict[str, list[Received]] = defaultdict(list)
        for span in sorted(self.spans, key=lambda span: (span.start, span.end)):
            if span.trace == trace:
                found[span.name].append(span)
        return dict(found)


@contextmanager
def collector() -> Iterator[Collector]:
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            made.requests += 1
            time.sleep(made.delay)
            if made.status == 200 and self.path == "/v1/traces":
                made.spans.extend(_decoded(body))
            self.send_response(made.status)
            self.send_header("Content-Type", "application/x-protobuf")
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def _decoded(body: bytes) -> Iterator[Received]:
    for process in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _values(process.resource.attributes)
        for scope in process.scope_spans:
            for span in scope.spans:
                failed = span.status.code == Status.STATUS_CODE_ERROR
                yield Received(
                    span.name,
                    span.trace_id,
                    span.span_id,
                    span.parent_span_id,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    span.kind,
                    span.status.message if failed else None,
                    _values(span.attributes),
                    [(link.trace_id, link.span_id) for link in span.links],
                    resource,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}
