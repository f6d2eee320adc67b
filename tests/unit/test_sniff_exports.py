"""Exports as loggers write them: what sniffing proposes reads all readings, and nothing else."""

from __future__ import annotations

import io
import math
from datetime import datetime, timedelta
from typing import Any

import pytest

from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.sniff import filename, sniff
from sensorflow.flow.check import Checked, check
from sensorflow.flow.sniff import Proposal

START = datetime(2024, 3, 5, 22, 10)  # noqa: DTZ001 (loggers have no zone)
COUNT = 48


def times(form: str = "%Y-%m-%d %H:%M:%S", minutes: int = 30, count: int = COUNT) -> list[str]:
    return [f"{START + timedelta(minutes=minutes * i):{form}}" for i in range(count)]


def value(i: int, base: float = 20.0, digits: int = 2) -> str:
    return f"{base + 3 * math.sin(i / 5) + 0.01 * (i * 7 % 13):.{digits}f}"


def rows(row: str, stamps: list[str] | None = None) -> str:
    """`row` has {t} for the time, {i} for the row's number, {a} {b} {c} for values, {x} {y} with commas."""
    out = []
    for i, t in enumerate(times() if stamps is None else stamps):
        a, b, c = value(i), value(i, 50), value(i, 7)
        comma = {"x": a.replace(".", ","), "y": b.replace(".", ",")}
        out.append(row.format(t=t, i=i, a=a, b=b, c=c, **comma) + "\n")
    return "".join(out)


def proposal(text: str | bytes, name: str) -> Proposal:
    raw = text if isinstance(text, bytes) else text.encode()
    return Proposal(sniff(io.BytesIO(raw), "UTC", name))


def read(text: str | bytes, name: str = "tower.csv") -> Checked:
    raw = text if isinstance(text, bytes) else text.encode()
    profile = proposal(raw, name).profile()
    found = check(io.BytesIO(raw), name, ("sniffed", profile), FilePath(name, name), Drift(), 5)
    assert found.error is None, found.error
    assert found.rejected == 0, found.rejects
    return found


def pairs(stamps: list[str], row: str) -> str:
    return "".join(row.format(t=t, i=i, a=value(i), b=value(i, 50)) for i, t in enumerate(stamps))


PLACES = "time,lat,lon,elevation,temp\n" + rows("{t},52.123,13.456,34,{a}")
STATIONS = "station,time,lat,lon,temp\n" + rows("A,{t},52.1,13.4,{a}\nB,{t},53.1,14.4,{b}")
MOVING = "time,lat,lon,temp\n" + rows("{t},52.{i:03},13.{i:03},{a}")
FLAGS = "time,temp,temp_flag,QC hum,hum,Air_q,Air\n" + rows("{t},{a},1,2,{b},0,{c}")
MIDAS = "ob_time,id,speed,speed_q,rec_type\n" + rows("{t},03772,{a},1,3")
DWD = "STATIONS_ID;MESS_DATUM;QN_9;TT_TU;eor\n" + rows(
    "   433;{t};  3;{a};eor", times("%Y%m%d%H", 60)
)
ASOS = "station,valid,lon,lat,tmpf,p01i\n" + rows("AMW,{t},-93.62,41.99,{a},M")
AIR_QUALITY = "sensor_id;sensor_type;location;lat;lon;timestamp;P1;durP1;P2\n" + rows(
    "12345;SDS011;6543;48.1;9.4;{t};{a};;{c}", times("%Y-%m-%dT%H:%M:%S")
)
WATER = "SamplingStart;SamplingEnd;FlaskId;InletHeight;sf6\n" + rows(
    "{t};2024-04-01 00:00;{i}7;98;{a}"
)
SETTINGS = "time;Position;SerialNumber;Trend_Period;V12\n" + rows("{t};0;2060302;60;{x}")
PADDED = "Datum,Filter,Stand\n" + rows("{t},001,{a}")
DAYS = "date,time,DOY,day_frac,U,U_qc\n" + rows(
    "{t},65.{i:03},0.{i:03},{a},0", times("%Y-%m-%d,%H:%M")
)


@pytest.mark.parametrize(
    ("text", "types", "sensors"),
    [
        (PLACES, ["temp"], ["tower"]),
        (STATIONS, ["temp"], ["A", "B"]),
        (MOVING, ["lat", "lon", "temp"], ["tower"]),
        (FLAGS, ["temp", "hum", "Air"], ["tower"]),
        (MIDAS, ["speed"], ["03772"]),
        (DWD, ["TT_TU"], ["433"]),
        (ASOS, ["tmpf"], ["AMW"]),
        (AIR_QUALITY, ["P1", "P2"], ["12345"]),
        (WATER, ["sf6"], ["tower"]),
        (SETTINGS, ["V12"], ["2060302"]),
        (PADDED, ["Stand"], ["tower"]),
        (DAYS, ["U"], ["tower"]),
    ],
)  # fmt: skip
def test_what_is_no_reading_is_left_out(text: str, types: list[str], sensors: list[str]) -> None:
    found = read(text)
    assert list(found.types) == types
    assert sorted(found.sensors) == sensors


