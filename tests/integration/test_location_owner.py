"""Two projects at one location, in a bucket and on disk: only its owner uses it."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypertables
import psycopg
import pytest
import warm
from object_servers import BUCKET, Seaweed
from project_driver import ProjectDriver, content

from sensorflow import stores
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import SILVER
from sensorflow.errors import Code, Transient
from sensorflow.ports.objects import OWNER

AREAS = ("landing", "bronze", "rejects", "silver", "quarantine")
CODE = "I514 location-of-another-project"


@pytest.fixture
def other_database(database_server: str, template: str) -> Iterator[str]:
    """The URL of a migrated database with an id of its own."""
    with hypertables.made(database_server, template) as url:
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE project SET id = gen_random_uuid()")
        yield url


def run(folder: Path, *words: str, code: int) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")}
    done = warm.run(["sensorflow", *words], env, folder)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == code, output
    assert "Traceback" not in output
    return output


def objects(driver: ProjectDriver) -> dict[str, bytes]:
    found = {}
    for area in AREAS:
        store = stores.area(driver.settings, area)
        for one in store.list():
            with store.open(one.name) as stream:
                found[f"{area}/{one.name}"] = stream.read()
    return found


def moved(driver: ProjectDriver, **storage: str) -> ProjectDriver:
    driver.close()
    broker = "redis://127.0.0.1:1/0"  # no command gets as far as to connect
    return ProjectDriver(driver.project, driver.database, storage=storage, broker_url=broker)


def refused(driver: ProjectDriver, name: str) -> None:
    """Nothing of the driver's project is stored or removed at the location."""
    with pytest.raises(Transient) as landing:
        driver.arrive(name, content(5))
    file = replace(driver.ledger.files()[0].layer_file, file_id=99)
    with pytest.raises(Transient) as lake:
        driver.services.lake.delete(Layer.SILVER, file)
    assert landing.value.code is lake.value.code is Code.NOT_OWNED


def doctor(folder: Path) -> dict[str, Any]:
    return {c["what"]: c for c in json.loads(run(folder, "doctor", "--json", code=1))}


def test_a_project_is_refused_a_bucket_location_of_another_one(
    project: Path,
    tmp_path: Path,
    database: str,
    other_database: str,
    seaweed: Seaweed,
    s3_environment: None,
) -> None:
    url, endpoint = f"s3://{BUCKET}/{uuid.uuid4()}", seaweed.endpoint
    first = ProjectDriver(project, database, storage={"data": url, "endpoint": endpoint})
    first.load("a.csv", content(1))
    first.quarantine()
    before = objects(first)
    (tmp_path / "other" / "drop").mkdir(parents=True)
    second = ProjectDriver(tmp_path / "other", other_database)
    second.load("b.csv", content(2))
    own = objects(second)
    second = moved(second, data=url, previous="data", endpoint=endpoint)
    refused(second, "c.csv")
    id_ = first.ledger.project().id
    shown = run(second.project, "storage", "migrate", code=2)
    assert shown.startswith(f"sensorflow: {CODE}: {url}/landing belongs to the project with the id")
    assert f"`sensorflow storage claim --from {id_}`" in shown

    second = moved(second, data=url, endpoint=endpoint)
    refused(second, "c.csv")
    for words in (
        ("watch",),
        ("audit", "--fast"),
        ("audit", "--repair", "--apply"),
        ("backup", str(tmp_path / "backups")),
    ):
        assert f"{CODE}: {url}/landing belongs to" in run(second.project, *words, code=2)
    assert f"{CODE}: {url}/landing belongs to" in run(second.project, "worker", code=2)
    shown = run(second.project, "storage", "check", code=1)
    assert f"fail  lake {url}: owner: {CODE}" in shown
    for zone in ("landing", "lake", "quarantine"):
        assert CODE in doctor(second.project)[zone]["found"]
    assert objects(first) == before
    first.load("d.csv", content(3))
    assert "every one accounted for" in run(first.project, "audit", "--checksum", code=0)

    second = moved(second)
    assert objects(second) == own
    assert "every one accounted for" in run(second.project, "audit", "--checksum", code=0)
    first.close()
    second.close()


