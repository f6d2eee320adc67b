"""Detects a pooler between us and the server that does not keep a session on one connection.

In transaction mode, settings, locks and prepared statements of a session stay on a server connection that
another client gets next. A pooler reveals itself by a process number that is not the server's.
"""

from __future__ import annotations

import math
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from sensorflow.errors import Code, Transient

PATIENCE = 5.0
"""Seconds that a pooler may take to find a connection for the second session. Meanwhile the first
session occupies a connection that others may wait for."""
TRIES = 3
LOOK = 60.0
"""Minimum seconds between a process's checks for a pooler; only new connections trigger a check."""
_SAID = re.compile(r"statement pooling|prepared statement \".*\" (already exists|does not exist)")
_looked: dict[str, float] = {}
"""When this process last checked, by the connection's target."""
_PID = "SELECT pg_backend_pid()"


def not_in_session_mode(found: str) -> Transient:
    return Transient(
        Code.POOLER, f"database_url points to a pooler that is not in session mode: {found}"
    )


def is_pooled(connection: psycopg.Connection[Any], pid: int) -> bool:
    """Whether the connection is pooled. pid: the backend process that the server reports."""
    return connection.info.backend_pid != pid


def is_pooler_error(text: str) -> bool:
    """Whether the text is an error of a pooler that is not in session mode."""
    return _SAID.search(text) is not None


def require_session_mode(connection: psycopg.Connection[Any]) -> None:
    """Raises Transient POOLER. The connection must not be in a transaction, and autocommits.

    A process checks rarely, because a check takes a second connection of the pool. If none is available,
    the check is skipped: failing and retrying together with all other processes would keep a pool at its
    limit from ever serving anyone.
    """
    where = connection.info.dsn
    if time.monotonic() - _looked.get(where, -math.inf) <= LOOK:
        return
    _looked[where] = time.monotonic()
    if not _keeps_sessions(connection):
        _looked.pop(where, None)
        raise not_in_session_mode("one session was served by different connections")


def _keeps_sessions(connection: psycopg.Connection[Any]) -> bool:
    """Hold a transaction in a second session: it can get our server connection only if that is not ours.
    A third client may have the connection at that moment, so the check is repeated."""
    for _ in range(TRIES):
        before = _pid(connection)
        try:
            with _second_session(connection) as other:
                taken = _pid(other)
                after = _pid(connection)
        except psycopg.Error as error:
            return not is_pooler_error(str(error))
        if taken == before or after != before:
            return False
    return True


@contextmanager
def _second_session(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    info = connection.info
    other = psycopg.connect(info.dsn, password=info.password, connect_timeout=5)
    alarm = threading.Timer(PATIENCE, _close_session, (other,))
    alarm.start()
    try:
        yield other
    finally:
        alarm.cancel()
        other.close()


def _close_session(connection: psycopg.Connection[Any]) -> None:
    """Close the session, so that pending requests fail."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _pid(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(_PID).fetchone()
    assert row is not None
    return int(row[0])
