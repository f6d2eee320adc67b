"""The ledger in PostgreSQL. State changes are guarded UPDATEs. Readings and the state of their file
change in one transaction."""

from __future__ import annotations

from sensorflow.adapters.postgres.catalog import Catalog
from sensorflow.adapters.postgres.claims import Claims
from sensorflow.adapters.postgres.controls import Controls
from sensorflow.adapters.postgres.gold import Gold
from sensorflow.adapters.postgres.heartbeats import Heartbeats
from sensorflow.adapters.postgres.intake import Intake
from sensorflow.adapters.postgres.loader import Loader
from sensorflow.adapters.postgres.maintenance import Maintenance
from sensorflow.adapters.postgres.measurements import Measurements
from sensorflow.adapters.postgres.outbox import Outbox
from sensorflow.adapters.postgres.project import ProjectRecord
from sensorflow.adapters.postgres.workload import Workload


class PostgresLedger(
    Intake,
    Outbox,
    Claims,
    Loader,
    Maintenance,
    ProjectRecord,
    Heartbeats,
    Catalog,
    Controls,
    Workload,
    Measurements,
    Gold,
):
    """Implements `ports.ledger.Ledger`, `ports.workload.Workload`, `ports.measurements.Measurements` and
    `ports.gold.Gold`. For the constructor's arguments see `Loader` and `Transactions`."""
