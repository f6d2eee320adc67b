"""Databases that the tests of a process have one after the other, each emptied for the next.

Far cheaper than a clone for each test, where a test changes rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

OTHERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
HYPER: LiteralString = "SELECT relkind = 'r' FROM pg_class WHERE oid = 'raw_readings'::regclass"
TABLES = (
    "SELECT tablename FROM pg_tables"
    " WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'project')"
    " AND tablename NOT LIKE 'raw_readings%'"
)
CHUNKS: LiteralString = "TRUNCATE raw_readings"
"""Drops the chunks of a hypertable, while its triggers are still at work."""
EMPTY: LiteralString = """
DO $$
DECLARE part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits
                 WHERE inhparent IN ('raw_readings'::regclass, 'gold_1m'::regclass) LOOP
        EXECUTE format('DROP TABLE %s', part);
    END LOOP;
    PERFORM setval(oid, 1, false) FROM pg_class
      WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace;
END $$
"""
CLOCK: LiteralString = """
CREATE SEQUENCE public.clock;
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN timestamptz 'epoch' + (SELECT last_value FROM public.clock) * interval '1 microsecond';
END $$;
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT public.now()';
DO $$
DECLARE found record;
BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database());
    FOR found IN
        SELECT d.adrelid::regclass AS place, a.attname, pg_get_expr(d.adbin, d.adrelid) AS said
          FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE pg_get_expr(d.adbin, d.adrelid) IN ('now()', 'clock_timestamp()')
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT public.%s',
                       found.place, found.attname, found.said);
    END LOOP;
END $$;
"""
"""Functions that stand before those of PostgreSQL. No test can wait as long as a retry or a lease does."""


@dataclass
class FreshDatabase:
    """A migrated database, empty when it is made and after each `empty`."""

    url: str

    def __post_init__(self) -> None:
        self._connection = psycopg.connect(self.url, autocommit=True)
        tables = [row[0] for row in self._run(TABLES)]
        first = [f'DELETE FROM "{table}"' for table in tables if table != "file_histories"]
        # row 0 tells of histories of before they were hashed
        first += ["DELETE FROM file_histories WHERE file_id <> 0", EMPTY]
        quick = ["SET session_replication_role = replica", *first]
        hyper = self._run(HYPER) == [(True,)]
        self._script = ";".join(
            [CHUNKS, *quick, "RESET session_replication_role"] if hyper else quick
        )

    def empty(self) -> None:
        """Whoever is connected yet is cut off."""
        self._run(OTHERS + " AND pid <> pg_backend_pid()")
        self._run(self._script)

    def close(self) -> None:
        self._connection.close()

    def _run(self, statement: Any) -> list[Any]:
        done = self._connection.execute(statement)
        return done.fetchall() if done.description else []


class FreshDatabaseWithClock(FreshDatabase):
    """Its time stands still, but for what a test says."""

    def __post_init__(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(CLOCK)
        super().__post_init__()
        self.empty()

    def empty(self) -> None:
        super().empty()
        self._run(
            "SELECT setval('clock', (extract(epoch FROM pg_catalog.now()) * 1000000)::bigint)"
        )

    def advance(self, seconds: float) -> None:
        self._run(f"SELECT setval('clock', last_value + {round(seconds * 10**6)}) FROM clock")
