"""What a bucket promises beyond the port: large objects, ranges, forks, unfinished uploads, credentials."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from http_proxy import HttpProxy
from object_servers import BUCKET, Seaweed

from sensorflow.adapters.objects.bucket import BucketObjects, open_bucket
from sensorflow.adapters.objects.bucket_access import BucketOptions
from sensorflow.adapters.objects.bucket_reader import RANGE_BYTES, RANGES_AHEAD
from sensorflow.errors import Code, Transient
from sensorflow.flow.landing import Landing
from sensorflow.ports.feed import Busy

LARGE = random.Random(1).randbytes(21 << 20)


def in_child(work: Callable[[], bool]) -> bool:
    """The result of a function that is called in a forked child; False if it does not end."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        ok = False
        try:
            ok = work()
        finally:
            os._exit(not ok)
    return os.waitpid(pid, 0)[1] == 0


def read(objects: BucketObjects, name: str) -> bytes:
    with objects.open(name) as stream:
        return stream.read()


def test_a_store_that_was_used_before_a_fork_works_in_the_child_and_its_child(
    bucket: BucketObjects,
) -> None:
    bucket.put("a", io.BytesIO(LARGE))

    def use() -> bool:
        with bucket.batch() as batch:
            for number in range(3):
                batch.put(f"child/{os.getpid()}/{number}", io.BytesIO(b"x"))
        return read(bucket, "a") == LARGE

    assert in_child(lambda: use() and in_child(use))
    assert use()
    assert len(list(bucket.list("child/"))) == 9


def test_a_reader_that_was_opened_before_a_fork_goes_on_in_the_child(bucket: BucketObjects) -> None:
    bucket.put("a", io.BytesIO(LARGE))
    with bucket.open("a") as stream:
        start = stream.read(2 << 20)
        assert in_child(lambda: start + stream.read() == LARGE)
        assert start + stream.read() == LARGE


class Changing(io.BytesIO):
    """A source whose bytes change before they are read again."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        super().seek(0)
        self.write(b"changed")
        return super().seek(offset, whence)


def of_bucket(seaweed: Seaweed, bucket: BucketObjects) -> list[str]:
    """The keys of a store's unfinished uploads, as the server lists them."""
    uploads = seaweed.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())
    return [upload["Key"] for upload in uploads]


@pytest.mark.parametrize("rewindable", [True, False])
def test_a_large_object_is_hashed_first_and_uploaded_once(
    bucket: BucketObjects, rewindable: bool
) -> None:
    source: Any = io.BytesIO(LARGE)
    if not rewindable:
        source.seekable = lambda: False
    landed = Landing(bucket).put(source)
    assert landed.sha256 == hashlib.sha256(LARGE).digest()
    assert read(bucket, landed.name) == LARGE
    assert bucket.requests["put"] == 1 + 3 + 2  # .began, the parts, begin and end
    assert bucket.requests["list"] == 1  # whether this is a new store


def test_a_large_source_that_changes_is_not_stored(bucket: BucketObjects, seaweed: Seaweed) -> None:
    with pytest.raises(Busy, match="the file changed while it was read"):
        Landing(bucket).put(Changing(LARGE))
    assert list(bucket.list()) == []
    assert of_bucket(seaweed, bucket) == []


def test_a_large_source_that_fails_leaves_nothing(bucket: BucketObjects, seaweed: Seaweed) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 15 << 20:
                raise ValueError("bad")
            return super().read(size)

    for name in ("a", lambda: "a"):
        with pytest.raises(ValueError, match="bad"):
            bucket.put(name, Failing(LARGE))
    assert list(bucket.list()) == []
    assert of_bucket(seaweed, bucket) == []


def test_large_and_small_objects_of_a_batch_appear_at_its_end(
    bucket: BucketObjects, seaweed: Seaweed
) -> None:
    with bucket.batch() as batch:
        batch.put("large", io.BytesIO(LARGE))
        batch.put("large", io.BytesIO(LARGE[::-1]))
        batch.put("replaced", io.BytesIO(LARGE))
        batch.put("replaced", io.BytesIO(b"small"))
        for number in range(12):  # more than is held in memory
            batch.put(f"{number}", io.BytesIO(bytes([number]) * (3 << 20)))
        assert list(bucket.list()) == []
    assert read(bucket, "large") == LARGE[::-1]
    assert read(bucket, "replaced") == b"small"
    for number in range(12):
        assert read(bucket, f"{number}") == bytes([number]) * (3 << 20)
    with pytest.raises(RuntimeError), bucket.batch() as batch:
        batch.put("other", io.BytesIO(LARGE))
        raise RuntimeError
    assert bucket.head("other") is None
    assert of_bucket(seaweed, bucket) == []


def test_uploads_of_a_killed_writer_are_listed_and_removed(
    bucket: BucketObjects, seaweed: Seaweed
) -> None:
    def be_killed() -> bool:
        with bucket.batch() as batch:
            batch.put("a/\udcff", io.BytesIO(LARGE))
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    bucket.put("b", io.BytesIO(b"x"))
    assert not in_child(be_killed)
    assert bucket.list_unfinished(60) == []
    assert bucket.remove_unfinished(60) == 0
    assert bucket.list_unfinished(-1) == ["a/\udcff"]
    assert [found.name for found in bucket.list()] == ["b"]
    assert bucket.remove_unfinished(-1) == 1
    assert bucket.list_unfinished(-1) == of_bucket(seaweed, bucket) == []


