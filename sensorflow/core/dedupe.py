"""What makes two readings the same.

The natural key of the source document: SHA-256 over (sensor_id, ts, reading_type, file_name), the
fields written as netstrings (D. J. Bernstein, 1997) so that no two different tuples make the same
text, ts as microseconds since 1970; the first 128 bits are kept, as a uuid.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.readings import micros
from sensorflow.core.series import Last, Series

KEY = pa.binary(16)

_ROW = np.dtype([("mark", "i8"), ("series", "i4"), ("ts", "i8"), ("bits", "i8")])
_PLACED = np.dtype([*_ROW.descr, ("row", "i8")])
_GOLDEN = -7046029254386353131  # 2**64 divided by the golden ratio, as a signed number


MANY = 3000
"""Rows; below this a loop over hashlib is done before DataFusion has planned."""


def _netstrings(column: pa.Array) -> pa.Array:
    length = pc.binary_length(column).cast(pa.string())
    return pc.binary_join_element_wise(length, ":", column, ",", "")


def _repeated(column: pa.Array, before: str = "", after: str = "") -> pa.Array:
    """The netstrings of a column that repeats itself, with a text before and after each."""
    coded = pc.dictionary_encode(column)
    texts = pc.binary_join_element_wise(before, _netstrings(coded.dictionary), after, "")
    return texts.take(coded.indices)


def _times(whole: npt.NDArray[np.int64]) -> tuple[str, pa.Array, str]:
    """Netstrings of numbers, as what comes before each, the array, and what comes after."""
    texts = pa.array(whole).cast(pa.string())
    width = len(str(whole.max()))
    if whole.min() >= 10 ** (width - 1):  # none is shorter, and none negative
        return f"{width}:", texts, ","
    return "", _netstrings(texts), ""


def keys(batch: pa.RecordBatch, file_name: str | pa.Array) -> pa.Array:
    """The dedupe key of every silver row: an array of `KEY`, as long as `batch`.

    file_name: the source's name and the file's key below it; empty when the key is to hold for the
    whole source. One for all rows, or an array (of strings, or a dictionary of them) with one for each.
    The second and later occurrences in a file hash their ordinal too. Times are cut to microseconds
    toward the past, as the database keeps them.
    """
    if not len(batch):
        return pa.array([], KEY)
    before, times, after = _times(micros(batch["ts"]))
    fields = [_repeated(batch["sensor_id"], after=before), times]
    if isinstance(file_name, str):
        tail = f"{len(file_name.encode())}:{file_name},"
        fields.append(_repeated(batch["reading_type"], before=after, after=tail))
    else:
        fields.append(_repeated(batch["reading_type"], before=after))
        fields.append(_tails(file_name))
    ordinals = batch["ordinal"]
    if ordinals.to_numpy().any():
        later = pc.not_equal(ordinals, 0)
        fields.append(pc.if_else(later, _netstrings(ordinals.cast(pa.string())), ""))
    texts = pc.binary_join_element_wise(*fields, "").cast(pa.binary())
    return _hashed(texts) if len(batch) < MANY else _hashed_at_once(texts)


def _tails(file_names: pa.Array) -> pa.Array:
    if isinstance(file_names, pa.DictionaryArray):
        return _netstrings(file_names.dictionary).take(file_names.indices)
    return _netstrings(file_names)


def _hashed(texts: pa.Array) -> pa.Array:
    digests = b"".join([sha256(text).digest()[:16] for text in texts.to_pylist()])
    return pa.Array.from_buffers(KEY, len(texts), [None, pa.py_buffer(digests)])


def _hashed_at_once(texts: pa.Array) -> pa.Array:
    """As `_hashed`, by DataFusion: many times faster a row, and a third of a millisecond a call."""
    from datafusion import col, functions

    context = _context()
    name = f"texts{threading.get_ident()}"
    try:
        table = context.from_arrow(pa.table({"text": texts}), name)
        digests = table.select(functions.sha256(col("text"))).to_arrow_table().column(0)
    finally:
        context.deregister_table(name)  # or it would keep every batch
    whole = np.frombuffer(digests.combine_chunks().buffers()[2], np.uint8).reshape(-1, 32)
    return pa.Array.from_buffers(KEY, len(texts), [None, pa.py_buffer(whole[:, :16].tobytes())])


@cache
def _context() -> Any:
    """Made on first use, never before a fork: it has threads."""
    from datafusion import SessionConfig, SessionContext

    return SessionContext(SessionConfig().with_target_partitions(1).with_batch_size(1 << 20))


HELD = 1_000_000
"""Readings of a file whose marks are held in memory (28 bytes each); a larger one must be in order, or
is sorted on disk."""

PARTS = 256
"""Files that the marks of a large file are spread over; one is held at a time."""


class Disordered(Exception):
    """A file is too large for its marks to be held, and a series in it goes back in time."""


class _Marked(NamedTuple):
    """Readings by which repeats are told, and between which times they lie."""

    low: int
    high: int
    rows: npt.NDArray[np.void]


class _Columns(NamedTuple):
    """The same of a batch, before anybody has asked."""

    series: npt.NDArray[np.int64]
    ts: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]

    def marked(self) -> _Marked:
        rows = np.empty(len(self.ts), _ROW)
        for name in ("series", "ts", "bits"):
            rows[name] = getattr(self, name)
        with np.errstate(over="ignore"):
            rows["mark"] = rows["ts"] ^ (rows["series"] * np.int64(_GOLDEN))
        return _Marked(int(self.ts.min(initial=0)), int(self.ts.max(initial=0)), rows)


class Occurrences:
    """Tells the repeats of (sensor_id, reading_type, ts) within one file, over all its batches.

    The same identity with the same value (to the bit) is a duplicate; with another value it is a
    reading of its own, told apart by its ordinal. Times are compared in microseconds, as the
    database keeps them. A 64-bit mark finds suspects, an exact comparison judges them.

    Memory is bounded: up to `HELD` readings are held; of a larger file only the last time of each
    series, for as long as every series goes forward, which leaves no room for repeats. `number`
    raises Disordered where one does not; `sorted` then finds the repeats beforehand, on disk.
    """

    def __init__(self, series: Series | None = None) -> None:
        self._series = Series() if series is None else series
        self._forwards: list[_Columns] = []
        self._past: list[_Marked] = []
        self._count = 0
        self._forward = True
        self._last = Last(np.iinfo(np.int64).min, np.int64)
        self._known: BinaryIO | None = None

    @classmethod
    def sorted(
        cls, batches: Iterable[pa.RecordBatch], scratch: Callable[[], BinaryIO]
    ) -> Occurrences:
        """Knows beforehand what `number` will say of these batches. scratch: makes an empty file."""
        made = cls()
        parts = [scratch() for _ in range(PARTS)]
        count = 0
        for batch in batches:
            rows = made._columns(batch).marked().rows
            placed = np.empty(len(rows), _PLACED)
            for name in ("mark", "series", "ts", "bits"):
                placed[name] = rows[name]
            placed["row"] = np.arange(count, count + len(rows))
            count += len(rows)
            part = (rows["mark"] * np.int64(_GOLDEN)).view(np.uint64) >> np.uint64(56)
            order = np.argsort(part, kind="stable")
            ends = np.searchsorted(part[order], np.arange(PARTS + 1))
            for index in range(PARTS):
                parts[index].write(placed[order[ends[index] : ends[index + 1]]].tobytes())
        made._known = scratch()
        made._known.write(bytes(count * 4 % 4096))
        for _ in range(count * 4 // 4096):
            made._known.write(bytes(4096))
        for file in parts:
            file.seek(0)
            made._tell(np.frombuffer(file.read(), _PLACED))
            file.close()
        made._known.seek(0)
        return made

    def _tell(self, rows: npt.NDArray[np.void]) -> None:
        """Note the repeats among all rows of some identities: ordinal + 1, or -1 for a duplicate."""
        assert self._known is not None
        ordinals, duplicates = _numbered(rows)
        for index in np.flatnonzero(duplicates | (ordinals > 0)).tolist():
            self._known.seek(int(rows["row"][index]) * 4)
            self._known.write(np.int32(-1 if duplicates[index] else ordinals[index]).tobytes())

    def close(self) -> None:
        if self._known is not None:
            self._known.close()

    def number(self, batch: pa.RecordBatch) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """(ordinal, duplicate) of each row of a batch; call once a batch, in order."""
        if self._known is not None:
            found = np.frombuffer(self._known.read(len(batch) * 4), np.int32)
            return np.maximum(found, 0), found < 0
        columns = self._columns(batch)
        ordinal = np.zeros(len(batch), np.int32)
        duplicate = np.zeros(len(batch), np.bool_)
        if not len(batch):
            return ordinal, duplicate
        if self._forward:
            before = self._last.before(columns.series, columns.ts)
            self._forward = bool((columns.ts > before).all())
        self._count += len(batch)
        if self._count > HELD:
            if not self._forward:
                raise Disordered
            self._forwards.clear()
        elif self._forward:
            self._forwards.append(columns)
        else:
            self._past += [earlier.marked() for earlier in self._forwards]
            self._forwards.clear()
            marked = columns.marked()
            self._compare(marked, ordinal, duplicate)
            self._past.append(marked)
        return ordinal, duplicate

    def _compare(
        self,
        marked: _Marked,
        ordinal: npt.NDArray[np.int32],
        duplicate: npt.NDArray[np.bool_],
    ) -> None:
        low, high, rows = marked
        _, inverse, count = np.unique(rows["mark"], return_inverse=True, return_counts=True)
        suspect = count[inverse] > 1
        earlier = [past for lo, hi, past in self._past if lo <= high and hi >= low]
        for past in earlier:
            suspect |= np.isin(rows["mark"], past["mark"])
        if suspect.any():
            self._judge(rows, np.flatnonzero(suspect), earlier, ordinal, duplicate)

    def _columns(self, batch: pa.RecordBatch) -> _Columns:
        bits = batch["value"].to_numpy().view(np.int64)
        return _Columns(self._series.of(batch), micros(batch["ts"]), bits)

    @staticmethod
    def _judge(
        rows: npt.NDArray[np.void],
        suspects: npt.NDArray[np.intp],
        earlier: list[npt.NDArray[np.void]],
        ordinal: npt.NDArray[np.int32],
        duplicate: npt.NDArray[np.bool_],
    ) -> None:
        wanted = rows["mark"][suspects]
        before = [past[np.isin(past["mark"], wanted)] for past in earlier]
        ordinals, duplicates = _numbered(np.concatenate([*before, rows[suspects]]))
        ordinal[suspects] = ordinals[-len(suspects) :]
        duplicate[suspects] = duplicates[-len(suspects) :]


def _numbered(rows: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """(ordinal, duplicate) of rows that hold all of some identities, in their order."""
    order = np.lexsort(
        (rows["bits"], rows["ts"], rows["series"])
    )  # stable: the first one stays first
    begins = _changes(rows["series"][order]) | _changes(rows["ts"][order])
    first = begins | _changes(rows["bits"][order])
    places, identity = order[first], np.cumsum(begins)[first]
    by_place = np.lexsort((places, identity))
    starts = np.flatnonzero(
        np.diff(identity, prepend=0)
    )  # identities count from 1 on, without gaps
    of_value = np.empty(len(places), np.int32)
    of_value[by_place] = np.arange(len(places)) - starts[identity - 1]
    ordinal = np.empty(len(rows), np.int32)
    ordinal[order] = of_value[np.cumsum(first) - 1]
    duplicate = np.ones(len(rows), np.bool_)
    duplicate[places] = False
    return ordinal, duplicate


def _changes(column: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Where a value differs from the one before; the first one does."""
    changes = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=changes[1:])
    return changes
