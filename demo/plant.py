"""Generates data of a plant: files, each with the number of readings that it must yield. The random
numbers are seeded, so every run generates the same files."""

from __future__ import annotations

import gzip
import io
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2026, 3, 1, tzinfo=UTC)
HEAD = "time,sensor,type,value,unit\n"


@dataclass(frozen=True)
class GeneratedFile:
    """A generated file. source: the source into whose folder it is dropped. readings: number of readings
    that the database must contain because of this file."""

    source: str
    name: str
    content: bytes
    readings: int


def _row(number: int, sensor: str, draw: random.Random) -> str:
    time = (START + timedelta(seconds=10 * number)).isoformat().replace("+00:00", "Z")
    return f"{time},{sensor},temperature,{20 + draw.gauss(0, 2):.3f},degC\n"


def csv(name: str, rows: int, seed: int) -> GeneratedFile:
    draw = random.Random(seed)
    text = HEAD + "".join(_row(n, f"tank-{seed}", draw) for n in range(rows))
    return GeneratedFile("plant", name, text.encode(), rows)


def corrected(first: GeneratedFile) -> GeneratedFile:
    """Return a new version of the file `first`, in which every hundredth value is corrected."""
    lines = first.content.decode().splitlines(keepends=True)
    for at in range(1, len(lines), 100):
        cells = lines[at].split(",")
        lines[at] = ",".join([*cells[:3], "19.000", cells[4]])
    return GeneratedFile(first.source, first.name, "".join(lines).encode(), first.readings)


def corrupt(intact: GeneratedFile) -> GeneratedFile:
    """Return the file compressed with gzip and cut off in the middle, as after a lost connection."""
    packed = gzip.compress(intact.content, mtime=0)
    return GeneratedFile("plant", "cut-off.csv.gz", packed[: len(packed) // 2], 0)


def json_lines(name: str, rows: int, seed: int) -> GeneratedFile:
    draw = random.Random(seed)
    first = int(START.timestamp() * 1000)
    out = io.StringIO()
    for n in range(rows):
        value = round(60 + draw.gauss(0, 5), 2)
        json.dump({"t": first + 250 * n, "id": "kiln-1", "q": "temperature", "v": value}, out)
        out.write("\n")
    return GeneratedFile("lines", name, gzip.compress(out.getvalue().encode(), mtime=0), rows)


def parquet(name: str, rows: int, seed: int) -> GeneratedFile:
    draw = random.Random(seed)
    table = pa.table(
        {
            "time": pa.array(
                [START + timedelta(minutes=n) for n in range(rows)], pa.timestamp("ms", "UTC")
            ),
            "sensor": ["meter-1"] * rows,
            "power": [round(draw.uniform(0, 400), 1) for _ in range(rows)],
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return GeneratedFile("tables", name, sink.getvalue(), rows)
