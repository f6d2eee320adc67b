"""Text that tells a number -> doubles, decided by rule on the text, or a reason why not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.errors import Code

_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_NONZERO = r"^[^eE]*[1-9]"
_WORDS = r"(?i)^[+-]?(?:nan|inf|infinity)$"


@dataclass(frozen=True)
class Numbers:
    """values: double, null where missing or refused; codes: why refused, "" elsewhere."""

    values: pa.Array
    codes: npt.NDArray[np.object_]

    @property
    def missing(self) -> int:
        return int(self.values.null_count) - int((self.codes != "").sum())


def parse(texts: pa.Array, markers: Iterable[str]) -> Numbers:
    """Read an array of strings. Null, blank, and the file's `markers` of missing values are missing.

    A number that a double cannot hold (1e400, 1e-400) is refused, never turned into inf or 0; so
    are nan and inf unless they are markers.
    """
    texts = pc.if_else(pc.is_in(texts, value_set=pa.array(["", *markers])), None, texts)
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return _slow(texts, markers)
    if not _odd(texts, values):
        return Numbers(values, np.full(len(values), "", object))
    return _slow(texts, markers)


def _odd(texts: pa.Array, values: pa.Array) -> bool:
    """Whether a value is infinite, not a number, or a zero whose text is not one."""
    array = values.fill_null(1.0).to_numpy(zero_copy_only=False)
    if not np.isfinite(array).all():
        return True
    zeros = texts.filter(pa.array(array == 0))
    return bool(pc.any(pc.match_substring_regex(zeros, _NONZERO)).as_py())


def _slow(texts: pa.Array, markers: Iterable[str]) -> Numbers:
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(pc.is_in(texts, value_set=pa.array(["", *markers])), None, texts)
    codes = np.full(len(texts), "", object)
    number = pc.match_substring_regex(texts, _NUMBER).fill_null(True)
    word = pc.match_substring_regex(texts, _WORDS).fill_null(False)
    codes[~number.to_numpy(zero_copy_only=False)] = Code.VALUE_NOT_A_NUMBER
    codes[word.to_numpy(zero_copy_only=False)] = Code.VALUE_NOT_FINITE
    values = pc.if_else(number, texts, None).cast(pa.float64())
    array = values.fill_null(1.0).to_numpy(zero_copy_only=False)
    # a digit before the exponent is not zero, and yet the value is: an underflow
    some = pc.match_substring_regex(texts, _NONZERO).fill_null(False)
    lost = ~np.isfinite(array) | ((array == 0) & some.to_numpy(zero_copy_only=False))
    codes[lost & (codes == "")] = Code.VALUE_NOT_REPRESENTABLE
    return Numbers(pc.if_else(pa.array(codes == ""), values, None), codes)


def from_floats(values: pa.Array, markers: Iterable[str]) -> Numbers:
    """Typed numbers (Parquet), as the nearest doubles. Null and the `markers` are missing.

    NaN and infinities are refused unless they are markers, a decimal that no double holds too.
    """
    doubles = values.cast(pa.float64(), safe=False)
    array = np.array(doubles.fill_null(0.0).to_numpy(zero_copy_only=False))
    missing = np.asarray(values.is_null().to_numpy(zero_copy_only=False), np.bool_)
    for marker in markers:
        try:
            number = float(marker)
        except ValueError:
            continue
        missing |= np.isnan(array) if np.isnan(number) else array == number
    codes = np.full(len(values), "", object)
    codes[~missing & ~np.isfinite(array)] = Code.VALUE_NOT_FINITE
    return Numbers(pa.array(array, mask=missing | (codes != "")), codes)
