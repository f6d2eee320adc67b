"""Decides which file owns a reading that several files contain. The newest file owns the reading,
regardless of the order in which the files are loaded.

Two kinds of files can contain the same reading. First, versions of one file name: in these, the reading
has the same dedupe key. Second, files with the same bytes and different names: in these, the dedupe keys of
the reading differ, because a key depends on the name. Therefore the keys are computed for both names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from sensorflow.adapters.postgres.copy import copy_in
from sensorflow.adapters.postgres.queries import queries, run
from sensorflow.adapters.postgres.rows import identity_of_row, stored_identity
from sensorflow.core.checksum import MODULUS, checksum
from sensorflow.core.keys import keys
from sensorflow.core.readings import KEY, US, Span, micros
from sensorflow.flow.file_task import spans_whole_source
from sensorflow.ports.claims import Claim
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load
from sensorflow.ports.maintenance import Holds

_STATED = pa.schema([("ts", US), ("dedupe_key", KEY)])
_HEAD, _TAIL = 19, 2  # header and trailer of a binary COPY without extensions
_HOLDER = np.dtype([("n", ">i2"), ("a", ">i4"), ("file", ">i8"), ("b", ">i4"), ("key", "V16")])
_DELETED = np.dtype(
    [
        *(("n", ">i2"), ("a", ">i4"), ("file", ">i8"), ("b", ">i4"), ("value", ">f8")),
        *(("c", ">i4"), ("key", "V16")),
    ]
)

_MATCHING = """raw_readings r {} stated s
 WHERE r.ts = s.ts AND r.dedupe_key = s.dedupe_key AND r.ts BETWEEN %(low)s AND %(high)s
   AND r.file_id = ANY(%(ids)s)"""
HOLDERS = (
    "COPY (SELECT r.file_id, r.dedupe_key FROM "
    + _MATCHING.format(",")
    + ") TO STDOUT (FORMAT BINARY)"
)
TAKE = (
    "COPY (DELETE FROM "
    + _MATCHING.format("USING")
    + " RETURNING r.file_id, r.value, r.dedupe_key) TO STDOUT (FORMAT BINARY)"
)
UNLIMITED_DECOMPRESSION = sa.text(
    "SELECT set_config(name, '0', true) FROM pg_settings"
    " WHERE name = 'timescaledb.max_tuples_decompressed_per_dml_transaction'"
)
"""Removes TimescaleDB's limit on the number of compressed rows that a transaction may change. The limit is
100,000 by default."""


class StatedKeys:
    """A temporary table with the dedupe keys of some readings. It is used to find the rows in the database
    that have these keys."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._is_created = False
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        self._driver = driver

    def fill(self, ts: pa.Array, keys: pa.Array) -> None:
        """Replace the content of the table. ts: the time of each reading. keys: the dedupe key of each
        reading."""
        if self._is_created:
            self._connection.execute(sa.text("TRUNCATE stated"))
        else:
            self._connection.execute(UNLIMITED_DECOMPRESSION)
            self._connection.execute(queries()["stage_of_stated"])
            self._is_created = True
        batch = pa.RecordBatch.from_arrays([pa.array(micros(ts)).cast(US), keys], schema=_STATED)
        copy_in(self._connection, "stated", [batch], _STATED)

    def holders(self, ids: Sequence[int], span: Span) -> npt.NDArray[Any]:
        """Return the database rows of the files `ids` whose keys are in the table, as a NumPy array with
        the fields file (id) and key. span: the time span of the readings in the table."""
        return self._rows(HOLDERS, _HOLDER, ids, span)

    def take(self, ids: Sequence[int], span: Span) -> npt.NDArray[Any]:
        """Delete the database rows of the files `ids` whose keys are in the table. Returns the deleted
        rows as a NumPy array with the fields file (id), value and key. span: see `holders`."""
        return self._rows(TAKE, _DELETED, ids, span)

    def _rows(
        self, statement: str, kind: np.dtype[Any], ids: Sequence[int], span: Span
    ) -> npt.NDArray[Any]:
        facts = {"low": span.low, "high": span.high, "ids": list(ids)}
        with self._driver.cursor() as cursor, cursor.copy(statement, facts) as copy:
            data = b"".join(map(bytes, copy))
        return np.frombuffer(data[_HEAD : len(data) - _TAIL], kind)


