"""The index mode of a database. In the mode "unique", one unique index covers all readings. In the mode
"deferred", each month has a unique index of its own, which is created after the month is over.

The setting `dedupe_index` selects the mode. In the mode "unique", raw_readings has the index
`uq_raw_dedupe`. In the mode "deferred", this index does not exist, because PostgreSQL cannot restrict an
index of the parent table to sealed months: it would create the index on every partition that is attached,
even if the index was created ON ONLY, and would drop it from all partitions at once.
"""

from __future__ import annotations

import sqlalchemy as sa

from sensorflow.errors import Code, Transient


def mode_text(deferred: bool) -> str:
    return f'dedupe_index = "{"deferred" if deferred else "unique"}"'


class ExpectedIndexMode:
    """The index mode in which a process expects the database to be. deferred: whether the mode is
    "deferred". `check` queries the database only at its first call, and at the first call after `forget`.
    In addition, the last statement of each load verifies the mode."""

    def __init__(self, deferred: bool) -> None:
        self.deferred = deferred
        self._is_verified = False

    def check(self, c: sa.Connection) -> None:
        """Verify that the database is in the expected mode. Raises Transient INDEX_DIFFERS if it is in the
        other mode."""
        if not self._is_verified and is_deferred(c) != self.deferred:
            raise Transient(
                Code.INDEX_DIFFERS,
                f"the settings of this process have {mode_text(self.deferred)}, but the database has "
                f"{mode_text(not self.deferred)}: run `sensorflow db upgrade`, or correct sensorflow.toml "
                "and restart daemon, workers and beat",
            )
        self._is_verified = True

    def forget(self) -> None:
        self._is_verified = False


def is_deferred(c: sa.Connection) -> bool:
    return bool(c.scalar(sa.text("SELECT to_regclass('uq_raw_dedupe') IS NULL")))
