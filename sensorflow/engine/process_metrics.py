"""Serves the metrics of one process and its children, and its health checks, at the port that the setting
`metrics_port` defines.

The HTTP server is imported only if it is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from sensorflow import telemetry
from sensorflow.adapters import host
from sensorflow.adapters.exposition import CONTENT_TYPE, exposition
from sensorflow.core.heartbeat import Role
from sensorflow.core.metrics import Metric, Sample
from sensorflow.engine.resources import PAGE
from sensorflow.errors import UsageError
from sensorflow.flow.heartbeats import LoopStatus
from sensorflow.settings import Settings
from sensorflow.telemetry import Event, emit

if TYPE_CHECKING:
    from sensorflow.adapters.http import Reply, Routes, Server

TICK = os.sysconf("SC_CLK_TCK")
PLACES = (Role.INTAKE, Role.WORKER, Role.BEAT)
"""The role at index i uses the port `metrics_port` + i."""


def serve(
    settings: Settings,
    role: Role,
    loops: Sequence[LoopStatus],
    children: Callable[[], Collection[int]] = tuple,
    events: Callable[[], Sequence[int]] | None = None,
) -> Server | None:
    """Serve the metrics of this process from now on. Returns None if the settings define no port. If the
    port cannot be opened, logs the reason and returns None.

    role: the role of the first loop of this process. loops: the status of each loop. children: returns the
    pids of living children. events: returns, for each log event, how often the children have emitted it;
    the index is `Event.number`. None if there are no children.
    """
    if not settings.metrics_port:
        return None
    from sensorflow.adapters.http import Server

    port = settings.metrics_port + PLACES.index(role)
    try:
        server = Server(settings.metrics_host, port, routes(loops, children, events))
    except UsageError as error:
        emit(Event.METRICS_UNAVAILABLE, code=error.code, reason=error.message)
        return None
    server.start()
    return server


def routes(
    loops: Sequence[LoopStatus],
    children: Callable[[], Collection[int]] = tuple,
    events: Callable[[], Sequence[int]] | None = None,
) -> Routes:
    """Returns the HTTP pages of this process. For the parameters, see `serve`."""
    from sensorflow.adapters.http import Reply

    def metrics() -> Reply:
        counts = telemetry.counted()
        if events is not None:
            counts = [a + b for a, b in zip(counts, events(), strict=True)]
        found = [*event_samples(counts), *process_samples(children()), *loop_samples(loops)]
        return Reply(HTTPStatus.OK, exposition(found), CONTENT_TYPE)

    return {
        "/metrics": metrics,
        "/healthz": lambda: _health(loops, may_pause=True),
        "/readyz": lambda: _health(loops, may_pause=False),
    }


def _health(loops: Sequence[LoopStatus], may_pause: bool) -> Reply:
    """Answer a health check: whether all loops make progress. may_pause: whether a loop that waits for a
    server or a disk counts as healthy."""
    from sensorflow.adapters.http import Reply

    facts: dict[str, str] = {}
    failed = False
    for loop in loops:
        report = loop.report()
        paused = report.paused if report else None
        failed |= report is None or (paused is not None and not may_pause)
        facts[loop.role] = "stuck" if report is None else "ok"
        if paused is not None:
            facts[loop.role] = f"paused: {paused.get('code')}: {paused.get('reason')}"
    status = HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK
    return Reply.of({"status": "not ready" if failed else "ok", **facts}, status)


def event_samples(counts: Sequence[int]) -> Iterator[Sample]:
    for event in Event:
        yield Sample(Metric.LOG_EVENTS, (event, event.level), counts[event.number])


def loop_samples(loops: Sequence[LoopStatus]) -> Iterator[Sample]:
    for loop in loops:
        yield Sample(Metric.LOOP_UP, (loop.role,), float(loop.report() is not None))


def process_samples(children: Collection[int]) -> Iterator[Sample]:
    """Yield the metrics of this process and its children that the kernel measures, see proc(5)."""
    memory, own, ended = _usage(os.getpid())
    used = [_usage(pid) for pid in children]
    yield Sample(Metric.PROCESS_MEMORY, ("parent",), memory)
    yield Sample(Metric.PROCESS_MEMORY, ("children",), sum(size for size, _, _ in used))
    yield Sample(Metric.PROCESS_CPU, ("parent",), own)
    yield Sample(Metric.PROCESS_CPU, ("children",), ended + sum(a + b for _, a, b in used))
    yield Sample(Metric.PROCESS_CHILDREN, (), len(children))
    yield Sample(Metric.PROCESS_SOCKETS, (), _sockets())


def _usage(pid: int) -> tuple[int, float, float]:
    """Returns (resident memory of a process in bytes, its CPU time in seconds, CPU time of its ended
    children in seconds). All are 0 if the process has ended."""
    if not (fields := host.fields(pid)):
        return 0, 0.0, 0.0
    times = [int(field) / TICK for field in fields[11:15]]
    return int(fields[21]) * PAGE, times[0] + times[1], times[2] + times[3]


def _sockets() -> int:
    found = 0
    with suppress(OSError):
        for descriptor in os.scandir("/proc/self/fd"):  # without pathlib, see `host.read_file`
            with suppress(OSError):
                found += os.readlink(descriptor).startswith("socket:")  # noqa: PTH115
    return found
