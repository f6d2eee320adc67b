"""Files whose cost their size does not bound are refused; honest ones of the same kind are read."""

from __future__ import annotations

import io
import random
import zipfile
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_limits import LONG, in_zip, read, refused
from writers import workbook

from sensorflow.core.months import MonthLimits, NewMonths
from sensorflow.core.profile import Profile
from sensorflow.core.readings import months_of
from sensorflow.errors import Code, Permanent
from sensorflow.settings import FolderSource

HEAD = ["t", "s", "k", "v"]
ROW = ["2024-01-01T00:00:00Z", "a", "x", 1.0]


def equal_rows(count: int) -> bytes:
    """As small as Parquet can make them."""
    columns = {
        "t": pa.repeat(
            pa.scalar(datetime(2024, 1, 1, tzinfo=UTC), pa.timestamp("us", "UTC")), count
        ),
        "s": pa.repeat(pa.scalar("a"), count),
        "k": pa.repeat(pa.scalar("x"), count),
        "v": pa.repeat(pa.scalar(1.0), count),
    }
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd")
    return out.getvalue()


def test_millions_of_equal_rows_in_a_few_bytes_of_parquet() -> None:
    bomb = equal_rows(1_300_000)
    assert len(bomb) < 200_000
    assert refused(bomb, format="parquet") == Code.TOO_MANY_ROWS


def test_a_parquet_file_of_equal_rows_is_read_while_it_is_small() -> None:
    assert len(read(equal_rows(100_000), format="parquet")[0]) == 100_000


def test_a_parquet_file_of_equal_rows_is_read_where_the_profile_says_so() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sensorflow.core.formats.FREE_ROWS", 1000)
        data = equal_rows(100_000)
        assert refused(data, format="parquet") == Code.TOO_MANY_ROWS
        assert len(read(data, format="parquet", max_rows_per_byte=1e6)[0]) == 100_000


