"""Ways to spoil a file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zipfile

import pyarrow as pa

LARGEST = 1 << 18

TOKENS = [
    *(b"", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\r", b"\r\n", b"\n", b"\n\n", b"\xc2\xa0"),
    *(b'"', b'""', b"'", b",", b";", b"\t", b" ", b"||", b"\\", b"{", b"}", b"[", b"]", b":", b"="),
    *(b"NaN", b"inf", b"-Infinity", b"1e400", b"1e-400", b"-0", b"1e999999999999", b"0x1", b"1_0"),
    *(b"9" * 19, b"9" * 400, b"-9223372036854775808", b"9223372036", b"-9200000000.5", b"null"),
    *(
        b"true",
        b'"\\ud800"',
        b'"\\u0000"',
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x1f\x8b",
        b"PK\x03\x04",
    ),
    *(b"24:00:00", b"24:01", b"0000-00-00", b"9999-12-31T23:59:59Z", b"2024-10-27T02:30:00"),
    *(b"2024-03-31 02:30", b"2024-02-29T23:59:60Z", b"+99:99", b"2024-W01", "²٣\u2028".encode()),
    *(b"#", b"200,", b"300,", b"400,", b"500,", b"1,", b"bn", b"bt", b"\x85", b"\x1c", b"\x0c"),
]


def mutate(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    for _ in range(rng.choice([0, 1, 1, 2, 3, 8])):
        data = _once(data, others, rng)[:LARGEST]
    return _packed(data, rng) if rng.random() < 0.1 else data


def _once(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    if data.startswith(b"PK") and rng.random() < 0.9:
        return _in_zip(data, others, rng)
    at, to = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    end = min(at + rng.randint(0, 8), len(data))
    way = rng.randrange(12)
    if way <= 3:
        return data[:at] + rng.choice(TOKENS) + data[end:]
    if way == 4:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    if way == 5:
        return data[:at] + data[to:]
    if way == 6:
        return data[:to] + _repeated(data[at:to], rng.choice([1, 2, 1000])) + data[to:]
    if way == 7:
        return data[:at] + _repeated(rng.choice(TOKENS), rng.choice([10, 1000, 10**5])) + data[at:]
    if way == 8:
        other = rng.choice(others)
        return data[:at] + other[rng.randint(0, len(other)) :]
    if way == 9:
        return _cells(data, rng)
    if way == 10:
        lines = data.split(b"\n")
        rng.shuffle(lines)
        return b"\n".join(lines)
    return _encoded(data, rng)


def _repeated(part: bytes, times: int) -> bytes:
    return part * min(times, LARGEST // max(len(part), 1))


def _cells(data: bytes, rng: random.Random) -> bytes:
    """One cell becomes a token."""
    for sign in rng.sample([b",", b";", b" ", b":", b"\n"], 5):
        cells = data.split(sign)
        if len(cells) > 1:
            cells[rng.randrange(len(cells))] = rng.choice(TOKENS)
            return sign.join(cells)
    return data


def _encoded(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    name = rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp1252"])
    ends = rng.choice(["\n", "\r", "\r\n"])
    return text.replace("\n", ends).encode(name, "replace")


def _in_zip(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Spoil a member, so that the archive stays whole."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(i.filename, archive.read(i)) for i in archive.infolist()]
    except Exception:  # noqa: BLE001 - what zipfile says of a spoiled archive is manifold
        return data[:-1]
    sheets = [i for i, (name, _) in enumerate(members) if "sheet" in name]
    if not members:
        return data
    chosen = rng.choice(sheets) if sheets and rng.random() < 0.7 else rng.randrange(len(members))
    name, inner = members[chosen]
    if not inner.startswith(b"PK"):
        inner = _once(inner, [*others, b'r="99999999"', b"<row", b"</row>"], rng)
    members[chosen] = (name, inner)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, inner in members:
            archive.writestr(name, inner)
    return out.getvalue()


def _packed(data: bytes, rng: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(rng.choice([1, 1, 2])):
            archive.writestr(f"{index}.csv", data)
    zstd = bytes(pa.Codec("zstd").compress(data))
    ways = [gzip.compress(data), bz2.compress(data), lzma.compress(data), zstd, out.getvalue()]
    packed = rng.choice(ways)
    return packed if rng.random() < 0.7 else packed[: rng.randint(0, len(packed))]
