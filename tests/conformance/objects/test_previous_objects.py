"""A store that is being moved: which of the two stores is read, written and deleted from."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.adapters.objects.previous import PreviousObjects
from sensorflow.adapters.objects.seen_names import SeenNames
from sensorflow.errors import Transient
from sensorflow.ports.objects import ObjectStore
from sensorflow.testing.objects import MemoryObjects

Stores = tuple[ObjectStore, ObjectStore, ObjectStore]


@pytest.fixture(params=["memory", "disk"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    """The current store, the previous one, and both as one."""

    def local(name: str) -> ObjectStore:
        return LocalObjects(tmp_path / name, required=tmp_path)

    make: Callable[[str], ObjectStore] = MemoryObjects if request.param == "memory" else local
    current, previous = make("current"), make("previous")
    return current, previous, PreviousObjects(current, previous)


def put(objects: ObjectStore, **contents: str) -> None:
    for name, text in contents.items():
        objects.put(name, io.BytesIO(text.encode()))


def read(objects: ObjectStore, name: str) -> str:
    with objects.open(name) as stream:
        return stream.read().decode()


def listed(objects: ObjectStore) -> dict[str, int]:
    found = [(one.name, one.size) for one in objects.list()]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_objects_of_both_are_read_and_the_current_one_hides_the_previous_one(
    stores: Stores,
) -> None:
    current, previous, both = stores
    put(previous, old="old", same="former")
    put(current, same="newer!")
    put(both, new="n")
    assert [read(both, name) for name in ("old", "same", "new")] == ["old", "newer!", "n"]
    assert listed(both) == {"old": 3, "same": 6, "new": 1}
    assert listed(previous) == {"old": 3, "same": 6}
    assert [found.size for name in ("old", "same") if (found := both.head(name))] == [3, 6]
    both.copy("old", "copied")
    assert listed(current) == {"same": 6, "new": 1, "copied": 3}


def test_what_is_deleted_is_deleted_from_both(stores: Stores) -> None:
    current, previous, both = stores
    put(previous, old="old", same="former")
    put(current, same="newer!")
    for name in ("old", "same", "none"):
        both.delete(name)
        assert both.head(name) is None
    assert listed(current) == listed(previous) == {}


def test_an_object_that_is_copied_while_both_are_listed_is_listed_once(stores: Stores) -> None:
    current, previous, both = stores
    put(current, first="1")
    put(previous, second="2", third="3")
    names = both.list()
    found = [next(names).name]
    put(current, second="2")
    found += [one.name for one in names]
    assert sorted(found) == ["first", "second", "third"]


def test_a_previous_store_that_is_unavailable_is_not_an_empty_one(tmp_path: Path) -> None:
    lost = LocalObjects(tmp_path / "lost" / "landing", required=tmp_path / "lost")
    both = PreviousObjects(MemoryObjects(), lost)
    for call in (both.head, lambda name: list(both.list(name))):
        with pytest.raises(Transient, match="does not exist"):
            call("a")


def test_names_are_remembered_in_bounded_memory() -> None:
    names = ["a", "ü", "a\udcff", *map(str, range(50))]
    with SeenNames(memory_names=2) as seen:
        for name in (*names, *names):
            seen.add(name)
        assert all(name in seen for name in names)
        assert not any(name in seen for name in ("b", "51", ""))