def test_what_is_left_out_is_said_with_its_reason() -> None:
    text = proposal(PLACES, "tower.csv").toml()
    assert "ignored: lat, lon, elevation: a position that does not change" in text


def test_places_and_flags_are_readings_where_a_file_has_nothing_else() -> None:
    found = read("time,status\n" + rows("{t},3"))
    assert found.valid == COUNT


LONG = rows("{t},node1,temp,{a}\n{t},node1,hum,{b}\n{t},node2,temp,{c}\n{t},node2,hum,{a}")
AIRNOW = rows("{t}|000010102|Hill|-4|OZONE|PPB|{b}|County\n{t}|000010102|Hill|-4|PM2.5|UG/M3|{a}|County\n"
              "{t}|840090011|Lake|-5|OZONE|PPB|{c}|State", times("%m/%d/%y|%H:00", 60))  # fmt: skip
ONE_BY_ONE = rows("{t}:00,temp,{a}\n{t}:30,hum,{b}", times("%Y-%m-%d %H:%M"))


@pytest.mark.parametrize(
    ("text", "types", "sensors"),
    [
        (LONG, ["temp", "hum"], ["node1", "node2"]),
        (AIRNOW, ["OZONE", "PM2.5"], ["000010102", "840090011"]),
        (ONE_BY_ONE, ["temp", "hum"], ["tower"]),
    ],
)
def test_a_long_table_without_a_header(text: str, types: list[str], sensors: list[str]) -> None:
    found = read(text)
    assert (list(found.types), list(found.sensors)) == (types, sensors)
    assert found.valid == found.distinct == text.count("\n")
    assert "there is no header" in proposal(text, "tower.csv").toml()


def test_hours_of_the_day_beside_the_date_without_a_header() -> None:
    stamps = [t.replace(",0", ",") for t in times("%Y-%m-%d,%H", 60)]
    found = read(rows("{t},{a},,{b}", stamps))
    assert (found.valid, found.distinct) == (2 * COUNT, 2 * COUNT)
    assert found.span.low is not None
    assert found.span.low.isoformat().startswith("2024-03-05T22:00")


def test_a_station_and_two_clocks_without_a_header() -> None:
    local = [
        f"{u} {START + timedelta(minutes=30 * i, hours=-8):%Y%m%d %H%M}"
        for i, u in enumerate(times("%Y%m%d %H%M"))
    ]
    found = read(rows("53131 {t} -111.17 32.24 {a} {b}", local))
    assert (found.valid, list(found.sensors)) == (2 * COUNT, ["53131"])
    assert found.span.low is not None
    assert found.span.low.isoformat().startswith("2024-03-05T22:10")


def test_words_before_the_first_number_are_rows_of_data() -> None:
    first = "".join(f"2024-03-05 21:0{i}:00,WARM,heating\n" for i in range(6))
    text = "time,temp,state\n" + first + rows("{t},{a},ok")
    found = read(text)
    assert (found.rows, found.valid) == (COUNT + 6, COUNT)
    assert '"WARM"' in proposal(text, "tower.csv").toml()


@pytest.mark.parametrize("marker", ["-100,0", "-100"])
def test_a_shared_marker_that_one_column_writes_with_decimals(marker: str) -> None:
    row = "{t};-100;" + marker + ";-100,0"
    bad, good = rows(row, times(count=9)), rows("{t};{x};{y};{x}")
    assert read("Datum;A;B;C\n" + bad + good).valid == 3 * COUNT


@pytest.mark.parametrize(("none", "low"), [("999", 340), ("99.0", 8), ("-9999", 3), ("-99.9", 3)])
def test_numbers_that_stand_for_no_reading(none: str, low: int) -> None:
    stamps = times(count=200)
    text = "time,wind\n"
    text += "".join(f"{t},{none if i % 3 == 0 else i * 31 % low}\n" for i, t in enumerate(stamps))
    found = read(text)
    assert (found.valid, found.missing) == (133, 67)


