"""Text -> doubles, decided by rule on the text."""

from __future__ import annotations

import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.numbers import from_floats, parse
from sensorflow.errors import Code


def number(text: str | None) -> object:
    """The value, None where missing, or the code of the refusal; the same on both paths."""
    alone = parse(pa.array([text], pa.string()), ("-9999", "NA"))
    mixed = parse(pa.array([text, "x"], pa.string()), ("-9999", "NA"))
    results = [
        Code.of(int(f.codes[0])) if f.codes[0] else f.values[0].as_py() for f in (alone, mixed)
    ]
    assert results[0] == results[1] or results[0] is results[1]
    return results[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("+3.49", 3.49),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("0.00e5", 0.0),
        ("5e-324", 5e-324),
        ("1E5", 1e5),
        ("007", 7.0),
    ],
)
def test_numbers(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", [None, "", "  ", "NA", "-9999"])
def test_missing_is_no_reading_and_no_fault(text: str | None) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("170.1#", Code.VALUE_NOT_A_NUMBER),
        ("58 °F", Code.VALUE_NOT_A_NUMBER),
        ("1,5", Code.VALUE_NOT_A_NUMBER),
        ("0x10", Code.VALUE_NOT_A_NUMBER),
        ("1_000", Code.VALUE_NOT_A_NUMBER),
        ("٣", Code.VALUE_NOT_A_NUMBER),
        ("true", Code.VALUE_NOT_A_NUMBER),
        ("nan", Code.VALUE_NOT_FINITE),
        ("-Infinity", Code.VALUE_NOT_FINITE),
        ("1e400", Code.VALUE_NOT_REPRESENTABLE),
        ("-1e400", Code.VALUE_NOT_REPRESENTABLE),
        ("1e-400", Code.VALUE_NOT_REPRESENTABLE),
    ],
)
def test_what_is_no_number_is_refused_and_never_changed(text: str, code: Code) -> None:
    assert number(text) == code


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_survives_to_the_bit(value: float) -> None:
    found = number(repr(value))
    assert found == value
    assert isinstance(found, float)
    assert math.copysign(1, found) == math.copysign(1, value)


def test_typed_numbers() -> None:
    infinite = Code.VALUE_NOT_FINITE.number
    floats = from_floats(pa.array([1.5, None, math.nan, math.inf, -9999.0]), ["-9999"])
    assert floats.values.to_pylist() == [1.5, None, None, None, None]
    assert floats.codes.tolist() == [0, 0, infinite, infinite, 0]
    assert floats.missing == 2
    assert from_floats(pa.array([math.nan]), ["NaN"]).codes.tolist() == [0]
    tenth = pa.array([Decimal("0.1")], pa.decimal128(38, 18))
    assert from_floats(tenth, []).values.to_pylist() == [0.1]
    assert from_floats(pa.array([2**53 + 1]), []).values.to_pylist() == [float(2**53)]
