"""Converts epoch timestamps, that is, numbers that count from a date, to nanoseconds."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sensorflow.core.codes import Codes, no_codes
from sensorflow.core.times.civil import ROUNDED, Bools, Int64s, ints, missing, text_or
from sensorflow.core.times.clock import Clock
from sensorflow.errors import Code


def fractions(texts: pa.Array, unit: int, start: Decimal = Decimal(0)) -> tuple[Int64s, Codes]:
    """Convert decimal numbers, such as days, to nanoseconds, rounded to milliseconds. unit: the length of
    their unit in nanoseconds. start: a number that is subtracted before the conversion."""
    codes = no_codes(len(texts))
    nanos = np.zeros(len(texts), np.int64)
    for index, text in enumerate(texts.to_pylist()):
        if text is None or not text.strip():
            codes[index] = Code.TIMESTAMP_MISSING.number
        elif not re.fullmatch(r"\s*[+-]?\d{1,12}(\.\d*)?([eE][+-]?\d{1,2})?\s*", text):
            codes[index] = Code.TIMESTAMP_UNREADABLE.number
        else:
            found = round((Decimal(text.strip()) - start) * unit / ROUNDED) * ROUNDED
            outside = abs(found) >= 2**62
            codes[index] = Code.TIMESTAMP_OUT_OF_RANGE.number if outside else 0
            nanos[index] = 0 if outside else found
    return nanos, codes


def bools(array: pa.Array) -> Bools:
    return np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def epoch(texts: pa.Array, unit: int, clock: Clock) -> tuple[Int64s, Codes]:
    """Convert integers or decimals to nanoseconds, exactly. unit: the length of their unit in nanoseconds.
    Decimals of a nanosecond are ignored."""
    codes = no_codes(len(texts))
    texts = _unscientific(texts, clock.trimmed)
    found = pc.extract_regex(
        texts, r"^\s*(?P<sign>[+-]?)(?P<whole>\d{1,19})(?:\.(?P<part>\d*))?\s*$"
    )
    codes[~bools(found.is_valid())] = Code.TIMESTAMP_UNREADABLE.number
    codes[missing(texts)] = Code.TIMESTAMP_MISSING.number
    digits = len(str(unit)) - 1
    whole = pc.cast(text_or(found, "whole", "0"), pa.uint64())
    out_of_range = bools(pc.greater(whole, pa.scalar((2**63 - 1) // unit, pa.uint64())))
    codes[out_of_range & (codes == 0)] = Code.TIMESTAMP_OUT_OF_RANGE.number
    nanos = (
        np.where(
            out_of_range,
            0,
            ints(
                pc.if_else(pa.array(out_of_range), pa.scalar(0, pa.uint64()), whole).cast(
                    pa.int64()
                )
            ),
        )
        * unit
    )
    if digits:
        padded = pc.utf8_slice_codeunits(
            pc.utf8_rpad(text_or(found, "part", ""), digits, "0"), 0, digits
        )
        nanos = nanos + ints(padded.cast(pa.int64()))
    negative = bools(pc.equal(text_or(found, "sign", ""), "-"))
    return np.where(negative, -nanos, nanos), codes


_SCIENTIFIC = r"^\s*[+-]?\d(?:\.\d*)?[eE]\+?\d{1,2}\s*$"


def lost_digits(text: str) -> bool:
    """Return whether a text is a number in scientific notation that omits digits of its integer part, such
    as 1.5E+12."""
    if not re.fullmatch(_SCIENTIFIC[1:-1], text):
        return False
    mantissa, _, exponent = text.strip().lower().partition("e")
    return len(mantissa.partition(".")[2]) < int(exponent)


def _unscientific(texts: pa.Array, trimmed: bool) -> pa.Array:
    """Rewrite numbers in scientific notation as plain numbers. A number that omits digits of its integer
    part is rewritten only if `trimmed` is set, which means that these digits are zeros."""
    some = pc.match_substring(texts, "e", ignore_case=True).fill_null(False)
    if not some.true_count:
        return texts
    scientific = pc.and_(some, pc.match_substring_regex(texts, _SCIENTIFIC).fill_null(False))
    plain = [
        text if not trimmed and lost_digits(text) else f"{Decimal(text.strip()):f}"
        for text in texts.filter(scientific).to_pylist()
    ]
    return pc.replace_with_mask(texts, scientific, pa.array(plain, pa.string()))
