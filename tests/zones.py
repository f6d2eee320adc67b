"""The zones of test projects in a store that is not on this disk: `SENSORFLOW_TEST_STORE=s3 pytest …`, or
`make test-storage STORE=s3`. With `objects`, they are in the store of examples/sensorflow-shelf.

All projects of `sensorflow.testing.project` then have their zones below a prefix of their own, in a bucket
of a server that is started once. Tests look at the zones by `data_of`, which works for all stores. Tests
that are about the local disk are in `LOCAL_ONLY`, with the reason.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import tomllib
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypertables import LEFT_OUT
from installed import install

from sensorflow import plugins, stores
from sensorflow.ports.objects import MARKERS, ObjectStore
from sensorflow.settings import Settings
from sensorflow.settings.storage import ZONES
from sensorflow.testing import project

VARIABLE = "SENSORFLOW_TEST_STORE"
ENDPOINT = "TEST_STORE_ENDPOINT"
"""The processes of xdist get the address of the server by this variable."""
GIVEN = os.environ.get(VARIABLE, "")
LAYERS = ("bronze", "silver", "rejects")

INTEGRATION, ACCEPTANCE = "tests/integration/", "tests/acceptance/"
OF_A_FOLDER = "folders, links, temporary names and modes of a disk"
LOCAL_ONLY = {
    f"{INTEGRATION}test_confinement.py": OF_A_FOLDER,
    f"{INTEGRATION}test_garbage.py": f"{OF_A_FOLDER}; unfinished uploads: tests/conformance/objects",
    f"{INTEGRATION}test_full_folder.py": OF_A_FOLDER,
    f"{INTEGRATION}test_garbage_in_buckets.py": "each test has a bucket of its own",
    f"{INTEGRATION}test_backup.py": "each test has its own kind of store",
    f"{INTEGRATION}test_docs_run.py": "the pages show projects as `sensorflow init` makes them",
    f"{INTEGRATION}test_python_docs.py": "the pages show projects as `sensorflow init` makes them",
    f"{INTEGRATION}test_plugins.py": "stores of packages",
    f"{INTEGRATION}test_storage_commands.py": "each test has its own kind of store",
    f"{INTEGRATION}test_storage_migration.py": "each test has its own kind of store",
    f"{INTEGRATION}test_location_owner.py": "each test has its own kind of store",
    f"{INTEGRATION}test_prometheus.py::test_prometheus_sees_every": "fills a disk",
    f"{INTEGRATION}test_unusable_stores.py": "each test has its own kind of store",
    f"{INTEGRATION}test_audit_states.py::test_a_disk_that_is_away": "moves folders",
    f"{INTEGRATION}test_audit_states.py::test_what_killed_writers_left": OF_A_FOLDER,
    f"{INTEGRATION}test_audit_history.py::test_a_data_folder_that_was_moved": "moves folders",
    f"{INTEGRATION}test_client.py::test_undo_with_an_unavailable_lake": "moves folders",
    f"{ACCEPTANCE}test_plugged.py": "stores of packages",
    f"{ACCEPTANCE}test_docker.py": "containers with their own settings",
    f"{ACCEPTANCE}test_kubernetes.py": "containers with their own settings",
    f"{ACCEPTANCE}test_wheel.py": "the base package has no buckets",
    f"{ACCEPTANCE}test_demo.py": "the demo has its own settings",
    f"{ACCEPTANCE}test_first_rows.py": "a new user's project has its own settings",
    f"{ACCEPTANCE}test_up.py": "projects of `sensorflow init`",
    f"{ACCEPTANCE}test_loss_of_everything.py": "a backup of folders is restored",
    f"{ACCEPTANCE}test_soak.py": "measures the processes on a disk",
    f"{ACCEPTANCE}test_bench.py": "measures a disk",
}
"""The beginning of a test's id -> why it is about the local disk only."""


def forget_variable() -> None:
    """sensorflow refuses variables of its own that it does not know."""
    os.environ.pop(VARIABLE, None)


