"""Is there a pooler between us and the server, and does it leave a session to its client?

In transaction mode settings, locks and prepared statements of a session stay behind on a connection that
somebody else gets next. A pooler gives itself away by a process number that is not the server's.
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
"""Seconds that a pooler may take to find a connection for the second session. Meanwhile the first one keeps
a connection that others may wait for."""
TRIES = 3
LOOK = 60.0
"""Seconds between looks at a pooler by a process, as far as there are new connections."""
_SAID = re.compile(r"statement pooling|prepared statement \".*\" (already exists|does not exist)")
_looked: dict[str, float] = {}
"""When this process looked, by where the connection leads."""
_PID = "SELECT pg_backend_pid()"


def not_in_session_mode(found: str) -> Transient:
    return Transient(
        Code.POOLER, f"database_url points to a pooler that is not in session mode: {found}"
    )


def is_pooled(connection: psycopg.Connection[Any], pid: int) -> bool:
    """pid: the server's process, as the server says."""
    return connection.info.backend_pid != pid


def is_said(text: str) -> bool:
    """Whether an error is one of a pooler that is not in session mode, by its text."""
    return _SAID.search(text) is not None


def require_session_mode(connection: psycopg.Connection[Any]) -> None:
    """Raises Transient POOLER. The connection is in no transaction, and begins none by itself.

    A process looks once in a while, for a look takes a second connection of the pool. Where there is none
    to be had nothing is found out: to fail then, and to try again together with all others, would keep a
    pool at its limit from ever serving anybody.
    """
    where = connection.info.dsn
    if time.monotonic() - _looked.get(where, -math.inf) <= LOOK:
        return
    _looked[where] = time.monotonic()
    if not _keeps_sessions(connection):
        _looked.pop(where, None)
        raise not_in_session_mode("one session was served by different connections")


def _keeps_sessions(connection: psycopg.Connection[Any]) -> bool:
    """A second session holds a transaction: it gets our server's connection only where that is not ours. In
    the very moment a third client may have that, so it is tried some times."""
    for _ in range(TRIES):
        before = _pid(connection)
        try:
            with _another(connection) as other:
                taken = _pid(other)
                after = _pid(connection)
        except psycopg.Error as error:
            return not is_said(str(error))
        if taken == before or after != before:
            return False
    return True


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
