"""What database and broker say about themselves and about the consumers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import redis
from celery import Celery
from chaos.scene import Observer
from elastic.processes import connections
from elastic.stand import Stand
from servers import RabbitMQ

from sensorflow.adapters.queues.celery import QUEUES, configuration, normal, task_name

Facts = Iterator[tuple[str, str, float]]
"""Name, unit, value."""
TABLES = ("files", "file_events", "heartbeats", "intake_leases")
CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'sensorflow%%'
"""
SIZES = """
SELECT c.relname, pg_total_relation_size(c.oid), coalesce(s.n_dead_tup, 0), coalesce(s.n_live_tup, 0)
  FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
 WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY(%s)
"""
ERLANG = """
Asked = [messages_ready, messages_unacknowledged],
Queues = [[proplists:get_value(Name, Queue) || Name <- Asked]
          || Queue <- rabbit_amqqueue:info_all(<<"{vhost}">>, Asked)],
Prefetch = [proplists:get_value(prefetch_count, Consumer)
            || Consumer <- rabbit_amqqueue:consumers_all(<<"{vhost}">>)],
lists:flatten(io_lib:format("~w", [[erlang:memory(total), Queues, Prefetch]])).
"""
"""Bytes of the node; ready and unacknowledged messages of each queue; prefetch of each consumer. All at
once, because each command of rabbitmqctl costs most of a second of CPU."""


def database(observer: Observer) -> Facts:
    """Connections of the fleet; of each table its dead tuples and its bytes: those of a row in tables that
    keep what they are given, and all in tables that stay small."""
    yield "database connections", "", float(observer.rows(CONNECTIONS)[0][0])
    for table, size, dead, live in observer.rows(SIZES, list(TABLES)):
        yield f"{table} dead tuples", "", float(dead)
        if table in ("files", "file_events"):
            if live > 1000:
                yield f"{table} bytes of a row", "B", size / live
        else:
            yield f"{table} bytes", "B", float(size)


class BrokerSeen:
    """The broker, and what it has given to which worker."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._url = stand.fleet.env["SENSORFLOW_BROKER_URL"]
        self._app = Celery("elastic")
        self._app.conf.update(configuration(self._url))
        self._redis: Any = None
        if not isinstance(stand.broker, RabbitMQ):
            self._redis = redis.Redis.from_url(normal(self._url))

    def close(self) -> None:
        self._app.close()
        if self._redis is not None:
            self._redis.close()

    def facts(self) -> Facts:
        yield from self._valkey() if self._redis is not None else self._rabbit()

    def consumers(self, timeout: float = 10.0) -> Facts:
        """The prefetch count of each worker, and how many messages it holds, those at work included."""
        asked = self._app.control.inspect(timeout=timeout, limit=len(self._stand.nodes))
        said = asked.stats() or {}
        for name, stats in said.items():
            node = name.partition("@")[0]
            yield f"{node} prefetch", "", float(stats["prefetch_count"])
            yield f"{node} messages held", "", float(stats["autoscaler"]["qty"])

    def _valkey(self) -> Facts:
        pipe = self._redis.pipeline()
        pipe.info("memory")
        pipe.info("clients")
        pipe.dbsize()
        pipe.hlen("unacked")
        for queue in QUEUES:
            pipe.llen(task_name(queue))
        memory, clients, keys, unacked, *lengths = pipe.execute()
        yield "broker memory", "B", float(memory["used_memory"])
        connected = float(clients["connected_clients"])
        yield "broker connections, without children", "", connected - self._of_children()
        yield "broker keys", "", float(keys)
        yield "broker unacked", "", float(unacked)
        yield "broker messages", "", float(sum(lengths))

    def _of_children(self) -> int:
        """Connections that children of pools have opened. There are as many as children need."""
        fleet, port = self._stand.fleet, urlsplit(self._url).port or 0
        return sum(
            max(0, connections(child, port) - connections(fleet.running[node].pid, port))
            for node in self._stand.nodes
            for child in fleet.children(node)
        )

    def _rabbit(self) -> Facts:
        server, vhost = self._stand.broker, self._stand.vhost
        assert isinstance(server, RabbitMQ)
        memory, queues, prefetch = _evaluated(server.ask, ERLANG.format(vhost=vhost))
        yield "broker memory", "B", float(memory)
        yield "broker queues", "", float(len(queues))
        yield "broker messages", "", float(sum(ready for ready, _ in queues))
        yield "broker unacked", "", float(sum(unacked for _, unacked in queues))
        yield "broker consumers", "", float(len(prefetch))
        yield "broker prefetch, largest", "", float(max(prefetch, default=0))


def _evaluated(ask: Callable[..., bytes], expression: str) -> Any:
    """The value of an Erlang expression, which is the text of nested lists of integers."""
    return json.loads(json.loads(ask("eval", expression)))
