"""What settings may name when a package beside sensorflow brings a broker or a store."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from installed import install
from typer.testing import CliRunner

from sensorflow import bootstrap, stores
from sensorflow.cli import app, commands
from sensorflow.core.health import health
from sensorflow.core.heartbeat import Heartbeat
from sensorflow.embedded.stack import fleet
from sensorflow.engine import periodic
from sensorflow.errors import UsageError
from sensorflow.service.plan import plan
from sensorflow.settings import Settings
from sensorflow.testing.ledger import MemoryLedger

SOURCE = """
database_url = "postgresql://h/d"
[sources.plant]
path = "drop"
profile = "hobo"
"""
BROKER = 'broker_url = "line:line.sqlite"\n'
STORAGE = '[storage]\nlanding = "shelf:zone.sqlite"\nquarantine = "kept"\n'


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    for package in ("sensorflow-line", "sensorflow-shelf"):
        install(package, folder)
    for module in ("sensorflow_line", "sensorflow_shelf"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for module in ("sensorflow_line", "sensorflow_shelf"):
        sys.modules.pop(module, None)


def settings_of(folder: Path, text: str) -> Settings:
    (folder / "sensorflow.toml").write_text(text)
    (folder / "drop").mkdir(exist_ok=True)
    return bootstrap.settings(folder)


def mistake(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        settings_of(folder, text)
    return str(caught.value)


def test_a_broker_that_is_installed_can_be_named(site: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, BROKER + SOURCE)
    assert not settings.by_celery
    assert "sensorflow_line" not in sys.modules  # not before it is used
    assert bootstrap.publisher(settings).name == "line of line.sqlite"
    assert settings_of(tmp_path, 'broker_url = "valkey://h"\n' + SOURCE).by_celery


def test_a_broker_that_is_not_installed_is_named_with_those_that_are(
    site: Path, tmp_path: Path
) -> None:
    message = mistake(tmp_path, 'broker_url = "queue://h"\n' + SOURCE)
    assert "broker_url: the URL must begin with one of redis://" in message
    assert "line://" in message


def test_a_broker_whose_package_is_broken_is_named_with_it(site: Path, tmp_path: Path) -> None:
    (site / "sensorflow_line.py").write_text("import nowhere\n")
    expected = "'line' of the package sensorflow-line 1.0 cannot be imported: ModuleNotFoundError"
    with pytest.raises(UsageError, match=re.escape(expected)):
        bootstrap.publisher(settings_of(tmp_path, BROKER + SOURCE))


def test_tls_of_celery_s_brokers_is_not_of_others(site: Path, tmp_path: Path) -> None:
    message = mistake(tmp_path, BROKER + "broker_tls = {}\n" + SOURCE)
    assert "broker_tls is for Redis, Valkey and RabbitMQ; set TLS options of line:// in" in message


def test_without_celery_there_are_no_beat_and_no_flower(site: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, BROKER + SOURCE)
    started = {p.name: p.command[1:] for p in fleet(settings, tmp_path, {}, 0)}
    assert started == {
        "daemon": ["-m", "sensorflow", "watch"],
        "worker": ["-m", "sensorflow", "worker", "-c", "4"],
    }
    beats: list[Heartbeat] = []
    assert [c.what for c in health(beats, None, lambda _: False, False)] == ["daemon", "workers"]
    with pytest.raises(UsageError, match="--parts beat: only Celery needs this"):
        plan(tmp_path / "sensorflow.toml", settings, user=None, parts=("daemon", "beat"))


def test_zones_are_where_the_settings_say(site: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, SOURCE + STORAGE)
    assert "sensorflow_shelf" not in sys.modules
    ledger = MemoryLedger()
    assert bootstrap.landing(settings, ledger).bucket == "shelf"
    stores.store(settings, "quarantine", ledger.project).put(
        "a", (tmp_path / "sensorflow.toml").open("rb")
    )
    assert (tmp_path / "kept" / "a").exists()
    assert periodic.collect_garbage(settings, ledger) == 0
    loaded_settings = settings_of(
        tmp_path, SOURCE + f'[storage]\nlanding = "file://{tmp_path}/a%20zone"\n'
    )
    assert loaded_settings.zone_folder("landing") == tmp_path / "a zone"
    assert loaded_settings.zone_folder("quarantine") == tmp_path / "data" / "quarantine"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            'landing = "ftp://host"',
            "no installed package has a store for ftp://; supported are a path and file://, s3://, gs://",
        ),
        ('data = "s3://"', "name a bucket, as in s3://bucket/prefix"),
        ('data = "s3:/b/p"', "name a bucket, as in s3://bucket/prefix"),
        ('data = "gs:b/p"', "name a bucket, as in gs://bucket/prefix"),
        ('data = "S3://b/p"', "write s3:// in lower case"),
        ('data = "s3://b//p"', "has an empty part"),  # it would be the same place as s3://b/p
        ('data = "s3//b/p"', "write s3://b/p for a URL"),
        ('data = "//b/p"', "a path with one slash"),
        ('data = " s3://b/p"', "remove the space"),
        ('data = "s3_x://b/p"', "neither a path nor a URL"),
        ('data = "b.s3.eu-west-1.amazonaws.com/p"', "the address of a service"),
        ('data = "file:data"', "three slashes"),
        ('data = "b/p"\nendpoint = "https://h"', "s3://b/p for a bucket, or ./b/p for the folder"),
        ('data = "b/p"\nregion = "eu-west-1"', "storage.data = 'b/p' is the folder /"),
        (
            'data = "s3://b/a/../p"',
            "storage.data = 's3://b/a/../p': the URL of a bucket has an empty",
        ),
        ('data = "s3://b/%41"', "contains a percent escape"),
        ("data = 's3://b/a\\p'", "contains a backslash"),
        ('lake = "s3://b/a?x"', "storage.lake = 's3://b/a?x': the URL of a bucket contains '?'"),
        (
            'data = "s3://user:hidden@b/p"',
            "storage.data: the URL of a bucket contains neither a password",
        ),
        ('endpoint = "https://user:hidden@h"', "storage.endpoint: credentials do not belong"),
        ('endpoint = "https://h?token=x"', "remove '?' or '#'"),
        ('endpoint = "127.0.0.1:9000"', "give the URL of the service"),
        ('landing = ""', "give a path or a URL"),
        ('previous = "data"', "storage.previous is the current location of all zones"),
        ('data = "z"\nprevious = "z"', "storage.previous is the current location of all zones"),
        ('data = "s3://b/p/"\nprevious = "s3://b/p"', "is the current location of all zones"),
        ('data = "z"\nprevious = "z/bronze"', "storage.lake (/"),
        ('landing = "file://host/zone"', "three slashes"),
        ('landing = "z"\nquarantine = "z"', "the same location: give each its own"),
        ('landing = "z"\nquarantine = "z/y"', "storage.quarantine is inside of storage.landing"),
        ('landing = "drop/zone"', "storage.landing is inside of sources.plant.path"),
        ('landing = "data/bronze"', "storage.landing is inside of data"),
        ('lading = "z"', "unknown key 'storage.lading'; did you mean 'landing'?"),
    ],
)
def test_a_mistake_in_storage_is_one_line(tmp_path: Path, given: str, expected: str) -> None:
    found = mistake(tmp_path, f"{SOURCE}[storage]\n{given}\n")
    assert expected in found
    assert "\n" not in found
    assert "hidden" not in found


def test_a_path_that_begins_with_a_dot_is_a_folder_even_with_an_endpoint(tmp_path: Path) -> None:
    text = f'{SOURCE}[storage]\ndata = "./b/p"\nendpoint = "https://h"\n'
    assert settings_of(tmp_path, text).zone_folder("lake") == tmp_path / "b/p"


def test_a_store_whose_package_is_broken_is_named_with_it(site: Path, tmp_path: Path) -> None:
    (site / "sensorflow_shelf.py").write_text("import nowhere\n")
    expected = "'shelf' of the package sensorflow-shelf 1.0 cannot be imported: ModuleNotFoundError"
    with pytest.raises(UsageError, match=re.escape(expected)):
        bootstrap.landing(settings_of(tmp_path, SOURCE + STORAGE), MemoryLedger())


def test_where_zones_are_is_no_difference_of_a_fleet_and_no_secret(
    site: Path, tmp_path: Path
) -> None:
    zone = 'landing = "shelf://key:hidden@host/zone?token=hidden"'
    first, second = (
        settings_of(tmp_path, SOURCE),
        settings_of(tmp_path, f"{SOURCE}[storage]\n{zone}\n"),
    )
    assert first.shared_digest() == second.shared_digest()
    assert first.digest() != second.digest()
    assert "hidden" not in (second.storage.elsewhere() or "")


def test_what_knows_the_data_folder_alone_refuses(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_of(
        tmp_path, BROKER + SOURCE.replace('database_url = "postgresql://h/d"', "") + STORAGE
    )
    monkeypatch.chdir(tmp_path)
    if not app.registered_groups:
        commands.register(app)
    done = CliRunner().invoke(app, ["up", "--reset"])
    assert isinstance(done.exception, UsageError)
    assert "storage.landing = 'shelf:zone.sqlite'" in str(done.exception)


def test_doctor_looks_at_the_zones(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_of(tmp_path, BROKER + SOURCE + STORAGE.replace("zone.sqlite", "no/such/folder.sqlite"))
    monkeypatch.chdir(tmp_path)
    if not app.registered_groups:
        commands.register(app)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    checks = {check["what"]: check for check in json.loads(done.stdout)}
    assert checks["landing"]["verdict"] == "fail"
    assert checks["landing"]["found"].startswith("shelf:no/such/folder.sqlite: list: I503")
    assert checks["quarantine"] == {
        "what": "quarantine",
        "verdict": "warn",
        "found": f"a folder on this host: {tmp_path}/kept; the folder {tmp_path}/kept does not exist",
        "todo": f"create it with `mkdir -p {tmp_path}/kept`, or correct [storage]; the URL of a bucket "
        "begins with a scheme, as in s3://kept",
    }
    assert checks["broker"]["verdict"] == "ok"
