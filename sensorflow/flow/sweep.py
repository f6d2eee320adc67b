"""Reconcile: send stale messages again. This, not the broker, guarantees that no file is forgotten."""

from __future__ import annotations

from collections.abc import Callable

from sensorflow.errors import Transient
from sensorflow.flow.publish import publish
from sensorflow.ports.outbox import Outbox, Swept
from sensorflow.ports.queue import Publisher
from sensorflow.settings import Limits
from sensorflow.telemetry import Event, emit


def sweep(
    ledger: Outbox,
    publisher: Publisher,
    stale_after: float,
    grace: float,
    limits: Limits,
    touch: Callable[[], object] = lambda: None,
) -> tuple[Swept, int]:
    """Free expired leases, reset messages that the broker lost, and send what is pending.

    stale_after: seconds after which an unclaimed message may count as lost. grace: see `Outbox.sweep`.
    touch: see `publish`.
    """
    swept = ledger.sweep(stale_after, _depth(publisher), grace)
    if swept.expired or swept.stale:
        emit(Event.SWEPT, leases_ended=swept.expired, messages_missing=swept.stale)
    return swept, publish(ledger, publisher, limits, touch)


def _depth(publisher: Publisher) -> int | None:
    """Returns None if the broker is unavailable, so that leases expire nevertheless."""
    try:
        return publisher.depth()
    except Transient:
        return None
