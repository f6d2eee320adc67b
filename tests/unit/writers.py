"""Small writers of every format that sensorflow reads: readings -> bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

SECOND = 10**9
ProfileTable = dict[str, Any]


class Reading(NamedTuple):
    """ns: nanoseconds since 1970."""

    ns: int
    sensor: str
    type: str
    unit: str
    value: float


@dataclass(frozen=True)
class Clock:
    """profile: of the times that `write` makes, one cell for each of the columns."""

    profile: ProfileTable
    write: Callable[[int], list[str]]
    columns: tuple[str, ...] = ("t",)
    can: Callable[[int], bool] = lambda ns: True


def at(ns: int, zone: timezone | ZoneInfo = UTC) -> tuple[datetime, str]:
    """(the second, by the zone's clock; the nanoseconds after it, nine digits)."""
    second = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ns // SECOND)
    return second.astimezone(zone), f"{ns % SECOND:09d}"


def iso(ns: int, minutes: int = 0, sign: str = "T", short: bool = False) -> str:
    local, fraction = at(ns, timezone(timedelta(minutes=minutes)))
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    fraction = fraction.rstrip("0") if short else fraction
    point = f".{fraction}" if fraction else ""
    return local.strftime(f"%Y-%m-%d{sign}%H:%M:%S") + point + (offset if minutes else "Z")


def epoch(ns: int, digits: int) -> str:
    """A count of seconds (9 digits), milliseconds (6), … with decimals."""
    integer, part = divmod(abs(ns), 10**digits)
    text = f"{integer}.{part:0{digits}d}".rstrip("0").rstrip(".") if digits else str(integer)
    return f"-{text}" if ns < 0 else text


def once(zone: str) -> Callable[[int], bool]:
    """Whether the zone's clock tells an instant apart from all others."""

    def can(ns: int) -> bool:
        local = at(ns, ZoneInfo(zone))[0]
        return local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset()

    return can


def by_format(fmt: str, zone: str = "UTC") -> Clock:
    place = ZoneInfo(zone)

    def write(ns: int) -> list[str]:
        local, fraction = at(ns, place)
        return [local.strftime(fmt.replace("%f", fraction))]

    zone_key = {} if "%z" in fmt else {"zone": zone}
    return Clock({"column": "t", "format": fmt, **zone_key}, write, can=once(zone))


def naive(zone: str) -> Clock:
    place = ZoneInfo(zone)

    def write(ns: int) -> list[str]:
        local, fraction = at(ns, place)
        return [f"{local:%Y-%m-%d %H:%M:%S}.{fraction}"]

    return Clock({"column": "t", "zone": zone}, write, can=once(zone))


def split() -> Clock:
    def write(ns: int) -> list[str]:
        local, fraction = at(ns)
        return [f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}.{fraction}"]

    time = {"columns": ["date", "hour"], "format": "%Y-%m-%d %H:%M:%S.%f", "zone": "UTC"}
    return Clock(time, write, ("date", "hour"))


def several() -> Clock:
    """Each text in one of three formats."""
    dotted = by_format("%d.%m.%Y_%H:%M:%S.%f")
    ways = [lambda ns: [iso(ns)], dotted.write, lambda ns: [epoch(ns, 0)]]
    time = {**dotted.profile, "format": ["iso8601", "%d.%m.%Y_%H:%M:%S.%f", "epoch_ns"]}
    return Clock(time, lambda ns: ways[ns % 3](ns))


def of_epochs(unit: str, digits: int) -> Clock:
    return Clock({"column": "t", "format": f"epoch_{unit}"}, lambda ns: [epoch(ns, digits)])


def of_iso(minutes: int, sign: str) -> Clock:
    return Clock({"column": "t"}, lambda ns: [iso(ns, minutes, sign, ns % 2 == 0)])


CLOCKS = [
    *(of_iso(0, "T"), of_iso(90, " "), of_iso(-480, "T"), of_iso(0, " ")),
    *(naive("UTC"), naive("Europe/Berlin"), naive("America/Los_Angeles")),
    *(naive("Australia/Lord_Howe"), naive("Asia/Kolkata")),
    by_format("%d.%m.%Y %H:%M:%S.%f", "Europe/Berlin"),
    by_format("%Y%m%d%H%M%S.%f"),
    by_format("%Y-%jT%H:%M:%S.%f"),
    by_format("%d %b %Y %I:%M:%S.%f %p"),
    by_format("%m/%d/%Y %H:%M:%S.%f %z"),
    *(of_epochs("s", 9), of_epochs("ms", 6), of_epochs("us", 3), of_epochs("ns", 0)),
    *(split(), several()),
]


def number(value: float, decimal: str = ".", thousands: str = "") -> str:
    """The shortest text that tells the double exactly."""
    text = repr(value)
    integer, point, part = text.partition(".")
    if thousands and "e" not in integer:
        sign, digits = ("-", integer[1:]) if integer.startswith("-") else ("", integer)
        integer = sign + f"{int(digits):,}".replace(",", thousands)
    return integer + (decimal if point else "") + part


def cell(text: str, delimiter: str, quote: str, always: bool = False) -> str:
    """RFC 4180, by any quote."""
    if quote and (always or any(sign in text for sign in (delimiter, quote, "\n", "\r"))):
        return quote + text.replace(quote, quote * 2) + quote
    return text


def fixed(rows: Iterable[Sequence[str]], widths: Sequence[int]) -> list[str]:
    return ["".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]


def packed(data: bytes, way: str) -> bytes:
    if way == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner/file.csv", data)
        return out.getvalue()
    ways: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gzip": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zstd": lambda plain: bytes(pa.Codec("zstd").compress(plain)),
    }
    return ways[way](data)


