"""Measures the CPU time per row for each format, from opening the file to bronze. The reference is CSV
with the same rows in the same run.

Each round measures all formats one after the other, in one process on one core. The lowest time of all
rounds counts, because other work on the machine can only increase a time.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq

from benchmarks import inputs, machine
from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.profile import Profile
from sensorflow.core.readings import BRONZE

ROWS = 200_000
SHEET_ROWS = 50_000
AIMS = {"jsonl": 2.0, "json": 3.0, "xlsx": 5.0, "parquet": 0.5}


def measure(quick: bool, rows: int | None = None, repeat: int = 5) -> dict[str, Any]:
    core = machine.pin()
    rows = rows or (SHEET_ROWS if quick else ROWS)
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = written(Path(folder), rows)
        for _ in range(repeat + 1):  # the first one warms up
            for name, (path, form, count) in files.items():
                took = seconds(path, form, count) / count * 1e6
                best[name] = min(best.get(name, took), took)
    cases = [
        {
            "name": n,
            "us_per_row": round(t, 3),
            "ratio": round(t / best["csv"], 2),
            "aim": AIMS.get(n),
        }
        for n, t in best.items()
    ]
    for case in cases:
        print(f"{case['name']:9} {case['us_per_row']:8.3f} us/row  {case['ratio']:6.2f} x CSV")
    return {"core": core, "rows": rows, "cases": cases}


def written(folder: Path, rows: int) -> dict[str, tuple[Path, str, int]]:
    """Write a file for each case. Returns name of the case -> (file, format of the profile, number of
    rows)."""
    writers = {
        form: (inputs.write(folder / f"f.{form}", rows, form), form, rows)
        for form in ("csv", "jsonl", "parquet")
    }
    lines = writers["jsonl"][0].read_text().splitlines()
    document = folder / "f.json"
    document.write_text('{"site": {"id": 1}, "data": [' + ",\n".join(lines) + "]}")
    packed = folder / "f.csv.gz"
    with writers["csv"][0].open("rb") as plain, gzip.open(packed, "wb", 6) as out:
        shutil.copyfileobj(plain, out)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["time", "sensor", "type", "value", "unit"])
    few = min(rows, SHEET_ROWS)
    for line in lines[:few]:
        sheet.append(list(json.loads(line).values()))
    book.save(folder / "f.xlsx")
    return {
        **writers,
        "json": (document, "json", rows),
        "csv.gz": (packed, "csv", rows),
        "xlsx": (folder / "f.xlsx", "xlsx", few),
    }


def seconds(path: Path, form: str, rows: int) -> float:
    """Return the CPU seconds for reading and validating a file and writing it to bronze. rows: the
    expected number of readings."""
    records = {"records": "data[*]"} if form == "json" else {}
    profile = Profile.model_validate({**inputs.profile(form), **records})
    bronze = path.with_suffix(".bronze")
    began, found = time.process_time(), 0
    with path.open("rb") as stream, pq.ParquetWriter(bronze, BRONZE, compression="zstd") as out:
        place = FilePath(path.name, path.name)
        for part in reading.read(stream, profile, place, tempfile.TemporaryFile):
            out.write_batch(part.bronze)
            found += len(part.bronze)
    took = time.process_time() - began
    if found != rows:
        raise SystemExit(
            f"{path.name}: {found:,} readings, {rows:,} expected: the results are invalid"
        )
    return took
