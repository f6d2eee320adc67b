"""Detects a connection pooler that is not in session mode.

In transaction mode, a pooler gives a server connection to another client after each transaction. The other
client then gets the settings, locks and prepared statements of the session too. A pooler is recognized by
the PID that it sends when the client connects, because it differs from the PID of the server process.
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
"""Maximum number of seconds to wait until the pooler gives the second session a server connection. The
limit is short, because meanwhile the first session occupies a server connection for which other clients may
be waiting."""
TRIES = 3
CHECK_INTERVAL_SECONDS = 60.0
"""Minimum number of seconds between two checks in one process."""
_POOLER_ERROR = re.compile(
    r"statement pooling|prepared statement \".*\" (already exists|does not exist)"
)
_looked: dict[str, float] = {}
"""DSN of a database -> time of this process's last check of a connection to it, in seconds of the
monotonic clock."""
_PID = "SELECT pg_backend_pid()"


def not_in_session_mode(found: str) -> Transient:
    return Transient(
        Code.POOLER, f"database_url points to a pooler that is not in session mode: {found}"
    )


def is_pooled(connection: psycopg.Connection[Any], pid: int) -> bool:
    """Return whether the connection goes through a pooler. pid: the PID of the server process, as the
    server reports it."""
    return connection.info.backend_pid != pid


def is_pooler_error(text: str) -> bool:
    """Return whether an error message is typical of a pooler that is not in session mode."""
    return _POOLER_ERROR.search(text) is not None


def require_session_mode(connection: psycopg.Connection[Any]) -> None:
    """Check that the pooler is in session mode. Raises Transient POOLER if it is not. connection: a
    connection to the pooler, in autocommit mode and outside a transaction.

    A process checks rarely (`CHECK_INTERVAL_SECONDS`), because a check needs a second server connection of
    the pooler. If the pooler has none available, the check is skipped. If an error were raised instead, all
    processes would retry, and an exhausted pooler would never recover.
    """
    where = connection.info.dsn
    if time.monotonic() - _looked.get(where, -math.inf) <= CHECK_INTERVAL_SECONDS:
        return
    _looked[where] = time.monotonic()
    if not _keeps_sessions(connection):
        _looked.pop(where, None)
        raise not_in_session_mode("one session was served by different connections")


def _keeps_sessions(connection: psycopg.Connection[Any]) -> bool:
    """Return whether this session keeps its server connection. A second session runs a statement in a
    transaction that stays open. If it gets the server connection of this session, or if this session then
    gets another one, the pooler is not in session mode. The test is repeated, because a third client may be
    using the connection at that moment."""
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
    """Shut down the socket of a connection, so that a request that is waiting in another thread fails."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _pid(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(_PID).fetchone()
    assert row is not None
    return int(row[0])
