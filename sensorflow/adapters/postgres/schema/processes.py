"""The tables of the leases and heartbeats of processes, and of the sources that are paused or
draining."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Sequence,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from sensorflow.adapters.postgres.schema.columns import metadata, time

lease_tokens = Sequence("lease_tokens", metadata=metadata, data_type=BigInteger)

intake_leases = Table(
    "intake_leases",
    metadata,
    Column("source", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    # boot, namespace, number and start of the process
    Column("process", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    time("until", nullable=False),
)

leases = Table(
    "leases",
    metadata,
    # activities that only one process of all hosts performs at a time
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    time("until", nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    # boot, namespace, number and start of the process
    Column("process", Text, primary_key=True),
    # the process's loop, see `core.heartbeat.Role`
    Column("role", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("settings", Text, nullable=False),
    Column("state", JSONB, nullable=False, server_default=text("'{}'")),
    time("started_at", nullable=False, default="now()"),
    time("beat_at", nullable=False, default="now()"),
)

source_controls = Table(
    "source_controls",
    metadata,
    # an active source has no row
    Column("source", Text, primary_key=True),
    Column("mode", Text, nullable=False),
    time("since", nullable=False, default="now()"),
    Column("actor", Text, nullable=False),
    Column("reason", Text),
    CheckConstraint("mode IN ('paused', 'draining')", name="ck_controls_mode"),
)
