"""kombu's transport for Redis and Valkey, with fixes for errors that would end a worker, and one for speed.

A channel that closes returns its unacknowledged messages. If the connection is broken or the server is
full, that is impossible: kombu 5.7 then raises an error that Celery takes for a defect. The messages return
anyway after the visibility timeout; the reconciler publishes their files much sooner.

A full server (`maxmemory` with noeviction) rejects writes, and some versions reject everything between
MULTI and EXEC. Work continues, because it is what empties the queues.

An envelope that is not kombu's is removed from its queue and logged, before any code trusts it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.utils.objects import cached_property
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as Late

from sensorflow.errors import Code, UsageError
from sensorflow.telemetry import Event, emit

READ = 1.0
"""Seconds that a command or event in transit may take."""
_AWAY = (OSError, Lost, Late)
"""Errors of a lost connection; kombu also counts KeyError, which a bad message may raise too."""


class QoS(redis.QoS):  # type: ignore[misc]  # kombu has no types
    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """Without MULTI, so that a full server does not reject commands that only remove."""
        if pipe:
            yield pipe
            return
        with self.channel.conn_or_acquire(client) as found:
            yield found.pipeline(transaction=False)

    def append(self, message: Any, delivery_tag: str) -> None:
        try:
            super().append(message, delivery_tag)
        except ResponseError as error:  # it is off its queue, and from now on exists only here
            emit(Event.BROKER_REFUSED, operation="deliver", reason=str(error))
            virtual.QoS.append(self, message, delivery_tag)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        try:
            super().restore_unacked_once(stderr)
        except Exception as error:  # noqa: BLE001 - nothing is lost by it
            reason = f"{type(error).__name__}: {error}"
            emit(Event.BROKER_REFUSED, operation="give messages back", reason=reason)
            self._delivered.clear()

    def restore_visible(self, *args: Any, **options: Any) -> None:
        try:
            super().restore_visible(*args, **options)
        except ResponseError as error:  # retried in a few seconds
            emit(Event.BROKER_REFUSED, operation="restore messages", reason=str(error))

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (*_AWAY, ResponseError):
            raise
        except Exception as error:  # noqa: BLE001 - anything may be in there
            refuse(self.unacked_key, f"an unacknowledged message of another kind: {error}")
            with self.channel.conn_or_acquire(client) as found:
                found.zrem(self.unacked_index_key, tag)
                found.hdel(self.unacked_key, tag)


class Channel(redis.Channel):  # type: ignore[misc]
    """Reuses one client: kombu creates a new one per message, at a third of the cost of sending it.

    A client is only a view of the channel's pool, so a new pool gets a new client.
    """

    QoS = QoS
    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()
        return self._kept

    def _queue_bind(self, *args: Any) -> None:
        try:
            super()._queue_bind(*args)
        except OutOfMemoryError as error:  # it was blocked by whatever filled the server
            emit(Event.BROKER_REFUSED, operation="bind", reason=str(error))

    @cached_property  # type: ignore[untyped-decorator]  # kombu has no types
    def subclient(self) -> Any:
        """Add a timeout: redis-py would wait forever for a reply that does not come, and block the event
        loop. An event may belong to a closed connection whose descriptor a new one has, or to half a
        reply of a host that was disconnected."""
        made = self._create_client(asynchronous=True).pubsub()
        made.parse_response = partial(made.parse_response, block=False, timeout=READ)
        return made

    def _brpop_read(self, **options: Any) -> Any:
        with _refusing():
            return super()._brpop_read(**options)

    def _receive_one(self, c: Any) -> Any:
        with _refusing():
            return super()._receive_one(c)


@contextmanager
def _refusing() -> Iterator[None]:
    """Drop messages already off their queue: an envelope that is not valid JSON, or is nested too deep."""
    try:
        yield
    except (*_AWAY, ResponseError, redis.Empty):
        raise
    except Exception as error:
        refuse("?", f"an envelope that cannot be read: {type(error).__name__}")
        raise redis.Empty from error


class Transport(redis.Transport):  # type: ignore[misc]
    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        try:
            _check(message)
        except UsageError as error:
            refuse(queue, error.message)
        else:
            super()._deliver(message, queue)


def _check(envelope: Any) -> None:
    """Raises UsageError for an envelope that kombu itself would not have sent.

    Its form: `kombu.transport.virtual.Channel.prepare_message` and `basic_publish`.
    """
    properties = _dict(_dict(envelope, "envelope").get("properties"), "properties")
    info = _dict(properties.get("delivery_info"), "delivery_info")
    if "compression" in _dict(envelope.get("headers", {}), "headers"):
        raise UsageError("an envelope has a compressed body, which is not supported", Code.MESSAGE)
    _text(properties.get("delivery_tag") or None, "delivery_tag")
    for name in ("exchange", "routing_key"):
        _text(info.get(name), name)
    _text(envelope.get("body"), "body")
    try:
        virtual.Channel.decode_body(
            virtual.Channel, envelope["body"], properties.get("body_encoding")
        )
    except Exception as error:
        raise UsageError("the body of an envelope cannot be decoded", Code.MESSAGE) from error


def _dict(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"an envelope whose {name} is not an object", Code.MESSAGE)
    return value


def _text(value: Any, name: str) -> None:
    if not isinstance(value, str):
        raise UsageError(f"an envelope whose {name} is not a text", Code.MESSAGE)


def refuse(queue: str, reason: str) -> None:
    emit(Event.MESSAGE_REFUSED, code=str(Code.MESSAGE), queue=queue, reason=reason)


def _not_of_a_connection(record: logging.LogRecord) -> bool:
    """Filter out kombu's warning for each rediss:// URL parsed without options. Real connections have
    theirs, see `tls.options`; Celery also parses URLs to hide the password when, for example, Flower
    asks a worker for its settings."""
    return "insecure SSL" not in record.getMessage()


def register() -> None:
    """Make kombu use this transport for redis:// and rediss://."""
    logging.getLogger("kombu.connection").addFilter(_not_of_a_connection)
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
