"""What is proposed for a file is read by the true way: each guess shows in what comes out of it."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sensorflow.cli import app, commands
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.sniff import head, sniff
from sensorflow.errors import UsageError
from sensorflow.flow.check import Checked, check
from sensorflow.flow.sniff import Proposal, guess

ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("SENSORFLOW_REAL_DATA", ROOT.parent / "shared" / "real-data"))
START = datetime(2023, 3, 5, 22)  # noqa: DTZ001 (loggers have no zone)


def times(count: int = 24, minutes: int = 60, form: str = "%Y-%m-%d %H:%M:%S") -> list[str]:
    return [f"{START + timedelta(minutes=minutes * i):{form}}" for i in range(count)]


def proposed(data: str | bytes, zone: str | None = None) -> Proposal:
    raw = data if isinstance(data, bytes) else data.encode()
    return Proposal(sniff(io.BytesIO(raw), zone))


def read(data: str | bytes, zone: str | None = "UTC", name: str = "tower7.csv") -> Checked:
    raw = data if isinstance(data, bytes) else data.encode()
    profile = proposed(raw, zone).profile()
    found = check(io.BytesIO(raw), name, ("sniffed", profile), FilePath(name, name), Drift(), 10)
    assert found.error is None, found.error
    return found


def rows(header: str, row: str, stamps: list[str]) -> str:
    """A table: `row` has {t} for the time and {i} for the row's number."""
    return header + "".join(row.format(t=t, i=i) + "\n" for i, t in enumerate(stamps))


def test_a_plain_wide_table_and_its_file_name_as_sensor() -> None:
    found = read(rows("time,temp,hum\n", "{t},2{i}.5,40", times()))
    assert (found.rows, found.valid, found.rejected) == (24, 48, 0)
    assert found.types == {"temp": 24, "hum": 24}
    assert list(found.sensors) == ["tower7"]


@pytest.mark.parametrize("sign", [";", "\t", "|", ","])
def test_the_delimiter_is_the_one_that_cuts_all_lines_alike(sign: str) -> None:
    text = rows("time,temp,hum\n", "{t},2{i}.5,40", times()).replace(",", sign)
    assert read(text).types == {"temp": 24, "hum": 24}


def test_runs_of_spaces_with_date_and_clock_apart() -> None:
    found = read(rows("date time temp\n", "{t}   2{i}.5", times()))
    assert found.types == {"temp": 24}


def test_one_title_over_date_and_clock() -> None:
    assert read(rows("when temp\n", "{t} 2{i}.5", times())).types == {"temp": 24}


def test_decimal_commas_and_a_degree_sign_in_the_windows_encoding() -> None:
    text = rows("Zeit;Luft [°C]\n", "{t};2{i},5", times(form="%d.%m.%Y %H:%M"))
    found = read(text.encode("cp1252"))
    assert found.types == {"Luft": 24}
    assert found.units == {"Luft": "°C"}
    assert found.first is not None
    assert found.first[3] == 20.5


def test_a_byte_order_mark_tells_the_encoding() -> None:
    text = rows("time,temp\n", "{t},2{i}.5", times())
    assert read(text.encode("utf-16")).valid == 24
    assert "encoding" not in proposed(text.encode("utf-16")).toml()


def test_thousands_only_where_both_signs_stand() -> None:
    sure = rows("time,flow\n", '{t},"1,0{i:02}.5"', times())
    assert read(sure).first[3] == 1000.5  # type: ignore[index]


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("%d/%m/%Y %H:%M", "2023-03-05T22:00"),
        ("%m/%d/%Y %I:%M:%S %p", "2023-03-05T22:00"),
        ("%y/%m/%d %H:%M", "2023-03-05T22:00"),
        ("%d.%m.%y %H:%M", "2023-03-05T22:00"),
        ("%d-%b-%Y %H:%M:%S", "2023-03-05T22:00"),
        ("%B %d, %Y %H:%M", "2023-03-05T22:00"),
        ("%a %b %d, %Y %H:%M", "2023-03-05T22:00"),
        ("%Y%m%d%H%M", "2023-03-05T22:00"),
        ("%Y%m%dT%H%M%SZ", "2023-03-05T22:00"),
        ("%Y-%j %H:%M", "2023-03-05T22:00"),
        ("%H:%M:%S %d/%m/%Y", "2023-03-05T22:00"),
        ("%Y-%m-%d %H:%M:%S EST", "2023-03-06T03:00"),
    ],
)
def test_dates_in_the_order_by_which_time_passes_evenly(form: str, first: str) -> None:
    found = read(rows("time,temp\n", '"{t}",2{i}.5', times(200, 60, form)))
    assert (found.valid, found.rejected) == (200, 0)
    assert found.span.low is not None
    assert found.span.low.isoformat().startswith(first)


