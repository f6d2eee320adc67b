"""The time range of a new partition, chosen from the rate of readings around it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sensorflow.core.partition_width import (
    DAY,
    DAY_FROM,
    NO_DAYS_FROM,
    NO_WEEKS_FROM,
    WEEK_FROM,
    Partition,
    Width,
    month_range,
    partition_name,
    partition_width,
    readings_per_day,
)

NOW = datetime(2026, 6, 11, 12, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def month(text: str, per_day: float) -> Partition:
    low, high = month_range(utc(text))
    return Partition(low, high, per_day * ((high - low) / DAY))


def chosen(time: str, *existing: Partition, count: int = 24) -> Width:
    return partition_width(None, utc(time), existing, count, NOW)


@pytest.mark.parametrize(
    ("per_day", "width"),
    [
        (1, Width.MONTH),
        (WEEK_FROM - 1, Width.MONTH),
        (WEEK_FROM + 1, Width.WEEK),
        (DAY_FROM - 1, Width.WEEK),
        (DAY_FROM + 1, Width.DAY),
    ],
)
def test_the_rate_of_the_month_before_chooses_the_width(per_day: float, width: Width) -> None:
    assert chosen("2026-06-11", month("2026-05-01", per_day)) is width


def test_a_range_without_a_known_rate_gets_a_month() -> None:
    assert chosen("2026-06-11") is Width.MONTH
    assert chosen("2026-06-11", month("2026-04-01", DAY_FROM * 2)) is Width.MONTH  # too far away
    assert chosen("2026-06-11", month("2026-05-01", 0)) is Width.MONTH  # no readings yet


def test_days_to_come_do_not_lower_the_rate() -> None:
    june = Partition(utc("2026-06-01"), utc("2026-07-01"), 1050)  # 10.5 days of it have passed
    assert readings_per_day(utc("2026-07-01"), [june], NOW) == pytest.approx(100)
    july = Partition(utc("2026-07-01"), utc("2026-08-01"), 5)
    assert readings_per_day(utc("2026-07-15"), [june, july], NOW) == pytest.approx(100)


def test_a_backfill_of_two_sparse_years_before_dense_days_makes_few_partitions() -> None:
    june = [
        Partition(utc("2026-06-01") + n * DAY, utc("2026-06-02") + n * DAY, 1e6) for n in range(10)
    ]
    made: list[Partition] = []
    day = utc("2026-06-01")
    while day > utc("2024-06-01"):
        day -= DAY
        if not any(one.low <= day < one.high for one in made):
            width = partition_width(None, day, [*june, *made], len(june) + len(made), NOW)
            low, high = month_range(day) if width is Width.MONTH else (day, day + DAY)
            made.append(Partition(low, high))
    assert len(made) == 31 + 23


def test_many_partitions_limit_even_a_width_of_the_settings() -> None:
    def width(count: int) -> Width:
        return partition_width(Width.DAY, NOW, (), count, NOW)

    assert width(NO_DAYS_FROM - 1) is Width.DAY
    assert width(NO_DAYS_FROM) is Width.WEEK
    assert width(NO_WEEKS_FROM) is Width.MONTH
    assert partition_width(Width.WEEK, NOW, (), NO_DAYS_FROM, NOW) is Width.WEEK


def test_the_first_and_the_last_month_of_the_calendar() -> None:
    assert month_range(utc("9999-12-31"))[1] == datetime.max.replace(tzinfo=UTC)
    for year in ("0001-01-01", "9999-12-01"):
        assert chosen(year, month("2026-05-01", DAY_FROM * 2)) is Width.MONTH


def test_names_of_time_ranges() -> None:
    def name(low: str, high: str) -> str:
        return partition_name(utc(low), utc(high))

    assert name("2026-02-01", "2026-03-01") == "2026-02"
    assert name("2026-02-08", "2026-02-15") == "2026-02-08..14"
    assert name("2026-12-22", "2027-01-01") == "2026-12-22..31"
    assert name("2026-02-28", "2026-03-01") == "2026-02-28"
    assert partition_name(NOW - timedelta(hours=12), NOW + timedelta(hours=12)) == "2026-06-11"
