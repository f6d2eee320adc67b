"""Tiny samples of every format, and the profiles that they are read by."""

from __future__ import annotations

import io
import random
import tomllib
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

import sensorflow

ProfileTable = dict[str, Any]

LONG = {"time": {"column": "t", "zone": "Europe/Berlin"}, "sensor": {"column": "s"}}
LONG = {**LONG, "type": {"column": "k"}, "value": "v", "unit": {"column": "u"}}
WIDE = {"time": {"column": "t", "zone": "UTC"}, "sensor": {"constant": "roof"}, "each": ".+"}

LONG_CSV = b"""t,s,k,v,u
2024-01-01T00:00:00Z,a,temp,1.5,C
2024-03-31T02:30:00,a,temp,-2e3,C
2024-10-27 02:30:00,"b ""x"" y",temp,,C
2024-10-27 02:10:00,b,hum,NaN,%
2024-02-30T00:00:00Z,b,hum,1e400,%
"""
WIDE_CSV = b"""t;temp;hum [%];wind
01.02.2024 00:00;1,5;50;1.234,5
01.02.2024 01:00;-9999;51,25;
"""
SPACED = b"""# station 7
# YY MM DD hh mm  WTMP  PRES
#yr mo dy hr mn degC hPa
2024 01 01 00 00 10.5 1013.2
2024 01 01 00 10 MM 1013.1
"""
FIXED = b"".join(b"%-20s%6.2f%8.3f\n" % (b"2024-01-01T00:00:0%d" % i, i, i / 3) for i in range(4))
EPOCHS = b"1700000000123,a,1\n-5,b,2\n9223372036854775807,c,3\n1700000000124.75,d,4\n"
BLOCKS = b"""Logger: L7
Sensor: a
t,temp,hum
,C,%
2024-01-01T00:00:00Z,1.5,
,,

Sensor: b
t,hum,,temp
,%,,C
2024-01-01T00:00:00Z,50,9,2.5
END
Sum,50
"""
UNEQUAL = b"""t temp hum
C %
1 2024-01-01T00:00:00Z 1.5 50
2 2024-01-01T00:01:00Z 1.6 51 ok
\0\0\0\0\0\0\0\0"""
NMEA = b"""$WX,2024-01-01T00:00:00Z,1.5*2F
$WX,2024-01-01T00:01:00Z,1.6*00
$WX,2024-01-01T00:02:00Z,1.7
"""
JSONL = b"""{"t": "2024-01-01T00:00:00Z", "s": "a", "k": "temp", "v": 1.5, "u": "C"}
{"t": "2024-01-01T00:01:00Z", "s": {"x": 1, "y": [1, 2]}, "k": "temp", "v": "2", "u": null}
{"t": "2024-01-01T00:02:00Z", "s": "\\u00e4", "k": "temp", "v": null, "more": [[{}]]}
"""
JSON = b"""{"site": {"id": "s1"}, "data": [
 {"t": "2024-01-01T00:00:00Z", "s": "a", "k": "temp", "v": 1.5, "u": "C", "vs": [1, 2]},
 {"t": "2024-01-01T00:01:00Z", "s": "b", "k": "hum", "v": 1e-7, "u": "%"}]}
"""
COLUMNS = b'{"t": ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"], "x": [1, 2.5], "y": [null, 3]}'
SENML = b"""[{"bn": "urn:dev:1:", "bt": 1.7e9, "bu": "Cel", "n": "temp", "v": 20.5},
 {"n": "hum", "u": "%RH", "t": 60, "v": 50}, {"n": "sum", "s": 7, "t": -1}, {"n": "b", "vb": true}]"""
INFLUX = rb"""weather,city=b\ c,x=1 temp=1.5,n=2i,s="a b",f=t 1700000000000000000
# comment
weather temp=-1e-3 1700000000000000001
"""
NEM12 = b"""100,NEM12,200405011135,MDA1,Ret1
200,VABD000163,E1Q1,1,E1,N1,METSER123,kWh,360,20050315
300,20050301,1,2,3,4,A,,,20050310121004,
300,20050302,1,2,3,4,V,,,20050310121004,
400,1,2,A,,
400,3,4,E52,,
500,O,S01009,20050310121004,
900
"""


XML = b"""<?xml version="1.0"?>
<n:site xmlns:n="u" id="s1"><at>2024-01-01T00:00:00Z</at><step>PT15M</step>
 <r s="a" k="temp" u="C"><t>2024-01-01T00:00:00Z</t><v q="1">1.5</v><no>1</no></r>
 <r s="b" k="hum"><t>2024-01-01T00:01:00Z</t><v><![CDATA[-2e3]]></v><v/><no>3</no></r><!-- x -->
 <r s="&#228;&lt;"/><last u="K"/>
</n:site>
"""
XML_PATHS = {
    "time": {"column": "t"},
    "sensor": {"column": "@s|$.site.@id"},
    "type": {"column": "@k"},
}
XML_PATHS = {
    **XML_PATHS,
    "format": "xml",
    "records": "site.r",
    "value": "v",
    "unit": {"column": "$..last.@u"},
}
COUNTED = {"column": "$.site.at", "step": {"index": "no", "size": "$.site.step"}, "zone": "UTC"}


