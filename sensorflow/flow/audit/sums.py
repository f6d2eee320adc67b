"""The checksum level: recompute every reading from stored data, and check that database = silver =
ledger."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.checksum import MODULUS, checksum, marks
from sensorflow.core.findings import Fault
from sensorflow.core.keys import keys
from sensorflow.core.ordinals import recomputed
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.core.readings import SILVER, US, micros
from sensorflow.core.states import State
from sensorflow.core.tally import Prints, Sums, Tally
from sensorflow.errors import Code, Transient
from sensorflow.flow.audit.context import AuditContext, finding, identity_of_record, if_unchanged
from sensorflow.flow.audit.layers import silver_rows
from sensorflow.flow.audit.report import Report
from sensorflow.flow.file_task import spans_whole_source
from sensorflow.ports.audit import FileRecord, Snapshot
from sensorflow.ports.layers import Unreadable


def checksums(context: AuditContext, report: Report, snapshot: Snapshot) -> None:
    """For every loaded file, compare the checksums of its rows in the database, of its silver, and of the
    ledger."""
    loaded = [record for record in context.selected if record.state is State.LOADED]
    with ThreadPoolExecutor(1, "silver") as executor:  # in parallel with the database
        silver = executor.submit(_silver_sums, context, loaded)
        database = _database_sums(context, loaded, snapshot)
        lake = silver.result()
    for number, record in enumerate(loaded):
        sums = database.of(number)
        rows_match = _rows(report, record, sums)
        found = lake[number]
        if isinstance(found, Exception):
            if not isinstance(found, Unreadable):
                raise found
            _unreadable(context, report, record, found)
        elif found is not None and "rows" not in record.expired and found != _are_equal(sums):
            _compare(context, report, snapshot, record, sums, rows_match)


def _are_equal(sums: Sums) -> tuple[int, int]:
    return sums.rows, sums.columns


# --- the database ---


def _database_sums(context: AuditContext, loaded: list[FileRecord], snapshot: Snapshot) -> Tally:
    tally, prints = Tally(len(loaded)), Prints()
    ids = np.array([record.file_id for record in loaded], np.int64)
    names = pa.array([identity_of_record(context, record) for record in loaded], pa.string())
    for rows in snapshot.readings():
        file, rows = _own_sums(rows, ids)
        if len(rows):
            used, place = np.unique(file, return_inverse=True)
            name = pa.DictionaryArray.from_arrays(
                pa.array(place, pa.int32()), names.take(pa.array(used))
            )
            recomputed_keys, ordinal, mismatched = recomputed(
                rows, name, rows["dedupe_key"], snapshot.identity_counts
            )
            tally.add(
                file, marks(recomputed_keys, rows["value"]), prints.of(rows, ordinal), mismatched
            )
    return tally


def _own_sums(
    rows: pa.RecordBatch, ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], pa.RecordBatch]:
    """Returns an array and the rows that belong to the files `ids`. The array contains, for each of these
    rows, the index of its file in `ids`."""
    given = rows["file_id"].to_numpy()
    if not len(ids):
        return np.zeros(0, np.int64), rows.slice(0, 0)
    number = np.minimum(np.searchsorted(ids, given), len(ids) - 1)
    ours = ids[number] == given
    if ours.all():
        return number, rows
    return number[ours], rows.filter(pa.array(ours))


def _rows(report: Report, record: FileRecord, sums: Sums) -> bool:
    """Whether the database contains exactly the rows that were loaded. A wrong number of rows was reported
    by an earlier check."""
    if "rows" in record.expired or sums.rows != record.rows:
        return False
    if sums.checksum != record.checksum:
        found = f"checksum {sums.checksum}"
        if sums.mismatched:
            found += f"; {sums.mismatched:,} rows whose key does not match their content"
        report.add(finding(Fault.ROWS_CHANGED, record, f"checksum {record.checksum}", found))
        return False
    if sums.mismatched:
        found = f"{sums.mismatched:,} rows with another key"
        expected = "keys that match each row's sensor, time, type and file"
        report.add(finding(Fault.KEYS_CHANGED, record, expected, found))
    return True


# --- silver ---


def _silver_sums(
    context: AuditContext, loaded: list[FileRecord]
) -> list[tuple[int, int] | Unreadable | Transient | None]:
    """Returns (number of rows, sum of columns) of each file's silver; None if the silver has expired or
    does not exist."""
    prints, found = Prints(), []
    for record in loaded:
        wanted = "silver" not in record.expired
        found.append(_attempt(context, record, prints) if wanted else None)
    return found


def _attempt(
    context: AuditContext, record: FileRecord, prints: Prints
) -> tuple[int, int] | Unreadable | Transient | None:
    try:
        return _columns(context, record, prints)
    except FileNotFoundError:
        return None
    except (Unreadable, Transient) as error:
        return error


def _columns(context: AuditContext, record: FileRecord, prints: Prints) -> tuple[int, int]:
    rows = columns = 0
    for batch in silver_of(context, record):
        found = prints.of(batch, batch["ordinal"].to_numpy())
        rows += len(batch)
        with np.errstate(over="ignore"):
            columns = (columns + int(np.add.reduce(found))) % MODULUS
    return rows, columns


def silver_of(context: AuditContext, record: FileRecord) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a file's silver. Raises Unreadable if the silver is damaged, FileNotFoundError
    if it does not exist."""
    place = context.place(record, Layer.SILVER)
    try:
        for batch in context.services.lake.read(Layer.SILVER, LayerFile.of(record)):
            if batch.schema.names != SILVER.names:
                raise Unreadable(f"{place}: columns differ from those of silver")
            yield batch
    except Transient as error:
        cause = error.__cause__
        if isinstance(cause, FileNotFoundError):
            raise cause from None
        if error.code is Code.STORAGE and isinstance(cause, OSError) and cause.errno is None:
            raise Unreadable(str(cause)) from error  # Arrow's error for corrupt bytes
        raise
    except pa.ArrowException as error:
        raise Unreadable(str(error)) from error


