"""Spreadsheets: the same cells as openpyxl reads, by slices of any size, of every kind of file."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import random
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
import xlwt
from test_limits import in_zip, refused
from test_typed_numbers import values

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats import ooxml, workbook, xlsx
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

PROBE = Profile.model_validate(
    {"format": "xlsx", "time": "t", "sensor": {"constant": "s"}, "columns": {"v": {}}}
)
NOON = dt.datetime(2026, 1, 31, 12, 30, 15, 250_000)


def book(rows: list[list[Any]], formats: dict[str, str] | None = None) -> bytes:
    workbook, out = openpyxl.Workbook(), io.BytesIO()
    sheet = workbook.active
    assert sheet is not None
    for line, row in enumerate(rows, 1):
        for column, cell in enumerate(row, 1):
            if cell is not None:
                sheet.cell(line, column).value = cell
    for place, form in (formats or {}).items():
        sheet[place].number_format = form
    workbook.save(out)
    return out.getvalue()


def patched(data: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    return in_zip(*((n, change(d) if n.endswith(part) else d) for n, d in members))


def texts(data: bytes, **profile: Any) -> list[tuple[int, list[str]]]:
    result = PROBE.model_copy(update=profile)
    return [(n, xlsx.texts(cells)) for n, cells in xlsx.sheet_rows(io.BytesIO(data), result)]


def by_openpyxl(data: bytes) -> list[tuple[int, list[str]]]:
    sheet = openpyxl.load_workbook(io.BytesIO(data), data_only=True).worksheets[0]
    rows = []
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        found = [_as_text(cell) for cell in cells]
        while found and not found[-1]:
            found.pop()
        if found:
            rows.append((number, found))
    return rows


def _as_text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, dt.timedelta):
        return str(cell.total_seconds())
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


def _cell(draw: random.Random) -> Any:
    integer = draw.randrange(-(10**6), 10**6)
    return draw.choice(
        [
            None,
            integer,
            integer / 1000,
            draw.random() * 10 ** draw.randrange(-12, 12),
            NOON + dt.timedelta(milliseconds=draw.randrange(10**12)),
            dt.datetime(2020, 1, 1) + dt.timedelta(days=draw.randrange(3000)),
            dt.time(draw.randrange(24), draw.randrange(60), draw.randrange(60)),
            dt.timedelta(seconds=draw.randrange(86401, 10**6)),
            draw.random() < 0.5,
            draw.choice(["#N/A", "#DIV/0!", "#VALUE!"]),
            draw.choice(["a", "1,5", " x ", "ü<&>", "two\nlines", "=1+1", "'5", 't="e"']),
        ]
    )


@pytest.mark.parametrize("seed", range(6))
def test_cells_are_those_that_openpyxl_reads(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)
    rows = [[_cell(draw) for _ in range(draw.randrange(12))] for _ in range(draw.randrange(1, 80))]
    data = book(rows)
    expected = by_openpyxl(data)
    assert texts(data) == expected
    monkeypatch.setattr(ooxml, "SLICE", 600)
    assert texts(data) == expected
    monkeypatch.setattr(ooxml, "AREA", 30)
    monkeypatch.setattr(ooxml, "MAX_BYTES", 3000)
    assert texts(data, max_parts=10**6) == expected


@pytest.mark.parametrize("prefix", ["", "x:"])
@pytest.mark.parametrize("references", ["both", "rows", "none", "odd"])
def test_rows_with_and_without_references_and_prefixes(
    prefix: str, references: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(xml: bytes) -> bytes:
        if references == "odd":  # as XML may be written, and few write it
            begin, rows = xml.split(b"<sheetData>")
            rows = re.sub(rb' (\w+)="([^"]*)"', rb"\n\1 = '\2'", rows)
            return b"<sheetData>".join((begin, rows))
        if references != "both":
            xml = re.sub(rb'(<c) r="[A-Z]+[0-9]+"', rb"\1", xml)
        if references == "none":
            xml = re.sub(rb'(<row) r="[0-9]+"', rb"\1", xml)
        if prefix:
            xml = re.sub(rb"<(/?)(?!\?)", rb"<\1x:", xml).replace(b"xmlns=", b"xmlns:x=")
        return xml

    rows = [[f"r{i}", i] for i in range(1, 30)]
    data = patched(book(rows), "sheet1.xml", change)
    expected = [(i, [f"r{i}", str(i)]) for i in range(1, 30)]
    assert texts(data) == expected
    monkeypatch.setattr(ooxml, "SLICE", 300)
    assert texts(data) == expected


def test_an_integer_that_no_double_holds_keeps_its_digits() -> None:
    data = book([["t", "v"], [77, 1.5], [78, 2]])
    data = patched(data, "sheet1.xml", lambda x: x.replace(b">77<", b">1700000000123456789<"))
    assert texts(data)[1] == (2, ["1700000000123456789", "1.5"])


def test_dates_that_count_from_1904() -> None:
    data = book([[NOON]])
    mark = rb'<workbookPr date1904="1"'
    later = patched(data, "workbook.xml", lambda x: re.sub(rb"<workbookPr\b", mark, x))
    assert texts(later)[0][1][0].startswith("2030-02-01T12:30:15.25")


def test_comments_between_rows_are_refused_and_not_misread() -> None:
    data = book([["t", "v"], [1, 2]])
    data = patched(
        data, "sheet1.xml", lambda x: x.replace(b'<row r="2"', b'<!-- </row> --><row r="2"')
    )
    assert refused(data, format="xlsx") == Code.UNREADABLE


def test_a_sheet_that_is_cut_off_is_refused() -> None:
    data = book([["t", "s", "k", "v"], *[[i, 2] for i in range(50)]])
    for cut in (300, 900):
        damaged = patched(data, "sheet1.xml", lambda x, cut=cut: x[: len(x) - cut])
        assert refused(damaged, format="xlsx") == Code.UNREADABLE


@pytest.mark.parametrize("quote", [b'"', b"'"])
def test_what_looks_like_an_attribute_within_a_text_stays(quote: bytes) -> None:
    text = "a r='ZZ9' t=\"e\"  b = 'c'"
    data = patched(
        book([[text, 1]]),
        "sheet1.xml",
        lambda x: x.replace(b' r="A1"', b" r=%bA1%b" % (quote, quote)),
    )
    assert texts(data) == [(1, [text, "1"])]
    inline = b'<c r="A1" t="inlineStr"><is><t>' + text.encode() + b"</t></is></c>"
    data = patched(book([[5, 1]]), "sheet1.xml", lambda x: re.sub(rb'<c r="A1".*?</c>', inline, x))
    assert texts(data) == [(1, [text, "1"])]


def test_cells_that_are_far_apart_cost_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    data = book([["t"], [1]])
    distant_cell = b'<row r="1048576"><c r="XFD1048576"><v>5</v></c></row></sheetData>'
    data = patched(data, "sheet1.xml", lambda x: x.replace(b"</sheetData>", distant_cell))
    found = texts(data, max_columns=20_000)
    assert [n for n, _ in found] == [1, 2, 1_048_576]
    assert found[-1][1][-1] == "5"


def rows_of(data: bytes, **profile: Any) -> list[tuple[str, str, float]]:
    given = {"format": "xlsx", "sensor": {"constant": "s"}, "columns": {"v": {}}, **profile}
    parsed_profile = Profile.model_validate(given)
    found = reading.read(io.BytesIO(data), parsed_profile, FilePath("f", "f"), io.BytesIO)
    return [
        (r["ts"].isoformat(), r["reading_type"], r["value"])
        for part in found
        for r in part.bronze.to_pylist()
    ]


DAY, CLOCK = dt.datetime(2026, 1, 31), dt.time(13, 5, 7)


@pytest.mark.parametrize(
    ("day", "clock", "formats"),
    [
        (DAY, CLOCK, ["iso8601"]),
        (DAY, dt.datetime(1900, 1, 1, 13, 5, 7), ["iso8601"]),  # a time with a day of its own
        (dt.datetime(2026, 1, 31, 13, 5, 7), dt.datetime(2026, 1, 31, 13, 5, 7), ["iso8601"]),
        (DAY, "13:05:07", ["iso8601"]),
        (DAY - dt.timedelta(days=1), dt.timedelta(hours=37, minutes=5, seconds=7), ["iso8601"]),
        ("31/01/2026", CLOCK, ["%d/%m/%Y %H:%M:%S"]),
        (DAY, 47107, ["%Y-%m-%d %H"]),
    ],
)
def test_a_date_and_a_time_in_two_columns(day: Any, clock: Any, formats: list[str]) -> None:
    if clock == 47107:
        clock, expected = 13, "2026-01-31T13:00:00+00:00"
    else:
        expected = "2026-01-31T13:05:07+00:00"
    time = {"columns": ["d", "c"], "zone": "UTC", "format": formats}
    data = book([["d", "c", "v"], [day, clock, 1]])
    assert rows_of(data, time=time) == [(expected, "v", 1.0)]


def test_durations_are_seconds() -> None:
    data = book([["t", "v"], [NOON, dt.timedelta(hours=30, minutes=5)]])
    assert rows_of(data, time={"column": "t", "zone": "UTC"})[0][2] == 108_300
    elapsed = {"column": "t", "format": "epoch_s", "since": "2026-01-31T00:00:00Z"}
    data = book([["t", "v"], [dt.timedelta(days=1, seconds=1), 5]])
    assert rows_of(data, time=elapsed) == [("2026-02-01T00:00:01+00:00", "v", 5.0)]


def test_durations_are_no_texts() -> None:
    assert values("xlsx", [dt.timedelta(hours=30)], decimal=",") == ([108_000.0], 0, 0)


def test_an_empty_row_of_units_is_a_row_of_the_header() -> None:
    rows = [["t", "v"], [], [NOON, 5], [NOON + dt.timedelta(minutes=1), 6]]
    given = {"header": ["name", "unit"], "time": {"column": "t", "zone": "UTC"}}
    assert [value for *_, value in rows_of(book(rows), **given)] == [5.0, 6.0]
    rows[1] = [None, "degC"]
    assert [value for *_, value in rows_of(book(rows), **given)] == [5.0, 6.0]


def test_tags_that_are_never_closed_end() -> None:
    """Each of these took hours by patterns that look for a tag's end beyond the next tag."""
    data = book([["t", "v"], [1, 2]])
    for junk in (
        b"<row " * 400_000,
        b'<c t="e' * 300_000,
        b'<c a="' * 300_000 + b">1234567890123456<",
    ):
        broken = patched(
            data, "sheet1.xml", lambda x, j=junk: x.replace(b"</row>", b"</row>" + j, 1)
        )
        with contextlib.suppress(Permanent):
            assert texts(broken)[0] == (1, ["t", "v"])


