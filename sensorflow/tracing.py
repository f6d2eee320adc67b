"""Sends the spans of traces through OpenTelemetry, if the standard environment variables of OpenTelemetry
request this. No other module imports OpenTelemetry.

The trace of a file extends over several processes. Therefore a span is recorded only when it has ended;
`core.trace` explains the ids. A background thread sends the spans. Tracing never disturbs the work: if the
queue is full or the collector does not answer, spans are lost, and the loss is counted and logged.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sensorflow import __version__
from sensorflow.core.trace import RANDOM_BYTES, make_trace_id, root_span_id
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.telemetry import Event, emit

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

FLUSH_SECONDS = 5.0
"""Maximum number of seconds that a process waits at its end for its spans to be sent."""
LOG_EVERY_SECONDS = 60.0
"""Minimum number of seconds between two log events about lost spans."""
INSTALL = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
"""The command, for messages, that installs the packages of the extra `otel`."""
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


Attributes = Mapping[str, str | int | float | bool]


class Kind(StrEnum):
    """The role of a span, see OpenTelemetry's SpanKind."""

    INTERNAL = "INTERNAL"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


@dataclass(frozen=True)
class Span:
    """A span that has ended: one piece of work in a trace. trace_id: id of the trace, 16 bytes. start,
    end: nanoseconds since 1970. parent: id of the parent span; None for the root span. span_id: id of this
    span; 0 for a random id. error: (code, message) if the work failed; otherwise None. links: the ids of
    other traces; the span gets a link to the root span of each."""

    name: str
    trace_id: bytes
    start: int
    end: int
    parent: int | None = None
    span_id: int = 0
    kind: Kind = Kind.INTERNAL
    attributes: Attributes | None = None
    error: tuple[str, str] | None = None
    links: Sequence[bytes] = ()