def keys_of(rows: npt.NDArray[Any]) -> pa.Array:
    return pa.Array.from_buffers(KEY, len(rows), [None, pa.py_buffer(rows["key"].tobytes())])


@dataclass
class ReplacedRows:
    """The rows of one file that a newer file has replaced: their number and checksum."""

    rows: int = 0
    checksum: int = 0


Rivals: TypeAlias = "dict[int, int]"
"""A group of rivals (see `OwnershipResolver`) whose dedupe keys contain the same file name. Key: id of the
file under which the database stores the readings. Value: id of the file that counts as the rival. The two
ids differ if the rival has the same bytes as the file that has the rows."""


@dataclass
class OwnershipResolver:
    """Decides which readings of a file the file owns, while the file is loaded, batch by batch.

    A rival is another file that may contain the same readings. claim: the claim of the file that is loaded.
    identity: the file name that its dedupe keys contain. by_name: whether other versions of the same file
    name are rivals. by_content: whether files with the same bytes and another name are rivals. lost: id of
    a newer file -> number of readings that this file does not own because the newer file also contains
    them. replaced: id of an older file -> its rows that this file has replaced.
    """

    connection: sa.Connection
    claim: Claim
    identity: str
    by_name: bool
    by_content: bool
    lost: Counter[int] = field(default_factory=Counter)
    replaced: dict[int, ReplacedRows] = field(default_factory=lambda: defaultdict(ReplacedRows))

    def __post_init__(self) -> None:
        self._stated = StatedKeys(self.connection)

    @property
    def rows_replaced(self) -> int:
        return sum(file.rows for file in self.replaced.values())

    def lock_rivals(self, session: str) -> None:
        """Wait until no rival is being loaded, and block loads of rivals until the transaction ends.
        During the transaction, the session may be idle for any time.

        session: the application_name that the session has during the transaction. Another worker can find
        the session by this name and end it.
        """
        run(self.connection, "hold_name", **self._place, id=self.claim.file_id, name=session)

    @property
    def _place(self) -> dict[str, Any]:
        c = self.claim
        place = {"source": c.source, "known_as": c.known_as, "sha256": c.sha256}
        return {**place, "by_name": self.by_name, "by_content": self.by_content}

    def rivals(self, low: Any, high: Any, limit: int | None = None) -> dict[str, Rivals]:
        """Return the rivals that may have readings from `low` to `high`, grouped by the file name that
        their dedupe keys contain. limit: maximum number of rivals; None for all."""
        part = self.claim.part
        facts = {"id": self.claim.file_id, "version": self.claim.version, "low": low, "high": high}
        facts["root"] = None if part is None else part.root
        stored = stored_identity(self.identity)
        rows = run(self.connection, "rivals", **self._place, **facts, identity=stored, most=limit)
        found: dict[str, Rivals] = {}
        for row in rows:
            name = identity_of_row(row.identity)
            if name is None:  # loaded by version 0.1.0, which did not record the name
                name = self.identity
            found.setdefault(name, {})[row.id] = row.states
        return found

    def any(self) -> bool:
        """Return whether there may be rivals. Always True for a part of a growing file, which may have
        many rivals: these are queried only for the time range of each batch, by `resolve`."""
        if self.claim.part is not None:
            return True
        return bool(self.rivals("-infinity", "infinity", 1))

    def resolve(self, silver: pa.RecordBatch, own: pa.Array) -> tuple[pa.RecordBatch, pa.Array]:
        """Return (the readings of a batch that this file owns, their dedupe keys). silver: the batch. own:
        the dedupe key of each reading.

        Readings that a newer file also contains are removed from the batch. If older files contain the
        remaining readings, their rows are deleted from the database.
        """
        span = Span().over(silver["ts"])
        lost = np.zeros(len(silver), np.bool_)
        rivals = self.rivals(span.low, span.high)
        if (own_name := rivals.pop(self.identity, None)) is not None:
            self._yield_to_newer(silver, own, own_name, span, lost)
            self._replace_in_older(silver, own, own_name, span)
        # readings that a newer version of the name contains are not compared with other rivals
        not_lost = pa.array(~lost)
        for name, group in rivals.items():
            dedupe_keys = keys(silver, name)
            self._yield_to_newer(silver, dedupe_keys, group, span, lost)
            self._replace_in_older(
                silver.filter(not_lost), dedupe_keys.filter(not_lost), group, span
            )
        if lost.any():
            silver, own = silver.filter(pa.array(~lost)), own.filter(pa.array(~lost))
        return silver, own

    def _yield_to_newer(
        self,
        silver: pa.RecordBatch,
        dedupe_keys: pa.Array,
        group: Rivals,
        span: Span,
        lost: npt.NDArray[np.bool_],
    ) -> None:
        """Set `lost` to True for the readings that newer files of a group also contain, and count them in
        `self.lost`."""
        newer = [i for i in group if i > self.claim.file_id]
        if not newer:
            return
        self._stated.fill(silver["ts"], dedupe_keys)
        holders = self._stated.holders(newer, span)
        place = pc.index_in(dedupe_keys, keys_of(holders)).fill_null(-1).to_numpy()
        newly_lost = np.flatnonzero((place >= 0) & ~lost)
        self.lost.update(group[i] for i in holders["file"][place[newly_lost]].tolist())
        lost[newly_lost] = True

    def _replace_in_older(
        self, silver: pa.RecordBatch, dedupe_keys: pa.Array, group: Rivals, span: Span
    ) -> None:
        older = [i for i in group if i < self.claim.file_id]
        if not older or not len(silver):
            return
        self._stated.fill(silver["ts"], dedupe_keys)
        rows = self._stated.take(older, span)
        for file in np.unique(rows["file"]).tolist():
            part = rows[rows["file"] == file]
            values = pa.array(part["value"].astype(np.float64))
            replaced = self.replaced[file]
            replaced.rows += len(part)
            replaced.checksum = (replaced.checksum + checksum(keys_of(part), values)) % MODULUS


