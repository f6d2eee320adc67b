"""Detects a connection pooler that does not keep a session on one server connection.

In transaction mode, the pooler gives a server connection to another client after each transaction, together
with the settings, locks and prepared statements of the session. A pooler is recognized by the PID that the
connection receives at its start, which differs from the PID of the backend.
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
"""Maximum seconds to wait for the pooler to connect the second session. The limit is short, because
meanwhile the first session occupies a connection for which other clients may be waiting."""
TRIES = 3
CHECK_INTERVAL_SECONDS = 60.0
"""Minimum seconds between two checks in one process. Only new connections are checked."""
_POOLER_ERROR = re.compile(
    r"statement pooling|prepared statement \".*\" (already exists|does not exist)"
)
_looked: dict[str, float] = {}
"""DSN of the connections -> time of this process's last check."""
_PID = "SELECT pg_backend_pid()"


def not_in_session_mode(found: str) -> Transient:
    return Transient(
        Code.POOLER, f"database_url points to a pooler that is not in session mode: {found}"
    )


def is_pooled(connection: psycopg.Connection[Any], pid: int) -> bool:
    """Whether the connection goes through a pooler. pid: the PID of the backend that the server reports."""
    return connection.info.backend_pid != pid


def is_pooler_error(text: str) -> bool:
    """Whether an error message is typical of a pooler that is not in session mode."""
    return _POOLER_ERROR.search(text) is not None


def require_session_mode(connection: psycopg.Connection[Any]) -> None:
    """Check that the connection is in session mode. Raises Transient POOLER if it is not. The connection
    must be in autocommit mode, outside a transaction.

    A process checks rarely, because a check needs a second connection of the pool. If no connection is
    available, the check is skipped. If it raised instead, all processes would retry, and an exhausted pool
    would never recover.
    """
    where = connection.info.dsn
    if time.monotonic() - _looked.get(where, -math.inf) <= CHECK_INTERVAL_SECONDS:
        return
    _looked[where] = time.monotonic()
    if not _keeps_sessions(connection):
        _looked.pop(where, None)
        raise not_in_session_mode("one session was served by different connections")


def _keeps_sessions(connection: psycopg.Connection[Any]) -> bool:
    """Whether this session keeps its server connection. Opens a transaction in a second session. If the
    second session gets the same server connection as this session, the pooler is not in session mode. The
    check is repeated, because a third client may have the connection at that moment."""
    for _ in range(TRIES):
        before = _pid(connection)
        try:
            with _second_session(connection) as other:
                other_pid = _pid(other)
                after = _pid(connection)
        except psycopg.Error as error:
            return not is_pooler_error(str(error))
        if other_pid == before or after != before:
            return False
    return True


@contextmanager
def _second_session(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    info = connection.info
    other = psycopg.connect(info.dsn, password=info.password, connect_timeout=5)
    timer = threading.Timer(PATIENCE, _close_session, (other,))
    timer.start()
    try:
        yield other
    finally:
        timer.cancel()
        other.close()


def _close_session(connection: psycopg.Connection[Any]) -> None:
    """Close the session, so that pending requests fail."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _pid(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(_PID).fetchone()
    assert row is not None
    return int(row[0])
