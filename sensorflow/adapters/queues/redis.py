"""kombu's transport for Redis and Valkey, but for what would end a worker, and for one thing that costs.

A channel that closes gives its unacknowledged messages back. Where the connection broke, or the server is
full, that cannot be: kombu 5.7 raises then, which Celery takes for a defect. The messages come back all the
same, after the visibility timeout; the sweeper publishes their files much sooner.

A full server (`maxmemory` with noeviction) refuses what is written, and some versions refuse all that
stands between MULTI and EXEC. Work goes on all the same: it is what empties the queues.

An envelope that is none of kombu's is taken off its queue and logged, before anything believes it.
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

from sensorflow.errors import Code, Misuse
from sensorflow.telemetry import Event, emit

READ = 1.0
"""Seconds that a command or an event may take that is on its way."""
_AWAY = (OSError, Lost, Late)
"""The connection is gone; kombu counts KeyError among these, which a bad message may raise as well."""


class QoS(redis.QoS):  # type: ignore[misc]  # kombu has no types
    @contextmanager
    def pipe_or_acquire(self, pipe: Any = None, client: Any = None) -> Iterator[Any]:
        """Without MULTI: what only removes is then not refused by a full server."""
        if pipe:
            yield pipe
            return
        with self.channel.conn_or_acquire(client) as found:
            yield found.pipeline(transaction=False)

    def append(self, message: Any, delivery_tag: str) -> None:
        try:
            super().append(message, delivery_tag)
        except ResponseError as error:  # it is off its queue, and only held here from now on
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
        except ResponseError as error:  # tried again in a few seconds
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
    """A client is kept: kombu makes a new one for each message, at a third of what sending it costs.

    It is no more than a view of the channel's pool, so that a new pool has a new one.
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
        except OutOfMemoryError as error:  # it was bound by whoever filled the server
            emit(Event.BROKER_REFUSED, operation="bind", reason=str(error))

    @cached_property  # type: ignore[untyped-decorator]  # kombu has no types
    def subclient(self) -> Any:
        """redis-py would wait for ever for what does not come, and the whole event loop with it. An event
        may be of a connection that is gone, whose number a new one has, or of half a reply of a host that
        was cut off."""
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
    """What is read is read: an envelope that is not even JSON, or nested too deep, is off its queue."""
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
        except Misuse as error:
            refuse(queue, error.message)
        else:
            super()._deliver(message, queue)


def _check(envelope: Any) -> None:
    """Raises Misuse for what kombu itself would not have sent.

    Its form: `kombu.transport.virtual.Channel.prepare_message` and `basic_publish`.
    """
    properties = _dict(_dict(envelope, "envelope").get("properties"), "properties")
    info = _dict(properties.get("delivery_info"), "delivery_info")
    if "compression" in _dict(envelope.get("headers", {}), "headers"):
        raise Misuse("an envelope has a compressed body, which is not supported", Code.MESSAGE)
    _text(properties.get("delivery_tag") or None, "delivery_tag")
    for name in ("exchange", "routing_key"):
        _text(info.get(name), name)
    _text(envelope.get("body"), "body")
    try:
        virtual.Channel.decode_body(
            virtual.Channel, envelope["body"], properties.get("body_encoding")
        )
    except Exception as error:
        raise Misuse("the body of an envelope cannot be decoded", Code.MESSAGE) from error


def _dict(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misuse(f"an envelope whose {name} is no object", Code.MESSAGE)
    return value


def _text(value: Any, name: str) -> None:
    if not isinstance(value, str):
        raise Misuse(f"an envelope whose {name} is no text", Code.MESSAGE)


def refuse(queue: str, reason: str) -> None:
    emit(Event.MESSAGE_REFUSED, code=str(Code.MESSAGE), queue=queue, reason=reason)


def _not_of_a_connection(record: logging.LogRecord) -> bool:
    """kombu warns of each rediss:// that it takes apart without options. Those that are connected to have
    theirs, see `tls.options`; Celery also takes one apart to hide its password from whoever asks a worker
    for its settings, as Flower does."""
    return "insecure SSL" not in record.getMessage()


def register() -> None:
    """Have kombu use it for redis:// and rediss://."""
    logging.getLogger("kombu.connection").addFilter(_not_of_a_connection)
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
