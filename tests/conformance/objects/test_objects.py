"""The contract of `ports.objects.ObjectStore`, on every adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
from sensorflow_shelf import FolderObjects

from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.ports.objects import ObjectStore
from sensorflow.testing.conformance.stores import *  # noqa: F403
from sensorflow.testing.objects import MemoryObjects


@pytest.fixture(params=["memory", "local", "shelf", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "s3":
        bucket: ObjectStore = request.getfixturevalue("bucket")
        return bucket
    if request.param == "shelf":
        return FolderObjects(tmp_path / "shelf.sqlite")
    return MemoryObjects() if request.param == "memory" else LocalObjects(tmp_path / "zone")
