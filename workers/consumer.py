"""Celery's consumer, changed so that neither a broker error nor a message can end it.

Celery reconnects after errors that it recognizes as connection errors, and ends the worker after any other
error. But a broker that restarts, is full or closes a channel raises various errors, both when messages are
acknowledged and when they are read. A message may cause any exception. Reconnecting loses nothing: the
ledger records what was done, and the outbox sends messages again that the broker does not redeliver.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from celery.exceptions import WorkerLostError
from celery.worker import consumer, state

from sensorflow.errors import Code, UsageError
from sensorflow.telemetry import Event, emit
from workers import control, messages

PAUSE = 1.0
"""Seconds before reconnecting after an error that is not recognized as a connection error."""

SHORT_LIFE_SECONDS = 30.0
"""If a connection lasted longer than this number of seconds, its failure is unrelated to the failure of the
previous connection."""
DEFECT = 30
"""Number of short connections in a row after which the worker ends. The broker is then probably not the
cause, and a new worker may not fail."""

_LOG = logging.getLogger(__name__)


class BrokerLost(ConnectionError):
    """A failure that requires a new connection."""


class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]  # celery has no types
    _soon = 0

    def start(self, parent: Any) -> None:
        began = time.monotonic()
        try:
            super().start(parent)
        except (*parent.connection_errors, MemoryError, WorkerLostError):
            raise
        except Exception as error:
            self._soon = self._soon + 1 if time.monotonic() - began < SHORT_LIFE_SECONDS else 1
            if self._soon >= DEFECT:
                raise
            reason = _short(error)
            emit(Event.BROKER_LOST, reason=reason, exc_info=error)
            time.sleep(PAUSE)
            raise BrokerLost(reason) from error


class Consumer(consumer.Consumer):  # type: ignore[misc]
    Blueprint = Blueprint

    def __init__(self, *args: Any, worker_options: Any = None, **options: Any) -> None:
        # mingle and gossip are useless here, and both trust other nodes
        alone = {**(worker_options or {}), "without_mingle": True, "without_gossip": True}
        control.guard(options["app"])
        super().__init__(*args, worker_options=alone, **options)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:  # noqa: BLE001 - the connection is lost anyway
            emit(Event.BROKER_LOST, "warning", reason=f"while closing: {error!r}")

    # acknowledgements

    def call_soon_ack(self, p: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Schedule an acknowledgement that cannot raise. p: a message's `ack_log_error` or
        `reject_log_error`."""
        return super().call_soon_ack(self._acknowledge, p, *args, **options)

    def _acknowledge(self, p: Any, logger: Any = _LOG, errors: Any = (), *args: Any) -> None:
        """Acknowledge or reject a message. Never raises, because an exception would make the event loop
        skip the other callbacks of the same iteration.

        If the acknowledgement fails while the channel is open, the consumer reconnects, because the message
        would otherwise occupy a prefetch slot forever.
        """
        try:
            p(logger, (), *args)
        except Exception as error:  # noqa: BLE001 - a broken channel may raise anything
            reason = _short(error)
            emit(Event.ACKNOWLEDGEMENT_FAILED, reason=reason)
            if getattr(p.__self__.channel, "connection", None) is not None:
                self._reconnect(reason)

    def _reconnect(self, reason: str) -> None:
        """Schedule a reconnect for the next iteration of the event loop. Further calls for the same
        connection have no effect."""
        connection = self.connection

        def lost() -> None:
            if connection is not None and connection is self.connection:
                raise BrokerLost(reason)

        self.timer.call_after(0, lost)

    # messages

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        handle = super().create_task_handler(*args, **options)
        # Celery counts KeyError as an error of the Redis connection, but a message may cause it
        connection_errors = tuple(kind for kind in self.connection_errors if kind is not KeyError)

        def received(message: Any) -> None:
            try:
                messages.own(message)
                handle(message)
            except (*connection_errors, MemoryError):
                raise
            except UsageError as error:
                self._refuse(message, error.message)
            except Exception as error:  # noqa: BLE001 - a message may cause any error
                state.requests.pop(message.headers.get("id"), None)
                self._refuse(message, _short(error))

        return received

    def _refuse(self, message: Any, reason: str) -> None:
        """Reject a message. RabbitMQ moves it to the quarantine queue, which has no consumer."""
        where = message.delivery_info.get("routing_key")
        emit(Event.MESSAGE_REFUSED, code=str(Code.MESSAGE), queue=where, reason=reason)
        if not message.acknowledged:
            self._acknowledge(message.reject_log_error)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Handle a remote control command that cannot be decoded. Messages of tasks are checked in
        `messages`."""
        reason = _short(exc)
        emit(Event.MESSAGE_REFUSED, code=str(Code.MESSAGE), queue="commands", reason=reason)
        self._acknowledge(message.ack_log_error)


def _short(error: Exception) -> str:
    return ascii(f"{type(error).__name__}: {error}"[:300])
