"""Series are numbered as they come, and each row finds the one before it in its series."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.series import Series, previous


def batch(pairs: list[tuple[str, str]]) -> pa.RecordBatch:
    columns = [pa.array([pair[i] for pair in pairs], pa.string()) for i in (0, 1)]
    return pa.RecordBatch.from_arrays(columns, names=["sensor_id", "reading_type"])


PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=30)


@given(st.lists(PAIRS, max_size=4))
def test_a_series_keeps_its_number_over_all_batches(batches: list[list[tuple[str, str]]]) -> None:
    series = Series()
    numbers: dict[tuple[str, str], int] = {}
    for pairs in batches:
        for pair, number in zip(pairs, series.of(batch(pairs)).tolist(), strict=True):
            assert numbers.setdefault(pair, number) == number
    assert sorted(numbers.values()) == list(range(len(numbers)))
    assert len(series) == len(numbers)


def test_many_sensors_of_many_types_in_few_rows() -> None:
    """There are far more pairs than rows."""
    pairs = [(f"s{i}", f"t{i}") for i in range(100)]
    numbers = Series().of(batch(pairs + pairs)).tolist()
    assert numbers[:100] == numbers[100:]
    assert sorted(numbers[:100]) == list(range(100))


@pytest.mark.parametrize("series", [3, 70_000])
def test_the_row_before(series: int) -> None:
    generator = np.random.default_rng(1)
    numbers = generator.integers(0, series, 80_000)
    numbers[0] = series - 1
    last: dict[int, int] = {}
    expected = []
    for row, number in enumerate(numbers.tolist()):
        expected.append(last.get(number, -1))
        last[number] = row
    assert previous(numbers).tolist() == expected
