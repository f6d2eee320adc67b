"""The files of a run and what must become of each: the truth that everything is held against.

Made from a seed alone. Nothing here asks sensorflow.
"""

from __future__ import annotations

import gzip
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

HEAD = "time,sensor,type,value,unit\n"
BAD = 5
"""Rows that cannot be read, in a file that has some."""
FIRST = np.datetime64("2026-01-01T00:00:00", "s").astype(np.int64)
SECONDS_BETWEEN_FILES = 7 * 3600
"""Seconds between the first readings of two files: a run of five hundred spans five months."""


class Kind(StrEnum):
    GOOD = "good"
    LARGE = "large"  # goes as a chain of three tasks
    BAD_ROWS = "bad-rows"
    REPEATS = "repeats"  # rows stand in it twice
    TWIN = "twin"  # the same bytes come again under another name
    AGAIN = "again"  # the same bytes come again under the same name
    FEED = "feed"  # its source sends overlapping windows
    REUSED = "reused"  # a version of a name: the next chunk, a correction, a window, a grown file
    BORROWED = "borrowed"  # a name that had other content gets the bytes of another name
    CORRUPT = "corrupt"
    POISON = "poison"  # ends every process that parses it
    TANGLED = "tangled"  # a pattern of its profile would search it for years; of the soak alone
    STUCK = "stuck"  # no thread of a process runs on that parses it; of the soak alone


SHARES = {
    Kind.POISON: 0.05,
    Kind.CORRUPT: 0.03,
    Kind.BAD_ROWS: 0.04,
    Kind.LARGE: 0.08,
    # a tenth of all are duplicates of one kind or another
    Kind.TWIN: 0.02,
    Kind.AGAIN: 0.02,
    Kind.REPEATS: 0.03,
    Kind.FEED: 0.04,
    Kind.REUSED: 0.04,
    Kind.BORROWED: 0.01,
}
VERSIONS = 5
"""Versions that come under a name that is used again."""
SOURCES = {
    Kind.FEED: "feed",
    Kind.POISON: "trap",
    Kind.TANGLED: "tangle",
    Kind.STUCK: "stuck",
}
QUARANTINED = {Kind.CORRUPT: "F203", Kind.POISON: "F207", Kind.TANGLED: "F2", Kind.STUCK: "F2"}


@dataclass(frozen=True)
class Drop:
    """One file to be put into a drop folder."""

    source: str
    name: str
    content: bytes


@dataclass(frozen=True, eq=False)
class GeneratedFile:
    """One file's content, and what must become of it.

    seconds, values: its readings, each once, of `sensor`; none where the file is to be quarantined.
    read: readings of its account, repeats: those that stand in it before. replaced: readings that later
    versions of its name state again. copies: files of the ledger that may have these bytes. is_outgrown:
    whether a later version begins with its bytes.
    """

    kind: Kind
    source: str
    names: tuple[str, ...]
    sha256: bytes
    sensor: str
    seconds: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    read: int = 0
    rejected: int = 0
    repeats: int = 0
    replaced: int = 0
    copies: int = 1
    is_outgrown: bool = False

    @property
    def code(self) -> str:
        """How the error begins with which it is quarantined; "" for a file that is to be loaded."""
        return QUARANTINED.get(self.kind, "")


@dataclass
class Manifest:
    files: list[GeneratedFile] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(generated.read for generated in self.files)

    def readings(self) -> dict[str, dict[int, float]]:
        """Sensor -> second -> value: every reading that must be there, once."""
        found: dict[str, dict[int, float]] = {}
        for generated in self.files:
            if not generated.code:
                pairs = zip(generated.seconds.tolist(), generated.values.tolist(), strict=True)
                found.setdefault(generated.sensor, {}).update(pairs)
        return found


def kinds(count: int, draw: random.Random) -> list[Kind]:
    """In a drawn order; of each kind at least one, of feed at least two."""
    result: list[Kind] = []
    for kind, share in SHARES.items():
        result += [kind] * max(2 if kind is Kind.FEED else 1, round(share * count))
    result = result[:count] + [Kind.GOOD] * (count - len(result))
    draw.shuffle(result)
    return result