VIEW = "Report\nDevice:\tT2345678\nPlace:\tFreezer 1\n\nTime\tFreezer (°C)\tFridge (°C)\n"
TITLED = (
    "Number: H_W1\tSN: 542755\nMinimum 10.1 m\tMaximum 10.2 m\tMean 10.1 m\tRel\n"
    "Time\tDate\tP [m]\tCount [mm]\t\n"
)
CLOCKS = times("%H:%M:%S\t%d.%m.%Y")
IN_SITU = (
    "Site,Mill\n\n,,Sensor: Pres,Sensor: Pres\n,Elapsed Time,SN#: 434567,SN#: 434567\n"
    "Date and Time,Seconds,Pressure (PSI),Depth (ft)\n,,,\n"
)
SCALED = "Created: 2024\n  Scale: -- SIO-16 --\n  Unit: -- ppb ppt\n  Time  clock N2O SF6\n"


@pytest.mark.parametrize(
    ("text", "units"),
    [
        (VIEW + rows("{t}\t{a}\t{b}"), {"Freezer": "°C", "Fridge": "°C"}),
        (TITLED + rows("{t}\t{a}\t0.0\t", CLOCKS), {"P": "m", "Count": "mm"}),
        (IN_SITU + rows("{t},{i}00.0,{a},{b}"), {"Pressure": "PSI", "Depth": "ft"}),
        (SCALED + rows("{t} {a} {b}"), {"N2O": "ppb", "SF6": "ppt"}),
    ],
)  # fmt: skip
def test_which_rows_are_the_header(text: str, units: dict[str, str]) -> None:
    assert read(text).units == units