def distant_rows(rows: int) -> bytes:
    """A spreadsheet with a cell far to the right of each row."""
    sheet = workbook([HEAD, *[ROW] * rows])
    with zipfile.ZipFile(io.BytesIO(sheet)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    cell = b'<c r="MZZ%d" t="inlineStr"><is><t> </t></is></c></row>'

    def numbered(xml: bytes) -> bytes:
        rows = enumerate(xml.split(b"</row>")[:-1], 1)
        return b"".join(r.replace(b"<row>", b'<row r="%d">' % n) + cell % n for n, r in rows)

    return in_zip(
        *((n, numbered(d) + d.rpartition(b"</row>")[2] if "sheet" in n else d) for n, d in members)
    )


def test_a_cell_far_from_the_table_in_every_row() -> None:
    wide = {"format": "xlsx", "max_columns": 10_000}
    assert refused(distant_rows(1200), **wide) == Code.TOO_MANY_CELLS
    assert refused(distant_rows(50), max_cells=100_000, **wide) == Code.TOO_MANY_CELLS


def with_part(sheet: bytes, name: str, data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(sheet)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return in_zip(*(members | {name: data}).items())


RELATIONS = "xl/_rels/book.xml.rels"


def related(target: str) -> bytes:
    """The relations of a book whose shared texts are the part `target`."""
    kind = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
    more = b'<Relationship Id="r9" Type="%s" Target="%s"/></Relationships>' % (
        kind,
        target.encode(),
    )
    with zipfile.ZipFile(io.BytesIO(workbook([HEAD]))) as archive:
        return archive.read(RELATIONS).replace(b"</Relationships>", more)


@pytest.mark.parametrize("name", ["xl/styles.xml", "xl/texts.bin", "xl/sheet.xml"])
def test_what_is_held_of_a_spreadsheet_is_bounded_whatever_its_part_is_called(name: str) -> None:
    sheet = workbook([HEAD, *[ROW] * 2000])  # the sheet itself is larger
    assert len(read(sheet, format="xlsx", max_parts=200_000)[0]) == 2000
    bomb = with_part(sheet, RELATIONS, related(name.removeprefix("xl/")))
    if name != "xl/sheet.xml":
        bomb = with_part(bomb, name, b"<sst>" + random.Random(1).randbytes(150_000).hex().encode())
    assert refused(bomb, format="xlsx", max_parts=200_000) == Code.TOO_LARGE


def test_images_of_a_spreadsheet_are_not_held() -> None:
    sheet = workbook([HEAD, *[ROW] * 2000])
    image = with_part(sheet, "xl/media/image1.png", random.Random(1).randbytes(300_000))
    assert len(read(image, format="xlsx", max_parts=200_000)[0]) == 2000


# --- months ---


def times(first: date, months: int, each: int) -> pa.Array:
    """`each` readings in each of so many months."""
    start = np.datetime64(first, "M") + np.arange(months)
    ts = (start.astype("M8[ns]")[:, None] + np.arange(each) * np.timedelta64(1, "h")).ravel()
    return pa.array(ts.astype(np.int64)).cast(pa.timestamp("ns", "UTC"))


def new_months(*batches: pa.Array, limits: MonthLimits | None = None) -> NewMonths:
    counted, known = NewMonths(limits or MonthLimits()), set[date]()
    for ts in batches:
        found = months_of(ts)
        counted.count(found, found.keys() - known)
        known |= found.keys()
    return counted


def test_one_reading_a_month_over_centuries_is_refused() -> None:
    with pytest.raises(Permanent) as caught:
        new_months(times(date(1900, 1, 1), 2677, 1))
    assert caught.value.code == Code.TOO_MANY_MONTHS
    assert "1900-01" in caught.value.message


def test_decades_of_daily_readings_are_loaded_and_thirty_years_of_monthly_ones() -> None:
    new_months(times(date(1960, 1, 1), 720, 28))
    new_months(times(date(1996, 1, 1), 360, 1))
    with pytest.raises(Permanent):
        new_months(times(date(1996, 1, 1), 361, 1))
    new_months(times(date(1900, 1, 1), 1500, 1), limits=MonthLimits(2000, 2000))


def test_months_are_counted_over_all_batches_of_a_file() -> None:
    years = [times(date(1990 + n, 1, 1), 12, 1) for n in range(31)]
    new_months(*years[:30])
    with pytest.raises(Permanent):
        new_months(*years)
    with pytest.raises(Permanent):
        new_months(*(times(date(1900 + n, 1, 1), 12, 20) for n in range(101)))


def test_the_months_of_times() -> None:
    assert months_of(times(date(2024, 2, 1), 1, 3)) == {date(2024, 2, 1): 3}
    assert months_of(times(date(2024, 2, 1), 2, 3)) == {date(2024, 2, 1): 3, date(2024, 3, 1): 3}


# --- earliest and latest ---

BOUNDS = b"""t,s,k,v
1999-12-31T23:59:59Z,a,x,1
2000-01-01T00:00:00Z,a,x,2
2030-01-01T00:00:00Z,a,x,3
2030-01-01T00:00:01Z,a,x,4
"""


def test_times_that_a_source_does_not_expect_are_rejects() -> None:
    found, rejects = read(BOUNDS, earliest="2000-01-01", latest=datetime(2030, 1, 1, tzinfo=UTC))
    assert [value for _, value in found] == [2, 3]
    assert [(r.line_no, r.code) for r in rejects] == [
        (2, Code.TIMESTAMP_OUTSIDE),
        (5, Code.TIMESTAMP_OUTSIDE),
    ]
    assert "1999-12-31T23:59:59Z" in rejects[0].reason
    assert "from 2000-01-01T00:00:00+00:00 to 2030-01-01T00:00:00+00:00" in rejects[0].reason
    assert len(read(BOUNDS)[0]) == 4


@pytest.mark.parametrize("bad", ["yesterday", "1066-10-14", 5, "2300-01-01"])
def test_bounds_that_are_none_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"ISO 8601|isoformat"):
        FolderSource.model_validate({"path": "drop", "profile": "long", "earliest": bad})


def test_bounds_change_the_hash_of_a_profile_and_new_limits_do_not() -> None:
    plain = Profile.model_validate({"format": "csv", **LONG})
    loose = Profile.model_validate(
        {"format": "csv", **LONG, "max_rows_per_byte": 9, "max_cells": 5, "max_parts": 6}
    )
    bound = Profile.model_validate({"format": "csv", **LONG, "earliest": "2000-01-01"})
    assert plain.hash == loose.hash != bound.hash
