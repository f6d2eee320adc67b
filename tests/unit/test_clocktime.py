"""Text -> instants: exact, or refused with a reason."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.times.clock import Clock
from sensorflow.core.times.instants import from_timestamps, parse
from sensorflow.core.times.timeformats import pattern
from sensorflow.errors import Code


def nanos(text: str | None, fmt: str = "iso8601", zone: str | None = None, **kw: str) -> object:
    """Nanoseconds since 1970, or the code of the refusal."""
    # a companion that cannot be cast keeps the whole array off the fast path too
    for others in ([], ["nonsense"]):
        found = parse(pa.array([text, *others], pa.string()), fmt, Clock(zone, **kw))
        refused = int(found.codes[0])
        results = Code.of(refused) if refused else found.ts.cast(pa.int64())[0].as_py()
        if not others:
            first = results
    assert first == results, "fast and slow path differ"
    return results


SECOND = 10**9
JAN_1 = 1704067200 * SECOND  # 2024-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("2024-01-01T00:00:00Z", 0),
        ("2024-01-01 00:00:00+01:00", -3600 * SECOND),
        ("2024-01-01T00:00:00+0130", -5400 * SECOND),
        ("2024-01-01T00:00:00-08", 8 * 3600 * SECOND),
        ("2024-01-01T00:00:00.123456789Z", 123456789),
        ("2024-01-01T00:00Z", 0),
        ("2024-01-01T05Z", 5 * 3600 * SECOND),
        ("2024-01-01T00:00:00+19:30", -int(19.5 * 3600) * SECOND),
        ("2024-02-29T00:00:00Z", 59 * 86400 * SECOND),
    ],
)
def test_iso_8601(text: str, offset: int) -> None:
    assert nanos(text) == JAN_1 + offset


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2023-02-29T00:00:00Z", Code.TIMESTAMP_UNREADABLE),
        ("2024-02-30T00:00:00Z", Code.TIMESTAMP_UNREADABLE),
        ("2024-13-01T00:00:00Z", Code.TIMESTAMP_UNREADABLE),
        ("2024-01-01T25:00:00Z", Code.TIMESTAMP_UNREADABLE),
        ("2024-01-01T00:00:60Z", Code.TIMESTAMP_UNREADABLE),
        ("yesterday", Code.TIMESTAMP_UNREADABLE),
        ("infinity", Code.TIMESTAMP_UNREADABLE),
        ("", Code.TIMESTAMP_MISSING),
        (None, Code.TIMESTAMP_MISSING),
        ("2024-01-01 00:00:00", Code.TIMESTAMP_NO_ZONE),
        ("2024-01-01T00:00:00+99:99", Code.TIMESTAMP_UNREADABLE),
        ("2024-01-01T00:00:00+01:75", Code.TIMESTAMP_UNREADABLE),
        ("9999-12-31T00:00:00Z", Code.TIMESTAMP_OUT_OF_RANGE),
        ("0001-01-01T00:00:00Z", Code.TIMESTAMP_OUT_OF_RANGE),
    ],
)
def test_what_is_no_time_is_refused(text: str | None, code: Code) -> None:
    assert nanos(text) == code


@pytest.mark.parametrize(
    ("text", "fmt", "expected"),
    [
        ("1704067200", "epoch_s", JAN_1),
        ("1704067200.25", "epoch_s", JAN_1 + SECOND // 4),
        ("1704067200123", "epoch_ms", JAN_1 + 123 * 10**6),
        ("1704067200123456789", "epoch_ns", JAN_1 + 123456789),
        ("-1", "epoch_s", -SECOND),
        ("1e9", "epoch_s", Code.TIMESTAMP_UNREADABLE),
        ("99999999999999999999", "epoch_ns", Code.TIMESTAMP_UNREADABLE),
        ("9999999999999", "epoch_s", Code.TIMESTAMP_OUT_OF_RANGE),
    ],
)
def test_epochs_lose_no_digit(text: str, fmt: str, expected: object) -> None:
    assert nanos(text, fmt) == expected


@pytest.mark.parametrize(
    ("text", "fmt"),
    [
        ("01.01.2024 00:00", "%d.%m.%Y %H:%M"),
        ("1/1/2024 12:00:00 AM", "%m/%d/%Y %I:%M:%S %p"),
        ("24/01/01", "%y/%m/%d"),
        ("1 Jan 2024", "%d %b %Y"),
        ("20240101:0000", "%Y%m%d:%H%M"),
        ("2024-01-01 00:00:00.000000000", "%Y-%m-%d %H:%M:%S.%f"),
        ("2024-01-01 02:00 +0200", "%Y-%m-%d %H:%M %z"),
    ],
)
def test_formats(text: str, fmt: str) -> None:
    assert nanos(text, fmt, "UTC") == JAN_1


def test_30_february_is_refused_and_not_moved_to_march() -> None:
    assert nanos("30.02.2024", "%d.%m.%Y", "UTC") == Code.TIMESTAMP_UNREADABLE


def test_local_hours_that_do_not_exist_or_exist_twice_are_refused() -> None:
    zone = "America/Los_Angeles"
    assert nanos("2010-03-14T02:00", zone=zone) == Code.TIMESTAMP_NONEXISTENT
    assert nanos("2010-11-07T01:30", zone=zone) == Code.TIMESTAMP_AMBIGUOUS
    earlier = nanos("2010-11-07T01:30", zone=zone, ambiguous="earlier")
    later = nanos("2010-11-07T01:30", zone=zone, ambiguous="later")
    assert isinstance(earlier, int)
    assert later == earlier + 3600 * SECOND


def test_an_offset_in_the_text_wins_over_the_zone() -> None:
    assert nanos("2024-01-01T00:00:00Z", zone="Asia/Tokyo") == JAN_1
    assert nanos("2024-01-01T09:00:00", zone="Asia/Tokyo") == JAN_1
    assert nanos("2024-01-01T01:00:00", zone="+01:00") == JAN_1


def test_unknown_directives_are_named() -> None:
    with pytest.raises(ValueError, match="%Q"):
        pattern("%Y-%Q")
    for fmt, words in [
        ("%Y %H:%H", "twice"),
        ("%d.%m. %H:%M", "no year"),
        ("%Y %H %p", "require each other"),
    ]:
        with pytest.raises(ValueError, match=words):
            pattern(fmt)
    with pytest.raises(ValueError, match="require each other"):
        pattern("%Y %I:%M")


@given(st.integers(-2_000_000_000, 7_000_000_000), st.integers(0, 999_999_999))
def test_any_instant_survives_being_written(seconds: int, fraction: int) -> None:
    value = seconds * SECOND + fraction
    text = pa.array([value], pa.int64()).cast(pa.timestamp("ns", tz="UTC")).cast(pa.string())[0]
    assert nanos(text.as_py().replace("Z", "+00:00")) == value
    assert nanos(str(value), "epoch_ns") == value


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_typed_timestamps_of_any_unit(unit: str) -> None:
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    zoned = pa.array([1704067200 * per, None], pa.int64()).cast(pa.timestamp(unit, tz="-07:00"))
    found = from_timestamps(zoned, Clock())
    assert found.ts.cast(pa.int64()).to_pylist() == [JAN_1, None]
    assert found.codes.tolist() == [0, Code.TIMESTAMP_MISSING.number]
    naive = zoned.cast(pa.int64()).cast(pa.timestamp(unit))
    assert from_timestamps(naive, Clock()).codes[0] == Code.TIMESTAMP_NO_ZONE.number


def test_typed_timestamps_far_away_are_refused_one_by_one() -> None:
    wild = pa.array([253402300800, 1704067200], pa.int64()).cast(pa.timestamp("s", tz="UTC"))
    assert from_timestamps(wild, Clock()).codes.tolist() == [Code.TIMESTAMP_OUT_OF_RANGE.number, 0]