def exporter() -> str:
    """Return the name of the exporter that the environment variables of OpenTelemetry request; "" if they
    do not request tracing. If they only set an endpoint, the exporter is `otlp`."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    name = os.environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if not name and any(os.environ.get(variable, "").strip() for variable in _ENDPOINTS):
        name = "otlp"
    return "" if name == "none" else name


def require() -> None:
    """Import OpenTelemetry, if tracing is requested. Call this function before a fork, so that the
    children share the memory of the modules. Raises UsageError if OpenTelemetry or the requested exporter
    is not installed."""
    if name := exporter():
        _exporter_class(name)


def start(role: str) -> None:
    """Start tracing in this process, if tracing is requested. Call this function after a fork. role: the
    role of the process, such as `daemon`.

    Raises UsageError as `require` does, and Transient HOST if no thread can be started.
    """
    global _sender
    name = exporter()
    _sender = _Sender(_exporter_class(name)(), role) if name else None


def stop(seconds: float = FLUSH_SECONDS) -> None:
    """Send the spans that are still queued, and end tracing. Waits at most `seconds` seconds.
    Idempotent."""
    global _sender
    sender, _sender = _sender, None
    if sender is not None:
        sender.close(seconds)


@contextmanager
def running(role: str) -> Iterator[None]:
    """Return a context manager: tracing is on while the context lasts. role: see `start`."""
    start(role)
    try:
        yield
    finally:
        stop()


def is_on() -> bool:
    return _sender is not None


def new_trace_id(started: datetime) -> bytes | None:
    """Return the id of a new trace that began at `started`. Return None if tracing is off, or if the
    sampler (OTEL_TRACES_SAMPLER) drops the trace; no process may then record spans of this trace."""
    if _sender is None:
        return None
    trace_id = make_trace_id(started, random.randbytes(RANDOM_BYTES))
    return trace_id if _sender.samples(trace_id) else None


def record(span: Span) -> None:
    """Queue a span that has ended. Does nothing if tracing is off. Never raises and never blocks."""
    if _sender is not None:
        _sender.add(span)


def _exporter_class(name: str) -> Any:
    """Import and return the class of an exporter. Raises UsageError if OpenTelemetry or the exporter is
    not installed."""
    if name == "otlp":
        variables = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        protocol = next((v for n in variables if (v := os.environ.get(n, "").strip())), "")
        name = _PROTOCOLS.get(protocol or "http/protobuf", protocol)
    found = list(entry_points(group="opentelemetry_traces_exporter", name=name))
    if find_spec("opentelemetry") is None or (not found and name == "otlp_proto_http"):
        reason = (
            "tracing is requested by the environment (OTEL_…), but OpenTelemetry is not installed"
        )
        raise UsageError(f"{reason}: {INSTALL}", Code.SETTINGS)
    if not found:
        reason = f"the exporter of traces {name!r} is not installed"
        raise UsageError(
            f"{reason}: install its package, or set OTEL_TRACES_EXPORTER=otlp and "
            "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
            Code.SETTINGS,
        )
    import opentelemetry.sdk.trace.export
    import opentelemetry.sdk.trace.sampling  # noqa: F401 - shared after a fork

    return found[0].load()


class _Sender:
    """Queues spans and sends them in batches from a background thread. Counts and logs the spans that are
    lost."""

    def __init__(self, target: SpanExporter, role: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._reason = _LastMessage()
        self._lock = threading.Lock()
        self._waiting = self._lost = 0
        self._log_at = -LOG_EVERY_SECONDS
        self._most = _queue_size()
        self._made = _maker(Resource.create(_resource(role)))
        self._sampler = TracerProvider(shutdown_on_exit=False).sampler
        try:
            self._processor = BatchSpanProcessor(_counting(target, self._sent), self._most)
        except RuntimeError as error:
            what = f"the operating system refuses to start a thread: {error}"
            raise Transient(Code.HOST, what) from error

    def samples(self, trace_id: bytes) -> bool:
        from opentelemetry.sdk.trace.sampling import Decision

        found = self._sampler.should_sample(None, int.from_bytes(trace_id), "file")
        return found.decision is not Decision.DROP

    def add(self, span: Span) -> None:
        with self._lock:
            if is_full := self._waiting >= self._most:
                self._lost += 1
            else:
                self._waiting += 1
        if is_full:
            self._log_lost("the queue is full")
        else:
            self._processor.on_end(self._made(span))

    def close(self, seconds: float) -> None:
        """Send the queued spans, and log how many spans were lost. Waits at most `seconds` seconds."""
        ended = threading.Event()

        def flush() -> None:
            shutdown: Callable[[], None] = self._processor.shutdown
            shutdown()
            ended.set()

        # `shutdown` itself may wait for 30 s
        threading.Thread(target=flush, daemon=True).start()
        reason = self._reason.text
        if not ended.wait(seconds):
            reason = f"not sent within {seconds:g} s at the end of the process"
        with self._lock:
            self._lost += self._waiting
            self._log_at = -LOG_EVERY_SECONDS
        if self._lost:
            self._log_lost(reason or "the queue is full")

    def _sent(self, count: int, is_sent: bool) -> None:
        with self._lock:
            self._waiting -= count
            self._lost += 0 if is_sent else count
        if not is_sent:
            self._log_lost(self._reason.text or "the exporter failed")

    def _log_lost(self, reason: str) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._log_at < LOG_EVERY_SECONDS:
                return
            self._log_at, lost, self._lost = now, self._lost, 0
        emit(Event.SPANS_LOST, spans=lost, reason=reason)


_sender: _Sender | None = None


def _maker(resource: Resource) -> Callable[[Span], ReadableSpan]:
    """Return a function that converts a `Span` to the span type of OpenTelemetry. OpenTelemetry's own
    tracer is not used, because it takes several times as long and chooses the ids itself."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode

    scope = InstrumentationScope("sensorflow", __version__)
    sampled, unset = TraceFlags(TraceFlags.SAMPLED), Status(StatusCode.UNSET)
    kinds = {kind: SpanKind[kind] for kind in Kind}

    def context(trace_id: bytes, span_id: int) -> SpanContext:
        return SpanContext(int.from_bytes(trace_id), span_id, False, sampled)

    def made(span: Span) -> ReadableSpan:
        attributes, status = span.attributes or {}, unset
        if span.error is not None:
            attributes = {**attributes, "error.type": span.error[0]}
            status = Status(StatusCode.ERROR, span.error[1])
        return ReadableSpan(
            span.name,
            context=context(span.trace_id, span.span_id or random.getrandbits(64) or 1),
            parent=None if span.parent is None else context(span.trace_id, span.parent),
            resource=resource,
            attributes=attributes,
            links=[Link(context(other, root_span_id(other))) for other in span.links],
            kind=kinds[span.kind],
            status=status,
            start_time=span.start,
            end_time=max(span.start, span.end),
            instrumentation_scope=scope,
        )

    return made


def _counting(target: SpanExporter, sent: Callable[[int, bool], None]) -> SpanExporter:
    """Return an exporter that sends spans with `target`. After each batch, it calls `sent` with the number
    of spans and whether they were sent."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Counting(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = SpanExportResult.FAILURE
            try:
                result = target.export(spans)
            finally:
                sent(len(spans), result is SpanExportResult.SUCCESS)
            return result

        def shutdown(self) -> None:
            target.shutdown()

    return Counting()


class _LastMessage(logging.Handler):
    """A log handler that receives the log messages of OpenTelemetry, so that they are not printed. text:
    the last message, which says why spans were lost."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        logger = logging.getLogger("opentelemetry")
        logger.handlers = [self]  # stays at the end: a late export may still fail
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()[:500]


def _queue_size() -> int:
    try:
        return max(1, int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE", "")))
    except ValueError:
        return 2048


def _resource(role: str) -> dict[str, str]:
    """Return the OpenTelemetry attributes of this process. The name of the service is omitted if the
    environment variables of OpenTelemetry set it."""
    own = {
        "service.version": __version__,
        "service.instance.id": f"{role}@{socket.gethostname()}:{os.getpid()}",
        "host.name": socket.gethostname(),
        "sensorflow.role": role,
    }
    given = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name=" not in given:
        own["service.name"] = "sensorflow"
    return own
