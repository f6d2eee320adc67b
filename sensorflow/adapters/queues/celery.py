"""Publishes to a broker through Celery. The URL's scheme selects Redis, Valkey or RabbitMQ.

Tasks are sent by name. The code of the tasks is in the package ``workers``, which sensorflow never imports.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from amqp.exceptions import AMQPError
from celery import Celery, chain
from kombu import Exchange, Queue
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerError

from sensorflow.adapters.queues import rabbitmq, redis
from sensorflow.adapters.queues import tls as secure
from sensorflow.core.arrival import Lane, OutboxEntry, message_of, printable
from sensorflow.core.states import WORK, Stage
from sensorflow.errors import Code, Transient
from sensorflow.ports.queue import Message
from sensorflow.tls import Tls

INGEST = "ingest"
SWEEP = "sweep"
RETAIN = "retain"
TASKS = (SWEEP, Stage.QUARANTINE, Stage.LOAD, Stage.TRANSFORM, Stage.VALIDATE, INGEST, RETAIN)
"""Names of the tasks. Each task has its own queue, so that each kind of work can be scaled separately."""
QUEUES = (*TASKS, Lane.BACKFILL)
"""All queues, in the order in which a worker on Redis checks them: final stages first, replayed and
backfilled files last."""

CONFIRM = 10.0
"""Seconds to wait for the broker's publisher confirm."""


def task_name(task: str) -> str:
    return f"sensorflow.{task}"


def is_amqp(url: str) -> bool:
    return urlsplit(url).scheme in ("amqp", "amqps", "pyamqp")


def normal(url: str) -> str:
    """Normalize a URL. A scheme of Valkey is replaced by the scheme of Redis, because kombu does not know
    Valkey."""
    return "redis" + url.removeprefix("valkey") if url.startswith("valkey") else url


def configuration(url: str, tls: Tls | None = None) -> dict[str, Any]:
    """Return Celery's settings for a broker, the same for publishers and workers.

    RabbitMQ uses quorum queues, publisher confirms and a topic exchange, which Celery's delayed delivery
    needs. On Redis, unacknowledged messages return to the queue after a time that is somewhat longer than
    the longest task. Lost messages are recovered by the reconciler, not by the broker.
    """
    redis.register()
    rabbitmq.register()
    amqp = is_amqp(url)
    exchange = Exchange("sensorflow", type="topic" if amqp else "direct", durable=True)
    options: dict[str, Any] = {"socket_timeout": CONFIRM, "socket_connect_timeout": 5.0}
    if amqp:
        options = {
            "confirm_publish": True,
            "connect_timeout": 5,
            "read_timeout": 30,
            "write_timeout": CONFIRM,
        }
    else:
        options |= {
            "visibility_timeout": 3600,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "queue_order_strategy": "priority",
            "health_check_interval": 10,
            "socket_keepalive": True,
        }
    return {
        "broker_url": normal(url),
        "broker_use_ssl": secure.options(url, tls) or False,
        "broker_transport_options": options,
        "broker_connection_timeout": 5,
        "broker_heartbeat": 30,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # each of Flower's inspector threads uses one connection while it waits for a second one
        "broker_pool_limit": 64,
        "task_queues": [
            Queue(
                task_name(t),
                exchange,
                task_name(t),
                durable=True,
                queue_arguments=_arguments(t) if amqp else None,
            )
            for t in QUEUES
        ],
        "task_routes": {
            task_name(t): {"queue": task_name(t), "routing_key": task_name(t)} for t in TASKS
        },
        "task_default_queue": task_name(INGEST),
        "task_default_exchange": "sensorflow",
        "task_default_exchange_type": exchange.type,
        "task_default_queue_type": "quorum" if amqp else "classic",
        "worker_detect_quorum_queues": True,
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
    }


def _arguments(task: str) -> dict[str, Any]:
    """Return the arguments of a quorum queue. Messages that are rejected or delivered too often go to the
    quarantine queue.

    The consumer of that queue uses the ledger to decide whether to retry or to quarantine the file. The
    setting "at-least-once" keeps a message until the quarantine queue has confirmed it; it requires
    "reject-publish". Never change the arguments of an existing queue, because RabbitMQ rejects a
    declaration with other arguments, and during an upgrade the hosts of a fleet have different versions.
    """
    arguments: dict[str, Any] = {"x-queue-type": "quorum"}
    if task != Stage.QUARANTINE:
        arguments |= {
            "x-delivery-limit": 20,
            "x-overflow": "reject-publish",
            "x-dead-letter-exchange": "sensorflow",
            "x-dead-letter-routing-key": task_name(Stage.QUARANTINE),
            "x-dead-letter-strategy": "at-least-once",
        }
    return arguments


