"""Tests of the contract of `ports.objects.ObjectStore`. The fixture `objects` returns an empty store."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from sensorflow.errors import Code, Transient
from sensorflow.ports.objects import ObjectStore


def names(objects: ObjectStore, prefix: str = "") -> list[str]:
    return sorted(found.name for found in objects.list(prefix))


class FailingReader(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0 or size is None or size < 0:
            raise ValueError("bad")
        return super().read(2)


class UnseekableStream:
    """A stream that cannot seek, so it can be read only once."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(size)


class Measured(io.BytesIO):
    """A stream that counts the bytes read since the last seek to its start."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.count = 0
        return super().seek(offset, whence)


@pytest.mark.parametrize("data", [b"", b"abc", bytes(3 << 20)], ids=len)
def test_an_object_is_there_whole_when_put_returns(objects: ObjectStore, data: bytes) -> None:
    assert objects.put("a/b.csv", io.BytesIO(data)) == "a/b.csv"
    with objects.open("a/b.csv") as stream:
        assert stream.read() == data


def test_an_object_is_replaced_and_the_same_bytes_may_come_again(objects: ObjectStore) -> None:
    for data in (b"abc", b"abc", b"de"):
        objects.put("a", io.BytesIO(data))
        with objects.open("a") as stream:
            assert stream.read() == data
    assert names(objects) == ["a"]


@pytest.mark.parametrize("source", [Measured, UnseekableStream])
def test_a_name_is_asked_for_when_the_source_was_read(
    objects: ObjectStore, source: Callable[[bytes], Measured]
) -> None:
    data = source(b"abc")
    name = objects.put(lambda: f"{getattr(data, 'count', 3)}-bytes", data)
    assert name == "3-bytes"
    with objects.open(name) as stream:
        assert stream.read() == b"abc"


def test_a_late_name_is_of_the_bytes_that_are_stored(objects: ObjectStore) -> None:
    """The name must match the stored bytes, whether a store reads the source once or twice."""

    class Growing(Measured):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            super().seek(0, io.SEEK_END)
            self.write(b"more")
            return super().seek(offset, whence)

    source = Growing(b"abc")
    with suppress(Transient):  # raised by a store that reads the source twice and gets other bytes
        objects.put(lambda: f"{source.count}-bytes", source)
    assert all(found.name == f"{found.size}-bytes" for found in objects.list())


def test_of_a_source_that_fails_nothing_is_stored(objects: ObjectStore) -> None:
    objects.put("a", io.BytesIO(b"before"))
    for name in ("a", "b"):
        with pytest.raises(ValueError, match="bad"):
            objects.put(name, FailingReader(b"after"))
    assert names(objects) == ["a"]
    with objects.open("a") as stream:
        assert stream.read() == b"before"
    assert objects.list_unfinished(-1) == []


def test_ranges_can_be_read(objects: ObjectStore) -> None:
    objects.put("a", io.BytesIO(b"0123456789"))
    with objects.open("a") as stream:
        assert stream.seekable()
        stream.seek(3)
        assert stream.read(4) == b"3456"
        stream.seek(-2, io.SEEK_END)
        assert (stream.read(), stream.tell()) == (b"89", 10)


@pytest.mark.parametrize("name", ["none", "a", "a/none", "a/b/c", "none/none"])
def test_what_is_not_there_cannot_be_opened_and_has_no_head(
    objects: ObjectStore, name: str
) -> None:
    objects.put("a/b/x", io.BytesIO(b"x"))
    assert objects.head(name) is None
    with pytest.raises(Transient) as caught:
        objects.open(name)
    assert caught.value.code is Code.STORAGE
    if name != "a":  # on a disk, "a" is a folder
        assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_the_head_tells_size_and_time(objects: ObjectStore) -> None:
    objects.put("a/b", io.BytesIO(b"abc"))
    found = objects.head("a/b")
    assert found is not None
    assert (found.name, found.size) == ("a/b", 3)
    assert abs(found.modified_at - datetime.now(UTC)) < timedelta(hours=1)
    assert list(objects.list()) == [found]


def test_objects_are_listed_by_prefix(objects: ObjectStore) -> None:
    for name in ("a/b/1", "a/b/2", "a/bc", "a/c", "ab", "b/a/b"):
        objects.put(name, io.BytesIO(name.encode()))
    assert names(objects) == ["a/b/1", "a/b/2", "a/bc", "a/c", "ab", "b/a/b"]
    assert names(objects, "a/") == ["a/b/1", "a/b/2", "a/bc", "a/c"]
    assert names(objects, "a/b") == ["a/b/1", "a/b/2", "a/bc"]
    assert names(objects, "a/b/") == ["a/b/1", "a/b/2"]
    assert names(objects, "a/b/2") == ["a/b/2"]
    assert names(objects, "c") == names(objects, "c/d/") == names(objects, "a/c/") == []


def test_what_is_removed_while_it_is_listed_stops_nothing(objects: ObjectStore) -> None:
    for number in range(20):
        objects.put(f"a/{number}", io.BytesIO(b"x"))
    listed = objects.list()
    first = next(listed).name
    gone, *left = sorted({f"a/{number}" for number in range(20)} - {first})
    for name in (gone, *left[::2]):
        objects.delete(name)
    found = [found.name for found in listed]
    assert len(set(found)) == len(found)
    assert (
        {*left[1::2]} <= {*found} <= {gone, *left}
    )  # a page may have been requested before a deletion


def test_odd_names_are_kept(objects: ObjectStore) -> None:
    odd = ["ü", "a\udcff.csv", "tab\there", "new\nline", " ", "-", "a" * 255]
    for name in odd:
        objects.put(f"x/{name}", io.BytesIO(name.encode("utf-8", "surrogateescape")))
    assert names(objects, "x/") == sorted(f"x/{name}" for name in odd)
    for name in odd:
        with objects.open(f"x/{name}") as stream:
            assert stream.read() == name.encode("utf-8", "surrogateescape")


def test_an_object_is_copied(objects: ObjectStore) -> None:
    objects.put("a", io.BytesIO(b"abc"))
    objects.copy("a", "b/c")
    objects.delete("a")
    with objects.open("b/c") as stream:
        assert stream.read() == b"abc"
    with pytest.raises(Transient):
        objects.copy("a", "d")
    assert names(objects) == ["b/c"]


def test_deleting_is_idempotent(objects: ObjectStore) -> None:
    objects.delete("a/b")
    objects.put("a/b", io.BytesIO(b"x"))
    objects.delete("a/b")
    objects.delete("a/b")
    assert names(objects) == []


def test_an_object_is_created_once(objects: ObjectStore) -> None:
    assert objects.create("a/b", b"first")
    assert not objects.create("a/b", b"second")
    objects.put("c", io.BytesIO(b"put"))
    assert not objects.create("c", b"created")
    assert names(objects) == ["a/b", "c"]
    for name, data in (("a/b", b"first"), ("c", b"put")):
        with objects.open(name) as stream:
            assert stream.read() == data
    assert objects.list_unfinished(-1) == []


def test_of_several_writers_one_creates_an_object(objects: ObjectStore) -> None:
    with ThreadPoolExecutor(4) as writers:
        created = list(
            writers.map(lambda number: objects.create("a", b"%d" % number * 1000), range(8))
        )
    assert created.count(True) == 1
    with objects.open("a") as stream:
        assert stream.read() == b"%d" % created.index(True) * 1000


def test_a_batch_is_there_when_it_ends_and_not_before(objects: ObjectStore) -> None:
    with objects.batch() as batch:
        for name in ("a/1", "a/2", "b"):
            assert batch.put(name, io.BytesIO(name.encode())) == name
        assert batch.put(lambda: "c", io.BytesIO(b"c")) == "c"
        assert names(objects) == []
        assert objects.head("b") is None
    assert names(objects) == ["a/1", "a/2", "b", "c"]
    assert objects.list_unfinished(-1) == []


def test_nothing_is_there_of_a_batch_that_raises(objects: ObjectStore) -> None:
    with pytest.raises(RuntimeError), objects.batch() as batch:
        batch.put("a/1", io.BytesIO(b"x"))
        raise RuntimeError
    assert names(objects) == []
    assert objects.list_unfinished(-1) == []


def test_several_threads_put_into_a_batch(objects: ObjectStore) -> None:
    sizes = [1, 9_000_000, 100_000, 5_000_000, 6_000_000, 1000, 5_500_000, 20]
    contents = {f"{n}": b"%d" % n * size for n, size in enumerate(sizes)}
    with ThreadPoolExecutor(4) as threads, objects.batch() as batch:
        list(threads.map(lambda name: batch.put(name, io.BytesIO(contents[name])), contents))
        assert names(objects) == []
    for name, content in contents.items():
        with objects.open(name) as stream:
            assert stream.read() == content


def test_of_a_batch_the_source_that_fails_is_missing_alone(objects: ObjectStore) -> None:
    with objects.batch() as batch:
        batch.put("a/1", io.BytesIO(b"x"))
        with pytest.raises(ValueError, match="bad"):
            batch.put("a/2", FailingReader(b"after"))
    assert names(objects) == ["a/1"]


def test_of_a_name_that_a_batch_has_twice_the_last_counts(objects: ObjectStore) -> None:
    with objects.batch() as batch:
        batch.put("a", io.BytesIO(b"first"))
        batch.put("a", io.BytesIO(b"last"))
    with objects.open("a") as stream:
        assert stream.read() == b"last"


def test_what_is_put_beside_a_batch_is_there_at_once(objects: ObjectStore) -> None:
    with pytest.raises(RuntimeError), objects.batch() as batch:
        batch.put("a", io.BytesIO(b"x"))
        objects.put("b", io.BytesIO(b"x"))
        raise RuntimeError
    assert names(objects) == ["b"]


def test_nothing_is_unfinished_where_nobody_was_killed(objects: ObjectStore) -> None:
    assert objects.created_at() is None or objects.created_at() <= datetime.now(UTC)  # type: ignore[operator]
    objects.put("a", io.BytesIO(b"x"))
    assert objects.list_unfinished(-1) == []
    assert objects.remove_unfinished(-1) == 0
    assert names(objects) == ["a"]
