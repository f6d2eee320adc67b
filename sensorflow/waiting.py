"""Detects whether a thread waits for the answer of a server, from the code that the thread is running."""

from __future__ import annotations

import sys

from sensorflow.errors import Code

CLIENTS = {
    "psycopg": Code.DATABASE,
    "redis": Code.BROKER,
    "amqp": Code.BROKER,
    "kombu.connection": Code.BROKER,
    "kombu.transport": Code.BROKER,
    "kombu.utils.functional": Code.BROKER,  # waits before it connects again
}
"""Name of a module or package of a client library -> code of the error that is raised if its server is
unavailable."""
SERVERS = {Code.DATABASE: "database", Code.BROKER: "broker"}


def awaited(thread: int) -> Code | None:
    """Return the code in `CLIENTS` of the server for which a thread waits; None if the thread does
    something else. thread: identifier of the thread, see `threading.get_ident`.

    The client libraries call only the standard library. Therefore, if a thread waits for a server, its
    innermost frame outside of the standard library belongs to a client library. Threads need no extra time
    for this, because only this function examines their frames.
    """
    frame = sys._current_frames().get(thread)
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        for client, code in CLIENTS.items():
            if name == client or name.startswith(f"{client}."):
                return code
        if name.partition(".")[0] not in sys.stdlib_module_names:
            return None
        frame = frame.f_back
    return None