def test_a_cell_of_an_error_is_a_reject_and_not_missing() -> None:
    assert values("xlsx", [1, "#DIV/0!", 2]) == ([1.0, 2.0], 0, 1)
    assert values("xlsx", [1, "#DIV/0!", 2], missing=["#DIV/0!"]) == ([1.0, 2.0], 1, 0)


# --- other kinds ---


def xls(rows: list[list[Any]]) -> bytes:
    workbook, out = xlwt.Workbook(), io.BytesIO()
    sheet = workbook.add_sheet("One")
    stamp = xlwt.easyxf(num_format_str="YYYY-MM-DD HH:MM:SS")
    for line, row in enumerate(rows):
        for column, cell in enumerate(row):
            if isinstance(cell, dt.datetime):
                sheet.write(line, column, cell, stamp)
            else:
                sheet.write(line, column, cell)
    workbook.save(out)
    return out.getvalue()


_ODS = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2"><office:body>'
    '<office:spreadsheet><table:table table:name="One">{}</table:table></office:spreadsheet>'
    "</office:body></office:document-content>"
)


def _ods_cell(cell: Any) -> str:
    if isinstance(cell, dt.datetime):
        form = f'office:value-type="date" office:date-value="{cell.isoformat()}"'
    elif isinstance(cell, str):
        form = 'office:value-type="string"'
    else:
        form = f'office:value-type="float" office:value="{cell!r}"'
    return f"<table:table-cell {form}><text:p>{cell}</text:p></table:table-cell>"


