"""Files that would eat a machine, or turn into something that they are not: stopped, and told why."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import tarfile
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from writers import packed, workbook

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats.chunk import Reject
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent

LONG = {"time": "t", "sensor": {"column": "s"}, "type": {"column": "k"}, "value": "v"}
HEAD = b"t,s,k,v\n"
GOOD = b"2024-01-01T00:00:00Z,a,x,1.5\n"
OBJECT = b'{"t": "2024-01-01T00:00:00Z", "s": "a", "k": "x", "v": %s}\n'
MB = 1 << 20


def read(data: bytes | io.RawIOBase, **table: Any) -> tuple[list[tuple[int, float]], list[Reject]]:
    """((nanoseconds, value) of each reading, rejects)."""
    profile = Profile.model_validate({"format": "csv", **LONG, **table})
    stream: Any = io.BytesIO(data) if isinstance(data, bytes) else data
    found: list[tuple[int, float]] = []
    rejects: list[Reject] = []
    for part in reading.read(stream, profile, FilePath("f.csv"), tempfile.TemporaryFile):
        nanos = part.bronze["ts"].cast(pa.int64()).to_pylist()
        found += zip(nanos, part.bronze["value"].to_pylist(), strict=True)
        rejects += part.rejects
    return found, rejects


def refused(data: bytes | io.RawIOBase, **table: Any) -> Code:
    """The code by which the file as a whole is refused."""
    with pytest.raises(Permanent) as caught:
        read(data, **table)
    assert caught.value.message
    return caught.value.code


@contextmanager
def little_memory(limit: int) -> Iterator[None]:
    """Not more than so many megabytes are held at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit * MB
    finally:
        tracemalloc.stop()


