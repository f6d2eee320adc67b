"""Column types and constraints that several tables share."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, MetaData, text

from sensorflow.core.events import FileEvent
from sensorflow.core.states import TRANSITIONS, Stage, State

metadata = MetaData()

STATES = ", ".join(f"'{s}'" for s in State)
STAGES = ", ".join(f"'{s}'" for s in Stage)
EVENTS = ", ".join(f"'{e}'" for e in FileEvent)
STEPS = ", ".join(f"('{a}', '{b}')" for a, b in sorted(TRANSITIONS))


def time(name: str, nullable: bool = True, default: str | None = None) -> Column[object]:
    server_default = text(default) if default else None
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=server_default)


def count(name: str) -> Column[object]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))