def test_a_writer_whose_upload_was_removed_fails(bucket: BucketObjects) -> None:
    with pytest.raises(Transient, match="the unfinished upload was removed"):  # noqa: SIM117
        with bucket.batch() as batch:
            batch.put("a", io.BytesIO(LARGE))
            assert bucket.remove_unfinished(-1) == 1
    assert list(bucket.list()) == []
    bucket.put("a", io.BytesIO(LARGE))
    assert read(bucket, "a") == LARGE


def test_a_store_tells_since_when_it_exists(bucket: BucketObjects, seaweed: Seaweed) -> None:
    assert bucket.created_at() is None
    bucket.put("a", io.BytesIO(b"x"))
    began = bucket.created_at()
    assert began is not None
    other = open_bucket(f"s3://{BUCKET}/{bucket.prefix}", BucketOptions(seaweed.endpoint))
    other.put("b", io.BytesIO(b"x"))
    assert other.created_at() == began
    assert sorted(found.name for found in other.list()) == ["a", "b"]


def test_a_store_with_objects_that_others_wrote_does_not_begin_now(
    bucket: BucketObjects, seaweed: Seaweed
) -> None:
    seaweed.client().put_object(Bucket=BUCKET, Key=f"{bucket.prefix}/a", Body=b"x")
    bucket.put("b", io.BytesIO(b"x"))
    assert bucket.created_at() is None


@pytest.fixture
def counted(seaweed: Seaweed, bucket: BucketObjects) -> Any:
    """The same store through a proxy that counts requests."""
    with HttpProxy(seaweed.port) as proxy:
        options = BucketOptions(proxy.endpoint)
        yield open_bucket(f"s3://{BUCKET}/{bucket.prefix}", options), proxy


def test_a_small_object_takes_one_request_and_a_large_one_several_at_once(
    bucket: BucketObjects, counted: tuple[BucketObjects, HttpProxy]
) -> None:
    objects, proxy = counted
    bucket.put("small", io.BytesIO(LARGE[: 1 << 20]))
    bucket.put("large", io.BytesIO(LARGE))
    assert read(objects, "small") == LARGE[: 1 << 20]
    assert proxy.count("GET") == 1
    proxy.rule = lambda _: time.sleep(1)  # so long that all requests of a reader are there at once
    with objects.open("large") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]
    assert digest == hashlib.sha256(LARGE).digest()
    assert proxy.count("GET") == objects.requests["get"] == 1 + 1 + 5
    assert proxy.most_at_once >= RANGES_AHEAD


def test_random_reads_request_small_ranges(
    bucket: BucketObjects, counted: tuple[BucketObjects, HttpProxy]
) -> None:
    objects, proxy = counted
    bucket.put("large", io.BytesIO(LARGE))
    rng = random.Random(2)
    with objects.open("large") as stream:
        for _ in range(20):
            offset, size = rng.randrange(len(LARGE)), rng.randrange(1, 200_000)
            stream.seek(offset)
            assert stream.read(size) == LARGE[offset : offset + size]
        for size in (5 << 20, 100):  # a large read is split, and reads nothing ahead
            stream.seek(3 << 20)
            assert stream.read(size) == LARGE[3 << 20 :][:size]
    sizes = [end - start + 1 for start, end in map(_bounds, proxy.requests)]
    assert sum(sizes) < (1 << 20) + 20 * 270_000 + (6 << 20)
    assert max(sizes) <= RANGE_BYTES


def _bounds(request: Any) -> tuple[int, int]:
    start, _, end = request.range.removeprefix("bytes=").partition("-")
    return int(start), int(end)


def test_parquet_and_zip_are_read_from_a_bucket(bucket: BucketObjects) -> None:
    table = pa.table({"a": list(range(100_000)), "b": [str(n) for n in range(100_000)]})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=10_000)
    bucket.put("a.parquet", io.BytesIO(file.getvalue()))
    with bucket.open("a.parquet") as stream:
        assert pq.read_table(stream) == table
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(5):
            packed.writestr(f"{number}.csv", LARGE[number << 20 : (number + 1) << 20])
    bucket.put("a.zip", io.BytesIO(archive.getvalue()))
    with bucket.open("a.zip") as stream, zipfile.ZipFile(stream) as unpacked:
        for number in (4, 0, 2):
            assert unpacked.read(f"{number}.csv") == LARGE[number << 20 : (number + 1) << 20]


pytest.mark.parametrize(
    "other", [LARGE[::-1], LARGE[:-1], b"", None], ids=["same-size", "shorter", "empty", "deleted"]
)


@pytest.mark.parametrize(
    "other", [LARGE[::-1], LARGE[:-1], b"", None], ids=["same size", "shorter", "empty", "deleted"]
)
def test_an_object_that_changes_while_it_is_read_is_no_mixture(
    bucket: BucketObjects, other: bytes | None
) -> None:
    bucket.put("a", io.BytesIO(LARGE))
    with bucket.open("a") as stream:
        assert stream.read(1000) == LARGE[:1000]
        if other is None:
            bucket.delete("a")
        else:
            bucket.put("a", io.BytesIO(other))
        with pytest.raises(Transient) as caught:
            stream.read()
    assert caught.value.code is Code.STORAGE
    assert ("was changed or replaced" in str(caught.value)) == (other is not None)
