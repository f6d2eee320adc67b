"""The text and the wide form of exported tables, for values and times at their limits."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from sensorflow.core.output import cells, lines, pivot, width
from sensorflow.core.output.pivot import Pivot, Series
from sensorflow.core.readings import US
from sensorflow.errors import UsageError
from sensorflow.escaping import to_json
from sensorflow.flow.export import Output, writer

FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
NUMBERS = [1.5, None, math.nan, math.inf, -math.inf, -0.0, 1e-308, 5e-324, 1e22, 0.1 + 0.2, 100.0]
TEXTS = ["a", "", 'say "hi", twice', "two\nlines", "\x1b[2J", "Ö", "=1+1", "x", "y", "z", "\r"]


def micros(values: Any) -> pa.Array:
    return pa.array(values, pa.int64()).cast(US)


def test_times_are_as_arrow_writes_them() -> None:
    draw = np.random.default_rng(1)
    ts = micros([FIRST, LAST, -1, 0, None, *draw.integers(FIRST, LAST, 2000)])
    expected = pc.replace_substring(ts.cast(pa.string()), " ", "T", max_replacements=1)
    assert cells.times(ts).equals(expected)
    assert cells.times(ts.slice(7, 9)).equals(expected.slice(7, 9))
    far = micros([LAST + 1])
    assert cells.times(far).to_pylist() == ["10000-01-01T00:00:00.000000Z"]


def bits(values: list[float | None]) -> list[str]:
    return [repr(value) for value in values]


def test_every_number_and_text_is_read_again_from_csv_and_json() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(NUMBERS), pa.array(TEXTS)], ["v", 't,"x"'])
    text = (lines.csv_head(batch.schema) + bytes(lines.csv(batch))).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert bits([float(r["v"]) if r["v"] else None for r in rows]) == bits(NUMBERS)
    assert [r['t,"x"'] for r in rows] == TEXTS
    assert text.splitlines()[2] == ',""'  # NULL, and an empty string
    found = [json.loads(line) for line in bytes(lines.json(batch, to_json)).splitlines()]
    assert [r['t,"x"'] for r in found] == TEXTS
    assert bits([None if r["v"] is None else float(r["v"]) for r in found]) == bits(NUMBERS)
    assert found[3]["v"] == "Infinity"
    assert (
        bytes(lines.csv(batch.slice(0, 0))) == bytes(lines.json(batch.slice(0, 0), to_json)) == b""
    )


def test_a_terminal_gets_no_control_characters() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["\x1b[2J"])], ["t"])
    for target, expected in (("terminal", b"t\n\\x1b[2J\n"), ("pipe", b"t\n\x1b[2J\n")):
        stream = io.BytesIO()
        writer("csv", Output(stream), batch.schema, target).write_batch(batch)  # type: ignore[arg-type]
        assert stream.getvalue() == expected


def long(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    ts, sensors, kinds, units, values = zip(*rows, strict=True)
    columns = [micros(ts), pa.array(sensors), pa.array(kinds), pa.array(units)]
    names = ["ts", *Series._fields, "value"]
    return pa.RecordBatch.from_arrays([*columns, pa.array(values, pa.float64())], names)


@pytest.mark.parametrize("seed", range(30))
def test_a_wide_table_has_each_reading_once(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr(pivot, "CELLS", draw.choice([1, 5, 1000]))
    rows = sorted(
        (draw.randrange(5), draw.choice("ab"), draw.choice("xy"), draw.choice("uv"), float(n))
        for n in range(draw.randrange(1, 40))
    )
    expected: dict[tuple[int, int], dict[Series, float]] = {}
    for ts, *of, value in rows:
        nth = 0
        while Series(*of) in expected.setdefault((ts, nth), {}):
            nth += 1
        expected[ts, nth][Series(*of)] = value
    series = sorted({Series(*row[1:4]) for row in rows})
    batch, size = long(rows), draw.randrange(1, 9)
    table = Pivot(series, "ts", pa.field("value", pa.float64()))
    parts = table.batches([batch.slice(n, size) for n in range(0, len(batch), size)])
    found = pa.Table.from_batches(list(parts), table.schema)
    assert found["ts"].cast(pa.int64()).to_pylist() == [ts for ts, _ in sorted(expected)]
    for name, one in zip(found.schema.names[1:], series, strict=True):
        assert found[name].to_pylist() == [expected[key].get(one) for key in sorted(expected)]
    assert table.repeated == sum(len(row) for (_, nth), row in expected.items() if nth)


def test_the_name_of_a_column_has_what_tells_it_from_others() -> None:
    a, b = Series("a", "t", "C"), Series("b", "t", "C")
    assert pivot.names([a, b]) == ["a", "b"]
    assert pivot.names([a, b, Series("b", "p", "bar")]) == ["a/t", "b/t", "b/p"]
    assert pivot.names([a, b, Series("b", "t", "F")]) == ["a/t/C", "b/t/C", "b/t/F"]
    equal = [Series("a/b", "c", ""), Series("a", "b/c", "")]
    assert pivot.names([*equal, Series("x/y", "c", "")]) == ["a\\/b/c", "a/b\\/c", "x/y/c"]
    expected = r"type 'c' of sensor 'a/b', and type 'c' of sensor 'a\\/b'"
    with pytest.raises(UsageError, match=re.escape(expected)):
        pivot.names([*equal, Series("a\\/b", "c", "")])
    many = [Series(str(n), "t", "C") for n in range(10_001)]
    with pytest.raises(UsageError, match="10,001 columns"):
        Pivot(many, "ts", pa.field("value", pa.float64()))


@pytest.mark.parametrize(
    ("every", "expected"),
    [("1m", "1m"), ("90m", "1m"), ("2h", "1h"), ("1d", "1d"), ("7d", "1d"), ("90s", None)],
)
def test_buckets_are_combined_from_the_widest_aggregate(every: str, expected: str | None) -> None:
    assert width.level(width.width(every, "every")) == expected


def test_a_bucket_begins_and_ends_at_multiples_of_its_width() -> None:
    hour, ts = timedelta(hours=1), datetime(2026, 1, 31, 12, 7, 8, 9, tzinfo=UTC)
    begin, end = datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 1, 31, 13, tzinfo=UTC)
    assert (width.begin(hour, ts), width.end(hour, ts)) == (begin, end)
    assert (width.begin(hour, begin), width.end(hour, begin)) == (begin, begin)
    long = timedelta(days=999)
    assert width.begin(long, datetime(1, 1, 2, tzinfo=UTC)) is None
    assert width.end(long, datetime(9999, 12, 30, tzinfo=UTC)) is None


def test_buckets_of_a_week_begin_on_mondays() -> None:
    assert width.ORIGIN.weekday() == 0
    assert width.width("1w", "every") == timedelta(days=7)
