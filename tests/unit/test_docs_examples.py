"""What the docs show of files, profiles and readings is so.

An example is `<!-- example: NAME -->` and three blocks: file, profile, readings (…: and more). A
name in .gz, .zip, .xlsx or .parquet packs it; `as cp1252` encodes it; `drift rescue` is the source's.
"""

from __future__ import annotations

import gzip
import io
import re
import tomllib
import zipfile
from pathlib import Path

import openpyxl
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from sensorflow import profiles
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.deduplicate import Deduplicator
from sensorflow.core.quality import QualityFlagger
from sensorflow.core.reading import read
from sensorflow.core.readings import Flag
from sensorflow.core.reshape import reshape
from sensorflow.errors import Permanent
from sensorflow.flow.validate import scratch_file

MARK = r"<!-- example: (\S+)(?: as (\S+))?(?: drift (\S+))? -->"
EXAMPLE = re.compile(MARK + r"(?:(?:(?!```|<!--).)*```\w+\n(.*?)```)" * 3, re.DOTALL)
DOCS = {p: p.read_text("utf-8") for p in sorted((Path(__file__).parents[2] / "docs").rglob("*.md"))}
TABS = pacsv.ParseOptions(delimiter="\t")
RECEIVED = 1_767_225_600 * 10**9  # 2026-01-01


def packed(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("readme.txt", "from the logger")
            archive.writestr(name.removesuffix(".zip"), data)
    elif name.endswith(".parquet"):
        pq.write_table(pacsv.read_csv(io.BytesIO(data), parse_options=TABS), out)
    elif name.endswith(".xlsx"):
        table, book = pacsv.read_csv(io.BytesIO(data), parse_options=TABS), openpyxl.Workbook()
        for row in (table.column_names, *zip(*table.to_pydict().values(), strict=True)):
            book.active.append(row)
        book.save(out)
    return out.getvalue() or (gzip.compress(data) if name.endswith(".gz") else data)


def readings(name: str, encoding: str, drift: str, text: str, toml: str) -> str:
    profile = profiles.validated(profiles.resolved("docs", {"docs": tomllib.loads(toml)}), name)
    policy = Drift(**dict.fromkeys(Drift.model_fields, drift)) if drift else Drift()
    stream = io.BytesIO(packed(name, text.encode(encoding or "utf-8")))
    lines, refused, missing, notes = [], [], 0, dict[str, None]()
    place, watch, seen = (
        FilePath(name, f"site-7/{name}"),
        QualityFlagger(profile.rules),
        Deduplicator(),
    )
    try:
        for part in read(stream, profile, place, scratch_file, policy, RECEIVED):
            for r in reshape(part.bronze, watch, seen).silver.to_pylist():
                flags = f"[{str(Flag(r['quality']).name).lower()}]" if r["quality"] else ""
                at = r["ts"].isoformat().replace("+00:00", "Z")
                cells = (at, r["sensor_id"], r["reading_type"], repr(r["value"]), r["unit"], flags)
                lines.append("  ".join(filter(None, cells)))
            for no, _, column, code, reason, _ in part.rejects:
                refused.append(f"line {no}{f', column {column}' * bool(column)}: {code}: {reason}")
            missing += part.missing
            notes.update({f"drift: {note}": None for note in part.drift})
    except Permanent as error:
        return f"{error}\n"
    return "\n".join([*lines, *refused, *[f"{missing} missing"][: bool(missing)], *notes]) + "\n"


@pytest.mark.parametrize("page", [page for page, text in DOCS.items() if "<!-- example" in text])
def test_the_examples_of_a_page_are_true(page: Path) -> None:
    assert len(EXAMPLE.findall(DOCS[page])) == DOCS[page].count("<!-- example")
    for *given, expected in EXAMPLE.findall(DOCS[page]):
        head = expected.removesuffix("…\n")
        assert readings(*given)[: None if head == expected else len(head)] == head, given[0]
