"""Landed bytes are read only if they are those that were landed, on this host and in another store."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import pytest

from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.core.growth import Lines
from sensorflow.errors import DO, Code, Permanent, Transient
from sensorflow.flow import verified
from sensorflow.flow.landing import MISSING, Landing
from sensorflow.ports.objects import ObjectStore
from sensorflow.testing.objects import MemoryObjects

BYTES = b"time,value\n" * 1000


@pytest.fixture(params=["local", "elsewhere"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return LocalObjects(tmp_path / "landing") if request.param == "local" else MemoryObjects()


@pytest.fixture(params=["memory", "file"])
def opened(
    request: pytest.FixtureRequest, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bytes], BinaryIO]]:
    """Lands some bytes and opens them; those that the store holds by then may be others."""
    if request.param == "file":
        monkeypatch.setattr(verified, "MEMORY_BYTES", 100)
    landing = Landing(store)
    with ExitStack() as stack:

        def of(found: bytes) -> BinaryIO:
            landed = landing.put(io.BytesIO(BYTES))
            store.put(landed.name, io.BytesIO(found))
            name = landed.name, landed.size, landed.sha256
            return stack.enter_context(verified.open_verified(landing, *name))

        yield of


def test_landed_bytes_are_read_from_their_start(opened: Callable[[bytes], BinaryIO]) -> None:
    stream = opened(BYTES)
    assert stream.read() == BYTES
    assert stream.seek(5) == 5
    assert stream.read(5) == BYTES[5:10]


@pytest.mark.parametrize("found", [BYTES[:-1], BYTES + b"1", BYTES[:-2] + b"8\n", b""])
def test_other_bytes_are_never_read(opened: Callable[[bytes], BinaryIO], found: bytes) -> None:
    with pytest.raises(Permanent, match=hashlib.sha256(found).hexdigest()) as caught:
        opened(found)
    assert caught.value.code is Code.BYTES_CHANGED
    assert "drop folder again" in caught.value.remedy


def test_bytes_in_another_store_are_requested_once() -> None:
    class Counting(MemoryObjects):
        opened = 0

        def open(self, name: str) -> BinaryIO:
            self.opened += 1
            return super().open(name)

    store = Counting()
    landed = Landing(store).put(io.BytesIO(BYTES))
    name = landed.name, landed.size, landed.sha256
    with verified.open_verified(Landing(store), *name) as stream:
        store.contents.clear()  # what was verified is what is read
        assert (stream.read(), stream.seek(0), stream.read()) == (BYTES, 0, BYTES)
    assert store.opened == 1


def test_missing_bytes_are_waited_for_and_the_remedy_is_named(store: ObjectStore) -> None:
    landing = Landing(store)
    landed = landing.put(io.BytesIO(BYTES))
    store.delete(landed.name)
    with pytest.raises(Transient, match=f"no object {landed.name}") as caught:
        landing.open(landed.name)
    assert caught.value.code is Code.STORAGE
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert caught.value.place[DO] == MISSING


def test_the_lines_of_a_part_can_be_read_again() -> None:
    part = Lines(io.BytesIO(b"head\na\nb\nrest"), 5, 9)
    first = part.read(), part.count, part.first, part.last
    assert part.seekable()
    part.seek(0)
    assert first == (b"a\nb\n", 2, b"a\nb\n", b"a\nb\n")
    assert (part.read(), part.count, part.first, part.last) == first
