"""The contract of `ports.objects.ObjectStore`, on every adapter."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from buckets import BUCKETS
from sensorflow_shelf import FolderObjects

from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.adapters.objects.owned import OwnedObjects
from sensorflow.adapters.objects.prefixed import PrefixedObjects
from sensorflow.adapters.objects.previous import PreviousObjects
from sensorflow.flow.location_owner import LocationOwner
from sensorflow.ports.objects import ObjectStore
from sensorflow.ports.project import Project
from sensorflow.testing.conformance.stores import *  # noqa: F403
from sensorflow.testing.objects import MemoryObjects

STORES = ("memory", "local", "shelf", "prefixed", "owned")
MOVED = ("moved in memory", "moved on disk", "moved to s3", "moved from s3")


@pytest.fixture(params=[*STORES, *BUCKETS, *MOVED])
def objects(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_bucket: Callable[[str], ObjectStore],
) -> ObjectStore:
    if request.param in BUCKETS:
        return make_bucket(request.param)
    if request.param == "shelf":
        return FolderObjects(tmp_path / "shelf.sqlite")
    if request.param == "prefixed":
        return PrefixedObjects(MemoryObjects(), "zone/")
    if request.param == "owned":
        zone = MemoryObjects()
        return OwnedObjects(zone, LocationOwner(zone, lambda: Project("a", False), "the zone"))
    if request.param == "moved in memory":
        return PreviousObjects(MemoryObjects(), MemoryObjects())
    if request.param.endswith("s3"):
        remote, local = (
            make_bucket("s3"),
            LocalObjects(tmp_path / "zone", "", tmp_path),
        )
        if "to" in request.param:
            return PreviousObjects(remote, local)
        remote.put("was", BytesIO(b"here"))  # a previous zone that is empty as a whole is an error
        remote.delete("was")
        return PreviousObjects(local, remote)
    if request.param == "moved on disk":
        folders = (tmp_path / "new", tmp_path / "old")
        return PreviousObjects(*(LocalObjects(folder, required=tmp_path) for folder in folders))
    return MemoryObjects() if request.param == "memory" else LocalObjects(tmp_path / "zone")
