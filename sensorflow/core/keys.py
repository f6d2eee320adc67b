"""Computes dedupe keys. Two readings with the same key are the same reading.

A key is the first 128 bits of SHA-256 over (sensor_id, ts, reading_type, file_name), stored as a uuid. ts
is in microseconds since 1970. The fields are encoded as netstrings (D. J. Bernstein, 1997), so that
different tuples never result in the same text.
"""

from __future__ import annotations

import threading
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.readings import KEY, micros

MIN_DATAFUSION_ROWS = 3000
"""Number of rows below which a loop over hashlib is faster than DataFusion."""


def _netstrings(column: pa.Array) -> pa.Array:
    length = pc.binary_length(column).cast(pa.string())
    return pc.binary_join_element_wise(length, ":", column, ",", "")


def _repeated(column: pa.Array, before: str = "", after: str = "") -> pa.Array:
    """Return the netstring of each value, with the texts `before` and `after` around it. Fast if the column
    has few distinct values."""
    coded = pc.dictionary_encode(column)
    texts = pc.binary_join_element_wise(before, _netstrings(coded.dictionary), after, "")
    return texts.take(coded.indices)


def _times(micros_: npt.NDArray[np.int64]) -> tuple[str, pa.Array, str]:
    """Return the netstring of each time, as (common prefix, array of the parts between, common suffix)."""
    texts = pa.array(micros_).cast(pa.string())
    width = len(str(micros_.max()))
    if micros_.min() >= 10 ** (width - 1):  # all have the same length, and none is negative
        return f"{width}:", texts, ","
    return "", _netstrings(texts), ""


def keys(batch: pa.RecordBatch, file_name: str | pa.Array) -> pa.Array:
    """Return the dedupe key of each silver row, as an array of type `KEY`.

    file_name: the source's name and the file's key; "" if the dedupe scope is the source. file_name is
    either one name for all rows, or an array (strings or dictionary) with a name per row.

    If the ordinal of a row is not 0, the dedupe key also covers the ordinal. Times are truncated to
    microseconds toward the past, as the database stores them.
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
    return _hashed(texts) if len(batch) < MIN_DATAFUSION_ROWS else _hashed_at_once(texts)


def _tails(file_names: pa.Array) -> pa.Array:
    if isinstance(file_names, pa.DictionaryArray):
        return _netstrings(file_names.dictionary).take(file_names.indices)
    return _netstrings(file_names)


def _hashed(texts: pa.Array) -> pa.Array:
    digests = b"".join([sha256(text).digest()[:16] for text in texts.to_pylist()])
    return pa.Array.from_buffers(KEY, len(texts), [None, pa.py_buffer(digests)])


def _hashed_at_once(texts: pa.Array) -> pa.Array:
    """Hash texts like `_hashed`, but with DataFusion. This is much faster per row, but each call has a
    fixed cost of a third of a millisecond."""
    from datafusion import col, functions

    context = _context()
    name = f"texts{threading.get_ident()}"
    try:
        table = context.from_arrow(pa.table({"text": texts}), name)
        digests = table.select(functions.sha256(col("text"))).to_arrow_table().column(0)
    finally:
        context.deregister_table(name)  # otherwise the context keeps every batch in memory
    digest_bytes = np.frombuffer(digests.combine_chunks().buffers()[2], np.uint8).reshape(-1, 32)
    return pa.Array.from_buffers(
        KEY, len(texts), [None, pa.py_buffer(digest_bytes[:, :16].tobytes())]
    )


@cache
def _context() -> Any:
    """Return DataFusion's context. The first call creates it. The context has threads, so it must not be
    created before a fork."""
    from datafusion import SessionConfig, SessionContext

    return SessionContext(SessionConfig().with_target_partitions(1).with_batch_size(1 << 20))
