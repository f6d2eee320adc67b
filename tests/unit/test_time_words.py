"""Times as loggers and markets write them: decimals, ends of intervals, zones by row, languages."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from sensorflow.core.times import rowzones, timeformats
from sensorflow.core.times.clock import Clock
from sensorflow.core.times.instants import parse
from sensorflow.core.times.monthnames import _NAMES, folded, months

NONE = "-"


def read(text: str, fmt: str, clock: Clock | None = None) -> str:
    """The instant, or its code."""
    found = parse(pa.array([text]), fmt, clock or Clock("UTC"))
    if found.codes[0]:
        return f"F{found.codes[0]}"
    nanos = int(found.ts.cast(pa.int64())[0].as_py())
    return datetime.fromtimestamp(nanos // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S") + (
        f".{nanos % 10**9:09d}".rstrip("0") if nanos % 10**9 else ""
    )


@pytest.mark.parametrize(
    ("text", "fmt", "expected"),
    [
        ("1998 1 0.5", "%Y %j %.H", "1998-01-01T00:30:00"),
        ("1998 1 0,5", "%Y %j %.H", "1998-01-01T00:30:00"),
        ("1998 1 .25", "%Y %j %.H", "1998-01-01T00:15:00"),
        ("1998 365 24.0", "%Y %j %.H", "1999-01-01T00:00:00"),
        ("1998 1 24.5", "%Y %j %.H", "F103"),
        ("1998 366.5", "%Y %.j", "F103"),
        ("1996 366.5", "%Y %.j", "1996-12-31T12:00:00"),
        ("1998 0.5", "%Y %.j", "F103"),
        ("2026-02-28.75", "%Y-%m-%.d", "2026-02-28T18:00:00"),
        ("2024.5", "decimal_year", "2024-07-02T00:00:00"),
        ("2023.5", "%.Y", "2023-07-02T12:00:00"),
        ("2026-01-31 30.5", "%Y-%m-%d %.M", "2026-01-31T00:30:30"),
        ("2026-01-31 1441", "%Y-%m-%d %.M", "F103"),
        ("2026-01-31 12 60", "%Y-%m-%d %H %.M", "F103"),
        ("2026-01-31 86399.000000001", "%Y-%m-%d %.S", "2026-01-31T23:59:59.000000001"),
        ("2026-01-31 12:00:00,25", "%Y-%m-%d %H:%M:%S", "2026-01-31T12:00:00.25"),
        ("2026-01-31 12:00:00.25", "%Y-%m-%d %H:%M:%S.%f", "2026-01-31T12:00:00.25"),
        ("2026-01-31T12.5", "iso8601", "2026-01-31T12:30:00"),
        ("2026-01-31T12:30,25", "iso8601", "2026-01-31T12:30:15"),
        ("2026-01-31T12:30:00.123456789Z", "iso8601", "2026-01-31T12:30:00.123456789"),
        ("738000.5", "matlab", "2020-07-28T12:00:00"),
        ("60000.5", "mjd", "2023-02-25T12:00:00"),
        ("2460000.5", "julian", "2023-02-25T00:00:00"),
        ("43598.5", "excel_1904", "2023-05-14T12:00:00"),
        ("1.514912345678E+12", "epoch_ms", "2018-01-02T16:59:05.678"),
        ("1.5149E+12", "epoch_ms", "F103"),
        ("1.5149E-12", "epoch_ms", "F103"),
        ("31/01/2026 3:05 p. m.", "%d/%m/%Y %I:%M %p", "2026-01-31T15:05:00"),
        ("31/01/2026 12:05 a.m.", "%d/%m/%Y %I:%M %p", "2026-01-31T00:05:00"),
        ("31/01/2026 3:05\u202fPM", "%d/%m/%Y %I:%M %p", "2026-01-31T15:05:00"),
        ("31/01/2026 3:05 p.\u00a0m.", "%d/%m/%Y %I:%M %p", "2026-01-31T15:05:00"),
    ],
)
def test_a_time_is_read_exactly_or_refused(text: str, fmt: str, expected: str) -> None:
    assert read(text, fmt) == expected


def test_zeros_that_were_left_out_of_an_epoch_are_read_where_the_profile_says_so() -> None:
    assert read("1.5149E12", "epoch_ms", Clock(trimmed=True)) == "2018-01-02T13:33:20"


def test_days_since_a_date_further_off_than_nanoseconds_reach() -> None:
    since = int(np.datetime64("1800-01-01", "ns").astype(np.int64))
    assert read("82500.5", "epoch_d", Clock(since=since)) == "2025-11-17T12:00:00"


@pytest.mark.parametrize("locale", list(_NAMES))
def test_every_name_of_a_month_is_that_month_in_any_case(locale: str) -> None:
    for row in _NAMES[locale].split("|"):
        for month, name in enumerate(row.split(), 1):
            for text in (name, name.upper(), f"{name}.", name.capitalize()):
                if name != NONE:
                    found = read(f"5 {text} 2026", "%d %b %Y", Clock("UTC", locale=locale))
                    assert found == f"2026-{month:02d}-05T00:00:00", text


@pytest.mark.parametrize(
    ("locale", "text", "month"),
    [
        ("de", "Jänner", 1),
        ("de", "Mrz", 3),
        ("fr", "aout", 8),
        ("es", "septiembre", 9),
        ("it", "giu", 6),
        ("pt", "fev.", 2),
        ("nl", "mrt", 3),
        ("sv", "maj", 5),
        ("da", "marts", 3),
        ("no", "des.", 12),
        ("fi", "heinäkuuta", 7),
        ("pl", "lutego", 2),
        ("cs", "ČERVENCE", 7),
        ("tr", "KASIM", 11),
        ("ru", "мая", 5),
        ("el", "ΑΥΓΟΥΣΤΟΥ", 8),
    ],
)
def test_names_as_files_have_them(locale: str, text: str, month: int) -> None:
    found = read(f"5 {text} 2026", "%d %B %Y", Clock("UTC", locale=locale))
    assert found == f"2026-{month:02d}-05T00:00:00"


def test_no_name_stands_for_two_months() -> None:
    for locale, text in _NAMES.items():
        rows = [row.split() for row in text.split("|")]
        assert {len(row) for row in rows} == {12}, locale
        for row in rows:
            for month, name in enumerate(row, 1):
                assert name == NONE or months(locale)[folded(name)] == month, (locale, name)


def test_a_name_of_another_language_is_refused() -> None:
    assert read("1 Feb 2026", "%d %b %Y", Clock("UTC", locale="fr")) == "F103"
    assert read("31mars2026", "%d%b%Y", Clock("UTC", locale="fr")) == "2026-03-31T00:00:00"
    assert read("1/2/2026 3:00 μ.μ.", "%d/%m/%Y %I:%M %p", Clock("UTC", locale="el")) == (
        "2026-02-01T15:00:00"
    )


BERLIN, HOUR = "Europe/Berlin", 3600 * 10**9


@pytest.mark.parametrize(
    ("text", "clock", "expected"),
    [
        ("2026-03-29 03:00", Clock(BERLIN, shift=-HOUR), "2026-03-29T00:00:00"),
        ("2026-03-29 02:00", Clock(BERLIN, clock_shift=-HOUR), "2026-03-29T00:00:00"),
        ("2026-03-29 03:00", Clock(BERLIN, clock_shift=-HOUR), "F105"),
        ("2026-10-25 24:00", Clock(BERLIN, clock_shift=-HOUR), "2026-10-25T22:00:00"),
        ("2026-01-31 12:00Z", Clock(BERLIN, clock_shift=-HOUR), "2026-01-31T11:00:00"),
        ("2026-01-31 12:00Z", Clock(None, shift=-HOUR), "2026-01-31T11:00:00"),
        ("2026-01-31 12:29:59.6", Clock("UTC", round_to=60 * 10**9), "2026-01-31T12:30:00"),
    ],
)
def test_ends_of_intervals_become_their_beginnings(text: str, clock: Clock, expected: str) -> None:
    assert read(text, "iso8601", clock) == expected
    if "." not in text:
        fmt = "%Y-%m-%d %H:%M%z" if "Z" in text else "%Y-%m-%d %H:%M"
        assert read(text, fmt, clock) == expected


@pytest.mark.parametrize(
    ("flag", "zone", "text", "expected"),
    [
        (1, BERLIN, "2026-10-25 02:30", "2026-10-25T00:30:00"),
        (0, BERLIN, "2026-10-25 02:30", "2026-10-25T01:30:00"),
        (-1, BERLIN, "2026-10-25 02:30", "F106"),
        (-1, BERLIN, "2026-07-25 02:30", "2026-07-25T00:30:00"),
        (0, BERLIN, "2040-10-28 02:30", "2040-10-28T01:30:00"),
        (1, "+01:00", "2026-07-25 02:30", "2026-07-25T00:30:00"),
        (0, "+01:00", "2026-07-25 02:30", "2026-07-25T01:30:00"),
        (-1, "+01:00", "2026-07-25 02:30", "F106"),
    ],
)
def test_a_flag_tells_the_hours_that_exist_twice_apart(
    flag: int, zone: str, text: str, expected: str
) -> None:
    clock = Clock(zone, dst=np.array([flag], np.int8))
    assert read(text, "%Y-%m-%d %H:%M", clock) == expected


def test_flags_go_with_their_rows_through_a_list_of_formats() -> None:
    texts = pa.array(["25.10.2026 02:30", "2026-10-25 02:30", "25.10.2026 02:30"])
    clock = Clock(BERLIN, dst=np.array([1, 0, 0], np.int8))
    found = parse(texts, ("%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M"), clock)
    hours = [t.hour for t in found.ts.cast(pa.timestamp("us", "UTC")).to_pylist()]
    assert hours == [0, 1, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("+02:00", "+02:00"),
        ("-5", "-5"),
        ("MEZ", "+01:00"),
        ("est", "-05:00"),
        ("CET", None),
        ("120", None),
        ("Mars/Olympus", None),
        (None, None),
    ],
)
def test_a_cell_names_a_zone_or_is_refused(text: str | None, expected: str | None) -> None:
    assert rowzones.zone_of(text, {"MEZ": "+01:00"}) == expected


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S %Z", "%Y-%m-%d %I:%M:%S%p"]
)
def test_seconds_have_decimals_before_a_zone_too(form: str) -> None:
    ends = {"z": "+0100", "Z": " CET", "p": "am"}
    text = f"2024-01-01 10:29:50.439{ends[form[-1]]}"
    assert re.fullmatch(timeformats.pattern(form), text)
    assert re.fullmatch(timeformats.pattern(form), text.replace(".439", ""))


def test_a_zone_is_read_once_however_many_texts_name_it() -> None:
    texts = [f"Z{n}" for n in range(1000)] + [
        "+01:00",
        "+1",
        " UTC+01",
        "MEZ",
        "Europe/Berlin",
        None,
    ]
    zones = rowzones.zones_of(pa.array([*texts, "+01:00"], pa.string()), {"MEZ": "+01:00"})
    found = {name: rows.tolist() for name, rows in zones.groups()}
    assert found == {
        None: [*range(1000), 1005],
        "+01:00": [1000, 1001, 1002, 1003, 1006],
        "Europe/Berlin": [1004],
    }
