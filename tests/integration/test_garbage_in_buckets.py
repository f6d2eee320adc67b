"""Garbage in a bucket is deleted by several requests at a time. No file counts as clean before its objects
are deleted, whichever request fails, and whenever the process is killed."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest
from http_proxy import Answer, Cut, HttpProxy, Request, s3_error
from object_servers import BUCKET, Seaweed
from patience import PATIENCE
from project_driver import ProjectDriver

from sensorflow.adapters.layers.objects import ObjectLayers
from sensorflow.adapters.objects.bucket import BucketObjects, open_bucket
from sensorflow.adapters.objects.bucket_access import BucketOptions
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.partitions import Layer, LayerFile
from sensorflow.errors import Code, Transient
from sensorflow.flow import garbage
from sensorflow.flow.landing import Landing
from sensorflow.flow.parallel import REQUESTS
from sensorflow.flow.retention import apply_retention
from sensorflow.ports.maintenance import GARBAGE_GROUP

FILES = GARBAGE_GROUP + 2


@pytest.fixture
def proxy(seaweed: Seaweed) -> Iterator[HttpProxy]:
    with HttpProxy(seaweed.port) as proxy:
        yield proxy


@pytest.fixture
def bucket(proxy: HttpProxy, s3_environment: None) -> BucketObjects:
    options = BucketOptions(proxy.endpoint, retry_seconds=0.01)
    return open_bucket(f"s3://{BUCKET}/{uuid.uuid4()}", options)


@pytest.fixture
def driver(
    project: Path, database: str, bucket: BucketObjects, proxy: HttpProxy
) -> Iterator[ProjectDriver]:
    """A project in a bucket, with loaded files whose landed bytes and silver have expired."""
    project_driver = ProjectDriver(project, database)
    zones = {"landing": Landing(bucket), "lake": ObjectLayers(bucket)}
    project_driver.services = replace(project_driver.services, **zones)
    for number in range(FILES):
        project_driver.arrive(f"{number}.csv", b"%d" % number)
    with bucket.batch() as puts, psycopg.connect(database) as connection:
        for found in connection.execute("SELECT sensor_type, landed_at, id, version FROM files"):
            name = project_driver.services.lake.place(Layer.SILVER, LayerFile("plant", *found))
            puts.put(name, io.BytesIO(b"x"))
    project_driver.sql(
        "UPDATE files SET state = 'loaded', finished_at = now(), checksum = 0, tidy = false,"
        " expired = '{landing,silver}'"
    )
    proxy.requests.clear()
    proxy.most_at_once = 0
    yield project_driver
    project_driver.close()


def collect(driver: ProjectDriver) -> int:
    return garbage.collect_garbage(driver.ledger, driver.services.lake, driver.services.landing)


def clean(driver: ProjectDriver) -> set[int]:
    return {view.file_id for view in driver.ledger.files(limit=1000) if view.tidy}


def stored(bucket: BucketObjects) -> set[str]:
    return {found.name for found in bucket.list()}


def objects_of(driver: ProjectDriver, names: set[str], file_id: int) -> set[str]:
    landed = driver.fact(file_id, "landing")
    return {name for name in names if f"/file-{file_id}-" in name or name == landed}


def assert_no_clean_file_has_objects(driver: ProjectDriver, bucket: BucketObjects) -> None:
    names = stored(bucket)
    assert not any(objects_of(driver, names, file_id) for file_id in clean(driver))


def assert_all_is_collected(driver: ProjectDriver, bucket: BucketObjects) -> None:
    assert stored(bucket) == set()
    assert len(clean(driver)) == FILES


def test_garbage_is_deleted_in_parallel(
    driver: ProjectDriver, proxy: HttpProxy, bucket: BucketObjects
) -> None:
    assert len(stored(bucket)) == 2 * FILES
    proxy.rule = lambda _: time.sleep(0.03)
    assert collect(driver) == FILES
    assert REQUESTS // 2 < proxy.most_at_once <= REQUESTS
    assert proxy.count("DELETE") == 2 * FILES
    assert_all_is_collected(driver, bucket)


@pytest.mark.parametrize("zone", ["landing", "silver"])
def test_an_object_that_cannot_be_deleted_keeps_no_other_object(
    driver: ProjectDriver, proxy: HttpProxy, bucket: BucketObjects, zone: str
) -> None:
    bad = min(view.file_id for view in driver.ledger.files(limit=1000))
    names = objects_of(driver, stored(bucket), bad)
    [name] = [name for name in names if name.startswith("silver/") == (zone == "silver")]

    def refuse(request: Request) -> Answer | None:
        is_refused = request.method == "DELETE" and unquote(request.path).endswith(name)
        return s3_error(403, "AccessDenied") if is_refused else None

    proxy.rule = refuse
    services = driver.services
    for _ in range(2):
        with pytest.raises(Transient, match=f"cannot delete s3://.*{name}") as error:
            apply_retention(driver.ledger, services.lake, services.landing, driver.settings)
        assert error.value.code is Code.STORAGE
        assert len(clean(driver)) == FILES - 1
        assert name in stored(bucket) <= names
    proxy.rule = lambda _: None
    assert collect(driver) == 1
    assert_all_is_collected(driver, bucket)


def test_a_store_that_becomes_unreachable_is_asked_for_one_more_group(
    driver: ProjectDriver, proxy: HttpProxy, bucket: BucketObjects
) -> None:
    def rule(request: Request) -> Cut | None:
        time.sleep(0.01)
        return Cut(None) if request.number >= GARBAGE_GROUP else None

    proxy.rule = rule
    services = driver.services
    with pytest.raises(Transient, match="cannot delete s3://") as error:
        apply_retention(driver.ledger, services.lake, services.landing, driver.settings)
    assert "\n" not in str(error.value)
    paths = {request.path for request in proxy.requests}
    assert len(paths) <= 3 * GARBAGE_GROUP
    proxy.rule = lambda _: None
    assert 0 < len(clean(driver)) < FILES
    assert_no_clean_file_has_objects(driver, bucket)
    collect(driver)
    assert_all_is_collected(driver, bucket)


def test_a_slow_store_does_not_keep_a_group_locked(
    driver: ProjectDriver, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registrations wait for the group, and the server ends a transaction that is idle for a minute."""
    monkeypatch.setattr(garbage, "GROUP_SECONDS", 0.05)
    proxy.rule = lambda _: time.sleep(0.06)
    assert collect(driver) == 2  # one of each group
    assert proxy.count("DELETE") == 4
    assert len(clean(driver)) == 2