def ods(rows: list[list[Any]], more: str = "") -> bytes:
    lines = (f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>" for row in rows)
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    )
    content = _ODS.format("".join(lines) + more)
    return in_zip(
        ("mimetype", kind.encode()),
        ("content.xml", content.encode()),
        ("META-INF/manifest.xml", manifest.encode()),
    )


def _record(kind: int, data: bytes = b"") -> bytes:
    """Of [MS-XLSB] 2.1.4: the kind and the size in groups of seven bits."""
    head = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, left = b"", len(data)
    while True:
        size += bytes([left & 0x7F | (0x80 if left > 127 else 0)])
        left >>= 7
        if not left:
            return head + size + data


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def xlsb(rows: list[list[Any]]) -> bytes:
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"

    def relations(*targets: tuple[str, str]) -> bytes:
        inner = "".join(
            f'<Relationship Id="rId{i}" Type="{relation}/{kind}" Target="{target}"/>'
            for i, (kind, target) in enumerate(targets, 1)
        )
        return f'<Relationships xmlns="{package}/relationships">{inner}</Relationships>'.encode()

    size = struct.pack("<IIII", 0, len(rows) - 1, 0, max(map(len, rows)) - 1)
    sheet = _record(129) + _record(148, size) + _record(145)
    for line, row in enumerate(rows):
        sheet += _record(0, struct.pack("<I", line) + bytes(13))
        for column, cell in enumerate(row):
            place = struct.pack("<II", column, 1 if isinstance(cell, dt.datetime) else 0)
            if isinstance(cell, dt.datetime):
                cell = (cell - dt.datetime(1899, 12, 30)) / dt.timedelta(days=1)
            if isinstance(cell, str):
                sheet += _record(6, place + _wide(cell))
            else:
                sheet += _record(5, place + struct.pack("<d", cell))
    sheet += _record(146) + _record(130)
    main = _record(131) + _record(143)
    main += _record(156, struct.pack("<II", 0, 1) + _wide("rId1") + _wide("One"))
    main += _record(144) + _record(132)
    styles = _record(278) + _record(617, struct.pack("<I", 2))
    styles += _record(47, struct.pack("<HH", 0, 0) + bytes(12)) + _record(
        47, struct.pack("<HH", 0, 22) + bytes(12)
    )
    styles += _record(618) + _record(279)
    types = f'<Types xmlns="{package}/content-types"/>'.encode()
    return in_zip(
        ("[Content_Types].xml", types),
        ("_rels/.rels", relations(("officeDocument", "xl/workbook.bin"))),
        ("xl/workbook.bin", main),
        (
            "xl/_rels/workbook.bin.rels",
            relations(("worksheet", "worksheets/sheet1.bin"), ("styles", "styles.bin")),
        ),
        ("xl/worksheets/sheet1.bin", sheet),
        ("xl/styles.bin", styles),
    )


