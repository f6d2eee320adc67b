"""What the docs show of files, profiles and readings is so.

An example is a comment `<!-- example: NAME -->` and three blocks: the file, the profile, the readings. The
name's ending packs it (.gz, .bz2, .zip, and .xlsx or .parquet of cells between tabs). In the comment,
`as cp1252` encodes the file and `drift rescue` is the source's. Readings that end with … go on.
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
import tomllib
import zipfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sensorflow import profiles
from sensorflow.core.dedupe import Occurrences
from sensorflow.core.layout import Drift, Place
from sensorflow.core.quality import Flag, Watch
from sensorflow.core.reading import read
from sensorflow.core.reshape import reshape
from sensorflow.errors import Permanent
from sensorflow.flow.validate import scratch

DOCS = Path(__file__).parents[2] / "docs"
RECEIVED = 1_767_225_600 * 10**9  # 2026-01-01
MARK = r"<!-- example: (\S+)(?: as (\S+))?(?: drift (\S+))? -->"
EXAMPLE = re.compile(MARK + r"(?:(?:(?!```|<!--).)*```\w+\n(.*?)```)" * 3, re.DOTALL)
PAGES = {page: page.read_text("utf-8") for page in sorted(DOCS.rglob("*.md"))}


def typed(cell: str) -> Any:
    for kind in (float, datetime.fromisoformat):
        with suppress(ValueError):
            return kind(cell)
    return cell or None


def packed(name: str, text: str, encoding: str) -> bytes:
    data, kind, out = text.encode(encoding or "utf-8"), Path(name).suffix, io.BytesIO()
    cells = [[typed(cell) for cell in line.split("\t")] for line in text.splitlines()]
    if kind == ".zip":
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("readme.txt", "from the logger")
            archive.writestr(name.removesuffix(kind), data)
    elif kind == ".xlsx":
        book = openpyxl.Workbook()
        for row in cells:
            book.active.append(row)
        book.save(out)
    elif kind == ".parquet":
        pq.write_table(
            pa.table(dict(zip(cells[0], zip(*cells[1:], strict=True), strict=True))), out
        )
    return out.getvalue() or {".gz": gzip.compress, ".bz2": bz2.compress}.get(kind, bytes)(data)


def readings(name: str, encoding: str, drift: str, text: str, toml: str) -> str:
    profile = profiles.validated(profiles.resolved("docs", {"docs": tomllib.loads(toml)}), name)
    policy = Drift(**dict.fromkeys(Drift.model_fields, drift)) if drift else Drift()
    stream, watch, seen = (
        io.BytesIO(packed(name, text, encoding)),
        Watch(profile.rules),
        Occurrences(),
    )
    lines, refused, missing, notes = [], [], 0, dict[str, None]()
    try:
        for part in read(stream, profile, Place(name, f"site-7/{name}"), scratch, policy, RECEIVED):
            for r in reshape(part.bronze, watch, seen).silver.to_pylist():
                flags = f"[{str(Flag(r['quality']).name).lower()}]" if r["quality"] else ""
                at = r["ts"].isoformat().replace("+00:00", "Z")
                cells = (at, r["sensor_id"], r["reading_type"], repr(r["value"]), r["unit"], flags)
                lines.append("  ".join(filter(None, cells)))
            for no, _, column, code, reason, _ in part.rejects:
                refused.append(
                    f"line {no}{f', column {column}' if column else ''}: {code}: {reason}"
                )
            missing += part.missing
            notes.update({f"drift: {note}": None for note in part.drift})
    except Permanent as error:
        return f"{error}\n"
    counted = [f"{missing} missing"] if missing else []
    return "\n".join([*lines, *refused, *counted, *notes]) + "\n"


@pytest.mark.parametrize("page", [p for p, text in PAGES.items() if "<!-- example" in text])
def test_the_examples_of_a_page_are_true(page: Path) -> None:
    found = EXAMPLE.findall(PAGES[page])
    assert len(found) == PAGES[page].count("<!-- example")
    for *given, wanted in found:
        got, head = readings(*given), wanted.removesuffix("…\n")
        assert (got if head == wanted else got[: len(head)]) == head, given[0]
