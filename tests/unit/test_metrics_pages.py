"""The pages of metrics and health checks, over HTTP."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from manual import generated
from manual import metrics as manual_metrics
from prometheus_client.parser import text_string_to_metric_families

from sensorflow import telemetry
from sensorflow.adapters import http
from sensorflow.adapters.exposition import exposition
from sensorflow.adapters.http import Reply, Server
from sensorflow.adapters.local import volumes
from sensorflow.core.disk_forecast import DiskForecast
from sensorflow.core.heartbeat import LoopReport, Role
from sensorflow.core.metrics import Histogram, Kind, Metric, Place, Sample
from sensorflow.engine import process_metrics
from sensorflow.engine.board import Board
from sensorflow.errors import Code, Transient, UsageError
from sensorflow.flow import heartbeats
from sensorflow.flow.heartbeats import LoopStatus
from sensorflow.flow.surroundings import SurroundingsWatch
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

ROOT = Path(__file__).parents[2]
MARK = re.compile(r"<!-- generated: (\w+) -->")


def fail() -> Reply:
    raise ValueError("password=secret")


@pytest.fixture
def server() -> Iterator[Server]:
    result = Server("127.0.0.1", 0, {"/good": lambda: Reply.of({"status": "ok"}), "/bad": fail})
    result.start()
    yield result
    result.stop()


def ask(server: Server, path: str, method: str = "GET") -> tuple[int, Mapping[str, Any], bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_a_page_is_json_and_head_has_its_headers_alone(server: Server) -> None:
    status, headers, body = ask(server, "/good?verbose=1")
    assert (status, json.loads(body)) == (200, {"status": "ok"})
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"HEAD /good HTTP/1.1\r\nConnection: close\r\n\r\n")
        head, _, rest = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert (head.split(b" ")[1], rest) == (b"200", b"")
    assert f"Content-Length: {headers['Content-Length']}".encode() in head


def test_an_unknown_path_or_method_and_a_defect_answer_with_an_error_in_json(
    server: Server,
) -> None:
    assert ask(server, "/")[0] == 404
    assert json.loads(ask(server, "/good", "POST")[2])["error"]
    with structlog.testing.capture_logs() as logged:
        status, _, body = ask(server, "/bad")
    assert (status, json.loads(body)) == (500, {"error": "internal error"})
    assert [line["event"] for line in logged] == [Event.DEFECT]


def test_a_client_that_sends_nothing_blocks_no_other(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http._Handler, "timeout", 600.0)
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /good HTTP/1.1\r\n")
        assert ask(server, "/good")[0] == 200


def test_clients_beyond_the_limit_are_disconnected(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(http.CLIENTS + 1)]
    try:
        claim[-1].settimeout(60)
        assert claim[-1].recv(1) == b""
    finally:
        for client in claim:
            client.close()
    while True:  # until the threads of the others have noticed
        try:
            assert ask(server, "/good")[0] == 200
            return
        except OSError:
            continue


def test_a_port_that_is_in_use_is_one_line_with_a_code(server: Server) -> None:
    with pytest.raises(UsageError, match=f"127.0.0.1:{server.port}: the port is in use") as caught:
        Server("127.0.0.1", server.port, {})
    assert caught.value.code is Code.SETTINGS
    with pytest.raises(UsageError, match=r"192\.0\.2\.1:0: this host has no such address"):
        Server("192.0.2.1", 0, {})


VALUES = {
    Kind.COUNTER: 3.0,
    Kind.GAUGE: -1.5,
    Kind.HISTOGRAM: Histogram((0.5, 2.0), (1, 0, 2), 9.25),
}


def test_every_metric_is_written_with_its_type_its_help_and_its_labels() -> None:
    samples = [
        Sample(m, tuple(f'"{n}"\n' for n in m.labels), VALUES[m.kind]) for m in reversed(Metric)
    ]
    families = list(text_string_to_metric_families(exposition(samples).decode()))
    assert [f.name for f in families] == [m.removesuffix("_total") for m in Metric]
    for family, metric in zip(families, Metric, strict=True):
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
        labels = {name: f'"{name}"\n' for name in metric.labels}
        assert all(s.labels.items() >= labels.items() for s in family.samples)
    [found] = [f for f in families if f.name == Metric.STAGE_SECONDS]
    result = {(s.name.removeprefix(found.name), s.labels.get("le")): s.value for s in found.samples}
    assert result == {
        ("_bucket", "0.5"): 1,
        ("_bucket", "2.0"): 1,
        ("_bucket", "+Inf"): 3,
        ("_count", None): 3,
        ("_sum", None): 9.25,
    }


def test_the_page_of_the_reference_is_made_from_the_list() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    result = {generated.PARTS[mark]() for mark in MARK.findall(page)}
    assert result == {manual_metrics.reference(place) for place in Place}


@pytest.mark.parametrize("metric", Metric)
def test_a_metric_is_named_by_the_rules_of_prometheus(metric: Metric) -> None:
    assert metric.startswith("sensorflow_")
    assert metric.endswith("_total") == (metric.kind is Kind.COUNTER)
    if metric.unit:
        assert metric.removesuffix("_total").endswith(f"_{metric.unit}")
    assert metric.meaning.endswith(".")
    assert f"`{metric}`" in manual_metrics.reference(metric.place)


def status(role: Role = Role.WORKER) -> LoopStatus:
    return LoopStatus(LoopReport(role, "host", 1, "p", "s"), threading.Event())


def values(reply: Reply) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(reply.body.decode())
    return {(s.name, *s.labels.values()): s.value for f in families for s in f.samples}


def test_log_events_of_a_process_and_its_children_are_counted_below_the_log_level_too() -> None:
    board = Board()
    pages = process_metrics.routes([status()], lambda: [os.getpid()], board.events)
    key = (Metric.LOG_EVENTS, Event.FILE_SKIPPED, "debug")
    before = values(pages["/metrics"]())[key]
    emit(Event.FILE_SKIPPED)
    for number in (0, 7, 7):
        child = os.fork()
        if not child:
            board.join(number)
            telemetry.count_into(board.event_counts(number))
            emit(Event.FILE_SKIPPED)
            os._exit(0)
        os.waitpid(child, 0)
    found = values(pages["/metrics"]())
    assert found[key] == before + 4
    assert found[Metric.PROCESS_MEMORY, "parent"] > 1e6
    assert found[Metric.PROCESS_CPU, "parent"] > 0
    assert found[Metric.PROCESS_CHILDREN,] == 1
    assert found[Metric.LOOP_UP, "worker"] == 1


def test_a_loop_that_hangs_is_not_healthy_and_one_that_waits_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = status()
    pages = process_metrics.routes([loop])
    assert (pages["/healthz"]().status, pages["/readyz"]().status) == (200, 200)
    loop.pause(Transient(Code.BROKER, "gone"))
    assert (pages["/healthz"]().status, pages["/readyz"]().status) == (200, 503)
    assert b"I502" in pages["/readyz"]().body
    monkeypatch.setattr(heartbeats, "MAX_SILENCE_SECONDS", -1.0)
    assert pages["/healthz"]().status == 503


def test_a_port_that_a_process_cannot_open_is_logged_and_the_process_goes_on(
    server: Server,
) -> None:
    settings = Settings.model_validate({"metrics_port": server.port - 1})
    with structlog.testing.capture_logs() as logged:
        assert process_metrics.serve(settings, Role.WORKER, []) is None
    assert [line["event"] for line in logged] == [Event.METRICS_UNAVAILABLE]
    assert process_metrics.serve(Settings(), Role.WORKER, []) is None


def test_the_disk_is_full_when_the_line_of_the_last_hour_says() -> None:
    forecast = DiskForecast()
    assert forecast.add(0.0, 1e9) == float("inf")
    for second in range(10, 7200, 10):
        full = forecast.add(second, 1e9 - 1e5 * second)
    assert full == pytest.approx((1e9 - 1e5 * 7190) / 1e5)
    assert DiskForecast().add(5.0, 0.0) == float("inf")


def test_the_size_of_a_folder_is_that_of_its_files_and_not_of_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for number in range(volumes.BATCH):
        (tmp_path / "a" / "b" / str(number)).write_bytes(b"12")
    (tmp_path / "a" / "link").symlink_to(__file__)
    (tmp_path / "link").symlink_to("/")
    rests: list[float] = []
    size = volumes.size(tmp_path, lambda seconds: bool(rests.append(seconds)))
    assert size == 2 * volumes.BATCH + len(__file__) + 1
    assert len(rests) == 1
    assert volumes.size(tmp_path, lambda _: True) is None
    assert volumes.size(tmp_path / "none", lambda _: False) == 0


def test_a_broker_that_does_not_answer_hides_neither_disk_nor_zones() -> None:
    def gone() -> dict[str, int]:
        raise Transient(Code.BROKER, "gone")

    watch = SurroundingsWatch(gone, lambda: 7, {"silver": lambda _: 5})
    watch.look_at_queues()
    watch.look_at_disk()
    watch.look_at_zones()
    found = watch.current()
    assert (found.queues, found.free, found.zones) == (None, 7, {"silver": 5})
    assert watch.broker_error is not None
    assert "I502" in watch.broker_error