def test_a_database_that_was_created_again_is_refused_the_old_data_folder(
    project: Path, database: str, other_database: str
) -> None:
    driver = ProjectDriver(project, database)
    driver.load("a.csv", content(1))
    before, old = objects(driver), driver.ledger.project().id
    driver.close()
    driver = ProjectDriver(project, other_database)
    shown = run(project, "watch", code=2)
    assert (
        f"{CODE}: {project / 'data' / 'landing'} belongs to the project with the id {old}" in shown
    )
    assert "if the database was created again and the data there is not needed, remove" in shown
    assert CODE in doctor(project)["landing"]["found"]
    for marker in (project / "data").rglob(OWNER):  # as an older version left the folder
        marker.unlink()
    assert "the ledger of this project" in run(project, "audit", code=2)
    assert objects(driver) == before

    driver.close()
    driver = ProjectDriver(project, database)  # the old database is back, with its files
    driver.load("b.csv", content(2))
    driver.quarantine()
    assert (project / "data" / OWNER).read_text().strip() == old
    assert (project / "data" / "landing" / OWNER).read_text().strip() == old
    assert "every one accounted for" in run(project, "audit", code=0)
    driver.close()


def test_a_claim_changes_the_owner_only_if_it_names_the_former_one(
    project: Path, database: str, other_database: str
) -> None:
    driver = ProjectDriver(project, database)
    driver.load("a.csv", content(1))
    old = driver.ledger.project().id
    driver.close()
    driver = ProjectDriver(project, other_database)
    for words in ((), ("--from", "wrong")):
        shown = run(project, "storage", "claim", *words, code=1)
        assert shown.count(f"not changed; it belongs to the project with the id {old}") == 2
    assert "quarantine: belongs to this project already" in shown  # it belonged to nobody
    shown = run(project, "storage", "claim", "--from", old, code=0)
    assert shown.count(f"belongs to this project now (id {driver.ledger.project().id})") == 2
    driver.load("b.csv", content(2))
    assert "belongs to this project already" in run(project, "storage", "claim", code=0)
    driver.close()


def test_nothing_is_stored_in_an_empty_folder_on_which_the_disk_is_not_mounted(
    project: Path, database: str
) -> None:
    driver = ProjectDriver(project, database)
    driver.load("a.csv", content(1))
    driver.close()
    data, away = project / "data", project / "away"
    data.rename(away)
    (data / "landing").mkdir(parents=True)
    driver = ProjectDriver(project, database)
    with pytest.raises(Transient, match="landing is empty, but the ledger has files") as landing:
        driver.arrive("b.csv", content(2))
    assert landing.value.code is Code.STORAGE
    assert "mount its disk" in landing.value.remedy
    file = replace(driver.ledger.files()[0].layer_file, file_id=99)
    with (
        pytest.raises(Transient, match="data is empty, but the ledger has files"),
        driver.services.lake.writer(Layer.SILVER, file, SILVER),
    ):
        pass
    found = doctor(project)
    for zone in ("landing", "lake"):
        assert "is empty, but the ledger has files" in found[zone]["found"]
    assert [path for path in data.rglob("*") if path.is_file()] == []

    shutil.rmtree(data)
    away.rename(data)  # mounted, while the processes run
    driver.load("b.csv", content(2))
    assert "every one accounted for" in run(project, "audit", "--checksum", code=0)
    driver.close()

    shutil.rmtree(data)  # lost
    shown = run(project, "storage", "claim", code=0)
    assert shown.count("belongs to this project now") == 3
    driver = ProjectDriver(project, database)
    driver.load("c.csv", content(3))
    driver.close()
