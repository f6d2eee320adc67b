"""A location belongs to one project, on every adapter of a store."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from threading import Barrier

import pytest
from buckets import BUCKETS
from sensorflow_shelf import FolderObjects

from sensorflow.adapters.objects.bucket import BucketObjects
from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.adapters.objects.owned import OwnedObjects
from sensorflow.errors import Code, Transient
from sensorflow.flow import location_owner
from sensorflow.flow.location_owner import LocationOwner
from sensorflow.ports.objects import OWNER, ObjectStore
from sensorflow.ports.project import Project

PLACE = "the location"


@pytest.fixture(params=["memory", "local", "shelf", *BUCKETS])
def zone(
    request: pytest.FixtureRequest, tmp_path: Path, make_bucket: Callable[[str], ObjectStore]
) -> ObjectStore:
    from sensorflow.testing.objects import MemoryObjects

    if request.param in BUCKETS:
        return make_bucket(request.param)
    if request.param == "shelf":
        return FolderObjects(tmp_path / "shelf.sqlite")
    if request.param == "local":
        return LocalObjects(tmp_path / "zone", required=tmp_path)
    return MemoryObjects()


def owner(zone: ObjectStore, project: str, has_files: bool = False) -> LocationOwner:
    return LocationOwner(zone, lambda: Project(project, has_files), PLACE)


def owned(zone: ObjectStore, project: str, has_files: bool = False) -> OwnedObjects:
    return OwnedObjects(zone, owner(zone, project, has_files))


REQUESTS: dict[str, Callable[[OwnedObjects], object]] = {
    "put": lambda objects: objects.put("a", BytesIO(b"other")),
    "create": lambda objects: objects.create("new", b"other"),
    "open": lambda objects: objects.open("a"),
    "head": lambda objects: objects.head("a"),
    "list": lambda objects: list(objects.list()),
    "copy": lambda objects: objects.copy("a", "new"),
    "delete": lambda objects: objects.delete("a"),
    "created_at": lambda objects: objects.created_at(),
    "list_unfinished": lambda objects: objects.list_unfinished(0),
    "remove_unfinished": lambda objects: objects.remove_unfinished(0),
}


def test_whoever_stores_first_owns_the_location_and_others_are_refused(zone: ObjectStore) -> None:
    owned(zone, "first").put("a", BytesIO(b"x"))
    for request in REQUESTS.values():
        with pytest.raises(Transient) as refused:
            request(owned(zone, "second", has_files=True))
        assert refused.value.code is Code.NOT_OWNED
        assert f"{PLACE} belongs to the project with the id first" in str(refused.value)
        assert "`sensorflow storage claim --from first`" in refused.value.remedy
    with pytest.raises(Transient), owned(zone, "second").batch() as batch:
        batch.put("a", BytesIO(b"other"))
    again = owned(zone, "first")
    assert [found.name for found in again.list()] == ["a"]
    assert again.open("a").read() == b"x"


def test_of_racing_projects_one_owns_the_location(zone: ObjectStore) -> None:
    start = Barrier(4)

    def race(project: str) -> str | None:
        start.wait(10)
        try:
            owned(zone, project).put(project, BytesIO(b"x"))
        except Transient as error:
            return str(error.code) if error.code is not Code.NOT_OWNED else None
        return project

    with ThreadPoolExecutor(4) as pool:
        won = [project for project in pool.map(race, "abcd") if project]
    assert won == [owner(zone, "e").owner()]
    stored = {found.name for found in zone.list()} - {OWNER}
    assert stored == set(won)


def test_a_location_without_an_owner_is_taken_by_a_project_that_has_files(
    zone: ObjectStore,
) -> None:
    """Versions before 0022 recorded no owner."""
    zone.put("a", BytesIO(b"x"))
    with pytest.raises(Transient, match="contains objects, but the ledger of this project"):
        owned(zone, "new").delete("a")
    with pytest.raises(Transient, match="contains objects"):
        owned(zone, "new").put("b", BytesIO(b"x"))
    reading = owned(zone, "old", has_files=True)
    assert reading.open("a").read() == b"x"
    assert reading.head("a") is not None
    assert owner(zone, "old").owner() is None  # reading needs no permission to write
    reading.delete("a")
    assert owner(zone, "old").owner() == "old"


def test_a_location_may_be_begun_while_another_process_asks_for_its_owner(
    zone: ObjectStore,
) -> None:
    def begun_meanwhile() -> Project:
        owned(zone, "own").put("a", BytesIO(b"x"))
        return Project("own", False)

    LocationOwner(zone, begun_meanwhile, PLACE).require()


def test_a_location_that_should_have_objects_and_is_empty_is_not_begun(zone: ObjectStore) -> None:
    """As when a disk is not mounted."""
    project = Project("own", True, frozenset({"landing"}))
    emptied = LocationOwner(zone, lambda: project, PLACE, zone="landing")
    with pytest.raises(Transient, match=f"{PLACE} is empty, but the ledger has files") as refused:
        OwnedObjects(zone, emptied).put("a", BytesIO(b"x"))
    assert refused.value.code is Code.STORAGE
    assert "`sensorflow storage claim`" in refused.value.remedy
    assert list(zone.list()) == []
    assert owner(zone, "own").owner() is None
    with pytest.raises(Transient, match="is empty"):
        emptied.require_objects()
    emptied.require()  # reading reports each object that does not exist

    LocationOwner(zone, lambda: project, PLACE, zone="lake").require_objects()
    LocationOwner(zone, lambda: project, PLACE).require_objects()
    zone.put("mounted", BytesIO(b"x"))
    OwnedObjects(zone, emptied).put("a", BytesIO(b"x"))
    assert owner(zone, "own").owner() == "own"
    zone.delete("mounted")
    zone.delete("a")
    LocationOwner(zone, lambda: project, PLACE, zone="landing").claim()  # it has the record


def test_removing_from_an_empty_location_does_not_make_it_the_own_one(zone: ObjectStore) -> None:
    objects = owned(zone, "a")
    objects.delete("no such object")
    assert owner(zone, "a").owner() is None
    objects.put("a", BytesIO(b"x"))
    assert owner(zone, "a").owner() == "a"


def test_the_owner_can_be_replaced_and_removed(zone: ObjectStore) -> None:
    owned(zone, "first").put("a", BytesIO(b"x"))
    refused = owned(zone, "second")
    with pytest.raises(Transient):
        refused.put("a", BytesIO(b"other"))
    owner(zone, "second").replace()
    refused.put("a", BytesIO(b"other"))
    owner(zone, "second").remove()
    assert owner(zone, "second").owner() is None


def test_a_running_process_notices_that_the_owner_was_replaced_or_removed(
    zone: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = owned(zone, "first")
    running.put("a", BytesIO(b"x"))
    owner(zone, "second").replace()
    running.put("a", BytesIO(b"within the minute"))
    monkeypatch.setattr(location_owner, "AGAIN_SECONDS", -1.0)
    for request in REQUESTS.values():
        with pytest.raises(Transient) as refused:
            request(running)
        assert refused.value.code is Code.NOT_OWNED
    owner(zone, "second").remove()
    owned(zone, "first", has_files=True).put("b", BytesIO(b"x"))
    assert owner(zone, "first").owner() == "first"


def test_a_process_asks_once_a_minute_for_the_owner(
    make_bucket: Callable[[str], BucketObjects],
) -> None:
    zone = make_bucket("s3")
    owned(zone, "a").put("first", BytesIO(b"x"))
    before = zone.requests
    objects = owned(zone, "a")
    for number in range(3):
        objects.put(f"{number}", BytesIO(b"x"))
        objects.delete(f"{number}")
    with objects.batch() as batch:
        batch.put("last", BytesIO(b"x"))
    assert zone.requests - before == {"get": 1, "put": 4, "delete": 3}