def in_zip(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


class GeneratedFile(io.RawIOBase):
    """A file of 10 GB that is made while it is read."""

    SIZE = 10 * 1024 * MB

    def __init__(self, head: bytes, tail: bytes) -> None:
        self.at = self.given = 0
        self._head, self._sign, self._tail = head, len(tail), tail * (MB // len(tail))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.SIZE)[whence]
        return self.at

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "a file must not be read whole"
        begin = max(self.at - len(self._head), 0) % self._sign
        data = self._head[self.at :] or self._tail[begin:]
        data = data[: min(size, self.SIZE - self.at)]
        self.at += len(data)
        self.given += len(data)
        return data


# 28: decompression bombs and nested archives


@pytest.mark.parametrize("way", ["gzip", "bz2", "xz", "zstd", "zip"])
def test_a_bomb_is_stopped_by_its_ratio(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensorflow.core.formats.compression.GRACE", 2 * MB)
    bomb = packed(HEAD + GOOD * (4 * MB // len(GOOD)), way)
    assert refused(bomb, max_ratio=10) == Code.TOO_LARGE
    assert read(bomb, max_ratio=100_000)[1] == []


@pytest.mark.parametrize("way", ["gzip", "bz2", "xz", "zstd", "zip"])
@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_bomb_is_stopped_by_its_bytes(way: str, form: str) -> None:
    plain = HEAD + GOOD * 20_000 if form == "csv" else b"[" + OBJECT % b"1" + b" " * 600_000 + b"]"
    bomb = packed(plain, way)
    assert refused(bomb, format=form, max_decompressed=500_000) == Code.TOO_LARGE
    assert read(bomb, format=form, max_decompressed=1_000_000)[1] == []


def test_a_bomb_is_stopped_while_it_streams() -> None:
    bomb = gzip.compress(b"x" * (200 * MB), 1)
    with little_memory(100):
        assert refused(bomb, max_decompressed=20 * MB, max_line=500 * MB) == Code.TOO_LARGE


def test_a_spreadsheet_bomb() -> None:
    sheet = workbook([["t", "s", "k", "v"], *[["2024-01-01T00:00:00Z", "a", "x", 1.0]] * 2000])
    assert refused(sheet, format="xlsx", max_decompressed=100_000) == Code.TOO_LARGE
    assert len(read(sheet, format="xlsx")[0]) == 2000


def test_a_spreadsheet_whose_row_numbers_leap() -> None:
    sheet = workbook([["t", "s", "k", "v"], ["2024-01-01T00:00:00Z", "a", "x", 1.0]])
    with zipfile.ZipFile(io.BytesIO(sheet)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    leaps = b'</row><row r="40000000">'
    spoiled = in_zip(*((n, d.replace(b"</row><row>", leaps)) for n, d in members))
    assert refused(spoiled, format="xlsx") in (Code.UNREADABLE, Code.TOO_MANY_ROWS)


def test_a_spreadsheet_whose_last_row_alone_has_a_number_is_held_in_parts() -> None:
    """Around both cells together there would be a rectangle of seventeen thousand million."""
    sheet = workbook([["t", "s", "k", "v"], ["2024-01-01T00:00:00Z", "a", "x", 1.0]])
    with zipfile.ZipFile(io.BytesIO(sheet)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    last = b'</row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row><row>'
    spoiled = in_zip(*((n, d.replace(b"</row><row>", last, 1)) for n, d in members))
    with little_memory(64):
        assert refused(spoiled, format="xlsx") in (Code.UNREADABLE, Code.TOO_MANY_COLUMNS)


def test_a_spreadsheet_with_an_endless_text() -> None:
    rows = [["t", "s", "k", "v"], ["2024-01-01T00:00:00Z", "a" * (3 * MB), "x", 1.0]]
    assert refused(workbook(rows), format="xlsx", max_line=MB) == Code.LINE_TOO_LONG


@pytest.mark.parametrize("outer", ["gzip", "bz2", "xz", "zstd", "zip"])
@pytest.mark.parametrize("inner", ["gzip", "bz2", "xz", "zstd", "zip"])
def test_an_archive_in_an_archive(outer: str, inner: str) -> None:
    assert refused(packed(packed(HEAD + GOOD, inner), outer)) == Code.ARCHIVE


def test_a_tar_and_archives_of_several_files() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"), io.BytesIO())
    assert refused(gzip.compress(out.getvalue())) == Code.ARCHIVE
    two = in_zip(("a.csv", HEAD + GOOD), ("b.csv", HEAD))
    assert refused(two) == Code.ARCHIVE
    assert len(read(two, member="a.*")[0]) == 1
    assert refused(two, member="c") == Code.ARCHIVE


@pytest.mark.parametrize("way", ["gzip", "bz2", "xz", "zstd", "zip"])
def test_an_archive_that_is_cut_off_loads_nothing(way: str) -> None:
    data = packed(HEAD + b"".join(GOOD.replace(b"1.5", b"%d" % (i * i)) for i in range(999)), way)
    assert refused(data[: len(data) * 3 // 4]) == Code.UNREADABLE


# 29: lines, columns and documents without end


@pytest.mark.parametrize("form", ["csv", "jsonl", "influx", "nem12"])
@pytest.mark.parametrize(("encoding", "sign"), [("utf-8", b"a"), ("utf-16-le", b"a\0")])
def test_a_line_of_10_gb(form: str, encoding: str, sign: bytes) -> None:
    known = {} if form in ("csv", "jsonl") else dict.fromkeys(("sensor", "type", "value"))
    endless = GeneratedFile(sign, sign)
    with little_memory(64):
        found = refused(endless, format=form, encoding=encoding, **known)
    assert found == Code.LINE_TOO_LONG
    assert endless.given < 16 * MB


@pytest.mark.parametrize(
    ("head", "tail", "code"),
    [
        (b'["a', b"a", Code.LINE_TOO_LONG),
        (b'[{"a', b"a", Code.LINE_TOO_LONG),
        (b'["', b"\\n", Code.LINE_TOO_LONG),
        (b"[1", b"1", Code.LINE_TOO_LONG),
        (b"[0.", b"0", Code.LINE_TOO_LONG),
        (b"[", b"[", Code.TOO_DEEP),
        (b"[", b'{"a":', Code.TOO_DEEP),
        (b"[[1", b",1", Code.TOO_DEEP),
        (b'[{"a":1', b',"a":1', Code.TOO_DEEP),
    ],
)
def test_json_of_10_gb(head: bytes, tail: bytes, code: Code) -> None:
    """One text, key, number, nesting, list or object."""
    endless = GeneratedFile(head, tail)
    with little_memory(200):
        assert refused(endless, format="json", max_record=4 * MB) == code
    assert endless.given < 32 * MB


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("inner", [b"[" * 900 + b"]" * 900, b'{"a":' * 700 + b"1" + b"}" * 700])
@pytest.mark.parametrize("key", ["s", "v", "other"])
def test_deep_json_within_the_limit_of_a_line(form: str, inner: bytes, key: str) -> None:
    line = OBJECT.replace(b'"%s":' % key.encode(), b'"gone":') % b"1"
    line = line.replace(b"}", b', "%s": %s}' % (key.encode(), inner))
    if form == "json":
        assert refused(line, format="json", records="") == Code.TOO_DEEP
    else:
        assert [r.line_no for r in read(OBJECT % b"1" + line, format="jsonl")[1]] == [2]


def test_a_million_columns() -> None:
    limits = {"max_line": 64 * MB}
    titles = b",".join(b"c%d" % i for i in range(10**6))
    assert refused(HEAD.strip() + b"," + titles + b"\n", **limits) == Code.TOO_MANY_COLUMNS
    members = b", ".join(b'"c%d": 1' % i for i in range(10**5))
    line = OBJECT % b"1, " + members
    line = line.replace(b"}\n", b"") + b"}\n"
    assert refused(line, format="jsonl", **limits) == Code.TOO_MANY_COLUMNS
    assert refused(b"[%s]" % line, format="json") == Code.TOO_MANY_COLUMNS
    wide = workbook([["t", "s", "k", "v", *["c"] * 100]])
    assert refused(wide, format="xlsx", max_columns=50) == Code.TOO_MANY_COLUMNS
    out = io.BytesIO()
    pq.write_table(pa.table({f"c{i}": [1] for i in range(100)}), out)
    assert refused(out.getvalue(), format="parquet", max_columns=50) == Code.TOO_MANY_COLUMNS


@pytest.mark.parametrize("cell", [b",1", b","])
def test_a_row_of_a_hundred_thousand_cells_costs_itself_alone(cell: bytes) -> None:
    row = GOOD.strip() + cell * 120_000 + b"\n"
    began = time.process_time()
    found, rejects = read(HEAD + row + GOOD)
    assert len(found) + len(rejects) == 2
    assert time.process_time() - began < 5  # not the square of the cells, which takes minutes


def test_a_quote_left_open_costs_little() -> None:
    began = time.process_time()
    _, rejects = read(HEAD + (b'2024-01-01T00:00:00Z,"a\n' + b"x\n" * 32_000))
    assert len(rejects) == 32_001
    assert time.process_time() - began < 3  # each line is looked at once or twice


# 30: NUL bytes and what is not UTF-8

BEFORE = {"csv": HEAD + GOOD, "jsonl": OBJECT % b"1"}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"\0", Code.NUL_BYTE),
        (b"\xff", Code.INVALID_UTF8),
        (b"\xc3", Code.INVALID_UTF8),
        (b"\xed\xa0\x80", Code.INVALID_UTF8),
        (b"\xc0\x80", Code.INVALID_UTF8),
    ],
)
def test_a_bad_byte_is_told_by_its_offset(form: str, mark: bytes, bad: bytes, code: Code) -> None:
    line = GOOD if form == "csv" else OBJECT % b"1"
    before = mark + BEFORE[form]
    spoiled = line.replace(b"a", b"a" + bad)
    found, rejects = read(before + spoiled + line, format=form)
    assert len(found) == 2
    expected = len(before) + spoiled.index(bad)
    (reject,) = rejects
    assert (reject.code, reject.byte_offset) == (code, expected)
    assert reject.line_no == before.count(b"\n") + 1


@pytest.mark.parametrize(
    ("encoding", "bad", "code"),
    [
        ("utf-16-le", b"\0\xd8", Code.INVALID_UTF8),
        ("utf-16-le", b"\0\0", Code.NUL_BYTE),
        ("utf-16-be", b"\xdc\0", Code.INVALID_UTF8),
        ("cp1252", b"\x81", Code.INVALID_UTF8),
        ("latin-1", b"\0", Code.NUL_BYTE),
        ("shift_jis", b"\xff", Code.INVALID_UTF8),
    ],
)
def test_a_bad_character_of_an_encoding(encoding: str, bad: bytes, code: Code) -> None:
    """The offset is that in the text as UTF-8."""
    before, after = (HEAD + b"2024-01-01T00:00:00Z,", b",x,1\n" + GOOD)
    file = before.decode().encode(encoding) + bad + after.decode().encode(encoding)
    found, rejects = read(file, encoding=encoding)
    assert [(r.code, r.byte_offset, r.line_no) for r in rejects] == [(code, len(before), 2)]
    assert len(found) == 1


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("bad", [b"\\ud800", b"\\udc00x", b"\\ud800\\ud800", b"\\u0000"])
def test_escapes_that_are_no_character(form: str, bad: bytes) -> None:
    spoiled = (OBJECT % b"1").replace(b'"a"', b'"a%s"' % bad)
    _, rejects = read(OBJECT % b"1" + spoiled, format=form)
    assert [r.code for r in rejects] in ([Code.INVALID_UTF8], [Code.NUL_BYTE])


@pytest.mark.parametrize("way", ["", "gzip"])
def test_a_json_document_that_is_not_utf_8(way: str) -> None:
    file = packed(b"[%s]" % (OBJECT % b"1").replace(b'"a"', b'"\xff"'), way)
    assert refused(file, format="json") == Code.UNREADABLE


# 34: numbers and times that are none


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("NaN", Code.VALUE_NOT_FINITE),
        ("-inf", Code.VALUE_NOT_FINITE),
        ("Infinity", Code.VALUE_NOT_FINITE),
        ("1e400", Code.VALUE_NOT_REPRESENTABLE),
        ("-1e-400", Code.VALUE_NOT_REPRESENTABLE),
        ("9" * 400, Code.VALUE_NOT_REPRESENTABLE),
        ("0x10", Code.VALUE_NOT_A_NUMBER),
        ("1_000", Code.VALUE_NOT_A_NUMBER),
        ("\u0661", Code.VALUE_NOT_A_NUMBER),
        ("1,5", Code.VALUE_NOT_A_NUMBER),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl", "json"])
def test_values_that_are_no_double(cell: str, code: Code, form: str) -> None:
    if form == "csv":
        file = HEAD + GOOD.replace(b"1.5", b'"%s"' % cell.encode()) + GOOD
    else:
        shown = cell if re.fullmatch(r"-?\d+(e-?\d+)?", cell, re.ASCII) else f'"{cell}"'
        file = OBJECT % shown.encode() + OBJECT % b"1.5"
    found, rejects = read(file, format=form)
    assert [r.code for r in rejects] == [code]
    assert [value for _, value in found] == [1.5]


@pytest.mark.parametrize(
    ("cell", "time", "code"),
    [
        ("2023-02-29T00:00:00Z", {}, Code.TIMESTAMP_UNREADABLE),
        ("2024-02-30T00:00:00Z", {}, Code.TIMESTAMP_UNREADABLE),
        ("30/02/2024", {"format": "%d/%m/%Y", "zone": "UTC"}, Code.TIMESTAMP_UNREADABLE),
        ("2023-366", {"format": "%Y-%j", "zone": "UTC"}, Code.TIMESTAMP_UNREADABLE),
        ("2024-01-01T24:01:00Z", {}, Code.TIMESTAMP_UNREADABLE),
        ("2024-01-01T24:00:00.000000001Z", {}, Code.TIMESTAMP_UNREADABLE),
        ("2024-01-01T23:59:60Z", {}, Code.TIMESTAMP_UNREADABLE),
        ("1899-12-31T23:59:59.999999999Z", {}, Code.TIMESTAMP_OUT_OF_RANGE),
        ("2200-01-01T00:00:00Z", {}, Code.TIMESTAMP_OUT_OF_RANGE),
        ("9999-12-31T23:59:59Z", {}, Code.TIMESTAMP_OUT_OF_RANGE),
        ("9" * 19, {"format": "epoch_ms"}, Code.TIMESTAMP_OUT_OF_RANGE),
        ("9" * 19, {"format": "epoch_ns"}, Code.TIMESTAMP_OUT_OF_RANGE),
        ("9223372036.999", {"format": "epoch_s"}, Code.TIMESTAMP_OUT_OF_RANGE),
        ("-9200000000", {"format": "epoch_s", "since": "1904-01-01"}, Code.TIMESTAMP_OUT_OF_RANGE),
        ("1e9", {"format": "epoch_s"}, Code.TIMESTAMP_UNREADABLE),
        ("2024-01-01T00:00:00", {}, Code.TIMESTAMP_NO_ZONE),
    ],
)
def test_times_that_are_none(cell: str, time: dict[str, str], code: Code) -> None:
    row = GOOD.replace(b"2024-01-01T00:00:00Z", cell.encode())
    found, rejects = read(HEAD + row, time={"column": "t", **time})
    assert (found, [r.code for r in rejects]) == ([], [code])


def test_the_24th_hour_ends_its_day() -> None:
    row = GOOD.replace(b"2024-01-01T00:00", b"2023-12-31T24:00")
    found, rejects = read(HEAD + row + GOOD)
    assert rejects == []
    assert found[0] == found[1]