def _xlsx() -> bytes:
    book = openpyxl.Workbook()
    for row in [["t", "s", "k", "v", "u"], ["2024-01-01T00:00:00Z", "a", "temp", 1.5, "C"]]:
        book.active.append(row)
    book.active.append(["2024-01-01T01:00:00Z", "a", "temp", None, True])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def parquet(rng: random.Random) -> bytes:
    """A table whose columns are of types drawn at random."""
    count = rng.choice([0, 1, 3, 70])
    instants = [rng.choice([0, 10**9 * 1_700_000_000, -(10**18), None]) for _ in range(count)]
    units = ["s", "ms", "us", "ns"]
    unit = rng.choice(units)
    cut = 10 ** (9 - 3 * units.index(unit))
    stamps = pa.array([i and i // cut for i in instants], pa.int64())
    t = rng.choice(
        [
            stamps.cast(
                pa.timestamp(unit, tz=rng.choice([None, "UTC", "Europe/Berlin", "+05:30"]))
            ),
            stamps,
            pa.array(
                ["2024-01-01T00:00:00Z"] * count, rng.choice([pa.string(), pa.large_string()])
            ),
            pa.array([i and i % 20000 for i in instants], pa.int32()).cast(pa.date32()),
            pa.nulls(count),
        ]
    )
    numbers = [rng.choice([0, 1, 7, 100, None]) for _ in range(count)]
    kinds = [pa.float64(), pa.float32(), pa.int8(), pa.uint64(), pa.decimal128(20, 4), pa.null()]
    kinds += [pa.string(), pa.bool_(), pa.float16()]
    kind = rng.choice(kinds)
    texts = pa.array([rng.choice(["a", "", "ä\0", None]) for _ in range(count)], pa.string())
    s = rng.choice([texts, texts.dictionary_encode(), texts.cast(pa.binary()), pa.array(numbers)])
    if pa.types.is_null(kind):
        v = pa.nulls(count)
    elif kind in (pa.string(), pa.bool_(), pa.float16()):
        v = pa.array(numbers, pa.float64()).cast(pa.float32()).cast(kind)
    else:
        v = pa.array(numbers, kind)
    names = rng.choice([["t", "s", "k", "v", "u"], ["t", "s", "k", "v", "v"]])
    out = io.BytesIO()
    pq.write_table(pa.table([t, s, texts, v, s], names=names), out)
    return out.getvalue()


def shipped() -> dict[str, ProfileTable]:
    folder = Path(sensorflow.__file__).parent / "profiles"
    return {p.stem: tomllib.loads(p.read_text()) for p in sorted(folder.glob("*.toml"))}


def cases() -> list[tuple[ProfileTable, bytes]]:
    """(profile, sample) that go together; the fuzzer mixes them too."""
    long, wide = {"format": "csv", **LONG}, {"format": "csv", **WIDE}
    german = {"delimiter": ";", "decimal": ",", "thousands": ".", "missing": ["-9999"]}
    dates = {"column": "t", "format": ["%d.%m.%Y %H:%M", "%Y"], "zone": "America/Los_Angeles"}
    places = {"header": 0, "sensor": {"column": "#2"}, "type": {"constant": "x"}, "value": "#3"}
    ndbc = shipped()["ndbc"] | {"sensor": {"constant": "7"}, "skip": 1}
    order = {"column": "t", "zone": "Australia/Lord_Howe", "ambiguous": "order"}
    return [
        (long, LONG_CSV),
        (long | {"time": order | {"nonexistent": "later"}, "missing": ["NaN"]}, LONG_CSV),
        (long | {"fill_down": ["s", "u"], "where": {"k": "temp"}}, LONG_CSV),
        (wide | german | {"time": dates}, WIDE_CSV),
        (wide | german | {"each": r"^(?P<type>\w+)( \[(?P<unit>.*)\])?"}, WIDE_CSV),
        (ndbc, SPACED),
        (
            wide | {"widths": [20, 6, 8], "names": ["t", "a", "b"], "quality": {"column": "b"}},
            FIXED,
        ),
        (
            long
            | places
            | {"unit": {"constant": ""}, "time": {"column": "#1", "format": "epoch_ms"}},
            EPOCHS,
        ),
        (
            wide
            | {"sensor": {"preamble": r"^Sensor: (\w+)"}, "header": ["name", "unit"]}
            | {"skip_until": "^t,", "header_again": True, "stop_at": "^(Sensor|END)"},
            BLOCKS,
        ),
        (
            wide
            | {"delimiter": "whitespace", "header": ["name", "unit"], "align": "right"}
            | {"long_rows": "ignore", "quality": {"column": "hum", "missing": ["50"]}},
            UNEQUAL,
        ),
        (
            wide
            | {"checksum": "nmea", "names": ["id", "t", "v"], "each": "v", "allow_empty": True},
            NMEA,
        ),
        ({"format": "jsonl", **LONG}, JSONL),
        ({"format": "jsonl", **LONG}, JSONL * 20),
        ({"format": "jsonl", **LONG, "decimal": ",", "thousands": "."}, JSONL * 20),
        ({"format": "json", **LONG, "sensor": "@key(1)", "records": "[*][*]"}, JSON),
        ({"format": "jsonl", **WIDE, "each": "^(v|s)"}, JSONL),
        ({"format": "json", **LONG, "records": "data[*]"}, JSON),
        (
            {"format": "json", **LONG, "records": "data[*]", "sensor": {"column": "$.site.id"}},
            JSON,
        ),
        ({"format": "json", **WIDE, "orient": "columns"}, COLUMNS),
        ({"format": "senml"}, SENML),
        ({"format": "influx"}, INFLUX),
        ({"format": "nem12"}, NEM12),
        (XML_PATHS, XML),
        (XML_PATHS | {"time": COUNTED, "unit": {"column": "$.*.r.*.name()"}}, XML),
        (XML_PATHS | {"records": "*.r[1]", "value": "v[0]", "encoding": "utf-16-le"}, XML),
        ({"format": "xlsx", **LONG}, _xlsx()),
        ({"format": "parquet", **LONG}, parquet(random.Random(1))),
        ({"format": "parquet", **WIDE}, parquet(random.Random(2))),
    ]


OPTIONS: list[ProfileTable] = [
    {"quote": "'"},
    {"quote": ""},
    {"escape": "\\"},
    {"delimiter": "whitespace"},
    {"delimiter": "||"},
    {"delimiter": "\t"},
    {"encoding": "latin-1"},
    {"encoding": "utf-16-le"},
    {"encoding": "cp1252"},
    {"encoding": "shift_jis"},
    {"comment": "#"},
    {"skip": 1},
    {"skip_until": "t"},
    {"skip_until": "^t", "header_again": True},
    {"header": 2},
    {"header": ["name", "unit", "skip"]},
    {"keep": "2024"},
    {"drop": "temp"},
    {"short_rows": "missing"},
    {"long_rows": "ignore"},
    {"align": "left"},
    {"align": "right"},
    {"stop_at": "^$"},
    {"stop_at": "temp", "skip_until": "^t", "header_again": True},
    {"checksum": "nmea"},
    {"allow_empty": True},
    {"quality": {"column": "u", "missing": ["C", ""]}},
    {"thousands": ","},
    {"decimal": ","},
    {"time": {"column": "t", "zone": "Europe/Berlin", "step": {"index": "v", "size": "P1D"}}},
    {"time": {"column": "t", "step": {"index": "v", "size": "k", "unit": "Hz", "first": 0}}},
    {"missing": ["NaN", "-9999", "inf"]},
    {"missing_below": -1000, "missing_above": 1e300},
    {"clean": r"([-\d.]+)"},
    {"values": {"on": 1, "off": 0, "": 2}},
    {"scale": 1e300, "offset": 1},
    {"max_line": 200},
    {"max_columns": 4},
    {"max_rows": 3},
    {"max_nesting": 3},
    {"max_record": 100},
    {"max_ratio": 2},
    {"max_decompressed": 5000},
    {"units": {"C": {"to": "K", "offset": 273.15}}},
    {"rules": {"*": [{"min": 0, "max": 100, "required": True}]}},
    {"rules": {"temp": [{"integer": True, "monotonic": "increasing", "severity": "flag"}]}},
    {"time": {"column": "t", "format": "excel", "zone": "Europe/London"}},
    {"time": {"column": "t", "format": "epoch_s", "since": "1904-01-01"}},
    {"time": {"column": "t", "format": ["epoch_d", "epoch_ns"]}},
    {"time": {"columns": ["t", "s"], "format": "%Y-%m-%d %H:%M:%S.%f", "pad": [4], "zone": "Z"}},
    {"time": {"column": "t", "format": "%y%j%H%M", "zone": "America/St_Johns"}},
    {"time": {"column": "t", "extract": r"(\d{4}-\d\d-\d\d)", "zone": "Asia/Kolkata"}},
    {"time": {"column": "t", "format": ["%d %b %Y %I:%M %p %Z", "iso8601"], "zones": {"X": "+1"}}},
]
