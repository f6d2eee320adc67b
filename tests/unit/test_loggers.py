"""Files as loggers and services really write them, by TOML alone: every capability in its company."""

from __future__ import annotations

import io
import tomllib
from dataclasses import dataclass

import jointly
import pytest

from sensorflow import profiles
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.flow.check import Checked, check


@dataclass(frozen=True)
class Sample:
    name: str
    data: str
    toml: str
    rows: int
    missing: int
    readings: list[tuple[str, str, str, float, str]]
    rejects: tuple[tuple[int, str], ...] = ()
    file: str = "x.csv"
    encoding: str = "utf-8"


def read(sample: Sample) -> tuple[Checked, list[tuple[str, str, str, float, str]]]:
    table = profiles.resolved("t", {"t": tomllib.loads(sample.toml)})
    profile = profiles.validated(table, "t")
    place = FilePath(sample.file, "site7/" + sample.file)
    data = io.BytesIO(sample.data.encode(sample.encoding))
    found = check(data, sample.file, ("t", profile), place, Drift(), 100)
    assert found.error is None, found.error
    readings = []
    from sensorflow.core.reading import read as chunks

    for accepted in chunks(data, profile, place, io.BytesIO):
        batch = accepted.bronze
        times = [t.as_py().rstrip("Z") for t in batch["ts"].cast("string")]
        rows = batch.drop_columns(["ts"]).to_pylist()
        for row, ts in zip(rows, times, strict=True):
            shown = ts.removesuffix(".000000000")
            cells = (row["sensor_id"], shown, row["reading_type"], row["value"], row["unit"])
            readings.append(cells)
    return found, readings


