"""kombu's transport for Redis and Valkey, but for one thing that would end a worker, and one that costs.

A channel that closes gives its unacknowledged messages back. Where the connection broke and is closed
already that cannot be: kombu 5.7 raises AttributeError then, which Celery takes for a defect and ends the
worker. The messages come back all the same, after the visibility timeout; the sweeper publishes their
files much sooner.
"""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class QoS(redis.QoS):  # type: ignore[misc]  # kombu has no types
    def restore_unacked_once(self, stderr: Any = None) -> None:
        try:
            super().restore_unacked_once(stderr)
        except AttributeError:
            if self.channel.connection.client is not None:
                raise
            self._delivered.clear()


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


class Transport(redis.Transport):  # type: ignore[misc]
    Channel = Channel


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
