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
from sensorflow.flow.audit.layers import silver_rows
from sensorflow.flow.audit.report import Report
from sensorflow.flow.audit.sight import Sight, finding, identity_of_book, unmoved
from sensorflow.flow.work import whole_source
from sensorflow.ports.audit import Book, Snapshot
from sensorflow.ports.layers import Unreadable


def checksums(sight: Sight, report: Report, snapshot: Snapshot) -> None:
    """Compare the sums of every loaded file's rows, of its silver, and of the ledger."""
    loaded = [book for book in sight.mine if book.state is State.LOADED]
    with ThreadPoolExecutor(1, "silver") as beside:  # in parallel with the database
        silver = beside.submit(_silver_sums, sight, loaded)
        database = _database_sums(sight, loaded, snapshot)
        lake = silver.result()
    for number, book in enumerate(loaded):
        sums = database.of(number)
        sound = _rows(report, book, sums)
        found = lake[number]
        if isinstance(found, Exception):
            if not isinstance(found, Unreadable):
                raise found
            _unreadable(sight, report, book, found)
        elif found is not None and "rows" not in book.expired and found != _alike(sums):
            _compare(sight, report, snapshot, book, sums, sound)


def _alike(sums: Sums) -> tuple[int, int]:
    return sums.rows, sums.columns


# --- the database ---


def _database_sums(sight: Sight, loaded: list[Book], snapshot: Snapshot) -> Tally:
    tally, prints = Tally(len(loaded)), Prints()
    ids = np.array([book.file_id for book in loaded], np.int64)
    names = pa.array([identity_of_book(sight, book) for book in loaded], pa.string())
    for rows in snapshot.readings():
        file, rows = _ours(rows, ids)
        if len(rows):
            used, place = np.unique(file, return_inverse=True)
            name = pa.DictionaryArray.from_arrays(
                pa.array(place, pa.int32()), names.take(pa.array(used))
            )
            fresh, ordinal, strange = recomputed(rows, name, rows["dedupe_key"], snapshot.sharing)
            tally.add(file, marks(fresh, rows["value"]), prints.of(rows, ordinal), strange)
    return tally


def _ours(
    rows: pa.RecordBatch, ids: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], pa.RecordBatch]:
    """Returns the rows that belong to these files, and for each row the index of its file."""
    given = rows["file_id"].to_numpy()
    if not len(ids):
        return np.zeros(0, np.int64), rows.slice(0, 0)
    number = np.minimum(np.searchsorted(ids, given), len(ids) - 1)
    ours = ids[number] == given
    if ours.all():
        return number, rows
    return number[ours], rows.filter(pa.array(ours))


def _rows(report: Report, book: Book, sums: Sums) -> bool:
    """Whether the database holds exactly what was loaded. A wrong number of rows was reported before."""
    if "rows" in book.expired or sums.rows != book.rows:
        return False
    if sums.checksum != book.checksum:
        found = f"checksum {sums.checksum}"
        if sums.strange:
            found += f"; {sums.strange:,} rows whose key does not match their content"
        report.find(finding(Fault.ROWS_CHANGED, book, f"checksum {book.checksum}", found))
        return False
    if sums.strange:
        found = f"{sums.strange:,} rows have another"
        expected = "keys of each row's sensor, time, type and file"
        report.find(finding(Fault.KEYS_CHANGED, book, expected, found))
    return True


# --- silver ---


def _silver_sums(
    sight: Sight, loaded: list[Book]
) -> list[tuple[int, int] | Unreadable | Transient | None]:
    """Returns (rows, sum of columns) of each file's silver; None if it has expired or does not exist."""
    prints, found = Prints(), []
    for book in loaded:
        wanted = "silver" not in book.expired
        found.append(_attempt(sight, book, prints) if wanted else None)
    return found


def _attempt(
    sight: Sight, book: Book, prints: Prints
) -> tuple[int, int] | Unreadable | Transient | None:
    try:
        return _columns(sight, book, prints)
    except FileNotFoundError:
        return None
    except (Unreadable, Transient) as error:
        return error


def _columns(sight: Sight, book: Book, prints: Prints) -> tuple[int, int]:
    rows = columns = 0
    for batch in silver_of(sight, book):
        found = prints.of(batch, batch["ordinal"].to_numpy())
        rows += len(batch)
        with np.errstate(over="ignore"):
            columns = (columns + int(np.add.reduce(found))) % MODULUS
    return rows, columns