SAMPLES = [
    Sample(
        "campbell toa5",
        '"TOA5","Station1","CR1000","1234","CR1000.Std.31","CPU:prog.CR1","5678","Table1"\n'
        '"TIMESTAMP","RECORD","AirTC_Avg","RH"\n"TS","RN","Deg C","%"\n"","","Avg","Smp"\n'
        '"2021-03-01 00:10:00",0,12.5,"NAN"\n"2021-03-01 00:20:00",1,12.4,80.1\n',
        'extends = "toa5"\ntime = { zone = "-07:00" }',
        2,
        1,
        [
            ("Station1", "2021-03-01 07:10:00", "AirTC_Avg", 12.5, "Deg C"),
            ("Station1", "2021-03-01 07:20:00", "AirTC_Avg", 12.4, "Deg C"),
            ("Station1", "2021-03-01 07:20:00", "RH", 80.1, "%"),
        ],
    ),
    Sample(
        "usgs rdb: tabs, comments, a row of formats, zones by abbreviation",
        "# a\nagency_cd\tsite_no\tdatetime\ttz_cd\t69_00060\t69_00060_cd\n5s\t15s\t20d\t6s\t14n\t10s\n"
        "USGS\t01646500\t2021-01-01 00:00\tEST\t8620\tA\n"
        "USGS\t01646500\t2021-07-01 00:15\tEDT\tIce\tP\n"
        "USGS\t01646500\t2021-07-01 00:15\tXYZ\t1\tP\n",
        'format = "csv"\ndelimiter = "\\t"\ncomment = "#"\ndrop = \'^\\d+s\\t\'\nsensor = "site_no"\n'
        'time = { columns = ["datetime", "tz_cd"], format = "%Y-%m-%d %H:%M %Z" }\n'
        "missing = [\"Ice\"]\neach = '^\\d+_(?P<type>\\d{5})$'",
        3,
        1,
        [("01646500", "2021-01-01 05:00:00", "00060", 8620.0, "")],
        ((6, "F103"),),
    ),
    Sample(
        "knmi: the header is a comment, hours to 24, tenths",
        "# BRON: KNMI\n# STN = station\n# STN,YYYYMMDD,   HH,   DD,   FH,    T\n#\n"
        "  260,20200101,    1,  240,   10,  -12\n  260,20200101,   24,     ,   20,   14\n",
        'format = "csv"\nskip_until = "^# STN,"\nheader_prefix = "# "\ncomment = "#"\nsensor = "STN"\n'
        'time = { columns = ["YYYYMMDD", "HH"], format = "%Y%m%d %H", zone = "UTC" }\n'
        '[columns]\nFH = { type = "wind", unit = "m/s", scale = 0.1 }\n'
        'T = { type = "temperature", unit = "degC", scale = 0.1 }\nDD = {}',
        2,
        1,
        [
            ("260", "2020-01-01 01:00:00", "wind", 1.0, "m/s"),
            ("260", "2020-01-01 01:00:00", "temperature", -1.2, "degC"),
            ("260", "2020-01-01 01:00:00", "DD", 240.0, ""),
            ("260", "2020-01-02 00:00:00", "wind", 2.0, "m/s"),
            ("260", "2020-01-02 00:00:00", "temperature", 1.4, "degC"),
        ],
    ),
    Sample(
        "testo: latin-1, decimal comma, thousands, sensor from the preamble",
        "Gerätename;testo 175\r\nSN;0123\r\n\r\nDatum/Uhrzeit;Druck[hPa];Feuchte[%]\r\n"
        "01.02.2020 13:00:00;1.021,5;--\r\n01.02.2020 13:01:00;1,021.5;3,5\r\n",
        'format = "csv"\nencoding = "latin-1"\ndelimiter = ";"\ndecimal = ","\nthousands = "."\n'
        'missing = ["--"]\nskip_until = "^Datum"\nsensor = { preamble = "^SN;(.+)$" }\n'
        'time = { column = "Datum/Uhrzeit", format = "%d.%m.%Y %H:%M:%S", zone = "Europe/Berlin" }\n'
        "each = '^(?P<type>[^\\[]+)\\[(?P<unit>[^\\]]+)\\]$'",
        2,
        1,
        [
            ("0123", "2020-02-01 12:00:00", "Druck", 1021.5, "hPa"),
            ("0123", "2020-02-01 12:01:00", "Feuchte", 3.5, "%"),
        ],
        ((6, "F111"),),
        encoding="latin-1",
    ),
    Sample(
        "campbell mixed array: row filter, day of year, hours and minutes without zeros",
        "101,2001,45,130,12.5\n102,2001,45,1.1\n101,2001,45,5,12.6\n101,2001,45,2400,12.7\n",
        'format = "csv"\nkeep = "^101,"\nnames = ["id", "year", "doy", "hhmm", "t"]\ncolumns = ["t"]\n'
        'time = { columns = ["year", "doy", "hhmm"], format = "%Y %j %H%M", pad = [4, 3, 4], zone = "UTC" }\n'
        'sensor = { constant = "cr10" }\nignore = ["id"]',
        3,
        0,
        [
            ("cr10", "2001-02-14 01:30:00", "t", 12.5, ""),
            ("cr10", "2001-02-14 00:05:00", "t", 12.6, ""),
            ("cr10", "2001-02-15 00:00:00", "t", 12.7, ""),
        ],
    ),
    Sample(
        "open-meteo: a JSON document of lists, units beside them",
        '{"hourly_units":{"t2":"°C"},"hourly":{"time":["2022-07-01T00:00","2022-07-01T01:00"],'
        '"t2":[13.1,null],"rh":[80,81]}}',
        'format = "json"\nrecords = "hourly"\norient = "columns"\nsensor = { constant = "berlin" }\n'
        'time = { column = "time", zone = "UTC" }\n'
        'columns = { t2 = { unit = "{$.hourly_units.t2}" }, rh = {} }',
        2,
        1,
        [
            ("berlin", "2022-07-01 00:00:00", "t2", 13.1, "°C"),
            ("berlin", "2022-07-01 00:00:00", "rh", 80.0, ""),
            ("berlin", "2022-07-01 01:00:00", "rh", 81.0, ""),
        ],
    ),
    Sample(
        "home assistant: the first state names entity and unit, and no other entity's",
        '[[{"entity_id":"sensor.t","state":"21.5","attributes":{"unit_of_measurement":"°C"},'
        '"last_changed":"2021-01-01T00:00:00+00:00"},'
        '{"state":"unavailable","last_changed":"2021-01-01T00:01:00+00:00"},'
        '{"state":"22","last_changed":"2021-01-01T00:02:00+00:00"}],'
        '[{"entity_id":"switch.h","state":"on","attributes":{},"last_changed":"2021-01-01T00:00:00+00:00"}]]',
        'extends = "home-assistant"',
        4,
        1,
        [
            ("sensor.t", "2021-01-01 00:00:00", "state", 21.5, "°C"),
            ("sensor.t", "2021-01-01 00:02:00", "state", 22.0, "°C"),
            ("switch.h", "2021-01-01 00:00:00", "state", 1.0, ""),
        ],
        file="h.json",
    ),
    Sample(
        "annotated csv: tables with headers of their own",
        "#datatype,string,long,dateTime:RFC3339,double,string,string\n#default,_result,,,,,\n"
        ",result,table,_time,_value,_field,_measurement\n,,0,2020-01-01T10:00:00Z,1.5,usage,cpu\n\n"
        "#datatype,string,long,string,string,dateTime:RFC3339,double\n#default,_result,,,,,\n"
        ",result,table,_field,_measurement,_time,_value\n,,1,free,mem,2020-01-01T10:00:00Z,2.5\n",
        'extends = "influx-csv"',
        2,
        0,
        [
            ("cpu", "2020-01-01 10:00:00", "usage", 1.5, ""),
            ("mem", "2020-01-01 10:00:00", "free", 2.5, ""),
        ],
    ),
    Sample(
        "tasmota: sensor and type from the path of each member, site from the folder",
        '{"Time":"2021-01-01T00:00:00","AM2301":{"Temperature":21.5},"DS":{"Temperature":4}}\n',
        'format = "jsonl"\ntime = { column = "Time", zone = "Europe/Paris" }\n'
        "captures = { site = { path = '^([^/]+)/' } }\n"
        "each = { match = '^(\\w+)\\.(?P<type>\\w+)$', sensor = \"{site}/{1}\" }",
        1,
        0,
        [
            ("site7/AM2301", "2020-12-31 23:00:00", "Temperature", 21.5, ""),
            ("site7/DS", "2020-12-31 23:00:00", "Temperature", 4.0, ""),
        ],
        file="x.jsonl",
    ),
    Sample(
        "serial dates with a decimal comma",
        "t;v\n43831,5;1\n43831,0416666667;2\n",
        'format = "csv"\ndelimiter = ";"\ndecimal = ","\nsensor = { constant = "x" }\ncolumns = ["v"]\n'
        'time = { column = "t", format = "excel", zone = "UTC" }',
        2,
        0,
        [
            ("x", "2020-01-01 12:00:00", "v", 1.0, ""),
            ("x", "2020-01-01 01:00:00", "v", 2.0, ""),
        ],
    ),
    Sample(
        "the date stands in the file's name, the time in a column",
        "Time,v\n00:10,1\n",
        'format = "csv"\nsensor = { file_name = "^([a-z]+)_" }\ncolumns = ["v"]\n'
        'time = { columns = [{ file_name = \'(\\d{8})\' }, "Time"], format = "%Y%m%d %H:%M", zone = "UTC" }',
        1,
        0,
        [("abc", "2021-03-04 00:10:00", "v", 1.0, "")],
        file="abc_20210304.csv",
    ),
    Sample(
        "seconds since a start that the preamble tells",
        "Start: 2021-03-04 12:00:00\nt_s,v\n0.0,1\n0.5,2\n",
        'format = "csv"\nskip_until = "^t_s"\nsensor = { constant = "x" }\ncolumns = ["v"]\n'
        'time = { column = "t_s", format = "epoch_s", since = { preamble = "Start: (.*)" } }',
        2,
        0,
        [
            ("x", "2021-03-04 12:00:00", "v", 1.0, ""),
            ("x", "2021-03-04 12:00:00.500000000", "v", 2.0, ""),
        ],
    ),
    Sample(
        "ghcn daily: fixed widths, a month a row, days across, one that does not exist",
        "USW00094728202002TMAX   78  W-9999  W   50   \n",
        'format = "csv"\nwidths = [11, 4, 2, 4, 5, 3, 5, 3, 5, 3]\nsensor = "id"\ntype = "el"\n'
        'names = ["id", "year", "month", "el", "v1", "f1", "v2", "f2", "v30", "f30"]\n'
        'time = { columns = ["year", "month", "{day}"], format = "%Y %m %d", zone = "UTC" }\n'
        'missing = ["-9999"]\nignore = ["~^f"]\neach = { match = \'^v(?P<day>\\d+)$\', scale = 0.1 }',
        1,
        1,
        [("USW00094728", "2020-02-01 00:00:00", "TMAX", 7.8, "")],
        ((1, "F103"),),
        file="x.dly",
    ),
    Sample(
        "a unit in every cell, converted",
        "time,temp\n2020-01-01T00:00Z,58 °F\n2020-01-01T01:00Z,-\n2020-01-01T02:00Z,warm\n",
        'format = "csv"\ntime = "time"\nsensor = { constant = "x" }\nmissing = ["-"]\n'
        "clean = '^([-+.\\d]+) °F$'\ncolumns = { temp = { unit = \"degF\" } }\n"
        'units = { degF = { to = "K", scale = 0.5555555555555556, offset = 255.3722222222222 } }',
        3,
        1,
        [("x", "2020-01-01 00:00:00", "temp", 287.59444444444443, "K")],
        ((4, "F111"),),
    ),
    Sample(
        "an object of times",
        '{"data":{"2020-01-01T00:00:00Z":{"a":1},"2020-01-01T01:00:00Z":{"a":2}}}',
        'format = "json"\nrecords = "data[*]"\ntime = "@key"\nsensor = { constant = "x" }\ncolumns = ["a"]',
        2,
        0,
        [("x", "2020-01-01 00:00:00", "a", 1.0, ""), ("x", "2020-01-01 01:00:00", "a", 2.0, "")],
        file="x.json",
    ),
    Sample(
        "rows that are lists",
        '{"cols":["t","v"],"rows":[[1577836800,1.5],[1577836860,null]]}',
        'format = "json"\nrecords = "rows[*]"\ntime = { column = "#1", format = "epoch_s" }\n'
        'sensor = { constant = "x" }\ncolumns = { "#2" = { type = "v" } }',
        2,
        1,
        [("x", "2020-01-01 00:00:00", "v", 1.5, "")],
        file="x.json",
    ),
    Sample(
        "months by name, two formats in one file",
        'Date,Temp\n"Jan 5, 2020 3:04 PM",1\n"5 January 2020",2\n',
        'format = "csv"\nsensor = { constant = "x" }\ncolumns = ["Temp"]\n'
        'time = { column = "Date", format = ["%b %d, %Y %I:%M %p", "%d %B %Y"], zone = "UTC" }',
        2,
        0,
        [
            ("x", "2020-01-05 15:04:00", "Temp", 1.0, ""),
            ("x", "2020-01-05 00:00:00", "Temp", 2.0, ""),
        ],
    ),
    Sample(
        "hours across, through the night when the clock is put forward",
        "date,h01,h02,h24\n2020-03-29,1,2,3\n",
        'format = "csv"\nsensor = { constant = "x" }\neach = { match = \'^h(\\d+)$\', type = "load" }\n'
        'time = { columns = ["date", "{1}"], format = "%Y-%m-%d %H", zone = "Europe/Berlin" }',
        1,
        0,
        [
            ("x", "2020-03-29 00:00:00", "load", 1.0, ""),
            ("x", "2020-03-29 22:00:00", "load", 3.0, ""),
        ],
        ((2, "F105"),),
    ),
    Sample(
        "mqtt: the site within a topic, types by other names",
        "ts;topic;key;val\n1577836800;site/7/box;T;1\n1577836800;elsewhere;T;2\n",
        'format = "csv"\ndelimiter = ";"\ntime = { column = "ts", format = "epoch_s" }\ntype = "key"\nvalue = "val"\n'
        'sensor = { column = "topic", match = \'site/(\\d+)/\' }\ntypes = { T = "temperature" }',
        2,
        0,
        [("7", "2020-01-01 00:00:00", "temperature", 1.0, "")],
        ((3, "F121"),),
    ),
    Sample(
        "cells of the header merged over their columns",
        "t,north,,south,\n,a,b,a,b\n2020-01-01T00:00Z,1,2,3,4\n",
        'format = "csv"\nheader = ["sensor", "type"]\nheader_fill = true\ntime = "#1"\neach = "."',
        1,
        0,
        [
            ("north", "2020-01-01 00:00:00", "a", 1.0, ""),
            ("north", "2020-01-01 00:00:00", "b", 2.0, ""),
            ("south", "2020-01-01 00:00:00", "a", 3.0, ""),
            ("south", "2020-01-01 00:00:00", "b", 4.0, ""),
        ],
    ),
    Sample(
        "labview: seconds since 1904",
        "s,v\n3660681600,1\n",
        'format = "csv"\ntime = { column = "s", format = "epoch_s", since = "1904-01-01" }\n'
        'sensor = { constant = "x" }\ncolumns = ["v"]',
        1,
        0,
        [("x", "2020-01-01 00:00:00", "v", 1.0, "")],
    ),
    Sample(
        "days since 1899, as another spreadsheet counts",
        "d,v\n43831.25,1\n",
        'format = "csv"\ntime = { column = "d", format = "epoch_d", since = "1899-12-30" }\n'
        'sensor = { constant = "x" }\ncolumns = ["v"]',
        1,
        0,
        [("x", "2020-01-01 06:00:00", "v", 1.0, "")],
    ),
    Sample(
        "blocks: a station's name stands in its first row only; rows of another kind are left out",
        "station,kind,time,v\nA,D,2020-01-01T00:00Z,1\n,D,2020-01-01T01:00Z,2\n,X,2020-01-01T01:00Z,9\n"
        "B,D,2020-01-01T00:00Z,3\n",
        'format = "csv"\ntime = "time"\nsensor = "station"\nfill_down = ["station"]\nwhere = { kind = "D" }\n'
        'columns = ["v"]',
        4,
        0,
        [
            ("A", "2020-01-01 00:00:00", "v", 1.0, ""),
            ("A", "2020-01-01 01:00:00", "v", 2.0, ""),
            ("B", "2020-01-01 00:00:00", "v", 3.0, ""),
        ],
    ),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_a_logger_is_read_by_toml_alone(sample: Sample) -> None:
    found, readings = read(sample)
    assert readings == sample.readings
    assert [(r.line_no, r.code[:4]) for r in found.rejects] == list(sample.rejects)
    assert (found.rows, found.missing) == (sample.rows, sample.missing)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_read_with_others_a_file_is_the_same(sample: Sample) -> None:
    table = profiles.resolved("t", {"t": tomllib.loads(sample.toml)})
    data = sample.data.encode(sample.encoding)
    place = FilePath(sample.file, "site7/" + sample.file)
    jointly.hold([data, data], profiles.validated(table, "t"), place)
