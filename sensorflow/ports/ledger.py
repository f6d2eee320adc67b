"""The ledger: the truth about files, and the database rows that change together with it."""

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
    """What a claimed file needs to pass through its stages. `flow.process` requires no other port of the
    ledger."""


class Ledger(Intake, Outbox, FileLedger, Heartbeats, Catalog, Protocol):
    """The complete ledger. One adapter implements all of it: its parts commit in one transaction."""
