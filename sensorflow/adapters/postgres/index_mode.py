"""Creates or drops the unique index of the readings, as the setting `dedupe_index` requires (see
`indexing`). Runs after the migrations.

In the mode "deferred", a BRIN index finds the rows of a file or of a time range in months that are not
sealed. Without it, a deletion would have to read the whole month. The BRIN index adds less than 5 % to the
time of a COPY.
"""

from __future__ import annotations

import time

import psycopg
import sqlalchemy as sa

from sensorflow.adapters.postgres.connect import engine_of, translated
from sensorflow.adapters.postgres.indexing import is_deferred, mode_text
from sensorflow.adapters.postgres.migrate import LOCKS, with_lock_retries
from sensorflow.adapters.postgres.queries import run
from sensorflow.errors import Code, UsageError


def set_index_mode(url: str, deferred: bool) -> str | None:
    """Change the index mode of a migrated database to "deferred" or "unique" (deferred: False). Returns a
    description of the change, or None if the database is already in this mode.

    Raises UsageError if the mode must change but raw_readings is a hypertable, or if duplicate rows prevent
    the unique index. Raises Transient DATABASE if the database is unavailable, or if other sessions hold
    the locks too long. Loads wait while an index is built; reads do not wait.
    """
    engine = engine_of(url, poolclass=sa.pool.NullPool)
    with translated(), engine.connect() as c:
        plain = c.scalar(
            sa.text("SELECT relkind = 'p' FROM pg_class WHERE oid = 'raw_readings'::regclass")
        )
        if is_deferred(c) == deferred:
            return None
    if not plain:
        raise UsageError(
            f"{mode_text(True)} requires plain PostgreSQL, but raw_readings is a hypertable "
            f"of TimescaleDB; set {mode_text(False)} in sensorflow.toml",
            Code.SETTINGS,
        )
    return _defer_index(engine) if deferred else _restore_index(engine)


def _defer_index(engine: sa.Engine) -> str:
    for query in ("put_off_file", "put_off_unique"):
        _with_lock_retries(engine, query)
    return (
        f"{mode_text(True)}: uq_raw_dedupe was dropped; when a month is over, beat or `sensorflow db "
        "seal` creates the unique index of this month"
    )


def _restore_index(engine: sa.Engine) -> str:
    began = time.perf_counter()
    try:
        _with_lock_retries(engine, "take_back_unique")
    except sa.exc.IntegrityError as error:
        cause = error.orig
        assert isinstance(cause, psycopg.errors.UniqueViolation)
        raise UsageError(
            f"{mode_text(False)}: duplicate readings exist ({cause.diag.message_detail}); see `sensorflow "
            f"db seal` and `sensorflow audit`; the database stays at {mode_text(True)}",
            Code.SETTINGS,
        ) from error
    _with_lock_retries(engine, "take_back_file")
    return f"{mode_text(False)}: uq_raw_dedupe was built in {time.perf_counter() - began:.1f} s"


def _with_lock_retries(engine: sa.Engine, query: str) -> None:
    """Run the statement `query` in a transaction. If another session holds a lock that it needs, retry. No
    month can be sealed during the transaction."""

    def once() -> None:
        with translated(), engine.begin() as c:
            c.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCKS}'"))
            run(c, "lock_indexes")
            run(c, query)

    with_lock_retries(once)
