"""Numbers that the file itself has as numbers: how people write them does not hold for those."""

from __future__ import annotations

import io
import json
import tempfile
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.profile import Profile

Values = list[float]
STYLE = {"decimal": ",", "thousands": ".", "clean": r"^(\d[\d.,]*)"}


def values(form: str, cells: list[Any], text: str = "", **profile: Any) -> tuple[Values, int, int]:
    """(accepted, missing, rejected) of one cell a row; `text`: JSON in place of the cells."""
    rows = [(f"2026-01-31T12:00:{i:02}Z", cell) for i, cell in enumerate(cells)]
    given = {"time": "t", "sensor": {"constant": "s"}, "columns": {"v": {}}, **profile}
    parsed_profile = Profile.model_validate({"format": form, **given})
    stream = io.BytesIO(text.encode() or WRITERS[form](rows))
    found = list(reading.read(stream, parsed_profile, FilePath("f", "f"), tempfile.TemporaryFile))
    accepted = [value for part in found for value in part.bronze["value"].to_pylist()]
    return accepted, sum(p.missing for p in found), sum(len(p.rejects) for p in found)


def _jsonl(rows: list[tuple[str, Any]]) -> bytes:
    return "".join(json.dumps({"t": t, "v": v}) + "\n" for t, v in rows).encode()


def _json(rows: list[tuple[str, Any]]) -> bytes:
    return b"[" + b",".join(_jsonl(rows).splitlines()) + b"]"


def _xlsx(rows: list[tuple[str, Any]]) -> bytes:
    book = openpyxl.Workbook()
    for row in [("t", "v"), *rows]:
        book.active.append(row)  # type: ignore[union-attr]
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _parquet(rows: list[tuple[str, Any]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"t": [t for t, _ in rows], "v": [v for _, v in rows]}), out)
    return out.getvalue()


WRITERS = {"jsonl": _jsonl, "json": _json, "xlsx": _xlsx, "parquet": _parquet}
TEXTS = ("jsonl", "json", "xlsx")


@pytest.mark.parametrize("form", WRITERS)
def test_a_number_is_no_text(form: str) -> None:
    assert values(form, [21.125, 1e-05, -3.5], **STYLE)[0] == [21.125, 1e-05, -3.5]


@pytest.mark.parametrize("form", TEXTS)
def test_a_number_in_quotes_is_a_text_in_the_same_column(form: str) -> None:
    assert values(form, ["1.021,125 V", 21.125, 7], **STYLE)[0] == [1021.125, 21.125, 7.0]


@pytest.mark.parametrize("form", WRITERS)
def test_missing_bounds_codes_and_scale_hold_for_numbers(form: str) -> None:
    keys = {"missing": ["-99,5"], "missing_above": 900, "scale": 0.1, "values": {"1": 40}}
    assert values(form, [14.0, -99.5, 999.0, 1.0], **STYLE, **keys)[:2] == ([1.4, 4.0], 2)


@pytest.mark.parametrize("form", TEXTS)
def test_a_number_that_fills_the_cells_below_stays_a_number(form: str) -> None:
    cells = [21.125, "", "1.000,5", ""]
    assert values(form, cells, **STYLE, fill_down="v")[0] == [21.125, 21.125, 1000.5, 1000.5]


def test_numbers_stay_numbers_where_a_block_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READINGS", 1)
    cells = [21.125, "1,5", 0.125, "2,5"]
    assert values("jsonl", cells, **STYLE, where={"v": ["21.125", "1,5", "0.125"]})[0] == [
        *(21.125, 1.5, 0.125)
    ]
