"""Retention: what a source keeps for a time only.

The ledger marks a layer as expired first, and the removal follows: what is expired is never taken for lost.
The bytes of a file that is not loaded are its last copy, and stay.
"""

from __future__ import annotations

from datetime import timedelta

from sensorflow.flow.landing import Landing
from sensorflow.flow.tidy import tidy
from sensorflow.ports.layers import Layers
from sensorflow.ports.maintenance import Expirable, Maintenance
from sensorflow.settings import Settings


def retain(
    ledger: Maintenance, lake: Layers, landing: Landing, settings: Settings
) -> dict[str, int]:
    """Expire what is due, of all sources, and remove it; returns layer -> files (history: events).

    What has expired while a worker was killed is removed too. Raises Transient STORAGE.
    """
    done: dict[str, int] = {}
    for name, source in settings.sources.items():
        for layer in Expirable:
            if (age := getattr(source.retention, layer)) is not None:
                done[layer] = done.get(layer, 0) + _expire(ledger, name, layer, age)
        if (age := source.retention.history) is not None:
            done["history"] = done.get("history", 0) + _forget(ledger, name, age)
    while tidy(ledger, lake, landing):
        pass
    return done


def _expire(ledger: Maintenance, source: str, layer: Expirable, age: timedelta) -> int:
    total = 0
    while files := ledger.expire(source, layer, age.total_seconds()).files:
        total += files
    return total


def _forget(ledger: Maintenance, source: str, age: timedelta) -> int:
    total = 0
    while events := ledger.forget(source, age.total_seconds()):
        total += events
    return total
