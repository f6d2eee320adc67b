"""A worker without Celery: a loop that receives messages, runs their tasks and acknowledges them."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from functools import partial

from sensorflow.core.retry import backoff
from sensorflow.errors import SensorflowError, Transient
from sensorflow.flow.file_task import Services
from sensorflow.flow.leases import LeaseKeeper, OnClaims, OnLost, ignore_claims, ignore_lost
from sensorflow.flow.process import process
from sensorflow.ports.queue import Consumer, Delivery
from sensorflow.telemetry import Event, emit

RECEIVE_TIMEOUT_SECONDS = 1.0
"""Seconds to wait for a message between two calls of `stop`."""
REDELIVERY_SECONDS = 10.0
"""Seconds until redelivery of a message whose outcome could not be recorded."""
MAX_PAUSE_SECONDS = 30.0
"""Maximum seconds of a pause while the broker or the database is unavailable."""
HOUSEKEEPING = 5.0
"""Minimum seconds between checks for due housekeeping steps, made between messages."""


def consume(
    consumer: Consumer,
    services: Services,
    stop: Callable[[], bool],
    on_claims: OnClaims = ignore_claims,
    run_due: Callable[[], object] = lambda: None,
    on_lost: OnLost = ignore_lost,
) -> None:
    """Process one message at a time until `stop` returns True. `stop` is called about once a second while
    there is no message.

    A message is acknowledged when the outcome of its files, perhaps a retry or quarantine, is in the
    ledger. If the outcome cannot be recorded, or after a defect, the message is nacked and the loop pauses.
    The pause grows with each failure in a row. The loop survives an outage of the broker or the database of
    any length. Raises Transient HOST if no thread can be started.

    on_claims, on_lost: see `LeaseKeeper`; a watchdog uses them to end a process whose decoder never
    returns. run_due: runs housekeeping, called between messages. Its exceptions are logged and delay no
    message.
    """
    failures, look_at = 0, -math.inf
    with LeaseKeeper(services.settings.lease, on_claims, on_lost) as keeper:
        while not stop():
            if time.monotonic() >= look_at:
                _run_housekeeping(run_due)
                look_at = time.monotonic() + HOUSEKEEPING
            error = _receive_one(consumer, services, keeper)
            failures = failures + 1 if error else 0
            if error:
                _pause(backoff(failures, random.random(), cap=MAX_PAUSE_SECONDS), error, stop)


def _receive_one(consumer: Consumer, services: Services, keeper: LeaseKeeper) -> Exception | None:
    """Process the next message, if there is one. Returns an error that the file did not cause, or None."""
    try:
        for delivery in consumer.receive(1, RECEIVE_TIMEOUT_SECONDS):
            _work(delivery, services, keeper)
    except Exception as error:  # noqa: BLE001 - the loop must outlive any defect
        return error
    return None


def _run_housekeeping(run_due: Callable[[], object]) -> None:
    try:
        run_due()
    except Transient as error:
        emit(Event.HOUSEKEEPING_FAILED, code=error.code, reason=error.message)
    except Exception:  # noqa: BLE001 - the loop must outlive any defect
        emit(Event.DEFECT, exc_info=True)


def _work(delivery: Delivery, services: Services, keeper: LeaseKeeper) -> None:
    try:
        with keeper.keep([delivery.extend]):
            process(services, delivery.task, partial(keeper.keep_claims, services.ledger))
    except Exception:
        delivery.nack(REDELIVERY_SECONDS)
        raise
    try:
        delivery.ack()
    except Transient as error:  # the redelivered message will have no effect
        file_ids = list(delivery.task.file_ids)
        emit(Event.ACKNOWLEDGEMENT_FAILED, file_ids=file_ids, reason=error.message)


def _pause(seconds: float, error: Exception, stop: Callable[[], bool]) -> None:
    if isinstance(error, SensorflowError):
        emit(Event.WORK_PAUSED, code=error.code, reason=error.message, seconds=seconds)
    else:
        emit(Event.DEFECT, exc_info=error)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stop():
        time.sleep(min(left, 0.1))