def silver_of(sight: Sight, book: Book) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a file's silver. Raises Unreadable, or FileNotFoundError if there is none."""
    place = sight.place(book, Layer.SILVER)
    try:
        for batch in sight.world.lake.read(Layer.SILVER, LayerFile.of(book)):
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


def _unreadable(sight: Sight, report: Report, book: Book, error: Unreadable) -> None:
    """Report unreadable silver, unless its footer is broken, which was reported before."""
    told = any(f.file_id == book.file_id and f.fault is Fault.SILVER_UNREADABLE for f in report.all)
    if not told:
        place, expected = sight.place(book, Layer.SILVER), "a Parquet file that can be read"
        fault = finding(Fault.SILVER_UNREADABLE, book, expected, str(error)[:300], place)
        report.find(fault, unmoved(book))


# --- differences ---


@dataclass
class Held:
    """Sums over silver: of all rows, of those that the database holds as this file's own, and of the
    rest."""

    rows: int = 0
    checksum: int = 0
    own_rows: int = 0
    own_checksum: int = 0
    own_columns: int = 0
    nowhere: int = 0
    prints: Prints = field(default_factory=Prints)

    def add(
        self, batch: pa.RecordBatch, made: pa.Array, own: npt.NDArray[np.bool_], nowhere: int
    ) -> None:
        with np.errstate(over="ignore"):
            found = self.prints.of(batch, batch["ordinal"].to_numpy())[own]
            mine = marks(made, batch["value"])[own]
            self.own_columns = (self.own_columns + int(np.add.reduce(found))) % MODULUS
            self.own_checksum = (self.own_checksum + int(np.add.reduce(mine))) % MODULUS
        self.checksum = (self.checksum + checksum(made, batch["value"])) % MODULUS
        self.rows += len(batch)
        self.own_rows += int(own.sum())
        self.nowhere += nowhere


def held(sight: Sight, snapshot: Snapshot, book: Book, batches: Iterator[pa.RecordBatch]) -> Held:
    """Sum up silver, and separately the readings that the database holds as this file's own.

    These are all readings, unless the dedupe scope is the source or newer files restate some of them.
    """
    name, result = identity_of_book(sight, book), Held()
    shared = whole_source(book.source, name)
    for batch in batches:
        made = keys(batch, name)
        own, nowhere = np.ones(len(batch), np.bool_), 0
        if shared or book.counts.replaced:
            ts = pa.array(micros(batch["ts"])).cast(US)
            holders = snapshot.held(ts, made)
            own = np.array([holder == book.file_id for holder in holders], np.bool_)
            nowhere = sum(holder is None for holder in holders) if shared else 0
        result.add(batch, made, own, nowhere)
    return result


def _compare(
    sight: Sight, report: Report, snapshot: Snapshot, book: Book, sums: Sums, sound: bool
) -> None:
    """Silver differs from the database: find out which of them is wrong."""
    try:
        found = held(sight, snapshot, book, silver_of(sight, book))
    except (FileNotFoundError, Unreadable):  # it existed a moment ago
        return
    place = sight.place(book, Layer.SILVER)
    shared = whole_source(book.source, identity_of_book(sight, book))
    if (shared or book.counts.replaced) and not sound:
        return  # only the database knows the owner of each row: replay resolves it
    least, most = silver_rows(sight, book)
    if not least <= found.rows <= most:
        return  # the footer check reported it
    if found.own_checksum != book.checksum:
        expected, text = f"checksum {book.checksum}", f"checksum {found.own_checksum}"
        fault = finding(Fault.SILVER_CHANGED, book, expected, text, place)
        report.find(fault, unmoved(book))
    elif sound and found.own_columns != sums.columns:
        expected, text = "unit, quality and line as in silver", "others in the database"
        report.find(finding(Fault.COLUMNS_CHANGED, book, expected, text, place), unmoved(book))
    elif sound and found.nowhere:
        expected = "readings that another file brought first to be there"
        text = f"{found.nowhere:,} of them are in no file"
        report.find(finding(Fault.REPEATS_MISSING, book, expected, text, place), unmoved(book))
