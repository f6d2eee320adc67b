"""The truth about files and the rows of the database, which change together."""

from __future__ import annotations

from typing import Protocol

from sensorflow.ports.catalog import Catalog
from sensorflow.ports.claims import Claims
from sensorflow.ports.intake import Intake
from sensorflow.ports.loading import Loader
from sensorflow.ports.maintenance import Maintenance
from sensorflow.ports.outbox import Outbox


class Ledger(Intake, Outbox, Claims, Loader, Maintenance, Catalog, Protocol):
    """All of it, as one adapter has it: what is committed together is in one place."""
