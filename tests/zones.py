"""The zones of test projects in a store that is not on this disk: `SENSORFLOW_TEST_STORE=s3 pytest …`, or
`make test-storage STORE=s3`.

All projects of `sensorflow.testing.project` then have their zones below a prefix of their own, in a bucket
of a server that is started once. Tests look at the zones by `data_of`, which works for all stores. Tests
that are about the local disk are in `LOCAL_ONLY`, with the reason.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypertables import LEFT_OUT

from sensorflow import bootstrap
from sensorflow.ports.objects import ObjectStore
from sensorflow.settings import Settings
from sensorflow.testing import project

VARIABLE = "SENSORFLOW_TEST_STORE"
ENDPOINT = "TEST_STORE_ENDPOINT"
"""The processes of xdist get the address of the server by this variable."""
GIVEN = os.environ.get(VARIABLE, "")
LAYERS = ("bronze", "silver", "rejects")

LOCAL_ONLY: dict[str, str] = {}
"""The beginning of a test's id -> why it is about the local disk only."""


def forget_variable() -> None:
    """sensorflow refuses variables of its own that it does not know."""
    os.environ.pop(VARIABLE, None)


def begin(stack: ExitStack) -> None:
    """Start the server, unless the process that started this one has done so. Projects are put there."""
    if not GIVEN:
        return
    assert GIVEN == "s3", f"{VARIABLE}={GIVEN}: expected s3"
    if ENDPOINT not in os.environ:
        from object_servers import ADMIN, Seaweed
        from servers import place_for_servers

        server = Seaweed(stack.enter_context(place_for_servers()).root)
        stack.callback(server.stop)
        server.start()
        os.environ[ENDPOINT] = server.endpoint
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = ADMIN
    project.new_storage = s3_storage


def s3_storage(endpoint: str = "") -> dict[str, Any]:
    """The table [storage] of a new project. endpoint: of the server; "" for the one of all tests."""
    from object_servers import BUCKET

    prefix = f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}"
    return {"data": prefix, "endpoint": endpoint or os.environ[ENDPOINT], "region": "us-east-1"}


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that do not suit this store. The summary lists them."""
    found = {item: why for item in items if (why := _why_left_out(item.nodeid))} if GIVEN else {}
    LEFT_OUT.update(f"{item.nodeid.partition('::')[0]}: {why}" for item, why in found.items())
    items[:] = [item for item in items if item not in found]
    config.hook.pytest_deselected(items=list(found))


def _why_left_out(test: str) -> str | None:
    return next((why for start, why in LOCAL_ONLY.items() if test.startswith(start)), None)


def data_of(settings: Settings) -> Any:
    """The data folder of a project. What `/ "landing"`, `/ "quarantine"` and `/ "silver"` return has the
    methods of `Path` that tests need, wherever the zone is."""
    is_local = settings.zone_folder("lake") == settings.data_folder
    return settings.data_folder if is_local and not settings.storage.elsewhere() else Data(settings)


@dataclass(frozen=True)
class Data:
    """A data folder whose zones are elsewhere."""

    settings: Settings

    def __truediv__(self, name: str) -> Any:
        first, _, rest = name.partition("/")
        if first in LAYERS:
            return StoredPath(self._store("lake"), name)
        if first in ("landing", "quarantine"):
            return StoredPath(self._store(first), rest)
        return self.settings.data_folder / name

    def glob(self, pattern: str) -> Iterator[StoredPath]:
        first, _, rest = pattern.partition("/")
        yield from (self / first).glob(rest)

    def _store(self, zone: str) -> ObjectStore:
        return bootstrap.store(self.settings, zone)


@dataclass(frozen=True)
class StoredPath:
    """An object of a store, or a folder of objects, with methods of `Path`."""

    store: ObjectStore
    path: str

    def __truediv__(self, part: str | Path) -> StoredPath:
        return StoredPath(self.store, str(PurePosixPath(self.path) / part).removeprefix("./"))

    def __lt__(self, other: StoredPath) -> bool:
        return self.path < other.path

    def __str__(self) -> str:
        return self.path

    @cached_property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def parent(self) -> StoredPath:
        return StoredPath(self.store, str(PurePosixPath(self.path).parent))

    def exists(self) -> bool:
        return self.is_file() or any(True for _ in self.rglob("*"))

    def is_file(self) -> bool:
        return self.store.head(self.path) is not None

    def rglob(self, pattern: str) -> Iterator[StoredPath]:
        """The objects of this folder whose last parts match."""
        prefix = f"{self.path}/" if self.path not in ("", ".") else ""
        for found in self.store.list(prefix):
            if PurePosixPath(found.name.removeprefix(prefix)).match(pattern):
                yield StoredPath(self.store, found.name)

    def glob(self, pattern: str) -> Iterator[StoredPath]:
        parts = len(PurePosixPath(self.path).parts) + len(PurePosixPath(pattern).parts)
        for found in self.rglob(pattern):
            if len(PurePosixPath(found.path).parts) == parts:
                yield found

    def read_bytes(self) -> bytes:
        with self.store.open(self.path) as stream:
            return stream.read()

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def write_bytes(self, data: bytes) -> int:
        self.store.put(self.path, io.BytesIO(data))
        return len(data)

    def write_text(self, text: str) -> int:
        return self.write_bytes(text.encode())

    def unlink(self) -> None:
        self.store.delete(self.path)
