"""Is there a pooler between us and the server, and does it leave a session to its client?

In transaction mode settings, locks and prepared statements of a session stay behind on a connection that
somebody else gets next. A pooler gives itself away by a process number that is not the server's.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from sensorflow.errors import Code, Transient

PATIENCE = 10.0
"""Seconds that a pooler may take to find a connection for the second session."""
TRIES = 3
_PID = "SELECT pg_backend_pid()"


def not_in_session_mode(found: str) -> Transient:
    return Transient(
        Code.POOLER, f"database_url leads to a pooler that is not in session mode: {found}"
    )


def is_pooled(connection: psycopg.Connection[Any], pid: int) -> bool:
    """pid: the server's process, as the server says."""
    return connection.info.backend_pid != pid


def require_session_mode(connection: psycopg.Connection[Any]) -> None:
    """Raises Transient POOLER. The connection is in no transaction, and begins none by itself.

    A second session holds a transaction: it gets our server's connection only where that is not ours. In
    the very moment a third client may have that, so it is tried some times.
    """
    for _ in range(TRIES):
        with _another(connection) as other:
            before = _pid(connection)
            taken = _pid(other)
            after = _pid(connection)
        if taken == before or after != before:
            raise not_in_session_mode("one session was served by different connections")


@contextmanager
def _another(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    info = connection.info
    other = psycopg.connect(info.dsn, password=info.password, connect_timeout=5)
    alarm = threading.Timer(PATIENCE, _hang_up, (other,))
    alarm.start()
    try:
        yield other
    finally:
        alarm.cancel()
        other.close()


def _hang_up(connection: psycopg.Connection[Any]) -> None:
    """What waits for an answer then gets an error."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _pid(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(_PID).fetchone()
    assert row is not None
    return int(row[0])
