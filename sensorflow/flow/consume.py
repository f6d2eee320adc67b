"""A worker without Celery: a loop that receives messages, runs their tasks and acknowledges them."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from functools import partial

from sensorflow.core.retry import backoff
from sensorflow.errors import SensorflowError, Transient
from sensorflow.flow.leases import Hold, LeaseKeeper, unwatched
from sensorflow.flow.process import process
from sensorflow.flow.work import World
from sensorflow.ports.queue import Consumer, Delivery
from sensorflow.telemetry import Event, emit

TIMEOUT = 1.0
"""Seconds to wait for a message before `stop` is called again."""
AGAIN = 10.0
"""Seconds until redelivery of a message whose outcome could not be recorded."""
LONGEST = 30.0
"""Maximum seconds of a pause while the broker or the database is unavailable."""
HOUSEKEEPING = 5.0
"""Minimum seconds between checks for due housekeeping steps, made between messages."""


def consume(
    consumer: Consumer,
    world: World,
    stop: Callable[[], bool],
    hold: Hold = unwatched,
    run_due: Callable[[], object] = lambda: None,
) -> None:
    """Process one message at a time until `stop` returns True. It is called about once a second while there
    are no messages.

    A message is acknowledged once the outcome of its files is in the ledger, including a retry or
    quarantine. If the outcome cannot be recorded, or a defect occurs, the message is nacked and the loop
    pauses, longer each time. The loop survives outages of the broker and the database of any length. Raises
    Transient HOST if no thread can be started.

    hold: called with the claims in progress, so that a watchdog outside the process can end a decoder that
    never returns. run_due: see `Housekeeping`; called between messages. Its exceptions are logged and delay
    no message.
    """
    troubles, look_at = 0, -math.inf
    with LeaseKeeper(world.settings.lease, hold) as keeper:
        while not stop():
            if time.monotonic() >= look_at:
                _keep_house(run_due)
                look_at = time.monotonic() + HOUSEKEEPING
            error = _turn(consumer, world, keeper)
            troubles = troubles + 1 if error else 0
            if error:
                _pause(backoff(troubles, random.random(), cap=LONGEST), error, stop)


def _turn(consumer: Consumer, world: World, keeper: LeaseKeeper) -> Exception | None:
    """Process the next message, if there is one. Returns the error if something other than a file
    failed."""
    try:
        for delivery in consumer.receive(1, TIMEOUT):
            _work(delivery, world, keeper)
    except Exception as error:  # noqa: BLE001 - the loop must outlive any defect
        return error
    return None


def _keep_house(run_due: Callable[[], object]) -> None:
    try:
        run_due()
    except Transient as error:
        emit(Event.HOUSEKEEPING_FAILED, code=error.code, reason=error.message)
    except Exception:  # noqa: BLE001 - the loop must outlive any defect
        emit(Event.DEFECT, exc_info=True)


def _work(delivery: Delivery, world: World, keeper: LeaseKeeper) -> None:
    try:
        with keeper.keep([delivery.extend]):
            process(world, delivery.task, partial(keeper.claims, world.ledger))
    except Exception:
        delivery.nack(AGAIN)
        raise
    try:
        delivery.ack()
    except Transient as error:  # the message is redelivered, and finds nothing to do
        emit(Event.ACK_DROPPED, reason=error.message)


def _pause(seconds: float, error: Exception, stop: Callable[[], bool]) -> None:
    if isinstance(error, SensorflowError):
        emit(Event.WORK_PAUSED, code=error.code, reason=error.message, seconds=seconds)
    else:
        emit(Event.DEFECT, exc_info=error)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stop():
        time.sleep(min(left, 0.1))
