"""Reconcile: send lost messages again, and free expired leases. The ledger, not the broker, guarantees that
every file is processed."""

from __future__ import annotations

from collections.abc import Callable

from sensorflow.errors import Transient
from sensorflow.flow.publish import publish
from sensorflow.ports.outbox import Outbox, Reconciled
from sensorflow.ports.queue import Publisher
from sensorflow.settings import Limits
from sensorflow.telemetry import Event, emit


def reconcile(
    ledger: Outbox,
    publisher: Publisher,
    stale_after: float,
    grace: float,
    limits: Limits,
    touch: Callable[[], object] = lambda: None,
) -> tuple[Reconciled, int]:
    """Free expired leases, mark messages that the broker lost as not sent, and send the messages of all
    pending files.

    stale_after: seconds after which an unclaimed message may count as lost. grace: see `Outbox.reconcile`.
    touch: see `publish`.
    """
    reconciled = ledger.reconcile(stale_after, _depth(publisher), grace)
    if reconciled.expired or reconciled.stale:
        emit(Event.RECONCILED, leases_ended=reconciled.expired, messages_missing=reconciled.stale)
    return reconciled, publish(ledger, publisher, limits, touch)


def _depth(publisher: Publisher) -> int | None:
    """Returns the number of queued messages, or None if the broker is unavailable. This does not raise,
    because expired leases must be freed even then."""
    try:
        return publisher.depth()
    except Transient:
        return None
