"""The exporter of the fleet's metrics, which `sensorflow metrics` runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path

from sensorflow import bootstrap, disk
from sensorflow.adapters.exposition import CONTENT_TYPE, exposition
from sensorflow.adapters.http import Reply, Routes
from sensorflow.adapters.local import volumes
from sensorflow.core.partitions import Layer
from sensorflow.flow.fleet_meter import FleetMeter
from sensorflow.flow.surroundings import SurroundingsWatch
from sensorflow.ports.queue import Publisher, QueueDepths
from sensorflow.settings import Settings

ALL_QUEUES = "all"
"""Value of the label `queue` for a broker that reports only the total number of messages."""
BROKER_SECONDS = 5.0
"""Seconds for which a single measurement waits for the broker."""


class Exporter:
    """Measures the fleet of a project, and answers HTTP requests for the metrics. Raises UsageError if the
    settings define no database or no broker."""

    def __init__(self, settings: Settings) -> None:
        from sensorflow.adapters.postgres import migrate

        self._ledger = bootstrap.ledger(settings, "metrics")
        self._publisher = bootstrap.publisher(settings)
        zones = {name: partial(volumes.size, folder) for name, folder in _zones(settings).items()}
        depths, free = partial(_depths, self._publisher), partial(disk.free, settings.data_folder)
        self.surroundings = SurroundingsWatch(depths, free, zones)
        self.meter = FleetMeter(
            self._ledger,
            int(settings.inline_below),
            migrate.head(),
            self.surroundings.current,
            tuple(settings.sources),
            settings.limits.quotas,
        )

    def run(self, stop: threading.Event) -> None:
        """Measure until `stop` is set."""
        self.surroundings.start()
        try:
            self.meter.run(stop)
        finally:
            self.close()

    def measure(self) -> None:
        """Measure everything once. If this fails, `meter.error` contains the reason. If the broker does not
        answer, `surroundings.broker_error` contains the reason, and everything else is measured."""
        self.meter.look()
        while self.meter.error is None and not self.meter.is_complete:
            self.meter.look()
        self.surroundings.look_at_queues(BROKER_SECONDS)
        self.surroundings.look_at_disk()
        self.surroundings.look_at_zones(at_once=True)

    def close(self) -> None:
        self.surroundings.stop()
        self._ledger.close()

    def page(self) -> bytes:
        return exposition(self.meter.samples())

    def routes(self) -> Routes:
        return {
            "/metrics": lambda: Reply(HTTPStatus.OK, self.page(), CONTENT_TYPE),
            "/healthz": self._health,
            "/readyz": self._readiness,
        }

    def _health(self) -> Reply:
        """Answer /healthz: whether the exporter itself works, regardless of outages of the servers."""
        if self.meter.is_stuck:
            return Reply.of({"status": "stuck"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return Reply.of({"status": "ok"})

    def _readiness(self) -> Reply:
        counted = None if self.meter.is_complete else "files and events are being counted"
        ledger = self.meter.error or counted
        failed = {"database": ledger, "broker": self.surroundings.broker_error}
        status = HTTPStatus.SERVICE_UNAVAILABLE if any(failed.values()) else HTTPStatus.OK
        facts = {name: reason or "ok" for name, reason in failed.items()}
        return Reply.of({"status": "not ready" if any(failed.values()) else "ok", **facts}, status)


def _zones(settings: Settings) -> Mapping[str, Path]:
    """Returns the local folders of stored files whose sizes are measured: name for the metric -> folder.
    Zones that are not on this host are not measured."""
    lake, quarantine = settings.zone_folder("lake"), settings.zone_folder("quarantine")
    found = {"archive": settings.data_folder / "archive"}
    if lake is not None:
        found |= {str(layer): lake / str(layer) for layer in Layer}
    return found if quarantine is None else {**found, "quarantine": quarantine}


def _depths(publisher: Publisher) -> Mapping[str, int]:
    if isinstance(publisher, QueueDepths):
        return publisher.depths()
    depth = publisher.depth()
    return {} if depth is None else {ALL_QUEUES: depth}
