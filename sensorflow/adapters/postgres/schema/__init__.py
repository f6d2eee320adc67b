"""The declaration of the schema. Alembic's migrations create the schema, and a test compares the created
schema with this declaration.

``raw_readings`` is partitioned by month on plain PostgreSQL, and a hypertable with TimescaleDB.
"""

from sensorflow.adapters.postgres.schema import (
    events,
    files,
    gold,
    growth,
    processes,
    project,
    readings,
    views,
)
from sensorflow.adapters.postgres.schema.columns import EVENTS, STAGES, STATES, STEPS, metadata

__all__ = [
    "EVENTS",
    "STAGES",
    "STATES",
    "STEPS",
    "events",
    "files",
    "gold",
    "growth",
    "metadata",
    "processes",
    "project",
    "readings",
    "views",
]