@pytest.mark.parametrize(
    ("titles", "row"),
    [
        ("PC_time,Logger_time,temp", "2024-03-05 22:{m:02}:00,2024-03-05 22:{m:02}:{s:02},{i}.5"),
        ("DATE,TIME,DATETIME,temp",
         "05/03/2024,22:{m:02}:{s:02},05/03/2024 22:{m:02},{i}.5"),
    ],
)  # fmt: skip
def test_of_two_times_the_one_that_tells_the_rows_apart(titles: str, row: str) -> None:
    text = "".join(row.format(i=i, m=i // 60, s=i % 60) + "\n" for i in range(200))
    found = read(f"{titles}\n{text}")
    assert (found.valid, found.distinct) == (200, 200)


def test_the_serial_number_before_the_model() -> None:
    text = "Device,Serial Number,Time,mg/dL\n" + rows("Libre,ABC-123,{t},{a}")
    assert list(read(text).sensors) == ["ABC-123"]


def test_a_serial_number_behind_a_colon_and_a_delimiter() -> None:
    text = "Model:,RC-5\nSerial Number:,EF7194801234\n\nTime,Temp\n" + rows("{t},{a}")
    assert list(read(text).sensors) == ["EF7194801234"]


def test_a_row_for_each_station_all_of_about_one_time() -> None:
    text = "#STN LAT LON YYYY MM DD hh mm WDIR\n#text deg deg yr mo dy hr mn degT\n"
    text += "".join(
        f"{'B' * (i % 2)}{22101 + i} {i}.24 {i}.02 2024 03 05 22 {i % 2 * 10:02} {i * 7 % 360}\n"
        for i in range(50)
    )
    found = read(text, "latest.txt")
    assert (len(found.sensors), list(found.types)) == (50, ["WDIR"])


def test_one_type_in_a_column_of_its_own() -> None:
    text = "Site,Date,Parameter,Result,Unit,Remark,Method\n" + rows(
        "A12,{t},Nitrate,{a},mg/L,,EPA 353"
    )
    found = read(text)
    assert (found.types, found.units) == ({"Nitrate": COUNT}, {"Nitrate": "mg/L"})


@pytest.mark.parametrize(
    ("name", "sensor"),
    [
        ("boiler_2024-03-05.csv", "boiler"),
        ("Ellis-1.0m_Water_20180524_20180918.csv", "Ellis-1.0m_Water"),
        ("SN12345_20240305_101500_0007.csv", "SN12345"),
        ("2024-03-05_sds011_sensor_12345.csv", "sds011_sensor_12345"),
        ("202403051015_roof.csv", "roof"),
        ("Keller_05.03.2024.csv", "Keller"),
        ("Weather_Mar-2024.csv", "Weather"),
        ("pressure_2023.csv.gz", "pressure"),
        ("Kitchen (3).csv", "Kitchen"),
        ("tower7.csv", "tower7"),
        ("20313269.csv", "20313269"),
        ("slv16001.dat", "slv16001"),
        ("sensor_17.csv", "sensor_17"),
    ],
)
def test_the_part_of_a_file_name_that_stays(name: str, sensor: str) -> None:
    assert list(read("time,temp\n" + rows("{t},{a}"), name).sensors) == [sensor]


@pytest.mark.parametrize("name", ["20240305.csv", "LOG0012.TXT", "data_2024-03.csv", "DATA2.csv"])
def test_a_file_name_that_names_no_sensor_is_left_to_a_person(name: str) -> None:
    guess = proposal("time,temp\n" + rows("{t},{a}"), name).guess
    assert any("the file's name does not identify a sensor" in text for text in guess.todo)
    called = filename.called(guess, "roof")
    assert not called.todo
    assert {line.key: line.value for line in called.settings}["sensor"] == {"constant": "roof"}


def known(text: str, name: str = "x.txt") -> dict[str, Any]:
    found = read(text, name)
    assert found.span.low is not None
    return {
        "sensors": list(found.sensors),
        "types": list(found.types),
        "low": found.span.low.isoformat()[:16],
    }


def test_the_reference_network_is_read_by_the_titles_of_its_documentation() -> None:
    row = "53131 {t} 20240305 1410      3 -111.17   32.24 {a} 0.0 0 0 {b} C 0 40 0 "
    row += "-99.000 -9999.0 990 0 1.57 0"
    assert known(rows(row, times("%Y%m%d %H%M"))) == {
        "sensors": ["53131"],
        "types": ["AIR_TEMPERATURE", "PRECIPITATION", "SOLAR_RADIATION", "SURFACE_TEMPERATURE",
                  "RELATIVE_HUMIDITY", "WETNESS", "WIND_1_5"],
        "low": "2024-03-05T22:10",
    }  # fmt: skip


def test_a_file_whose_first_line_is_station_year_and_codes() -> None:
    head = "94255\t2024\t1000\t0\t7008\t0\n"
    text = head + "".join(f"65\t{h * 100}\t{h}.5\t12\t{h}\t12\n" for h in range(1, 25))
    assert known(text) == {
        "sensors": ["94255"],
        "types": ["1000", "7008"],
        "low": "2024-03-05T01:00",
    }


FIXED = "Station   Date       Time   Temp  Rain   Hum\n" + "".join(
    f"{'North 1':<10}{t}{'' if i % 5 == 1 else value(i):>6}{'' if i % 6 == 2 else '0.0':>6}"
    f"{value(i, 50):>6}\n"
    for i, t in enumerate(times("%Y-%m-%d %H:%M "))
)


def test_empty_cells_of_a_table_of_fixed_width_move_no_others() -> None:
    found = read(FIXED)
    assert found.types == {"Temp": 38, "Rain": 40, "Hum": COUNT}
    assert list(found.sensors) == ["North 1"]


def test_rows_of_fewer_cells_between_runs_of_spaces_are_no_guess() -> None:
    """Which cell is empty cannot be seen: no value may move into the column before it."""
    text = "date time temp hum\n" + rows("{t} {a} {b}") + rows("{t} {b}", times(count=3))
    guess = proposal(text, "tower.csv")
    assert any("which columns have no cell" in text for text in guess.guess.todo)
    assert "short_rows" not in guess.toml()


def test_rows_with_more_cells_than_the_header_has_titles() -> None:
    text = ",Year,DOY,CST,Direct [W/m^2],Global [W/m^2],Temp [deg C],Battery [VDC]\n"
    text += "".join(
        f"0,2024,65,{h}00,{h}.5,{h}.25,{h}.0,13.5,-7999,0,-7999,-7999\n" for h in range(1, 24)
    )
    found = read(text)
    assert found.valid == 4 * 23
    assert found.units == {"Direct": "W/m^2", "Global": "W/m^2", "Temp": "deg C", "Battery": "VDC"}


def test_the_date_of_a_night_and_not_when_it_began() -> None:
    text = "date,Score,Bedtime Start,Bedtime End\n"
    text += rows("{t},{a},{t}T23:10:00+01:00,{t}T07:10:00+01:00", times("%Y-%m-%d", 1440))
    found = read(text)
    assert found.span.low is not None
    assert found.span.low.isoformat() == "2024-03-05T00:00:00+00:00"


def test_the_number_of_a_table_of_a_query_is_no_reading() -> None:
    text = ",result,table,_start,_stop,_time,host,temp,hum\n"
    text += rows(",_result,0,2024-03-05T00:00:00Z,2024-03-07T00:00:00Z,{t}Z,pi,{a},{b}",
                 times("%Y-%m-%dT%H:%M:%S"))  # fmt: skip
    found = read(text)
    assert (list(found.types), list(found.sensors)) == (["temp", "hum"], ["pi"])


def test_a_date_in_one_cell_of_a_sheet_and_the_clock_in_another() -> None:
    import openpyxl

    book, out = openpyxl.Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Date", "Time", "pH"])
    for i in range(COUNT):
        at = START + timedelta(minutes=30 * i)
        sheet.append([at.replace(hour=0, minute=0), at.time(), float(value(i))])
    book.save(out)
    found = read(out.getvalue(), "exo.xlsx")
    assert (found.valid, found.distinct) == (COUNT, COUNT)
    assert found.span.low is not None
    assert found.span.low.isoformat() == "2024-03-05T22:10:00+00:00"
