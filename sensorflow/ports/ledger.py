"""The truth about files and the rows of the database, which change together."""

from __future__ import annotations

from typing import Protocol

from sensorflow.ports.catalog import Catalog
from sensorflow.ports.claims import Claims
from sensorflow.ports.heartbeats import Heartbeats
from sensorflow.ports.intake import Intake
from sensorflow.ports.loading import Loader
from sensorflow.ports.maintenance import Maintenance
from sensorflow.ports.outbox import Outbox


class FileLedger(Claims, Loader, Maintenance, Protocol):
    """What takes a claimed file through its stages asks for: whoever calls `flow.process` needs no more."""


class Ledger(Intake, Outbox, FileLedger, Heartbeats, Catalog, Protocol):
    """All of it, as one adapter has it: what is committed together is in one place."""
