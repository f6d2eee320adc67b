"""What makes two readings the same.

The natural key of the source document: SHA-256 over (sensor_id, ts, reading_type, file_name), the
fields written as netstrings (D. J. Bernstein, 1997) so that no two different tuples make the same
text, ts as microseconds since 1970; the first 128 bits are kept, as a uuid.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

KEY = pa.binary(16)

_ROW = np.dtype([("mark", "i8"), ("series", "i4"), ("ts", "i8"), ("bits", "i8")])
_GOLDEN = -7046029254386353131  # 2**64 divided by the golden ratio, as a signed number


def _netstrings(column: pa.Array) -> pa.Array:
    length = pc.binary_length(column).cast(pa.string())
    return pc.binary_join_element_wise(length, ":", column, ",", "")


def keys(batch: pa.RecordBatch, file_name: str) -> pa.Array:
    """The dedupe key of every silver row: an array of `KEY`, as long as `batch`.

    file_name: the source's name and the file's key below it; empty when the key is to hold for the
    whole source. The second and later occurrences in a file hash their ordinal too.
    """
    micros = batch["ts"].cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.int64())
    texts = pc.binary_join_element_wise(
        _netstrings(batch["sensor_id"]),
        _netstrings(micros.cast(pa.string())),
        _netstrings(batch["reading_type"]),
        "",
    )
    tail = f"{len(file_name.encode())}:{file_name},"
    ordinals = batch["ordinal"].to_numpy()
    if not ordinals.any():
        last = tail.encode()
        digests = b"".join(
            sha256(text + last).digest()[:16] for text in texts.cast(pa.binary()).to_pylist()
        )
    else:
        tails = (tail + (f"{len(str(n))}:{n}," if n else "") for n in ordinals.tolist())
        digests = b"".join(
            sha256((text + end).encode()).digest()[:16]
            for text, end in zip(texts.to_pylist(), tails, strict=True)
        )
    return pa.Array.from_buffers(KEY, len(batch), [None, pa.py_buffer(digests)])


class Occurrences:
    """Tells the repeats of (sensor_id, reading_type, ts) within one file, over all its batches.

    The same identity with the same value (to the bit) is a duplicate; with another value it is a
    reading of its own, told apart by its ordinal. Times are compared in microseconds, as the
    database keeps them. A 64-bit mark finds suspects, an exact comparison judges them. Memory: 28
    bytes a row.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], int] = {}
        self._past: list[tuple[int, int, npt.NDArray[np.void]]] = []

    def number(self, batch: pa.RecordBatch) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        """(ordinal, duplicate) of each row of a silver batch; call once a batch, in order."""
        rows = self._rows(batch)
        ordinal = np.zeros(len(rows), np.int32)
        duplicate = np.zeros(len(rows), np.bool_)
        if not len(rows):
            return ordinal, duplicate
        low, high = int(rows["ts"].min()), int(rows["ts"].max())
        _, inverse, count = np.unique(rows["mark"], return_inverse=True, return_counts=True)
        suspect = count[inverse] > 1
        earlier = [past for lo, hi, past in self._past if lo <= high and hi >= low]
        for past in earlier:
            suspect |= np.isin(rows["mark"], past["mark"])
        if suspect.any():
            self._judge(rows, np.flatnonzero(suspect), earlier, ordinal, duplicate)
        self._past.append((low, high, rows))
        return ordinal, duplicate

    def _rows(self, batch: pa.RecordBatch) -> npt.NDArray[np.void]:
        rows = np.empty(len(batch), _ROW)
        rows["ts"] = batch["ts"].cast(pa.int64()).to_numpy() // 1000
        rows["bits"] = batch["value"].to_numpy().view(np.int64)
        sensor = pc.dictionary_encode(batch["sensor_id"])
        kind = pc.dictionary_encode(batch["reading_type"])
        width = max(len(kind.dictionary), 1)
        pair = sensor.indices.to_numpy().astype(np.int64) * width + kind.indices.to_numpy()
        names, inverse = np.unique(pair, return_inverse=True)
        numbers = [
            self._series.setdefault(
                (
                    sensor.dictionary[int(p) // width].as_py(),
                    kind.dictionary[int(p) % width].as_py(),
                ),
                len(self._series),
            )
            for p in names
        ]
        rows["series"] = np.array(numbers, np.int32)[inverse] if numbers else 0
        with np.errstate(over="ignore"):
            rows["mark"] = rows["ts"] ^ (rows["series"] * np.int64(_GOLDEN))
        return rows

    @staticmethod
    def _judge(
        rows: npt.NDArray[np.void],
        suspects: npt.NDArray[np.intp],
        earlier: list[npt.NDArray[np.void]],
        ordinal: npt.NDArray[np.int32],
        duplicate: npt.NDArray[np.bool_],
    ) -> None:
        known: dict[tuple[int, int], list[int]] = {}
        wanted = rows["mark"][suspects]
        for past in earlier:
            for row in past[np.isin(past["mark"], wanted)].tolist():
                _note(known, row)
        for index in suspects.tolist():
            ordinal[index], duplicate[index] = _note(known, rows[index].item())


def _note(
    known: dict[tuple[int, int], list[int]], row: tuple[int, int, int, int]
) -> tuple[int, bool]:
    _, series, ts, bits = row
    values = known.setdefault((series, ts), [])
    if bits in values:
        return values.index(bits), True
    values.append(bits)
    return len(values) - 1, False