def test_a_kill_in_the_middle_leaves_what_the_next_collection_removes(
    driver: ProjectDriver, proxy: HttpProxy, bucket: BucketObjects
) -> None:
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            time.sleep(0.3)
            ledger = PostgresLedger(driver.database, "child")
            garbage.collect_garbage(ledger, driver.services.lake, driver.services.landing)
        finally:
            os._exit(1)

    def kill(request: Request) -> None:
        time.sleep(0.01)
        if request.number == GARBAGE_GROUP:
            os.kill(child, signal.SIGKILL)

    proxy.rule = kill
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    proxy.rule = lambda _: None
    assert 0 < len(stored(bucket)) < 2 * FILES
    assert_no_clean_file_has_objects(driver, bucket)
    deadline = time.monotonic() + PATIENCE
    while len(clean(driver)) < FILES and time.monotonic() < deadline:
        collect(driver)  # the session of the killed process may still have locks
    assert_all_is_collected(driver, bucket)


def test_a_collection_and_a_registration_do_not_wait_for_each_other(driver: ProjectDriver) -> None:
    """A registration locks the landing zone, and then the row of a file with the same bytes."""
    kept, *_ = ids = sorted(view.file_id for view in driver.ledger.files(limit=1000))
    done: list[int] = []
    with psycopg.connect(driver.database) as registration:
        registration.execute(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended('sensorflow.landing', 0))"
        )
        collector = threading.Thread(target=lambda: done.append(collect(driver)))
        collector.start()
        time.sleep(0.3)
        registration.execute("SET deadlock_timeout = '10ms'")
        registration.execute(
            "UPDATE files SET expired = array_remove(expired, 'landing') WHERE id = %s", [kept]
        )
    collector.join(PATIENCE)
    assert done == [FILES]
    landing = driver.services.landing
    assert [n for n in ids if landing.has(driver.fact(n, "landing"))] == [kept]
