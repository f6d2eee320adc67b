"""Retention: remove data of a source that has reached its maximum age.

The ledger marks a layer as expired before the layer is removed, so the audit never reports an expired layer
as lost. The landed bytes of a file that is not loaded are its only copy and are never removed.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from sensorflow.flow.garbage import collect_garbage
from sensorflow.flow.landing import Landing
from sensorflow.ports.layers import Layers
from sensorflow.ports.maintenance import Expirable, Maintenance
from sensorflow.settings import Settings

LONGEST_MONTH = timedelta(days=31)
"""Additional age of readings that wait until their whole partition has expired. No partition is longer."""


def apply_retention(
    ledger: Maintenance, lake: Layers, landing: Landing, settings: Settings
) -> dict[str, int]:
    """Remove the expired data of all sources. Returns layer -> number of files whose data was removed; for
    `history`, the number of events.

    First drops the partitions whose readings have all expired. Also finishes removals that a killed worker
    left incomplete. Raises Transient STORAGE.
    """
    done: dict[str, int] = {}
    ages = {
        name: age for name, s in settings.sources.items() if (age := s.retention.rows) is not None
    }
    if ages:
        found = ledger.expire_partitions({name: age.total_seconds() for name, age in ages.items()})
        done[Expirable.ROWS] = sum(expired.files for expired in found)
    for name, source in settings.sources.items():
        for layer in Expirable:
            if (age := getattr(source.retention, layer)) is not None:
                if layer is Expirable.ROWS and source.retention.whole_months:
                    age += LONGEST_MONTH
                done[layer] = done.get(layer, 0) + _expire(ledger, name, layer, age)
        if (age := source.retention.history) is not None:
            done["history"] = done.get("history", 0) + _delete_history(ledger, name, age)
    collect_garbage(ledger, lake, landing, limit=sys.maxsize)
    return done


def _expire(ledger: Maintenance, source: str, layer: Expirable, age: timedelta) -> int:
    total = 0
    while files := ledger.expire(source, layer, age.total_seconds()).files:
        total += files
    return total


def _delete_history(ledger: Maintenance, source: str, age: timedelta) -> int:
    total = 0
    while events := ledger.delete_history(source, age.total_seconds()):
        total += events
    return total
