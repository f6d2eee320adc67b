"""Whatever readings a file tells, in whatever dialect: they are read back, to the bit and nanosecond."""

from __future__ import annotations

import codecs
import io
import json
import math
import struct
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import jointly
import pyarrow as pa
import writers
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from writers import CLOCKS, SECOND, Clock, ProfileTable, Reading

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.profile import Profile

steady = settings(deadline=None, suppress_health_check=list(HealthCheck))
LONG = {"time": "t", "sensor": {"column": "s"}, "type": {"column": "k"}, "value": "v"}
LONG = {**LONG, "unit": {"column": "u"}}

FIRST = int(datetime(1900, 1, 2, tzinfo=UTC).timestamp()) * SECOND
DAY = 86400 * SECOND
END = int(datetime(2199, 12, 31, tzinfo=UTC).timestamp()) * SECOND
PRINTABLE = ("L", "M", "N", "P", "S", "Zs")
TRICKY = st.sampled_from([*"\"',;|\t #{}[]()$@~:=-.°Ωé\u00a0😀", "||"])


@cache  # to make a strategy costs more than to draw from it
def texts(codec: str = "utf-8", least: int = 1, without: str = "") -> st.SearchStrategy[str]:
    sign = st.one_of(TRICKY, st.characters(codec=codec, categories=PRINTABLE))
    cleaned = st.lists(sign, max_size=8).map(lambda signs: _without("".join(signs), codec, without))
    return cleaned.filter(lambda text: len(text) >= least)


def _without(text: str, codec: str, signs: str) -> str:
    text = text.encode(codec, "ignore").decode(codec)
    return "".join(c for c in text if c not in signs).strip()


YEARS = [*range(1900, 2200)]
BITS = st.binary(min_size=8, max_size=8).map(lambda raw: struct.unpack("d", raw)[0])
INSTANTS = st.builds(
    lambda year, day, rest: FIRST + ((year - 1900) * 365 + day) * DAY + rest,
    st.sampled_from(YEARS),
    st.integers(0, 364),
    st.one_of(
        st.integers(0, DAY - 1), st.integers(0, 1439).map(lambda minute: minute * 60 * SECOND)
    ),
)
NANOS = st.one_of(INSTANTS, st.integers(FIRST, END - 1))
VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    BITS.filter(math.isfinite),
    st.integers(-(10**9), 10**9).map(float),
    st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 2.0**53 + 2, -1234567.125]),
)


@cache
def rows_of(text: st.SearchStrategy[str], **given_: Any) -> st.SearchStrategy[list[Reading]]:
    parts = {"ns": NANOS, "sensor": text, "type": text, "unit": text, "value": VALUES, **given_}
    return st.lists(st.builds(Reading, **parts), min_size=1, max_size=6)


def read(data: bytes, table: ProfileTable) -> list[Reading]:
    """The accepted readings; nothing may be refused."""
    found: list[Reading] = []
    profile = Profile.model_validate(table)
    stream, place = io.BytesIO(data), FilePath("file.csv", "file.csv")
    for part in reading.read(stream, profile, place, tempfile.TemporaryFile):
        assert part.rejects == []
        names = ("sensor_id", "reading_type", "unit", "value")
        nanos = part.bronze["ts"].cast(pa.int64()).to_pylist()
        found += map(Reading, nanos, *(part.bronze[n].to_pylist() for n in names))
    return found


def same(found: Iterable[Reading], wanted: Iterable[Reading]) -> None:
    def with_value_bits(rows: Iterable[Reading]) -> list[tuple[object, ...]]:
        return [(*r[:4], r.value, struct.pack("d", r.value)) for r in rows]

    assert with_value_bits(found) == with_value_bits(wanted)


