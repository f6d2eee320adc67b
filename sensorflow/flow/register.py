"""One ledger row for each version of a file's content."""

from __future__ import annotations

from datetime import datetime

from sensorflow.core.arrival import Arrival, Landed, Lane
from sensorflow.core.stability import Stat
from sensorflow.ports import Ledger, OnChange, Registration
from sensorflow.settings import Settings


def register(
    ledger: Ledger,
    settings: Settings,
    source: str,
    key: bytes,
    landed: Landed,
    stat: Stat,
    discovered_at: datetime,
    landed_at: datetime,
    lane: Lane = Lane.LIVE,
) -> Registration:
    """Enter a landed file. The same bytes again are an alias, other bytes a new version."""
    rules = settings.sources[source]
    profile = settings.profile_of(rules)
    arrival = Arrival(
        source=source,
        key=key,
        landed=landed,
        mtime_ns=stat.mtime_ns,
        fingerprint=stat.fingerprint,
        sensor_type=profile.sensor_type or rules.profile,
        discovered_at=discovered_at,
        landed_at=landed_at,
        lane=lane,
    )
    return ledger.register(arrival, OnChange(rules.on_change), profile.name_matters)