def ownership_resolver(connection: sa.Connection, claim: Claim, load: Load) -> OwnershipResolver:
    """Return the resolver for a file that is to be loaded. claim: the claim of the file. load: the data of
    the load."""
    shared = spans_whole_source(claim.source, load.identity)
    by_content = bool(load.identity) and not (load.name_matters or shared)
    by_content = by_content and claim.part is None
    by_name = load.on_change is OnChange.MERGE and not shared
    return OwnershipResolver(connection, claim, load.identity, by_name, by_content)


def owned_rows_lookup(connection: sa.Connection, row: Any) -> Holds:
    """Return the function `Holds` for a loaded file: it returns which readings of the file the database
    stores under the file's id. row: the file's row in the ledger.

    Only readings in the time span of the files that have replaced readings of this file are looked up. All
    other readings are assumed to be in the database.
    """
    stated, mine = StatedKeys(connection), Span(row.ts_min, row.ts_max)
    reach = run(connection, "replaced_span", id=row.id).one()

    def holds(ts: pa.Array, dedupe_keys: pa.Array) -> pa.Array:
        owned = np.ones(len(dedupe_keys), np.bool_)
        if reach.low is not None:
            times = micros(ts)
            asked = (times >= _micros(reach.low)) & (times <= _micros(reach.high))
        else:
            asked = owned.copy()
        if asked.any():
            part = dedupe_keys.filter(pa.array(asked))
            stated.fill(ts.filter(pa.array(asked)), part)
            found = pc.is_in(part, keys_of(stated.holders([row.id], mine)))
            owned[asked] = found.to_numpy(zero_copy_only=False)
        return pa.array(owned)

    return holds


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
