"""Tests of the contract of a format, that is, of a function that yields `Chunk`s. The fixture `sample`
returns a `Sample`."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pytest

from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.deduplicate import Deduplicator
from sensorflow.core.profile import Profile
from sensorflow.core.quality import QualityFlagger
from sensorflow.core.reading import chunks, read
from sensorflow.core.reshape import reshape
from sensorflow.errors import Permanent

FEW, MANY = 50, 100_000
BLOCK = 50_000
"""Maximum number of readings per chunk, regardless of the file's size, because a worker's memory is
limited."""


@dataclass(frozen=True)
class Sample:
    """Test data for a format. make: a function that returns the bytes of a file with the given number of
    readings; all readings are valid and different. profile: a profile with the format under test."""

    profile: Profile
    make: Callable[[int], bytes]


class ShortReads(io.BytesIO):
    """A stream whose `read` returns fewer bytes than requested."""

    def __init__(self, data: bytes, seed: int) -> None:
        super().__init__(data)
        self._draw = random.Random(seed)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size <= 0:
            return super().read(size)
        return super().read(min(size, self._draw.choice((1, 3, 1000, size))))


def parts(sample: Sample, stream: BinaryIO) -> Iterator[tuple[pa.Table, int]]:
    """Yield the readings of each chunk, and the number of rejected rows."""
    seen, watch = Deduplicator(), QualityFlagger(sample.profile.rules)
    for found in read(stream, sample.profile, FilePath("a file"), io.BytesIO):
        yield reshape(found.bronze, watch, seen).silver, len(found.rejects)


def readings(sample: Sample, stream: BinaryIO) -> tuple[list[object], int]:
    tables, rejected = [], 0
    for table, count in parts(sample, stream):
        tables.extend(table.to_pylist())
        rejected += count
    return tables, rejected


def test_all_readings_are_there_and_none_is_rejected(sample: Sample) -> None:
    found, rejected = readings(sample, io.BytesIO(sample.make(FEW)))
    assert (len(found), rejected) == (FEW, 0)


def test_the_same_bytes_give_the_same_readings_in_the_same_order(sample: Sample) -> None:
    data = sample.make(FEW)
    assert readings(sample, io.BytesIO(data)) == readings(sample, io.BytesIO(data))


@pytest.mark.parametrize("seed", range(5))
def test_a_stream_that_gives_few_bytes_at_a_time_is_read_whole(sample: Sample, seed: int) -> None:
    data = sample.make(FEW)
    assert readings(sample, ShortReads(data, seed)) == readings(sample, io.BytesIO(data))


def test_a_compressed_file_is_read_forward(sample: Sample) -> None:
    data = sample.make(FEW)
    assert readings(sample, io.BytesIO(gzip.compress(data))) == readings(sample, io.BytesIO(data))


def test_memory_is_bounded_by_a_block(sample: Sample) -> None:
    stream = io.BytesIO(sample.make(MANY))
    sizes = [c.readings for c in chunks(stream, sample.profile, FilePath("a file"), io.BytesIO)]
    assert sum(sizes) == MANY
    assert max(sizes) <= BLOCK


@pytest.mark.parametrize("seed", range(10))
def test_a_file_that_is_cut_off_is_refused_or_gives_what_came_before(
    sample: Sample, seed: int
) -> None:
    data = sample.make(FEW)
    complete, _ = readings(sample, io.BytesIO(data))
    half = data[: random.Random(seed).randrange(1, len(data))]
    try:
        found, _ = readings(sample, io.BytesIO(half))
    except Permanent:
        return
    assert len(found) <= FEW
    assert (
        found[:-1] == complete[: max(len(found) - 1, 0)]
    )  # the last reading may contain only half of its number


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 1000, b"\xff\xfe" * 500, b"a,b,c\n1,2,3\n" * 50, b'{"a": [1, 2' + b"\n" * 50],
    ids=["empty", "zeros", "odd", "csv", "json"],
)
def test_what_is_no_such_file_is_refused_or_rejected(sample: Sample, data: bytes) -> None:
    """Any exception other than Permanent would be handled as a bug and count as an attempt."""
    try:
        found, _ = readings(sample, io.BytesIO(data))
    except Permanent:
        return
    assert isinstance(found, list)


@pytest.mark.parametrize("seed", range(10))
def test_bytes_that_are_damaged_are_refused_or_rejected(sample: Sample, seed: int) -> None:
    data, draw = bytearray(sample.make(FEW)), random.Random(seed)
    for _ in range(5):
        data[draw.randrange(len(data))] = draw.randrange(256)
    try:
        found, _ = readings(sample, io.BytesIO(bytes(data)))
    except Permanent:
        return
    assert len(found) <= FEW + 5
