"""Connections of a process: what every part of the ledger asks the database through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated


class Transactions:
    """Safe to share between threads; make one in each process, after a fork.

    who: the name under which this process writes history.
    """

    def __init__(self, url: str, who: str, pool: int = 2) -> None:
        self._engine = engine_of(url, pool_size=pool, max_overflow=2)
        self._at_once = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._who = who

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _statement(self) -> Iterator[sa.Connection]:
        """For one statement, which is a transaction of its own: one round trip in place of three."""
        with translated(), self._at_once.connect() as connection:
            try:
                yield connection
            except sa.exc.DBAPIError:  # what it has prepared may be what is wrong
                connection.invalidate()
                raise