def line_protocol(readings: Iterable[Reading]) -> bytes:
    def escaped(key: str) -> str:
        return "".join(f"\\{c}" if c in ",= " else c for c in key)

    lines = (f"{r.sensor} {escaped(r.type)}={r.value!r} {r.ns}" for r in readings)
    return "\n".join(lines).encode()


def senml(readings: Iterable[Reading], bases: bool) -> bytes:
    """The sensor ends with the type, as RFC 8428 makes it. bases: told by base fields."""
    records = []
    for r in readings:
        name, unit = json.dumps(r.type), json.dumps(r.unit)
        before = json.dumps(r.sensor.removesuffix(r.type))
        time = f'"bt": {r.ns // SECOND}, "t": {epoch(r.ns % SECOND, 9)}'
        if not bases:
            time = f'"bt": 0, "t": {epoch(r.ns, 9)}'
        unit = f'"bu": {unit}' if bases else f'"u": {unit}'
        records.append(f'{{"bn": {before}, "n": {name}, {time}, {unit}, "v": {r.value!r}}}')
    return f"[{', '.join(records)}]".encode()


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_BOOK = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/book.xml" ContentType="{_SHEET}.sheet.main+xml"/>'
    f'<Override PartName="/xl/sheet.xml" ContentType="{_SHEET}.worksheet+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_SHEET}.styles+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
    f'Type="{_OFFICE}/officeDocument" Target="xl/book.xml"/></Relationships>',
    "xl/_rels/book.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="sheet.xml"/>'
    f'<Relationship Id="r2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    "xl/book.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><fonts><font/></fonts>'
    "<fills><fill><patternFill/></fill></fills><borders><border/></borders>"
    '<cellStyleXfs><xf numFmtId="0"/></cellStyleXfs>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs></styleSheet>',
}


def workbook(rows: Iterable[Sequence[str | float | datetime]]) -> bytes:
    """By hand, since openpyxl keeps 16 digits of a number and Excel 17."""
    cells = {str: _text, float: _number, datetime: _date}
    lines = (f"<row>{''.join(cells[type(c)](c) for c in row)}</row>" for row in rows)
    sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**_BOOK, "xl/sheet.xml": sheet}.items():
            archive.writestr(name, text)
    return out.getvalue()


def _text(text: Any) -> str:
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def _number(value: Any) -> str:
    return f"<c><v>{value!r}</v></c>"


def _date(instant: Any) -> str:
    days = (instant - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1)
    return f'<c s="1"><v>{days!r}</v></c>'


def xlsx(readings: Iterable[Reading]) -> bytes:
    def instant(ns: int) -> datetime:
        return at(ns)[0] + timedelta(microseconds=ns % SECOND // 1000)

    rows = ([instant(r.ns), r.sensor, r.type, r.unit, r.value] for r in readings)
    return workbook([["t", "s", "k", "u", "v"], *rows])


def parquet(readings: Sequence[Reading], typed: bool, rows: int = 3) -> bytes:
    columns = list(zip(*readings, strict=True)) or [()] * 5
    times = pa.array(columns[0], pa.int64()).cast(pa.timestamp("ns", tz="UTC"))
    texts = [pa.array(c, pa.string()) for c in columns[1:4]]
    values = pa.array(columns[4], pa.float64())
    if typed:
        texts = [text.dictionary_encode() for text in texts]
    else:
        times = pa.array([iso(ns) for ns in columns[0]], pa.large_string())
        values = pa.array([repr(v) for v in columns[4]], pa.string())
    out = io.BytesIO()
    table = pa.table([times, *texts, values], names=["t", "s", "k", "u", "v"])
    pq.write_table(table, out, row_group_size=rows)
    return out.getvalue()
