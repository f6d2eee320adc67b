"""kombu's transport for Redis and Valkey. Fixes errors that would end a worker, and reuses clients for
speed.

When a channel closes, it returns its unacknowledged messages to the queue. If this is impossible because
the connection is broken or the server is full, kombu 5.7 raises an error that Celery treats as a bug. This
transport ignores the error, because the messages return after the visibility timeout, and the reconciler
publishes their files again much sooner.

A full server (`maxmemory` with noeviction) rejects writes, and some versions reject all commands between
MULTI and EXEC. Workers continue in this case, because their work empties the queues.

If kombu did not create the envelope of a message, the message is removed from its queue and logged, and its
content is not used.
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
"""Timeout in seconds of a command, or of reading an event."""
_CONNECTION_ERRORS = (OSError, Lost, Late)
"""Errors that mean a lost connection. Unlike kombu's list, this list does not contain KeyError, because an
invalid message may also raise KeyError."""


class QoS(redis.QoS):  # type: ignore[misc]  # kombu has no types
    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """Provide a pipeline without MULTI, because a full server could reject even commands that only
        remove data if they are between MULTI and EXEC."""
        if pipe:
            yield pipe
            return
        with self.channel.conn_or_acquire(client) as found:
            yield found.pipeline(transaction=False)

    def append(self, message: Any, delivery_tag: str) -> None:
        try:
            super().append(message, delivery_tag)
        except ResponseError as error:  # only this process has the message now
            emit(Event.BROKER_REFUSED, operation="deliver", reason=str(error))
            virtual.QoS.append(self, message, delivery_tag)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        try:
            super().restore_unacked_once(stderr)
        except Exception as error:  # noqa: BLE001 - the messages return later
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
        except (*_CONNECTION_ERRORS, ResponseError):
            raise
        except Exception as error:  # noqa: BLE001 - the message may contain anything
            refuse(self.unacked_key, f"an unacknowledged message of another kind: {error}")
            with self.channel.conn_or_acquire(client) as found:
                found.zrem(self.unacked_index_key, tag)
                found.hdel(self.unacked_key, tag)


class Channel(redis.Channel):  # type: ignore[misc]
    """A channel that reuses one client. kombu creates a client for each message, which takes a third of the
    time of sending.

    A client belongs to a connection pool, so a new client is created for a new pool.
    """

    QoS = QoS
    _client_cache: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._client_cache is None or self._client_cache.connection_pool is not self.pool:
            self._client_cache = super()._create_client()
        return self._client_cache

    def _queue_bind(self, *args: Any) -> None:
        try:
            super()._queue_bind(*args)
        except OutOfMemoryError as error:  # the call failed because the server was full
            emit(Event.BROKER_REFUSED, operation="bind", reason=str(error))

    @cached_property  # type: ignore[untyped-decorator]  # kombu has no types
    def subclient(self) -> Any:
        """Return kombu's client for subscriptions, with a timeout. Without a timeout, redis-py would block
        the event loop forever if a reply is missing. A reply is missing if the event belongs to a closed
        connection whose descriptor was reused, or to an incomplete reply of a disconnected host."""
        pubsub = self._create_client(asynchronous=True).pubsub()
        pubsub.parse_response = partial(pubsub.parse_response, block=False, timeout=READ)
        return pubsub

    def _brpop_read(self, **options: Any) -> Any:
        with _refusing():
            return super()._brpop_read(**options)

    def _receive_one(self, c: Any) -> Any:
        with _refusing():
            return super()._receive_one(c)


@contextmanager
def _refusing() -> Iterator[None]:
    """Log and discard a message whose envelope is not valid JSON or is nested too deeply. The message is
    already removed from its queue."""
    try:
        yield
    except (*_CONNECTION_ERRORS, ResponseError, redis.Empty):
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
    """Check an envelope. Raises UsageError if kombu cannot have created this envelope.

    For the format see `kombu.transport.virtual.Channel.prepare_message` and `basic_publish`.
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
        raise UsageError(f"an envelope whose {name} is not a string", Code.MESSAGE)


def refuse(queue: str, reason: str) -> None:
    emit(Event.MESSAGE_REFUSED, code=str(Code.MESSAGE), queue=queue, reason=reason)


def _not_of_a_connection(record: logging.LogRecord) -> bool:
    """A log filter that removes kombu's warning about rediss:// URLs without TLS options. The warning is
    wrong: real connections have these options, see `tls.options`. It appears because Celery also parses a
    URL to hide its password, for example when Flower requests the settings of a worker."""
    return "insecure SSL" not in record.getMessage()


def register() -> None:
    """Make kombu use this transport for redis:// and rediss://."""
    logging.getLogger("kombu.connection").addFilter(_not_of_a_connection)
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