def _options(task: str, entry: OutboxEntry, others: int = 0) -> dict[str, str]:
    """Return Celery's options for a message. They contain the arguments to display, and the queue if this
    is not the default queue of the task."""
    batch_text = f" others={others}" if others else ""
    shown = f"source={entry.source} file={printable(entry.key)}{batch_text} stage={task}"
    options = {"argsrepr": shown, "kwargsrepr": "{}"}
    if entry.lane is Lane.BACKFILL:
        options |= dict.fromkeys(("queue", "routing_key"), task_name(Lane.BACKFILL))
    return options


class CeleryPublisher:
    """Publishes through Celery; see `ports.queue.Publisher`. Has a single connection, so only one thread
    may use a publisher at a time."""

    def __init__(self, url: str, bucket: str, tls: Tls | None = None) -> None:
        self._app = Celery("sensorflow.publisher", set_as_current=False)
        self._app.conf.update(configuration(url, tls))
        self._bucket = bucket
        self._lock = threading.Lock()
        self._connection: Any = None
        self._producer: Any = None

    def publish(
        self,
        messages: Iterable[Message],
        confirmed: Callable[[Message], object] = lambda _message: None,
    ) -> None:
        """Publish messages one by one. A message for a single stage is a chain of tasks, for this stage and
        all following stages."""
        for message in messages:
            self._send(message)
            confirmed(message)

    def _send(self, message: Message) -> None:
        first, *others = message.files
        body = message_of(first, self._bucket, others)
        with self._errors():
            if self._producer is None:
                self._connection = self._app.connection_for_write()
                self._producer = self._app.amqp.Producer(self._connection)
            options = {"producer": self._producer, "retry": False, "confirm_timeout": CONFIRM}
            if message.only is None or message.only is Stage.QUARANTINE:
                task = message.only or INGEST
                # equals the message that a Celery signature would send, at half the cost
                given = {**options, **_options(task, first, len(others))}
                self._app.send_task(task_name(task), (body,), {}, **given)
            else:
                stages = WORK[WORK.index(message.only) :]
                chain(self._signature(s, first, body) for s in stages).apply_async(**options)

    def _signature(self, task: str, entry: OutboxEntry, message: dict[str, Any]) -> Any:
        given = _options(task, entry)
        return self._app.signature(task_name(task), (message,), immutable=True, **given)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (BrokerError, KombuError, AMQPError, OSError, *self._driver_errors()) as error:
                self._drop()
                reason = secure.reason(error, bool(self._app.conf.broker_use_ssl))
                raise Transient(Code.BROKER, reason) from error

    def _driver_errors(self) -> tuple[type[Exception], ...]:
        transport = self._app.connection_for_write().transport
        return (*transport.connection_errors, *transport.channel_errors)

    def _drop(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with suppress(Exception):  # the connection is broken; a new one will be created
                connection.collapse()

    @property
    def name(self) -> str:
        kind = "RabbitMQ" if is_amqp(self._app.conf.broker_url) else "Redis or Valkey"
        return f"{kind} over TLS" if self._app.conf.broker_use_ssl else kind

    def depth(self) -> int:
        """Return the number of messages in all queues except that of the reconciler; see `depths`."""
        return sum(size for queue, size in self.depths().items() if queue != task_name(SWEEP))

    def depths(self) -> dict[str, int]:
        """Return the number of messages in each queue. Each call declares missing queues and bindings,
        because a broker may have lost them."""
        with (
            self._errors(),
            self._app.connection_for_write() as connection,
            connection.channel() as channel,
        ):
            found: dict[str, int] = {}
            for queue in self._app.conf.task_queues:
                bound = queue(channel)
                bound.declare()
                found[queue.name] = bound.queue_declare().message_count
            return found

    def disconnect(self) -> None:
        """Close the connection. The next message opens a new one."""
        with self._lock:
            self._drop()

    def close(self) -> None:
        self.disconnect()