def generate(seed: int, wanted: list[Kind], rows: int, manifest: Manifest) -> Iterator[list[Drop]]:
    """What to drop, file by file; each is in the manifest before it is given out."""
    draw = random.Random(seed)
    series = np.random.default_rng([seed, 0]).uniform(-50, 50, (len(wanted) + 2) * rows)
    feeds = 0
    later: list[Drop] = []
    for number, kind in enumerate(wanted):
        if kind in (Kind.REUSED, Kind.BORROWED):
            several = _reused if kind is Kind.REUSED else _borrowed
            for generated, names, content in several(number, rows, seed, draw):
                if generated not in manifest.files:
                    manifest.files.append(generated)
                yield [Drop(generated.source, name, content) for name in names]
            continue
        if kind is Kind.FEED:
            generated, content = _feed(number, feeds * rows // 2, rows, series)
            feeds += 1
        else:
            generated, content = _file(number, kind, rows, seed, draw)
        manifest.files.append(generated)
        drops = [Drop(generated.source, generated.names[0], content)]
        if kind in (Kind.TWIN, Kind.AGAIN):
            (later if draw.random() < 0.7 else drops).append(
                Drop(generated.source, generated.names[-1], content)
            )
        if later and draw.random() < 0.2:
            drops.append(later.pop(0))
        yield drops
    if later:
        yield later


def trap(number: int, kind: Kind) -> tuple[GeneratedFile, bytes]:
    """A file of the soak's own that is to be quarantined, whoever reads it."""
    content = f"{HEAD}{'x' * 64},{number},,,\n".encode()
    none = np.array([], np.int64), np.array([], np.float64)
    return _generated(kind, (f"{number:04}-{kind}.csv",), content, "", *none), content


def _feed(
    number: int, start: int, rows: int, series: npt.NDArray[np.float64]
) -> tuple[GeneratedFile, bytes]:
    """The next window of an endless series; its first half is the second half of the one before."""
    seconds = FIRST + np.arange(start, start + rows)
    values = series[start : start + rows]
    content = _text(seconds, "feed", values)
    name = f"{number:04}-feed.csv"
    return _generated(Kind.FEED, (name,), content, "feed", seconds, values, read=rows), content


Several = Iterator[tuple[GeneratedFile, tuple[str, ...], bytes]]
"""Files with the names under which they come now."""


def _reused(number: int, rows: int, seed: int, draw: random.Random) -> Several:
    """Versions of one name, as a logger makes them that begins its file anew, or as people correct it."""
    values = np.random.default_rng([seed, number + 1]).uniform(-50, 50, (VERSIONS, rows))
    sensor, size = f"s{number:04}", rows // VERSIONS
    low, high, contents = 0, size, []
    for version in range(VERSIONS):
        way = draw.choice(("chunk", "correction", "window", "grown", "without")) if version else ""
        if way == "chunk":
            low, high = high, high + size
        elif way == "window":
            low, high = (low + high) // 2, high + size // 2
        elif way == "without":
            low = (low + high) // 2  # a correction that leaves its beginning out
        grown = contents[-1] if way == "grown" else None
        seconds = FIRST + number * SECONDS_BETWEEN_FILES + np.arange(low, high)
        found = values[version, : len(seconds)]
        if grown is not None:
            high += size
            more = FIRST + number * SECONDS_BETWEEN_FILES + np.arange(high - size, high)
            seconds = np.concatenate((grown[0], more))
            found = np.concatenate((grown[1], values[version, : len(more)]))
        contents.append((seconds, found))
    for version, (seconds, found) in enumerate(contents):
        later = [c[0] for c in contents[version + 1 :]]
        again = np.isin(seconds, np.concatenate(later)).sum() if later else 0
        text = _text(seconds, sensor, found)
        is_outgrown = any(_text(s, sensor, v).startswith(text) for s, v in contents[version + 1 :])
        name = f"{number:04}-reused.csv"
        generated = _generated(
            Kind.REUSED, (name,), text, sensor, seconds, found, read=len(seconds)
        )
        yield replace(generated, replaced=int(again), is_outgrown=is_outgrown), (name,), text


def _borrowed(number: int, rows: int, seed: int, draw: random.Random) -> Several:
    """b = Y, a = X, b = X: the readings of X are there once, and those of Y stay."""
    names = [f"{number:04}-{part}-borrowed.csv" for part in ("a", "b")]
    drawn = np.random.default_rng([seed, number + 1]).uniform(-50, 50, (2, rows))
    seconds = FIRST + number * SECONDS_BETWEEN_FILES + np.arange(rows)
    generated_files, texts = [], []
    for part, values in zip("xy", drawn, strict=True):
        sensor = f"s{number:04}{part}"
        texts.append(_text(seconds, sensor, values))
        names_of_bytes = tuple(names) if part == "x" else (names[1],)
        generated_files.append(
            _generated(Kind.BORROWED, names_of_bytes, texts[-1], sensor, seconds, values, read=rows)
        )
    x, y = replace(generated_files[0], copies=2), generated_files[1]
    yield y, (names[1],), texts[1]
    yield x, (names[0],), texts[0]
    yield x, (names[1],), texts[0]


def _file(
    number: int, kind: Kind, rows: int, seed: int, draw: random.Random
) -> tuple[GeneratedFile, bytes]:
    seconds = FIRST + number * SECONDS_BETWEEN_FILES + np.arange(rows)
    values = np.random.default_rng([seed, number + 1]).uniform(-50, 50, rows)
    sensor = f"s{number:04}" + ("-with-a-name-that-makes-a-large-file" * 2) * (kind is Kind.LARGE)
    content = _text(seconds, sensor, values)
    names = [f"{number:04}-{kind}.csv"]
    read, rejected, repeats = rows, 0, 0
    if kind is Kind.TWIN:
        names.append(f"{number:04}-other-name.csv")
    if kind is Kind.AGAIN:
        names.append(names[0])
    if kind is Kind.BAD_ROWS:
        rejected = BAD
        content = _spoilt(content, draw.sample(range(rows), BAD))
        left = np.array([b"broken" not in line for line in content.splitlines()[1:]])
        seconds, values = seconds[left], values[left]
    if kind is Kind.REPEATS:
        repeats = max(1, rows // 100)
        read += repeats
        content = _repeated(content, draw, repeats)
    if kind is Kind.CORRUPT:
        names = [f"{number:04}-corrupt.csv.gz"]
        packed = gzip.compress(content, mtime=0)
        content = packed[: draw.randrange(20, len(packed) - 20)]
    if kind in QUARANTINED:
        read = 0
    generated = _generated(
        kind, tuple(names), content, sensor, seconds, values, read, rejected, repeats
    )
    return generated, content


def _generated(
    kind: Kind,
    names: tuple[str, ...],
    content: bytes,
    sensor: str,
    seconds: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    read: int = 0,
    rejected: int = 0,
    repeats: int = 0,
) -> GeneratedFile:
    source = SOURCES.get(kind, "plant")
    digest = hashlib.sha256(content).digest()
    return GeneratedFile(
        kind, source, names, digest, sensor, seconds, values, read, rejected, repeats
    )


def _text(seconds: npt.NDArray[np.int64], sensor: str, values: npt.NDArray[np.float64]) -> bytes:
    times = np.datetime_as_string(seconds.astype("M8[s]")).tolist()
    pairs = zip(times, values.tolist(), strict=True)
    return (HEAD + "".join(f"{t}Z,{sensor},temperature,{v!r},degC\n" for t, v in pairs)).encode()


def _spoilt(content: bytes, places: list[int]) -> bytes:
    lines = content.splitlines(keepends=True)
    for place in places:
        cells = lines[place + 1].split(b",")
        lines[place + 1] = b",".join([*cells[:3], b"broken", *cells[4:]])
    return b"".join(lines)


def _repeated(content: bytes, draw: random.Random, count: int) -> bytes:
    head, *lines = content.splitlines(keepends=True)
    for line in draw.sample(lines, count):
        lines.insert(draw.randrange(len(lines)), line)
    return b"".join([head, *lines])
