"""Cells of exported tables as text: times, numbers and strings, a column at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_DAY = 86_400_000_000
_PAIRS = np.array([f"{n:02}".encode() for n in range(100)], "S2")
_WIDTH = len("2026-01-31T12:00:00.000000Z")
_FIRST_DAY, _LAST_DAY = -719_528, 2_932_896  # of the years 0 to 9999, which have four digits


def times(ts: pa.Array) -> pa.Array:
    """Return times in microseconds as ISO 8601 in UTC, such as 2026-01-31T12:00:00.000000Z. A null stays
    null.

    The result is equal to that of a cast, with a T between day and time. A cast needs thirty times as long.
    """
    if ts.null_count:
        filled = times(ts.fill_null(0).cast(ts.type))
        return pc.if_else(ts.is_valid(), filled, pa.scalar(None, pa.string()))
    micros = ts.cast(pa.int64()).to_numpy()
    days, rest = np.divmod(micros, _DAY)
    if len(days) and (days.min() < _FIRST_DAY or days.max() > _LAST_DAY):
        return pc.replace_substring(ts.cast(pa.string()), " ", "T", max_replacements=1)
    text = np.empty((len(micros), _WIDTH), np.uint8)
    distinct, which = np.unique(days, return_inverse=True)
    text[:, :10] = _bytes(np.datetime_as_string(distinct.astype("M8[D]")).astype("S10"), 10)[which]
    text[:, [10, 13, 16, 19, 26]] = np.frombuffer(b"T::.Z", np.uint8)
    whole, micro = np.divmod(rest, 1_000_000)
    parts = [whole // 3600, whole // 60 % 60, whole % 60]
    parts += [micro // 10_000, micro // 100 % 100, micro % 100]
    for place, number in zip((11, 14, 17, 20, 22, 24), parts, strict=True):
        text[:, place : place + 2] = _bytes(_PAIRS[number], 2)
    offsets = np.arange(len(micros) + 1, dtype=np.int32) * _WIDTH
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(micros), buffers)


def _bytes(texts: npt.NDArray[np.bytes_], width: int) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(texts).view(np.uint8).reshape(-1, width)


def numbers(values: pa.Array) -> pa.Array:
    """Return numbers as their shortest text from which the same number is read: 21.5, 1e-308, nan, inf."""
    text = values.cast(pa.string())
    return pc.if_else(pc.equal(text, "-0"), "-0.0", text)  # JSON parsers read -0 as an integer


def strings(texts: pa.Array, encode: Callable[[str], str]) -> pa.Array:
    """Apply `encode` to each distinct string of a column."""
    coded = texts.dictionary_encode()
    encoded = pa.array([encode(text) for text in coded.dictionary.to_pylist()], pa.string())
    return encoded.take(coded.indices)