def _unreadable(
    context: AuditContext, report: Report, record: FileRecord, error: Unreadable
) -> None:
    """Report unreadable silver. A broken footer was reported by an earlier check."""
    is_reported = any(
        f.file_id == record.file_id and f.fault is Fault.SILVER_UNREADABLE for f in report.all
    )
    if not is_reported:
        place, expected = context.place(record, Layer.SILVER), "a Parquet file that can be read"
        fault = finding(Fault.SILVER_UNREADABLE, record, expected, str(error)[:300], place)
        report.add(fault, if_unchanged(record))


# --- differences ---


@dataclass
class SilverSums:
    """Sums over a file's silver. rows, checksum: over all rows. own_rows, own_checksum, own_columns: over
    the rows that the database stores under this file.

    without_owner: number of readings that the database does not store at all.
    """

    rows: int = 0
    checksum: int = 0
    own_rows: int = 0
    own_checksum: int = 0
    own_columns: int = 0
    without_owner: int = 0
    prints: Prints = field(default_factory=Prints)

    def add(
        self,
        batch: pa.RecordBatch,
        dedupe_keys: pa.Array,
        own: npt.NDArray[np.bool_],
        without_owner: int,
    ) -> None:
        with np.errstate(over="ignore"):
            found = self.prints.of(batch, batch["ordinal"].to_numpy())[own]
            mine = marks(dedupe_keys, batch["value"])[own]
            self.own_columns = (self.own_columns + int(np.add.reduce(found))) % MODULUS
            self.own_checksum = (self.own_checksum + int(np.add.reduce(mine))) % MODULUS
        self.checksum = (self.checksum + checksum(dedupe_keys, batch["value"])) % MODULUS
        self.rows += len(batch)
        self.own_rows += int(own.sum())
        self.without_owner += without_owner


def silver_sums(
    context: AuditContext, snapshot: Snapshot, record: FileRecord, batches: Iterator[pa.RecordBatch]
) -> SilverSums:
    """Returns the sums over silver, and separately over the readings that the database stores under this
    file.

    The database stores all readings under this file, unless the dedupe scope is the source or newer files
    have replaced some of the readings.
    """
    name, result = identity_of_record(context, record), SilverSums()
    shared = spans_whole_source(record.source, name)
    for batch in batches:
        dedupe_keys = keys(batch, name)
        own, without_owner = np.ones(len(batch), np.bool_), 0
        if shared or record.counts.replaced:
            ts = pa.array(micros(batch["ts"])).cast(US)
            holders = snapshot.holders(ts, dedupe_keys)
            own = np.array([holder == record.file_id for holder in holders], np.bool_)
            without_owner = sum(holder is None for holder in holders) if shared else 0
        result.add(batch, dedupe_keys, own, without_owner)
    return result


def _compare(
    context: AuditContext,
    report: Report,
    snapshot: Snapshot,
    record: FileRecord,
    sums: Sums,
    rows_match: bool,
) -> None:
    """Find out whether silver or the database is wrong, and report it. Called if the two differ."""
    try:
        found = silver_sums(context, snapshot, record, silver_of(context, record))
    except (FileNotFoundError, Unreadable):  # it existed a moment ago
        return
    place = context.place(record, Layer.SILVER)
    shared = spans_whole_source(record.source, identity_of_record(context, record))
    if (shared or record.counts.replaced) and not rows_match:
        return  # only the database knows the owner of each row, and it is wrong
    least, limit = silver_rows(context, record)
    if not least <= found.rows <= limit:
        return  # the check of footers has reported it
    if found.own_checksum != record.checksum:
        expected, text = f"checksum {record.checksum}", f"checksum {found.own_checksum}"
        fault = finding(Fault.SILVER_CHANGED, record, expected, text, place)
        report.add(fault, if_unchanged(record))
    elif rows_match and found.own_columns != sums.columns:
        expected, text = "unit, quality and line as in silver", "different ones in the database"
        report.add(
            finding(Fault.COLUMNS_CHANGED, record, expected, text, place), if_unchanged(record)
        )
    elif rows_match and found.without_owner:
        expected = "readings that were first loaded from other files, in the database"
        text = f"{found.without_owner:,} of them are missing there"
        report.add(
            finding(Fault.REPEATS_MISSING, record, expected, text, place), if_unchanged(record)
        )
