"""Sums over the readings of each file. The sums do not depend on the order of the readings.

There are two sums: the checksum of keys and values, and a sum over all columns that both the database and
silver contain. If both sums of a file are the same for the database and for silver, the rows of the file
are equal, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.checksum import Words, mix
from sensorflow.core.readings import micros

KNOWN = 100_000
"""Maximum number of texts whose hashes are cached."""


@dataclass(frozen=True)
class Sums:
    """The sums of one file. rows: number of rows. checksum: the sum over keys and values. columns: the sum
    over all columns. mismatched: number of rows with a stored key that does not match the columns."""

    rows: int = 0
    checksum: int = 0
    columns: int = 0
    mismatched: int = 0


class Tally:
    """Collects the sums of `files` files, which are numbered from 0. Uses 32 bytes per file."""

    def __init__(self, files: int) -> None:
        self._rows = np.zeros(files, np.int64)
        self._checksum = np.zeros(files, np.uint64)
        self._columns = np.zeros(files, np.uint64)
        self._strange = np.zeros(files, np.int64)

    def add(
        self,
        file: npt.NDArray[np.int64],
        marks: Words,
        prints: Words,
        mismatched: npt.NDArray[np.bool_],
    ) -> None:
        """Add rows. file: the number of each row's file. marks: see `checksum.marks`. prints: see `Prints`.
        mismatched: whether the stored key of each row does not match its columns."""
        if not len(file):
            return
        order = np.argsort(file, kind="stable")
        starts = np.flatnonzero(np.diff(file[order], prepend=-1))
        which = file[order][starts]
        self._rows[which] += np.diff(starts, append=len(file))
        with np.errstate(over="ignore"):
            self._checksum[which] += np.add.reduceat(marks[order], starts)
            self._columns[which] += np.add.reduceat(prints[order], starts)
        self._strange[which] += np.add.reduceat(mismatched[order].astype(np.int64), starts)

    def of(self, file: int) -> Sums:
        sums = (self._rows, self._checksum, self._columns, self._strange)
        return Sums(*(int(column[file]) for column in sums))


class Prints:
    """Computes the fingerprint of each row, a 64-bit hash of all columns. Caches the hashes of texts."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, batch: pa.RecordBatch, ordinal: npt.NDArray[np.int32]) -> Words:
        """Return the fingerprint of each row. batch: rows of silver or of the database. ordinal: the
        ordinal of each row. Times are truncated to microseconds."""
        columns: Sequence[Words] = [
            self._texts(batch["sensor_id"]),
            self._texts(batch["reading_type"]),
            self._texts(batch["unit"]),
            micros(batch["ts"]).view(np.uint64),
            np.ascontiguousarray(batch["value"].to_numpy(), np.float64).view(np.uint64),
            batch["line_no"].to_numpy().view(np.uint64),
            # one word contains the quality (16 bits) and the ordinal (32 bits)
            batch["quality"].to_numpy().astype(np.uint16).astype(np.uint64)
            | ordinal.astype(np.uint64) << np.uint64(16),
        ]
        mixed = np.zeros(len(batch), np.uint64)
        for column in columns:
            mixed = mix(mixed ^ column) + np.uint64(0x9E3779B97F4A7C15)
        return mix(mixed)

    def _texts(self, column: pa.Array) -> Words:
        if len(self._known) > KNOWN:
            self._known.clear()
        coded = pc.dictionary_encode(column)
        hashes = [self._hash(text) for text in coded.dictionary.to_pylist()]
        found: Words = np.array(hashes, np.uint64)[coded.indices.to_numpy()]
        return found

    def _hash(self, text: str) -> int:
        found = self._known.get(text)
        if found is None:
            digest = blake2b(text.encode(), digest_size=8).digest()
            found = self._known[text] = int.from_bytes(digest, "big")
        return found