@dataclass
class Dialect:
    """How a text table is written. table: the profile's keys for it."""

    delimiter: str
    quote: str
    always: bool
    end: str
    codec: str
    mark: bytes
    decimal: str
    thousands: str
    missing: str | None
    packing: str
    clock: Clock
    before: list[str]
    prefix: str
    table: ProfileTable

    @property
    def forbidden(self) -> str:
        """Characters that a cell cannot hold in it."""
        if self.delimiter == "whitespace":
            return " \t\u00a0\u3000\u2000\u2003\u1680\u202f\u205f" + "".join(
                map(chr, range(0x2000, 0x200B))
            )
        return "" if self.quote else self.delimiter

    def number(self, value: float) -> str:
        return writers.number(value, self.decimal, self.thousands)

    def write(self, header: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> bytes:
        every = [*header, *rows]
        if self.delimiter == "widths":
            widths = [max(len(row[i]) for row in every) + 1 for i in range(len(every[0]))]
            self.table["widths"] = widths
            lines = writers.fixed(every, widths)
        else:
            sign = "  \t " if self.delimiter == "whitespace" else self.delimiter
            quote = "" if self.delimiter == "whitespace" else self.quote
            cells = ([writers.cell(c, sign, quote, self.always) for c in row] for row in every)
            lines = [sign.join(row) for row in cells]
        lines[: len(header)] = [self.prefix + line for line in lines[: len(header)]]
        text = "".join(line + self.end for line in [*self.before, *lines])
        return writers.packed(self.mark + text.encode(self.codec), self.packing)


ENCODINGS = [
    *(
        ("utf-8", b"", {}),
        ("utf-8", codecs.BOM_UTF8, {}),
        ("latin-1", b"", {"encoding": "latin-1"}),
    ),
    ("utf-16-le", codecs.BOM_UTF16_LE, {}),
    ("utf-16-be", codecs.BOM_UTF16_BE, {"encoding": "utf-16"}),
    ("utf-16-le", b"", {"encoding": "utf-16-le"}),
]
PREAMBLES: list[tuple[list[str], str, ProfileTable]] = [
    ([], "", {}),
    (["a title, 1;2", '"open', ""], "", {"skip": 3}),
    (["junk", "more junk"], "", {"skip_until": "^t|^date|^>|t"}),
    (["# a comment", "", "# another"], "", {"comment": "#"}),
    ([], "# ", {"header_prefix": "# "}),
    (["station 7"], ">", {"header_prefix": ">", "skip": 1}),
]


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    delimiter = draw(st.sampled_from([",", ";", "\t", "|", "whitespace", "||", "widths"]))
    single = len(delimiter) == 1
    quote = draw(st.sampled_from(['"', '"', "'", ""])) if single else ""
    codec, mark, encoding = draw(st.sampled_from(ENCODINGS))
    decimal = draw(st.sampled_from([".", ","]))
    thousands = draw(st.sampled_from(["", "", "'", " ", "." if decimal == "," else ","]))
    assume(quote or (decimal != delimiter and thousands != delimiter))
    assume(delimiter != "whitespace" or thousands != " ")
    assume(not quote or thousands != quote or single)
    tight = [clock for clock in CLOCKS if " " not in clock.write(0)[0]]
    clock = draw(st.sampled_from(tight if delimiter == "whitespace" else CLOCKS))
    before, prefix, preamble = draw(st.sampled_from(PREAMBLES))
    missing = draw(st.sampled_from([None, "NA", "-9999"]))
    table = {"format": "csv", "quote": quote, "decimal": decimal, **encoding, **preamble}
    table |= {"time": clock.profile, "thousands": thousands or None}
    table |= {} if delimiter == "widths" else {"delimiter": delimiter}
    table |= {"missing": [missing]} if missing else {}
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    always = draw(st.booleans())
    packing = draw(st.sampled_from(["", "", "gzip", "bz2", "xz", "zstd", "zip"]))
    return Dialect(
        *(delimiter, quote, always, end, codec, mark, decimal, thousands, missing, packing),
        *(clock, before if "skip_until" not in table else ["junk"], prefix, table),
    )


def fits(rows: Iterable[Reading], dialect: Dialect) -> list[Reading]:
    return [r for r in rows if r.value != -9999 and dialect.clock.can(r.ns)]


@settings(steady, max_examples=200)
@given(st.data(), dialects(), st.integers(0, 2))
def test_long_tables(data: st.DataObject, dialect: Dialect, header: int) -> None:
    text = texts(dialect.codec, 1, dialect.forbidden)
    rows = fits(data.draw(rows_of(text)), dialect)
    assume(rows)
    names = [*dialect.clock.columns, "s", "k", "v", "u"]
    cells = [
        [*dialect.clock.write(r.ns), r.sensor, r.type, dialect.number(r.value), r.unit]
        for r in rows
    ]
    for place in data.draw(st.lists(st.integers(0, len(cells)), max_size=2)):
        if dialect.missing:
            cells.insert(place, [*cells[0][:-2], dialect.missing, "x"])
    table: ProfileTable = {**LONG, **dialect.table}
    if header == 0:
        assume("skip_until" not in table)
        table |= {"names": names}
    if header == 2:
        table |= {"header": ["name", "skip"]}
    titles = [names, ["-"] * len(names)][:header]
    file = dialect.write(titles, cells)
    same(read(file, table | dialect.table), rows)
    if dialect.delimiter != "widths":  # each file has its own
        others = [dialect.write(titles, cells[::-1]), dialect.write(titles, [cells[-1]] * 3)]
        jointly.hold([file, *others], Profile.model_validate(table | dialect.table))


@settings(steady, max_examples=200)
@given(st.data(), dialects(), st.sampled_from(["names", "units", "sensors", "joined", "each"]))
def test_wide_tables(data: st.DataObject, dialect: Dialect, layout: str) -> None:
    text = texts(dialect.codec, 1, dialect.forbidden + "{}[]()|")
    types = data.draw(
        st.lists(
            text.filter(lambda t: t not in ("t", "date", "hour", "-") and t[0] != "~"),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    units, sensors = ([data.draw(text) for _ in types] for _ in range(2))
    if layout != "sensors":
        sensors = [data.draw(text)] * len(types)
    expected: list[Reading] = []
    rows = []
    empty = dialect.missing or ("NA" if dialect.delimiter == "whitespace" else "")
    assume(empty != "NA" or dialect.missing == "NA")
    for ns in filter(dialect.clock.can, data.draw(st.lists(NANOS, min_size=1, max_size=4))):
        values = [
            data.draw(st.one_of(st.none(), VALUES.filter(lambda v: v != -9999))) for _ in types
        ]
        found = [Reading(ns, *p) for p in zip(sensors, types, units, values, strict=True)]
        expected += [r for r in found if r.value is not None]
        shown = [empty if v is None else dialect.number(v) for v in values]
        rows.append([*dialect.clock.write(ns), *shown])
    assume(rows)
    times = dialect.clock.columns
    blank = ["-"] * len(times)
    header = [[*times, *types]]
    table: ProfileTable = {"columns": {k: {"unit": u} for k, u in zip(types, units, strict=True)}}
    table["sensor"] = {"constant": sensors[0]}
    if layout in ("units", "sensors"):
        header.append([*blank, *units])
        table |= {"columns": types, "header": ["name", "unit"]}
    if layout == "sensors":
        header.append([*blank, *sensors])
        table |= {"header": ["name", "unit", "sensor"]}
        del table["sensor"]
    if layout == "joined":
        header = [[*times, *types], [*times, *units]]
        names = [f"{k}|{u}" for k, u in zip(types, units, strict=True)]
        each = zip(names, types, units, strict=True)
        table |= {"header": 2, "columns": {n: {"type": k, "unit": u} for n, k, u in each}}
    if layout == "each":
        del table["columns"]
        table |= {"each": ".+"}
        expected = [r._replace(unit="") for r in expected]
    file = dialect.write(header, rows)
    table |= dialect.table
    same(read(file, table), expected)
    if dialect.delimiter != "widths":
        others = [dialect.write(header, rows[::-1]), dialect.write(header, [rows[-1]] * 3)]
        jointly.hold([file, *others], Profile.model_validate(table))


def by_columns(rows: Iterable[Reading]) -> list[dict[str, Any]]:
    rows = list(rows)
    return [
        {"t": writers.iso(r.ns), "s": r.sensor, "k": r.type, "u": r.unit, "v": r.value}
        for r in rows
    ]


@steady
@given(rows_of(texts(least=1)), st.booleans(), st.sampled_from(["", "gzip", "zip"]))
def test_json_lines(rows: list[Reading], ascii_: bool, packing: str) -> None:
    lines = (json.dumps(record, ensure_ascii=ascii_) for record in by_columns(rows))
    file = writers.packed("\n".join(lines).encode(), packing)
    same(read(file, {"format": "jsonl", **LONG}), rows)


@steady
@given(
    rows_of(texts()),
    st.booleans(),
    st.sampled_from(["", "data", "a.b"]),
    st.sampled_from(["", "xz"]),
)
def test_json_documents(rows: list[Reading], ascii_: bool, path: str, packing: str) -> None:
    document: Any = by_columns(rows)
    for name in reversed(path.split(".") if path else []):
        document = {"before": [1, "x"], name: document, "after": {}}
    file = writers.packed(json.dumps(document, ensure_ascii=ascii_).encode(), packing)
    same(read(file, {"format": "json", **LONG, "records": f"{path}[*]"}), rows)


@steady
@given(st.lists(rows_of(texts()), min_size=1, max_size=3))
def test_nested_json(groups: list[list[Reading]]) -> None:
    groups = [
        [r._replace(sensor=rows[0].sensor, unit=rows[0].unit) for r in rows] for rows in groups
    ]
    sites = [
        {"id": {"name": rows[0].sensor}, "unit": rows[0].unit, "readings": by_columns(rows)}
        for rows in groups
    ]
    paths = {"sensor": {"column": "$.sites[*].id.name"}, "unit": {"column": "$.sites[*].unit"}}
    table = {"format": "json", **LONG, "records": "sites[*].readings[*]", **paths}
    same(read(json.dumps({"sites": sites}).encode(), table), [r for rows in groups for r in rows])


@steady
@given(rows_of(texts()))
def test_json_of_columns(rows: list[Reading]) -> None:
    records = by_columns(rows)
    document = {"result": {name: [record[name] for record in records] for name in "tskuv"}}
    table = {"format": "json", **LONG, "records": "result", "orient": "columns"}
    same(read(json.dumps(document).encode(), table), rows)


@steady
@given(rows_of(texts()), st.booleans())
def test_parquet(rows: list[Reading], typed: bool) -> None:
    same(read(writers.parquet(rows, typed), {"format": "parquet", **LONG}), rows)


@settings(steady, max_examples=40)
@given(rows_of(texts(), ns=st.integers(-60 * 365 * 86400, 200 * 365 * 86400)))
def test_spreadsheets(rows: list[Reading]) -> None:
    """A spreadsheet has no negative zero, and times to the millisecond."""
    rows = [r._replace(ns=r.ns * SECOND + r.ns % 1000 * 10**6, value=r.value + 0.0) for r in rows]
    table = {"format": "xlsx", **LONG, "time": {"column": "t", "zone": "UTC"}}
    same(read(writers.xlsx(rows), table), rows)


@steady
@given(rows_of(texts(without="\\"), unit=st.just("")), st.sampled_from(["", "zstd"]))
def test_line_protocol(rows: list[Reading], packing: str) -> None:
    signs = str.maketrans({sign: f"\\{sign}" for sign in ",= "})
    rows = [r._replace(sensor=f"m,tag={r.sensor.translate(signs)}") for r in rows]
    file = writers.packed(writers.line_protocol(rows), packing)
    same(read(file, {"format": "influx"}), rows)


@steady
@given(rows_of(texts(), ns=st.integers(2**28 * SECOND, END - 1)), st.booleans())
def test_senml(rows: list[Reading], bases: bool) -> None:
    rows = [r._replace(sensor=f"{r.sensor}/{r.type}") for r in rows]
    same(read(writers.senml(rows, bases), {"format": "senml"}), rows)
