"""Detects whether a thread waits for the answer of a server, by the code that the thread runs."""

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
"""Module or package of a client -> code of the outage of its server."""
SERVERS = {Code.DATABASE: "database", Code.BROKER: "broker"}


def awaited(thread: int) -> Code | None:
    """Return the code of the server for which a thread waits, or None if it does something else. thread:
    its identifier, see `threading.get_ident`.

    The clients call only the standard library. So the innermost frame outside the standard library shows
    whether a client is waiting. This costs nothing until it is asked.
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
