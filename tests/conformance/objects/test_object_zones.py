"""Landing and quarantine zone, on every object store."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from buckets import BUCKETS

from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.errors import Code, Transient
from sensorflow.flow.landing import Landing
from sensorflow.flow.quarantine_zone import FILES, QuarantineZone
from sensorflow.ports.feed import Busy
from sensorflow.ports.objects import ObjectStore
from sensorflow.testing.objects import MemoryObjects


@pytest.fixture(params=["memory", "local", *BUCKETS])
def objects(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_bucket: Callable[[str], ObjectStore],
) -> ObjectStore:
    if request.param in BUCKETS:
        return make_bucket(request.param)
    return MemoryObjects() if request.param == "memory" else LocalObjects(tmp_path / "zone", FILES)


@pytest.fixture
def landing(objects: ObjectStore) -> Landing:
    return Landing(objects)


@pytest.fixture
def quarantine_zone(objects: ObjectStore) -> QuarantineZone:
    return QuarantineZone(objects)


def test_landed_bytes_can_be_read_and_are_named_by_their_hash(landing: Landing) -> None:
    one = landing.put(io.BytesIO(b"abc"))
    again = landing.put(io.BytesIO(b"abc"))
    assert one == again
    assert one.sha256.hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert one.md5.hex() == "900150983cd24fb0d6963f7d28e17f72"
    assert one.name == f"ba/{one.sha256.hex()}"
    assert (one.size, landing.open(one.name).read()) == (3, b"abc")


def test_a_batch_is_landed_when_it_ends_and_not_before(landing: Landing) -> None:
    with landing.batch() as batch:
        landed = [batch.put(io.BytesIO(data)) for data in (b"abc", b"abd", b"abc")]
        assert not any(landing.has(one.name) for one in landed)
    assert [landing.open(one.name).read() for one in landed] == [b"abc", b"abd", b"abc"]
    assert landing.list_unfinished(-1) == []


def test_nothing_is_left_of_a_batch_that_raised(landing: Landing) -> None:
    with pytest.raises(RuntimeError), landing.batch() as batch:
        one = batch.put(io.BytesIO(b"abc"))
        raise RuntimeError
    assert not landing.has(one.name)
    assert landing.list_unfinished(-1) == []


def test_a_source_that_changes_is_never_landed_under_another_hash(landing: Landing) -> None:
    """A store that reads it twice lands nothing; one that reads it once, what it read."""

    class Changing(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            super().seek(0)
            self.write(b"x")
            return super().seek(offset, whence)

    try:
        one = landing.put(Changing(b"abc"))
    except Busy:
        return
    assert landing.put(landing.open(one.name)) == one


@pytest.mark.parametrize("name", ["aa/" + "a" * 64, "aa/aa", "../../etc/passwd", "", "aa/../../x"])
def test_what_is_not_landed_cannot_be_opened(landing: Landing, name: str) -> None:
    with pytest.raises(Transient) as caught:
        landing.open(name)
    assert caught.value.code is Code.STORAGE


def test_what_is_no_name_in_the_landing_zone_is_not_looked_for(landing: Landing) -> None:
    with pytest.raises(Transient):
        landing.size("aa/aa")


def test_the_size_of_what_is_landed_can_be_asked(landing: Landing) -> None:
    name = landing.put(io.BytesIO(b"abc")).name
    assert landing.size(name) == 3
    assert landing.size("aa/" + "a" * 64) is None
    assert landing.list_unfinished(0) == []


def test_what_is_landed_can_be_removed(landing: Landing) -> None:
    name = landing.put(io.BytesIO(b"abc")).name
    assert landing.has(name)
    landing.remove(name)
    landing.remove(name)
    assert not landing.has(name)


def test_a_quarantined_file_is_never_overwritten(quarantine_zone: QuarantineZone) -> None:
    where = quarantine_zone.put("plant/1-v1-1", b"a\xff.csv", io.BytesIO(b"abc"), {"n": 1})
    assert quarantine_zone.put("plant/1-v1-1", b"a\xff.csv", io.BytesIO(b"abc"), {"n": 2}) == where
    assert quarantine_zone.manifest(where) == {"n": 1}
    assert quarantine_zone.open(where).read() == b"abc"
    for absent in (quarantine_zone.manifest, quarantine_zone.open):
        with pytest.raises(Transient):
            absent("plant/2-v1-1")


def test_that_there_is_no_manifest_can_be_told_from_other_faults(
    quarantine_zone: QuarantineZone,
) -> None:
    with pytest.raises(Transient) as caught:
        quarantine_zone.manifest("plant/2-v1-1")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_manifest_that_cannot_be_read_is_a_fault_of_the_storage() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    class Damaged(MemoryObjects):
        def open(self, name: str) -> BinaryIO:
            return Broken()

    with pytest.raises(Transient) as caught:
        QuarantineZone(Damaged()).manifest("plant/1-v1-1")
    assert caught.value.code is Code.STORAGE


def test_the_size_of_a_quarantined_file_can_be_asked(quarantine_zone: QuarantineZone) -> None:
    where = quarantine_zone.put("plant/1-v1-1", b"a\xff.csv", io.BytesIO(b"abc"), {"n": 1})
    assert quarantine_zone.size(where) == 3
    assert quarantine_zone.size("plant/2-v1-1") is None
    assert quarantine_zone.list_unfinished(0) == []


def test_of_files_with_numbers_that_begin_alike_each_is_found(
    quarantine_zone: QuarantineZone,
) -> None:
    for number in (1, 11):
        quarantine_zone.put(f"plant/1-v1-{number}", b"a.csv", io.BytesIO(bytes(number)), {})
    assert (quarantine_zone.size("plant/1-v1-1"), quarantine_zone.size("plant/1-v1-11")) == (1, 11)
