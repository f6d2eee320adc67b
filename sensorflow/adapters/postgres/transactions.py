"""Provides transactions on the database connections of a process, for all parts of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated


class Transactions:
    """The base class of all parts of the ledger: provides transactions on connections from a pool.
    Thread-safe. Create a separate instance in each process, after the process was forked.

    actor: the name of this process in the events that it writes. pool: number of connections that stay
    open.
    """

    def __init__(self, url: str, actor: str, pool: int = 2) -> None:
        self._engine = engine_of(url, pool_size=pool, max_overflow=2)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._actor = actor

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _statement(self) -> Iterator[sa.Connection]:
        """Return a context manager that yields a connection for one autocommitted statement. Without an
        explicit transaction, the statement needs one round trip to the server and not three."""
        with translated(), self._autocommit.connect() as connection:
            try:
                yield connection
            except sa.exc.DBAPIError:  # the connection's prepared statements may be the cause
                connection.invalidate()
                raise
