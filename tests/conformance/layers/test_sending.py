"""Large objects that are sent while they are written, and what waits for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from buckets import BUCKETS

from sensorflow.adapters.layers.sending import MEMORY, Sending
from sensorflow.adapters.objects import request_threads
from sensorflow.adapters.objects.bucket_reader import FIRST_BYTES, open_reader
from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.errors import Code, Transient
from sensorflow.ports.objects import Name, ObjectStore, Reader
from sensorflow.testing.objects import MemoryObjects

BLOCKS = [random.Random(n).randbytes(700_001) for n in range(40)]
"""28 MB: four parts of a multipart upload."""


@pytest.fixture(params=["memory", "local", *BUCKETS])
def zone(
    request: pytest.FixtureRequest, tmp_path: Path, make_bucket: Callable[[str], ObjectStore]
) -> ObjectStore:
    if request.param in BUCKETS:
        return make_bucket(request.param)
    return (
        LocalObjects(tmp_path, required=tmp_path) if request.param == "local" else MemoryObjects()
    )


def write(zone: ObjectStore, blocks: list[bytes], error: Exception | None = None) -> None:
    with Sending(zone, "silver/a.parquet") as sending:
        for block in blocks:
            assert sending.write(block) == len(block)
            assert sending.tell() > 0
        if error is not None:
            raise error


@pytest.mark.parametrize("count", [0, 1, 11, 12, 40])
def test_an_object_has_all_bytes_whatever_its_size(zone: ObjectStore, count: int) -> None:
    write(zone, BLOCKS[:count])
    assert zone.open("silver/a.parquet").read() == b"".join(BLOCKS[:count])
    assert [found.name for found in zone.list()] == ["silver/a.parquet"]


@pytest.mark.parametrize("count", [1, 40])
def test_an_object_whose_writer_fails_does_not_appear(zone: ObjectStore, count: int) -> None:
    with pytest.raises(RuntimeError, match="fenced"):
        write(zone, BLOCKS[:count], RuntimeError("fenced"))
    assert list(zone.list()) == []
    assert list(zone.list_unfinished(0)) == []


class Refusing(MemoryObjects):
    def put(self, name: Name, source: Reader) -> str:
        source.read(1)
        raise Transient(Code.STORAGE, "the bucket is full")


def test_a_refused_request_ends_the_writing_early() -> None:
    def endless() -> None:
        with Sending(Refusing(), "a") as sending:
            while True:
                sending.write(BLOCKS[0])

    with pytest.raises(Transient, match="the bucket is full"):
        endless()
    with pytest.raises(Transient, match="the bucket is full"), Sending(Refusing(), "a") as sending:
        sending.write(bytes(MEMORY + 1))


@pytest.fixture
def busy_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request is sent in another thread."""
    monkeypatch.setattr(request_threads, "submit", lambda work, *arguments: Future[object]())


def test_an_object_is_put_by_its_own_thread_if_all_others_are_busy(busy_threads: None) -> None:
    zone = MemoryObjects()
    write(zone, BLOCKS)
    assert zone.contents == {"silver/a.parquet": b"".join(BLOCKS)}
    with pytest.raises(RuntimeError):
        write(MemoryObjects(), BLOCKS, RuntimeError("fenced"))


def test_an_object_is_read_although_all_threads_wait_for_its_readings(busy_threads: None) -> None:
    data = memoryview(b"".join(BLOCKS))
    with open_reader(lambda start, last: data[start:last], data[:FIRST_BYTES], len(data)) as stream:
        assert stream.read() == data