@pytest.mark.parametrize("write", [xls, ods, xlsb])
def test_the_other_kinds_of_spreadsheets(write: Callable[..., bytes]) -> None:
    rows = [["t", "v", "w"], [NOON.replace(microsecond=0), 20.5, "a"], [DAY, -3, "b"]]
    data = write(rows)
    found = rows_of(data, format=write.__name__, time={"column": "t", "zone": "UTC"})
    assert found == [
        ("2026-01-31T12:30:15+00:00", "v", 20.5),
        ("2026-01-31T00:00:00+00:00", "v", -3.0),
    ]


_REPEATED = (
    '<table:table-row table:number-rows-repeated="{}"><table:table-cell '
    'table:number-columns-repeated="{}" office:value-type="string"><text:p>{}</text:p>'
    "</table:table-cell></table:table-row>"
)
_EMPTY = (
    '<table:table-row table:number-rows-repeated="1048573">'
    '<table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
)


def test_cells_far_apart_in_spreadsheets_that_are_held_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [["t", "v"], [1, 2]]
    assert (
        refused(ods(rows, _REPEATED.format(10**6, 1000, "x")), format="ods") == Code.TOO_MANY_CELLS
    )
    long = _REPEATED.format(10**6, 1, "x" * 9000)
    assert refused(ods(rows, long), format="ods") == Code.TOO_MANY_CELLS
    assert len(texts(ods(rows, _EMPTY))) == 2
    monkeypatch.setattr("sensorflow.core.formats.workbook.AREA", 1000)
    distant_cells: list[list[Any]] = [*rows, *[[]] * 40, [""] * 30 + [1]]
    assert refused(xls(distant_cells), format="xls") == Code.TOO_MANY_CELLS
    assert refused(xlsb([*rows, *[[]] * 40, [1.0] * 31]), format="xlsb") == Code.TOO_MANY_CELLS
    assert len(texts(xls(rows))) == len(texts(xlsb(rows))) == 2
    for large in (xls(distant_cells), ods(rows, _REPEATED.format(50, 50, "x"))):
        with pytest.raises(Permanent):  # not even to name its sheets
            workbook.names(io.BytesIO(large))


def test_an_encrypted_workbook_says_so() -> None:
    data = xls([["t", "v"], [1, 2]])
    ole = bytearray(data)
    at = bytes(ole).find("Workbook".encode("utf-16-le"))
    name = "EncryptedPackage".encode("utf-16-le")
    ole[at : at + len(name)] = name
    ole[at + 64 : at + 66] = struct.pack("<H", len(name) + 2)
    assert refused(bytes(ole), format="xlsx") == Code.UNREADABLE
