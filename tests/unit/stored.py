"""A plant of `test_flow` whose ledger is a real one, with a time that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeAlias

import psycopg
from fresh_database import FreshDatabaseWithClock
from test_flow import InMemoryPipeline

from sensorflow.adapters.postgres.ledger import PostgresLedger


class Stock(InMemoryPipeline):
    """A plant whose ledger is the one that is given."""

    ledger: PostgresLedger  # type: ignore[assignment]

    def __init__(self, database: str, ledger: PostgresLedger, **source: Any) -> None:
        super().__init__(ledger=ledger, **source)
        self.database = database

    def values(self) -> list[float]:
        with psycopg.connect(self.database) as connection:
            return [value for (value,) in connection.execute("SELECT value FROM raw_readings")]


Stored: TypeAlias = Callable[..., Stock]
"""Makes one: of a class of ledgers, and what a `InMemoryPipeline` is made of."""


@contextmanager
def storing(clocked: FreshDatabaseWithClock) -> Iterator[Stored]:
    with ExitStack() as stack:

        def of(kind: type[PostgresLedger] = PostgresLedger, **given: Any) -> Stock:
            ledger = stack.enter_context(closing(kind(clocked.url, "test")))
            return Stock(clocked.url, ledger, **given)

        yield of