def test_a_midnight_without_its_clock() -> None:
    stamps = [t.removesuffix(" 00:00") for t in times(200, 60, "%m/%d/%Y %H:%M")]
    assert read(rows("time,temp\n", "{t},2{i}.5", stamps)).rejected == 0


def test_a_day_and_month_that_nothing_tells_apart_are_left_to_a_person() -> None:
    text = rows("time,temp\n", "{t},2{i}.5", times(10, 1, "%d/%m/%Y %H:%M"))
    assert "TODO: the dates fit both %d/%m/%Y %H:%M and %m/%d/%Y %H:%M" in proposed(text).toml()
    titled = text.replace("time", "Date (MM/DD/YYYY)")
    assert "%m/%d/%Y %H:%M" in proposed(titled).toml()
    assert "TODO: the dates" not in proposed(titled).toml()


@pytest.mark.parametrize(("unit", "size"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_epochs_by_their_digits_need_no_zone(unit: str, size: int) -> None:
    text = rows("ts,temp\n", "{t},2{i}.5", [str((1678053600 + i) * size) for i in range(20)])
    toml = proposed(text).toml()
    assert f'format = "epoch_{unit}"' in toml
    assert "zone" not in toml
    assert read(text, None).valid == 20


def test_numbers_that_look_like_dates_are_dates() -> None:
    text = rows("MESS_DATUM;TT\n", "{t};2{i}.5", times(30, 60, "%Y%m%d%H"))
    assert read(text).span.low.isoformat() == "2023-03-05T22:00:00+00:00"  # type: ignore[union-attr]


def test_a_column_for_each_part_of_the_time() -> None:
    stamps = times(60, 30, "%Y,%m,%d,%H,%M")
    found = read(rows("year,month,day,hour,min,temp\n", "{t},2{i}.5", stamps))
    assert found.types == {"temp": 60}
    nameless = read(rows("", "{t},2{i}.5", stamps))
    assert nameless.valid == 60


def test_day_of_the_year_and_hours_without_zeros() -> None:
    moments = [START + timedelta(minutes=10 * i) for i in range(300)]
    stamps = [f"{m.year},{m.timetuple().tm_yday},{m.hour * 100 + m.minute}" for m in moments]
    found = read(rows("Year,DOY,HHMM,temp\n", "{t},2{i}.5", stamps))
    assert (found.valid, found.rejected, found.distinct) == (300, 0, 300)


def test_date_and_clock_in_two_columns_of_which_one_is_redundant() -> None:
    text = rows("Date,Time,Hour,temp\n", "{t},2,2{i}.5", times(form="%d/%m/%Y,%H:%M:%S"))
    assert read(text).types == {"temp": 24}


def test_offsets_by_abbreviation_in_a_column_of_their_own() -> None:
    toml = proposed(rows("datetime,tz_cd,flow\n", "{t},EST,2{i}.5", times())).toml()
    assert 'columns = ["datetime", "tz_cd"]' in toml
    assert "zone" not in toml


def test_a_zone_is_never_guessed() -> None:
    text = rows("time,temp\n", "{t},2{i}.5", times())
    bare = proposed(text)
    assert bare.guess.needs_zone
    assert '# zone = "..."  # TODO' in bare.toml()
    assert bare.profile().time.zone is None  # type: ignore[union-attr]
    toml = proposed(text, "America/Los_Angeles").toml()
    assert 'zone = "America/Los_Angeles"' in toml
    assert 'ambiguous = "order"' in toml
    with pytest.raises(UsageError, match="did you mean 'Europe/Berlin'"):
        proposed(text, "Europe/Berln")


def test_a_zone_that_the_file_states_is_taken() -> None:
    text = rows("time (UTC),temp\n", "{t},2{i}.5", times())
    assert read(text, None).valid == 24
    above = "Logger A\nTime zone: UTC+2\n" + rows("time,temp\n", "{t},2{i}.5", times())
    assert 'zone = "+02:00"' in proposed(above).toml()


def test_lines_before_the_header_and_the_name_in_them() -> None:
    text = "Report\nSerial Number: 4711\n\n" + rows("time,temp\n", "{t},2{i}.5", times())
    found = read(text)
    assert found.types == {"temp": 24}
    assert list(found.sensors) == ["4711"]


def test_comments_before_the_header_and_a_header_that_is_one() -> None:
    plain = "# a\n# b\n" + rows("time,temp\n", "{t},2{i}.5", times())
    assert read(plain).types == {"temp": 24}
    marked = "# a\n# b\n" + rows("# time,temp\n#\n", "{t},2{i}.5", times())
    assert read(marked).types == {"temp": 24}


def test_lines_after_the_table_and_headers_that_come_again() -> None:
    half = rows("time,temp\n", "{t},2{i}.5", times())
    found = read(half + half + "END OF DATA\n")
    assert (found.rows, found.rejected) == (48, 0)


def test_rows_of_units_and_of_how_they_were_made() -> None:
    head = "time,temp,wind\n,°C,m/s\n,Avg,Max\n"
    found = read(rows(head, "{t},2{i}.5,3", times()))
    assert found.units == {"temp": "°C", "wind": "m/s"}


def test_sensors_over_types() -> None:
    head = "Time,A1,A1,B2,B2\nTime,no2,pm10,no2,pm10\n"
    found = read(rows(head, "{t},1,2,3,{i}", times()))
    assert sorted(found.sensors) == ["A1", "B2"]
    assert found.types == {"no2": 48, "pm10": 48}


@pytest.mark.parametrize(
    ("title", "kind", "unit"),
    [
        ("Temp (degC)", "Temp", "degC"),
        ("POA [W/m²]", "POA", "W/m²"),
        ('"Depth, ft"', "Depth", "ft"),
        ("Depth (ft) (123456)", "Depth", "ft"),
        ("Q ()", "Q", ""),
        ("G(i)", "G(i)", ""),
        ("temp_min", "temp_min", ""),
    ],
)
def test_units_in_titles(title: str, kind: str, unit: str) -> None:
    assert read(rows(f"time,{title}\n", "{t},2{i}.5", times())).units == {kind: unit}


def test_units_in_cells() -> None:
    found = read(rows("time,temp\n", "{t},2{i}.5 °C", times()))
    assert found.units == {"temp": "°C"}


def test_a_table_without_a_header() -> None:
    text = rows("", "{t},2{i}.5,40", times())
    assert read(text).valid == 48
    assert "TODO: there is no header" in proposed(text).toml()


def test_a_header_without_a_title_for_the_row_numbers() -> None:
    text = rows('"date","temp"\n', '"{i}","{t}",2{i}.5', times())
    assert read(text).types == {"temp": 24}


def test_texts_among_numbers_are_markers_of_none() -> None:
    stamps = times(30)
    text = "time,a,b\n" + "".join(
        f"{t},{'NaN' if i % 5 == 0 else i},{'---' if i % 7 == 0 else i}\n"
        for i, t in enumerate(stamps)
    )
    found = read(text)
    assert (found.missing, found.rejected) == (6 + 5, 0)


def test_numbers_far_outside_are_markers_and_others_are_not() -> None:
    low = "time,a,b\n" + "".join(
        f"{t},{-9999 if i % 5 == 0 else i},{i * 100}\n" for i, t in enumerate(times(30))
    )
    assert read(low).missing == 6
    wind = "time,dir,press\n" + "".join(
        f"{t},{9999 if i % 5 == 0 else i},{9990 + i}\n" for i, t in enumerate(times(30))
    )
    assert read(wind).missing == 6  # of dir: in press the same number is a value
    honest = "time,a\n" + "".join(f"{t},{-99 + i}\n" for i, t in enumerate(times(30)))
    assert read(honest).missing == 0


def test_a_row_is_a_reading_where_a_column_names_its_type() -> None:
    text = "time,station,parameter,value,unit,note\n" + "".join(
        f"{t},S{s},{kind},{i}.5,{unit},x\n"
        for i, t in enumerate(times())
        for s in (1, 2)
        for kind, unit in (("temp", "C"), ("hum", "%"))
    )
    found = read(text)
    assert found.types == {"temp": 48, "hum": 48}
    assert found.units == {"temp": "C", "hum": "%"}
    assert sorted(found.sensors) == ["S1", "S2"]


def test_columns_together_tell_apart_what_was_measured_at_once() -> None:
    text = "time,host,hop,delay\n" + "".join(
        f"{t},example.org,{hop},{i}.5\n" for i, t in enumerate(times()) for hop in (1, 2, 3)
    )
    found = read(text)
    assert found.distinct == found.valid == 72
    assert "example.org/2" in found.sensors


def test_counters_flags_names_and_remarks_are_no_readings() -> None:
    text = rows("RECORD,time,temp,temp_qc,station_id,note\n", "{i},{t},2{i}.5,1,77,fine", times())
    found = read(text)
    assert found.types == {"temp": 24}
    assert list(found.sensors) == ["77"]


@pytest.mark.parametrize(
    ("data", "extends"),
    [
        ("100,NEM12,200405011135,A,B\n200,X,E1,1,E1,N1,M,kWh,30,\n", "nem12"),
        ("cpu,host=a load=1.5 1678053600000000000\n", "influx"),
        ('[{"bn":"urn:x:","bt":1276020076,"n":"a","u":"V","v":1}]', "senml"),
        ('"TOA5","S","CR1000"\n"TIMESTAMP","T"\n"TS","C"\n"","Avg"\n"2023-01-01 00:00:00",1\n', "toa5"),
        ("#YY  MM DD hh mm WDIR\n#yr  mo dy hr mn degT\n2018 08 01 15 10 160\n", "ndbc"),
        (',result,table,_time,_value,_field,_measurement\n,,0,2023-01-01T00:00:00Z,1,f,m\n', "influx-csv"),
    ],
)  # fmt: skip
def test_files_that_say_what_they_are(data: str, extends: str) -> None:
    assert f'extends = "{extends}"' in proposed(data).toml()
    assert proposed(data, "UTC").profile()


def test_line_protocol_in_other_units_of_time() -> None:
    assert read("cpu,host=a load=1.5 1678053600\n", None).valid == 1


def test_json_lines() -> None:
    lines = [{"ts": 1678053600 + i, "dev": {"id": "a"}, "p": {"t": 1.5 + i}} for i in range(9)]
    found = read("".join(json.dumps(line) + "\n" for line in lines), None)
    assert found.types == {"t": 9}
    assert list(found.sensors) == ["a"]


def test_records_deep_in_a_document_that_is_named_above_them() -> None:
    document = {
        "device": {"eui": "0102"},
        "data": [{"at": t, "v": {"temp": i, "ok": True}} for i, t in enumerate(times())],
    }
    found = read(json.dumps(document))
    assert found.types == {"temp": 24}
    assert list(found.sensors) == ["0102"]


def test_a_document_of_columns_with_units_beside_them() -> None:
    document = {"units": {"time": "iso", "temp": "°C"}, "h": {"time": times(), "temp": [1] * 24}}
    assert read(json.dumps(document)).units == {"temp": "°C"}


def test_a_document_longer_than_what_is_read() -> None:
    records = [{"time": t, "temp": i} for i, t in enumerate(times(30_000, 1))]
    text = json.dumps({"site": "x", "data": records})
    assert len(text) > head.LIMIT
    assert read(text).valid == 30_000


def test_a_workbook_whose_second_sheet_holds_the_table() -> None:
    book = openpyxl.Workbook()
    book.active.append(["About this file"])
    sheet = book.create_sheet("data")
    sheet.append(["Plot title"])
    sheet.append(["Date", "Temp (C)"])
    for i in range(10):
        sheet.append([START + timedelta(hours=i), 20 + i])
    data = io.BytesIO()
    book.save(data)
    assert read(data.getvalue()).units == {"Temp": "C"}


def test_parquet() -> None:
    table = pa.table({
        "at": pa.array([START + timedelta(hours=i) for i in range(5)], pa.timestamp("us", "UTC")),
        "temp": pa.array([1.5, None, 2.5, 3.5, 4.5], pa.float32()),
        "name": ["a"] * 5,
    })  # fmt: skip
    data = io.BytesIO()
    pq.write_table(table, data)
    assert read(data.getvalue(), None).valid == 4


def test_what_is_packed_is_looked_into() -> None:
    text = rows("time,temp\n", "{t},2{i}.5", times())
    assert read(gzip.compress(text.encode())).valid == 24
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("readme.md", "about")
        archive.writestr("data [1].csv", text)
    assert read(data.getvalue()).valid == 24


def test_only_the_beginning_is_read() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    stream = Counted(rows("time,temp\n", "{t},2{i}.5", times(1000)).encode() * 100)
    sniff(stream)
    assert stream.taken < 2 * head.LIMIT


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (bytes(range(256)) * 20, "neither text nor"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "NetCDF"),
        (b"<html><body></body></html>", "the file is HTML"),
        (b"<?xml version='1.0'?>\n<a><b>1</b></a>", 'format = "xml"'),
        (b"Just a letter.\nWith two lines, or three.\n", "no table"),
        (b"a,b\n1,2\n3,4\n5,6\n", "no column contains readable times"),
        (b"time,note\n2023-01-01T00:00:00Z,fine\n2023-01-01T01:00:00Z,good\n", "no column of numbers"),
        (b'{"a": ', "JSON"),
        (b'{"a": [1, 2]}', "no list of records"),
        (b"PAR1 but not quite", "not a Parquet file"),
        (b"\x1f\x8b\x08\x00broken", "gzip is broken"),
        (b"PK\x03\x04broken", "zip is broken"),
    ],
)  # fmt: skip
def test_a_file_for_which_nothing_can_be_proposed(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        guess(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def run(*arguments: str) -> str:
    commands.register(app)
    result = CliRunner().invoke(app, ["sniff", *arguments], catch_exceptions=False)
    return result.output


def test_the_command_prints_toml_and_a_preview(tmp_path: Path) -> None:
    import tomllib

    path, out = tmp_path / "tower.csv", tmp_path / "tower.toml"
    path.write_text(rows("time,temp (C)\n", "{t},2{i}.5", times()) + "2023-04-01 00:00:00,warm\n")
    printed = run(str(path), "--zone", "+01:00", "--out", str(out))
    assert tomllib.loads(printed) == tomllib.loads(out.read_text())
    assert "25 rows: 24 readings, 0 missing cells, 1 rejected" in printed
    assert "first: 2023-03-05T21:00:00+00:00  tower  temp = 20.5 C" in printed
    assert "'warm' is not a number" in printed
    with pytest.raises(UsageError, match="already exists"):
        run(str(path), "--out", str(out))


def test_without_a_zone_the_command_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "tower.csv"
    path.write_text(rows("time,temp\n", "{t},2{i}.5", times()))
    printed = run(str(path))
    assert "assuming UTC (give --zone)" in printed
    assert "24 readings" in printed


ZONES = {
    "ams_airbox_3_header_rows.csv": "UTC",
    "cams_radiation_1min.csv": "UTC",
    "cgm_glucose_dups.csv": "UTC",
    "nab_ambient_temperature.csv": "UTC",
    "nab_machine_temperature.csv": "UTC",
    "pv_snow_units_in_header.csv": "-07:00",
    "pvgis_hourly_2013.json": "UTC",
    "vega_seattle_temps_dst.csv": "America/Los_Angeles",
}
MORE = {"psm4_2023_5min.csv", "pv_snow_units_in_header.csv", "pvgis_hourly_2013.json",
        "tmy3_723170TYA.CSV"}  # fmt: skip
"""Files of which a person took some of the columns; all are proposed."""
BEYOND = {"quoted_newlines_epoch_ms.csv"}
"""Texts of a log, with numbers among them that no guess can know for what they are."""
EXPECTED = json.loads((REAL / "expected.json").read_text()) if REAL.is_dir() else {}


@pytest.mark.skipif(not EXPECTED, reason="no real files here")
@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - BEYOND))
def test_real_files(name: str) -> None:
    path, expected = REAL / "files" / name, EXPECTED[name]
    profile = guess(path, ZONES.get(name)).profile()
    with path.open("rb") as stream:
        checked = check(stream, name, ("sniffed", profile), FilePath(name, name), Drift(), 10)
    found = checked.as_dict()
    keys = ["rows", "rejected", "tmin", "tmax"]
    if name in MORE:
        assert expected["types"].items() <= found["types"].items()
    else:
        keys += ["valid", "missing", "distinct", "out_of_order"]
        assert sorted(found["types"].values()) == sorted(expected["types"].values())
        assert found["sum"] == pytest.approx(expected["sum"])
    assert {k: found[k] for k in keys} == {k: expected[k] for k in keys}
