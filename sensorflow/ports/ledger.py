"""The complete ledger. The ledger is the source of truth about files. The readings are part of it too,
because readings and files change in the same transactions."""

from __future__ import annotations

from typing import Protocol

from sensorflow.ports.catalog import Catalog
from sensorflow.ports.claims import Claims
from sensorflow.ports.controls import Controls
from sensorflow.ports.heartbeats import Heartbeats
from sensorflow.ports.intake import Intake
from sensorflow.ports.loading import Loader
from sensorflow.ports.maintenance import Maintenance
from sensorflow.ports.outbox import Outbox
from sensorflow.ports.project import ProjectRecord


class FileLedger(Claims, Loader, Maintenance, ProjectRecord, Protocol):
    """The parts of the ledger that are needed to process a claimed file. `flow.process` uses only these
    parts."""


class Ledger(Intake, Outbox, FileLedger, Heartbeats, Catalog, Controls, Protocol):
    """The complete ledger. One adapter implements all of it, because its parts commit in one
    transaction."""
