"""Which way a database guards its readings: by one unique index, or month by month once a month is over.

``dedupe_index = "unique"``: `uq_raw_dedupe` on raw_readings. ``"deferred"``: it is not there. It cannot be
kept on months that are over alone, for an index of the parent, one made ON ONLY too, is made on every
partition that is attached, and goes from all of them when it goes.
"""

from __future__ import annotations

import sqlalchemy as sa

from sensorflow.errors import Code, Transient


def words(deferred: bool) -> str:
    return f'dedupe_index = "{"deferred" if deferred else "unique"}"'


class Wanted:
    """How a process was told that the database guards its readings. Asked of the database once, and
    again after `forget`; the last statement of each load holds it in any case."""

    def __init__(self, deferred: bool) -> None:
        self.deferred = deferred
        self._sure = False

    def check(self, c: sa.Connection) -> None:
        """Raises Transient INDEX_DIFFERS."""
        if not self._sure and is_deferred(c) != self.deferred:
            raise Transient(
                Code.INDEX_DIFFERS,
                f"the settings of this process have {words(self.deferred)}, the database uses "
                f"{words(not self.deferred)}: run `sensorflow db upgrade`, or correct sensorflow.toml "
                "and restart daemon, workers and beat",
            )
        self._sure = True

    def forget(self) -> None:
        self._sure = False


def is_deferred(c: sa.Connection) -> bool:
    return bool(c.scalar(sa.text("SELECT to_regclass('uq_raw_dedupe') IS NULL")))
