"""The contract of `ports.objects.ObjectStore`, on every adapter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from buckets import BUCKETS
from sensorflow_shelf import FolderObjects

from sensorflow.adapters.objects.local import LocalObjects
from sensorflow.ports.objects import ObjectStore
from sensorflow.testing.conformance.stores import *  # noqa: F403
from sensorflow.testing.objects import MemoryObjects


@pytest.fixture(params=["memory", "local", "shelf", *BUCKETS])
def objects(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_bucket: Callable[[str], ObjectStore],
) -> ObjectStore:
    if request.param in BUCKETS:
        return make_bucket(request.param)
    if request.param == "shelf":
        return FolderObjects(tmp_path / "shelf.sqlite")
    return MemoryObjects() if request.param == "memory" else LocalObjects(tmp_path / "zone")
