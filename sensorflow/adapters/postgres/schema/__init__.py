"""The declared schema. Alembic's migrations make it; a test holds the two equal.

``raw_readings`` is partitioned by month on plain PostgreSQL, and a hypertable where TimescaleDB is.
"""

from sensorflow.adapters.postgres.schema import events, files, growth, processes, readings
from sensorflow.adapters.postgres.schema.columns import EVENTS, STAGES, STATES, STEPS, metadata

__all__ = [
    "EVENTS",
    "STAGES",
    "STATES",
    "STEPS",
    "events",
    "files",
    "growth",
    "metadata",
    "processes",
    "readings",
]
