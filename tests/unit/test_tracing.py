"""When traces are sent, and that nothing of them disturbs work."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from collector import Collector, collector

from sensorflow import telemetry, tracing
from sensorflow.core.trace import in_ns, make_trace_id, root_span_id, started_ns
from sensorflow.errors import UsageError
from sensorflow.tracing import Span

AT = datetime(2026, 2, 1, 12, 0, 0, 123456, UTC)


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the machine applies, and nothing is traced after a test."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    yield
    tracing.stop(0)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    telemetry.configure()
    return stream


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as result:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", result.url)
        yield result


ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTHER_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    ("given", "exporter"),
    [
        ({}, ""),
        ({ENDPOINT: "http://c:4318"}, "otlp"),
        ({OTHER_ENDPOINT: "http://c:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, ""),
        ({ENDPOINT: "", "OTEL_TRACES_EXPORTER": ""}, ""),
    ],
)
def test_the_standard_variables_switch_traces_on_and_off(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], exporter: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert tracing.exporter() == exporter


WITHOUT = """
import sys
from importlib import metadata

metadata.entry_points = lambda **_: []
import sensorflow.daemon, sensorflow.flow.process, sensorflow.engine.child
from sensorflow import tracing
from sensorflow.errors import UsageError
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
try:
    tracing.start("daemon")
except UsageError as error:
    print(error)
print(tracing.is_on(), [name for name in sys.modules if name.startswith("opentelemetry")])
"""


def _without(**environ: str) -> list[str]:
    env = {**os.environ, **environ}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_without_a_request_nothing_is_imported() -> None:
    assert _without() == ["False []"]


def test_a_request_without_the_extra_says_what_to_install() -> None:
    message, state = _without(OTEL_EXPORTER_OTLP_ENDPOINT="http://c:4318")
    assert message.endswith("pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http")
    assert state == "False []"


def test_an_exporter_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(UsageError, match="'zipkin' is not installed"):
        tracing.require()


def test_a_trace_id_holds_its_start_and_the_id_of_the_root() -> None:
    result = make_trace_id(AT, b"12345678")
    assert (
        started_ns(result)
        == in_ns(AT)
        == (AT - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    )
    assert root_span_id(result).to_bytes(8) == result[:8]
    assert result[8:] == b"12345678"


def test_spans_arrive_as_they_were_recorded(at: Collector) -> None:
    tracing.start("daemon")
    trace = tracing.new_trace_id(AT)
    assert trace is not None
    other = make_trace_id(AT, b"otherone")
    root, start = root_span_id(trace), started_ns(trace)
    tracing.record(Span("file", trace, start, start + 5, span_id=root, attributes={"a": 1}))
    names = ("publish", trace, start + 1, start, root)
    kind = tracing.Kind.PRODUCER
    tracing.record(Span(*names, kind=kind, error=("F203", "broken"), links=[other]))
    tracing.stop()
    [file], [publish] = at.of(trace).values()
    assert (file.id, file.parent, file.end - file.start, file.error) == (trace[:8], b"", 5, None)
    assert file.attributes == {"a": 1}
    assert (publish.parent, publish.kind, publish.error) == (trace[:8], 4, "broken")
    assert publish.attributes == {"error.type": "F203"}
    assert publish.end == publish.start  # clocks of two hosts may differ
    assert publish.links == [(other, other[:8])]
    assert file.resource["service.name"] == "sensorflow"


def test_the_standard_variable_names_the_service(
    at: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "plant 7")
    tracing.start("daemon")
    tracing.record(Span("file", make_trace_id(AT, b"12345678"), 1, 2))
    tracing.stop()
    assert [span.resource["service.name"] for span in at.spans] == ["plant 7"]


@pytest.mark.parametrize(("ratio", "low", "high"), [("0", 0, 0), ("0.5", 50, 150), ("1", 200, 200)])
def test_the_sampler_decides_once_for_the_whole_trace(
    at: Collector, monkeypatch: pytest.MonkeyPatch, ratio: str, low: int, high: int
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    tracing.start("daemon")
    traced = sum(tracing.new_trace_id(AT) is not None for _ in range(200))
    assert low <= traced <= high


def _events(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_collector_that_never_answers_delays_the_end_only_by_the_bound(
    monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        tracing.start("daemon")
        tracing.record(Span("file", make_trace_id(AT, b"12345678"), 1, 2))
        tracing.stop(0.1)
    [event] = _events(log)
    assert (event["event"], event["spans"]) == ("spans.lost", 1)
    assert "0.1 s" in str(event["reason"])


def test_a_full_queue_loses_spans_and_counts_them(
    at: Collector, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "3")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    at.delay = 0.2
    tracing.start("daemon")
    for number in range(10):
        tracing.record(Span("file", make_trace_id(AT, b"12345678"), number, number))
    tracing.stop()
    lost = sum(int(str(event["spans"])) for event in _events(log))
    assert {event["event"] for event in _events(log)} == {"spans.lost"}
    assert lost == 10 - len(at.spans) > 0


def test_spans_that_the_collector_refuses_are_counted_with_the_reason(
    at: Collector, log: io.StringIO
) -> None:
    at.status = 400
    tracing.start("daemon")
    for number in (1, 2):
        tracing.record(Span("file", make_trace_id(AT, b"12345678"), number, number))
    tracing.stop()
    [event] = _events(log)
    assert (event["event"], event["spans"]) == ("spans.lost", 2)
    assert "400" in str(event["reason"])
