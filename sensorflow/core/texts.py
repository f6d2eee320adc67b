"""Operations on string arrays. Where possible, an operation processes the bytes of the whole array at once,
which is much faster than processing one string at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_FIRST, _LAST = 0x21, 0x7E
"""The range of visible ASCII characters."""


def bare(texts: pa.Array) -> pa.Array:
    """Strip Unicode white space from each string. A blank string becomes null."""
    if _are_bare(texts):
        return texts
    coded = pc.dictionary_encode(texts)
    trimmed = pc.utf8_trim_whitespace(coded.dictionary)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed).take(coded.indices)


def _are_bare(texts: pa.Array) -> bool:
    """Return whether each string starts and ends with a visible ASCII character."""
    if not len(texts) or texts.null_count or some_empty(texts):
        return False
    offsets, data = _parts(texts)
    ends = data[np.concatenate((offsets[:-1], offsets[1:] - 1))]
    return bool(ends.min() >= _FIRST and ends.max() <= _LAST)


def some_empty(texts: pa.Array) -> bool:
    """Return whether any string is empty. The result may also be True if the array contains a null."""
    offsets, _ = _parts(texts)
    return bool((offsets[1:] == offsets[:-1]).any())


def may_hold_nul(texts: pa.Array) -> bool:
    """Return whether a string may contain a NUL character. If the result is False, no string contains
    NUL."""
    offsets, data = _parts(texts)
    return not data[offsets[0] : offsets[-1]].all()


def _parts(texts: pa.Array) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Return the offsets and the bytes of the strings."""
    if not len(texts):  # an empty array may have no buffers
        return np.zeros(1, np.int32), np.zeros(0, np.uint8)
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return places, np.frombuffer(data or b"", np.uint8)