def begin(stack: ExitStack) -> None:
    """Start the server, unless the process that started this one has done so. Projects are put there."""
    if not GIVEN:
        return
    assert GIVEN in ("s3", "objects"), f"{VARIABLE}={GIVEN}: expected s3 or objects"
    if GIVEN == "objects":
        _install_shelf(stack)
        project.new_storage = _shelf_storage
        return
    if ENDPOINT not in os.environ:
        from object_servers import ADMIN, Seaweed
        from servers import place_for_servers

        server = Seaweed(stack.enter_context(place_for_servers()).root)
        stack.callback(server.stop)
        server.start()
        os.environ[ENDPOINT] = server.endpoint
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = ADMIN
    project.new_storage = s3_storage


def _install_shelf(stack: ExitStack) -> None:
    """Make the store of examples/ available to this process and all that it starts."""
    if "shelf" in plugins.names(plugins.Group.STORES):
        return  # by the process that started this one
    site = install("sensorflow-shelf", Path(stack.enter_context(tempfile.TemporaryDirectory())))
    sys.path.append(str(site))
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{site}{os.pathsep}{others}" if others else str(site)


def _shelf_storage() -> dict[str, Any]:
    return {zone: f"shelf:{zone}.sqlite" for zone in ZONES}


def environment() -> dict[str, str]:
    """The variables that a process needs to open the zones."""
    needed = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH")
    return {name: os.environ[name] for name in needed if name in os.environ}


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


def data_in(folder: Path) -> Any:
    """As `data_of`, for a project whose other settings this process may not understand."""
    keys = tomllib.loads((folder / "sensorflow.toml").read_text())
    known = {key: keys[key] for key in ("data", "storage") if key in keys}
    return data_of(Settings.model_validate({"home": folder, **known}))


@dataclass(frozen=True)
class Data:
    """A data folder whose zones are elsewhere."""

    settings: Settings
    _stores: dict[str, ObjectStore] = field(default_factory=dict, compare=False)

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
        if zone not in self._stores:
            self._stores[zone] = stores.store(self.settings, zone)
        return self._stores[zone]

    def exists(self) -> bool:
        """Whether any zone has an object."""
        zones = ("landing", "quarantine", *LAYERS)
        return any((self / zone).exists() for zone in zones)


@dataclass(frozen=True)
class StoredPath:
    """An object of a store, or a folder of objects, with methods of `Path`."""

    store: ObjectStore = field(compare=False)
    path: str

    def __truediv__(self, part: str | Path) -> StoredPath:
        return StoredPath(self.store, str(PurePosixPath(self.path) / part).removeprefix("./"))

    def __lt__(self, other: StoredPath) -> bool:
        return self.path < other.path

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def parent(self) -> StoredPath:
        return StoredPath(self.store, str(PurePosixPath(self.path).parent))

    def with_name(self, name: str) -> StoredPath:
        return self.parent / name

    def exists(self) -> bool:
        """Whether it is an object, or a folder that is not empty."""
        return self.is_file() or any(True for _ in self.rglob("*"))

    def is_file(self) -> bool:
        return self.path in {found.name for found in self.store.list(self.path)}

    def rglob(self, pattern: str) -> Iterator[StoredPath]:
        """The objects of this folder whose last parts match."""
        prefix = f"{self.path}/" if self.path not in ("", ".") else ""
        for found in self.store.list(prefix):
            is_marker = found.name in MARKERS
            if not is_marker and PurePosixPath(found.name.removeprefix(prefix)).match(pattern):
                yield StoredPath(self.store, found.name)

    def glob(self, pattern: str) -> Iterator[StoredPath]:
        parts = len(PurePosixPath(self.path).parts) + len(PurePosixPath(pattern).parts)
        for found in self.rglob(pattern):
            if len(PurePosixPath(found.path).parts) == parts:
                yield found

    def iterdir(self) -> Iterator[StoredPath]:
        return self.glob("*")

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

    def rename(self, other: StoredPath) -> None:
        self.store.copy(self.path, other.path)
        self.unlink()

    def mkdir(self) -> None:
        """Do nothing: an object needs no folder."""


def truncate(path: Any, size: int) -> None:
    """Keep the first bytes of a file of a zone; a negative size removes bytes at the end."""
    path.write_bytes(path.read_bytes()[:size])


def read_rows(path: Any) -> pa.Table:
    """The rows of a Parquet file of the lake."""
    return pq.ParquetFile(io.BytesIO(path.read_bytes())).read()


def write_rows(path: Any, rows: pa.Table) -> None:
    out = io.BytesIO()
    pq.write_table(rows, out)
    path.write_bytes(out.getvalue())
