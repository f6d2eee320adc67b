"""Recovers the ordinal of a stored reading from its dedupe key, because the database does not store it.

The identity of a row is (sensor_id, reading_type, ts). Almost every row is the first one with its identity,
so its ordinal is 0. For the other rows, the keys for higher ordinals are computed, once per identity, and
compared with the stored key.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sensorflow.core.keys import keys

Ordinals = npt.NDArray[np.int32]

TRIED_BEFORE_COUNTING = 8
"""Number of ordinals above 0 that are tried before the number of rows with the same identity is queried."""
MAX_OCCURRENCES = 1_000_000
"""Maximum number of ordinals that are tried for one identity."""


def without_ordinal(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the columns from which the dedupe key is computed, with ordinal 0 in each row."""
    return _with(rows, np.zeros(len(rows), np.int32))


def _with(rows: pa.RecordBatch, ordinal: Ordinals) -> pa.RecordBatch:
    names = ("ts", "sensor_id", "reading_type")
    columns = [*(rows[name] for name in names), pa.array(ordinal, pa.int32())]
    return pa.RecordBatch.from_arrays(columns, names=[*names, "ordinal"])


def recomputed(
    rows: pa.RecordBatch,
    file_name: pa.Array,
    stored: pa.Array,
    sharing: Callable[[pa.RecordBatch], list[int]],
) -> tuple[pa.Array, Ordinals, npt.NDArray[np.bool_]]:
    """Return for each row the recomputed key, the ordinal, and whether the stored key is wrong, that is,
    does not match any ordinal.

    file_name: one per row. stored: the stored keys. sharing: a function that returns, for each row of a
    batch, the total number of stored rows with the same identity. If the stored key of a row is wrong, the
    recomputed key is the key for ordinal 0.
    """
    recomputed_keys = keys(without_ordinal(rows), file_name)
    ordinal = np.zeros(len(rows), np.int32)
    differing = np.flatnonzero((_halves(recomputed_keys) != _halves(stored)).any(axis=1))
    if not len(differing):
        return recomputed_keys, ordinal, np.zeros(len(rows), np.bool_)
    key_array = np.array(recomputed_keys.to_pylist(), object)
    wanted = np.array(stored.take(pa.array(differing)).to_pylist(), object)
    left = np.arange(len(differing))
    for first, bounds in ((1, None), (TRIED_BEFORE_COUNTING + 1, sharing)):
        if len(left):
            part = rows.take(pa.array(differing[left]))
            names = file_name.take(pa.array(differing[left]))
            known = _later(part, names, key_array[differing[left]], first, bounds)
            found = np.array([known.get(key, 0) for key in wanted[left]], np.int32)
            ordinal[differing[left]] = found
            left = left[found == 0]
    mismatched = np.zeros(len(rows), np.bool_)
    mismatched[differing[left]] = True
    matched = differing[ordinal[differing] > 0]
    key_array[matched] = np.array(stored.take(pa.array(matched)).to_pylist(), object)
    return pa.array(key_array.tolist(), stored.type), ordinal, mismatched


def _later(
    rows: pa.RecordBatch,
    names: pa.Array,
    firsts: npt.NDArray[np.object_],
    start: int,
    sharing: Callable[[pa.RecordBatch], list[int]] | None,
) -> dict[bytes, int]:
    """For each identity among these rows, compute the dedupe keys for the ordinals to try. Return key ->
    ordinal. start: the first ordinal to try.

    If `sharing` is None, the highest ordinal to try is `TRIED_BEFORE_COUNTING`. Otherwise it is the number
    of stored rows with the identity plus `TRIED_BEFORE_COUNTING`, because other rows may have been removed.
    """
    _, once = np.unique(firsts, return_index=True)
    limit = np.full(len(once), TRIED_BEFORE_COUNTING)
    if sharing is not None:
        shared = np.array(sharing(rows.take(pa.array(once))), np.int64)
        limit = np.minimum(shared + TRIED_BEFORE_COUNTING, MAX_OCCURRENCES) * (
            shared > 1
        )  # a single row has ordinal 0
    counts = np.maximum(limit - start + 1, 0)
    place = pa.array(np.repeat(once, counts))
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    ordinal = (steps + start).astype(np.int32)
    candidate_keys = keys(_with(rows.take(place), ordinal), names.take(place))
    return dict(zip(candidate_keys.to_pylist(), ordinal.tolist(), strict=True))


def _halves(array: pa.Array) -> npt.NDArray[np.uint64]:
    start = 2 * array.offset
    words = np.frombuffer(array.buffers()[1], np.uint64)[start : start + 2 * len(array)]
    return words.reshape(-1, 2)
