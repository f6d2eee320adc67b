"""Bytes of the corpus: the same at each run."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
from fleet import rows, text


def drawn(number: int) -> random.Random:
    return random.Random(f"same {number}")


def plain(number: int, count: int = 20) -> bytes:
    return text(rows(number, count, drawn(number)))


def rejected(number: int, bad: int = 3) -> bytes:
    """Of 20 rows: one without a number, one without a time, one of too many columns, in turn."""
    lines = plain(number).decode().splitlines()
    spoiled = ("{0},{1},{2},much,{4}", "soon,{1},{2},{3},{4}", "{0},{1},{2},{3},{4},more,cells")
    for place in range(bad):
        at = 2 + place * 3
        lines[at] = spoiled[place % 3].format(*lines[at].split(","))
    return ("\n".join(lines) + "\n").encode()


def missing(number: int) -> bytes:
    lines = plain(number).decode().splitlines()
    for at in (3, 7, 8):
        time, sensor, kind, _, unit = lines[at].split(",")
        lines[at] = f"{time},{sensor},{kind},,{unit}"
    return ("\n".join(lines) + "\n").encode()


def repeated(number: int) -> bytes:
    """Readings that are there twice, alike and with another value, and out of order."""
    lines = plain(number).decode().splitlines()
    time, sensor, kind, _, unit = lines[5].split(",")
    more = [lines[4], lines[6], f"{time},{sensor},{kind},99.5,{unit}"]
    return ("\n".join([*lines, *more]) + "\n").encode()


def renewed(number: int) -> bytes:
    """A second version: the first half with other values, the rest left out, ten readings more."""
    draw = drawn(number + 5000)
    renewed_rows = [(t, s, draw.uniform(-50, 50)) for t, s, _ in rows(number, 30, draw)]
    return text(renewed_rows[:10] + renewed_rows[20:])


def station(number: int, rows_: int = 24, head: str = "when;temp;hum") -> bytes:
    draw, extra = drawn(number), head.count(";") - 2
    lines = [head]
    for n in range(rows_):
        temp = f"{draw.uniform(-20, 35):.1f}".replace(".", ",")
        hum = "n/a" if n % 9 == 4 else f"{draw.uniform(20, 99):.0f}"
        lines.append(
            f"{1 + number % 28:02}.03.2026 {n % 24:02}:00;{temp};{hum}" + ";rescued" * extra
        )
    return ("\n".join(lines) + "\n").encode()


def clocked(number: int) -> bytes:
    """The hour that is there twice in autumn, and the one that is not there in spring."""
    times = ["26.10.2025 01:30", "26.10.2025 02:00", "26.10.2025 02:30", "26.10.2025 02:00"]
    times += ["26.10.2025 02:30", "26.10.2025 03:00", *(f"2{d}.10.2025 12:00" for d in range(6))]
    times += [f"1{d}.10.2025 12:00" for d in range(9)] + ["30.03.2025 02:30"]
    return ("when;temp;hum\n" + "".join(f"{t};{n},5;50\n" for n, t in enumerate(times))).encode()


def json_lines(number: int, bad: bool = False) -> bytes:
    lines = [
        json.dumps({"t": t, "dev": s, "v": v, "other": number})
        for t, s, v in rows(number, 20, drawn(number))
    ]
    if bad:
        lines[7] = '{"t": "2026-02-01T00:00:07Z", "dev": '
    return ("\n".join(lines) + "\n").encode()


def parquet(number: int) -> bytes:
    found = rows(number, 20, drawn(number))
    names = ("time", "sensor", "type", "value", "unit")
    cells = [[t, s, "temperature", v, "degC"] for t, s, v in found]
    columns = [pa.array(c) for c in zip(*cells, strict=True)]
    out = io.BytesIO()
    pq.write_table(pa.table(dict(zip(names, columns, strict=True))), out)
    return out.getvalue()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzipped(out.getvalue())
