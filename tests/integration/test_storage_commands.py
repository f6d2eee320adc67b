"""`sensorflow storage` and `doctor` on a bucket of a real S3 server, and what they say if it refuses."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import warm
from object_servers import BUCKET, READER, WRITER, Seaweed
from project_driver import ProjectDriver, content

from sensorflow import bootstrap, stores
from sensorflow.flow.undo import undo

AREAS = ("landing", "bronze", "rejects", "silver", "quarantine")
KILLED = """
import os, signal
from sensorflow.cli import main
from sensorflow.flow import storage_migration

at, record = int(os.environ["KILL_AT"]), storage_migration._record

def killed(*given):
    record(*given)
    if given[-1].done >= at:
        os.kill(os.getpid(), signal.SIGKILL)

storage_migration._record = killed
main()
"""

STOPPED = """
import os, signal
from sensorflow.backup.restore import Restore
from sensorflow.cli import main

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(Restore, os.environ["STOPPED"], killed)
main()
"""


class Site:
    """A project, whose `[storage]` changes, and an S3 server."""

    def __init__(self, project: Path, database: str, seaweed: Seaweed) -> None:
        self.project, self.database, self.seaweed = project, database, seaweed
        self.url = f"s3://{BUCKET}/{uuid.uuid4()}"
        self.driver = self._driver({})

    def _driver(self, storage: Mapping[str, str]) -> ProjectDriver:
        source = {"max_rejects": "60%"}
        return ProjectDriver(self.project, self.database, source, storage=storage)

    def store(self, **storage: str) -> ProjectDriver:
        """Change the settings."""
        self.driver.close()
        self.driver = self._driver({"endpoint": self.seaweed.endpoint, **storage})
        return self.driver

    def run(self, *words: str, code: int = 0, **variables: str) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("SENSORFLOW_")}
        env = {**clean, **variables}
        if "KILL_AT" in env or "STOPPED" in env:
            program = KILLED if "KILL_AT" in env else STOPPED
            command = [sys.executable, "-c", program, *words]
            done = subprocess.run(
                command, cwd=self.project, env=env, capture_output=True, check=False
            )
        else:
            done = warm.run(["sensorflow", *words], env, self.project)
        output = (done.stdout + done.stderr).decode()
        assert done.returncode == code, output
        assert "Traceback" not in output
        return output

    def asked(self, *words: str, **given: Any) -> Any:
        return json.loads(self.run(*words, "--json", **given))

    def objects(self) -> dict[str, bytes]:
        """All stored objects, by area and name."""
        found = {}
        for area in AREAS:
            store = stores.area(self.driver.settings, area)
            for one in store.list():
                with store.open(one.name) as stream:
                    found[f"{area}/{one.name}"] = stream.read()
        return found

    def fill(self) -> None:
        """A file of each kind."""
        driver = self.driver
        loaded = [driver.load(f"{number}.csv", content(number)) for number in range(3)]
        row = "2026-03-01T00:00:0{}Z,s,temperature,{},degC\n"
        rejected = "time,sensor,type,value,unit\n" + row.format(0, 1) + row.format(1, "x")
        driver.load("r.csv", rejected.encode())
        driver.quarantine()
        undo(driver.ledger, driver.services.lake, driver.services.landing, loaded[0], "wrong")


@pytest.fixture
def site(project: Path, database: str, seaweed: Seaweed, s3_environment: None) -> Iterator[Site]:
    found = Site(project, database, seaweed)
    yield found
    found.driver.close()


def require_files_can_be_fetched(site: Site) -> None:
    """A landed file, and one that only the quarantine still has."""
    target, view = site.project / "fetched.csv", site.driver.ledger.named("1.csv")[0]
    for words in ((), ("--overwrite",)):
        shown = site.run("files", "get", "1.csv", "--to", str(target), *words)
        assert target.read_bytes() == content(1)
        assert view.sha256.hex() in shown
        target.write_bytes(b"other")
    assert "already exists" in site.run("files", "get", "1.csv", "--to", str(target), code=2)
    assert target.read_bytes() == b"other"
    target.unlink()
    words = ("files", "get", "1.csv", "--to", "/dev/null", "--overwrite")
    assert "/dev/null is not a regular file" in site.run(*words, code=2)
    assert not os.path.isfile("/dev/null")
    assert site.run("files", "get", "1.csv", "--to", "-").encode() == content(1)
    [bad] = [f for f in site.asked("quarantine", "ls") if f["quarantined_to"]]
    landing = stores.store(site.driver.settings, "landing")
    data = landing.open(bad["landing"]).read()
    landing.delete(bad["landing"])
    site.run(
        "files", "get", str(bad["file_id"] if "file_id" in bad else bad["id"]), "--to", str(target)
    )
    assert target.read_bytes() == data
    landing.put(bad["landing"], io.BytesIO(data))
    target.unlink()


def test_a_project_is_moved_into_a_bucket_and_back(site: Site) -> None:
    site.fill()
    require_files_can_be_fetched(site)
    before = site.objects()
    driver = site.store(data=site.url, previous="data")
    assert site.objects() == before
    site.run("storage", "migrate", code=-signal.SIGKILL, KILL_AT="3")
    driver.load("late.csv", content(7))
    site.run("storage", "migrate", code=-signal.SIGKILL, KILL_AT="8")
    done = site.asked("storage", "migrate")
    assert done["problems"] == []
    assert done["copied"] + done["present"] + done["already_copied"] == len(before)
    now = site.objects()
    assert {name: now.get(name) for name in before} == before
    usage = {(u["location"], u["area"]): u["objects"] for u in site.asked("storage", "usage")}
    assert sum(usage["current", area] for area in AREAS) == len(now)
    assert sum(usage["previous", area] for area in AREAS) == len(before)
    for area in AREAS:
        shutil.rmtree(site.project / "data" / area)
    driver = site.store(data=site.url)
    assert site.objects() == now
    require_files_can_be_fetched(site)
    assert "every one accounted for" in site.run("audit", "--checksum")

    driver = site.store(previous=site.url)
    driver.load("later.csv", content(8))
    done = site.asked("storage", "migrate")
    assert (done["problems"], done["copied"]) == ([], len(now))
    driver = site.store()
    back = site.objects()
    assert {name: back.get(name) for name in now} == now
    assert "every one accounted for" in site.run("audit", "--checksum")
    assert bootstrap.landing(driver.settings, driver.ledger).created_at() is not None


def test_what_a_bucket_loses_after_a_move_is_missed(site: Site) -> None:
    """The new location is younger than its objects, which must not excuse that they are missing."""
    site.fill()
    driver = site.store(data=site.url, previous="data")
    view = driver.ledger.named("1.csv")[0]
    landed = driver.settings.data_folder / "landing" / view.landing
    lost = landed.rename(site.project / "lost")
    shown = site.run("storage", "migrate", code=1)
    assert f"missing: A101 landing-missing: file {view.file_id}, {view.source}: 1.csv" in shown
    assert f"no object landing/{view.landing}" in shown
    assert "put the original files into the drop folder again" in shown
    assert "being moved" in site.run("doctor", code=1)
    lost.rename(landed)
    site.run("storage", "migrate")
    assert "everything was copied\n      -> remove storage.previous" in site.run("doctor", code=1)
    driver = site.store(data=site.url)
    key = f"{site.url.removeprefix(f's3://{BUCKET}/')}/landing/aa/x"
    site.seaweed.client().create_multipart_upload(Bucket=BUCKET, Key=key)
    unfinished = {row["area"]: row["unfinished"] for row in site.asked("storage", "usage")}
    assert (unfinished["landing"], unfinished["silver"]) == (1, 0)
    store = stores.area(driver.settings, "landing")
    store.delete(next(iter(store.list())).name)
    report = site.asked("audit", code=1)
    assert [finding["code"] for finding in report["findings"]] == ["A101 landing-missing"]
    assert report["not_looked_at"] == []


def test_a_project_in_a_bucket_is_backed_up_and_restored(
    site: Site, empty_database: str, tmp_path: Path
) -> None:
    site.store(data=site.url)
    site.fill()
    before = site.objects()
    target = tmp_path / "backups"
    first = site.asked("backup", str(target))
    assert (first["missing"], first["notes"]) == ([], [])
    assert "intact" in site.run("backup", str(target), "--verify")
    site.driver.load("new.csv", content(9))
    second = site.asked("backup", str(target))
    assert second["shared_files"] >= len(before)
    copied = (Path(second["path"]) / "data" / "silver").rglob("*.parquet")
    assert any(path.stat().st_nlink == 2 for path in copied)
    assert "same disk" not in site.run("backup", str(target))

    where = ("restore", first["path"], "--to", str(tmp_path / "p"))
    url = {"SENSORFLOW_DATABASE_URL": empty_database}
    shown = site.run(*where, code=2, **url)
    assert f"{site.url}/landing contains objects" in shown
    assert "write a sensorflow.toml with an empty location in [storage]" in shown
    other = f"s3://{BUCKET}/{uuid.uuid4()}"
    (tmp_path / "p").mkdir(exist_ok=True)
    text = site.driver.config.read_text().replace(site.url, other)
    (tmp_path / "p" / "sensorflow.toml").write_text(text)
    assert "every one accounted for" in site.run(*where, **url)
    site.driver.close()
    site.driver = ProjectDriver(
        site.project,
        empty_database,
        {"max_rejects": "60%"},
        storage={"endpoint": site.seaweed.endpoint, "data": other},
    )
    assert site.objects() == before
    assert "contains objects" in site.run(*where, code=2, **url)


def test_check_names_each_step_and_leaves_nothing_behind(site: Site) -> None:
    site.store(data=site.url)
    shown = site.run("storage", "check")
    for zone in ("landing", "lake", "quarantine"):
        for step in ("write", "read back", "conditional create", "list", "delete", "clock"):
            assert f"ok    {zone} {site.url}" in shown
            assert f": {step}: " in shown
    assert "an existing object is not replaced" in shown
    assert "ok    database: clock" in shown
    assert site.objects() == {}
    assert ".began" in site.run("storage", "check", "--help")
    lake = stores.zone_alone(site.driver.settings, "lake")
    assert [found.name for found in lake.list() if "check" in found.name] == []


def test_check_and_doctor_name_the_missing_permission(site: Site) -> None:
    site.store(data=site.url)
    site.fill()
    reader = {"AWS_ACCESS_KEY_ID": READER[0], "AWS_SECRET_ACCESS_KEY": READER[1]}
    shown = site.run("storage", "check", code=1, **reader)
    assert "grant the credentials s3:PutObject on this location" in shown
    assert "grant the credentials s3:DeleteObject on this location" in shown
    assert f"ok    landing {site.url}/landing: list: allowed" in shown
    writer = {"AWS_ACCESS_KEY_ID": WRITER[0], "AWS_SECRET_ACCESS_KEY": WRITER[1]}
    shown = site.run("storage", "check", code=1, **writer)
    assert "grant the credentials s3:GetObject and s3:ListBucket on this location" in shown
    assert "grant the credentials s3:ListBucket on this location" in shown
    site.store(previous=site.url)
    shown = site.run("storage", "check", code=1, **reader)
    assert f"fail  previous landing {site.url}/landing: delete: " in shown
    site.store(data=site.url)
    checks = {check["what"]: check for check in json.loads(site.run("doctor", "--json", code=1))}
    assert checks["landing"]["verdict"] == "ok"


REFUSED = {
    "wrong bucket": ({"data": "s3://no-such-bucket/p"}, {}, "the bucket does not exist"),
    "bucket in endpoint": (
        {"endpoint": f"SERVER/{BUCKET}"},
        {},
        "the server has no such bucket at this address",
    ),
    "wrong key": ({}, {"AWS_ACCESS_KEY_ID": "nobody"}, "the provider refuses the credentials"),
    "wrong secret": ({}, {"AWS_SECRET_ACCESS_KEY": "no"}, "the provider refuses the credentials"),
    "unreachable": ({"endpoint": "http://127.0.0.1:1"}, {}, "the provider cannot be reached"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bucket_that_cannot_be_used_is_reported_in_one_line(site: Site, what: str) -> None:
    storage, variables, reason = REFUSED[what]
    storage = {key: text.replace("SERVER", site.seaweed.endpoint) for key, text in storage.items()}
    site.driver.services.landing.put(io.BytesIO(b"x"))
    site.store(**{"data": site.url, "previous": "data", **storage})
    for words in (("storage", "check"), ("storage", "usage"), ("storage", "migrate")):
        shown = site.run(*words, code=1, **variables)
        assert reason in shown
        if words[-1] == "check":
            assert (shown.count(reason), shown.count("->")) == (1, 1), shown
            assert shown.count("because landing failed") == 2, shown
        else:
            assert shown.startswith("sensorflow: I503 storage-unavailable: ")
            assert len(shown.splitlines()) == 2, shown
    checks = {c["what"]: c for c in json.loads(site.run("doctor", "--json", code=1, **variables))}
    assert checks["landing"]["verdict"] == "fail"
    assert reason in checks["landing"]["found"]
    assert checks["landing"]["todo"]


class Refusing(BaseHTTPRequestHandler):
    """A server that refuses all requests with the same error of S3."""

    code = ""

    def _refuse(self) -> None:
        body = f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _refuse  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def refusing(code: str) -> Iterator[str]:
    """The URL of a server that refuses with this error code."""
    handler = type("Handler", (Refusing,), {"code": code})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("code", "reason", "todo"),
    [
        ("ExpiredToken", "the credentials have expired", "renew them: set AWS_ACCESS_KEY_ID"),
        ("RequestTimeTooSkewed", "the clock of this host differs", "synchronize the clock"),
        ("AccessDenied", "no permission", "grant the credentials s3:GetObject and s3:ListBucket"),
    ],
)
def test_why_a_provider_refuses_is_said(site: Site, code: str, reason: str, todo: str) -> None:
    site.driver.services.landing.put(io.BytesIO(b"x"))
    with refusing(code) as endpoint:
        site.store(data=site.url, previous="data", endpoint=endpoint)
        shown = site.run("storage", "check", code=1)
        assert reason in shown
        assert f"-> {todo}" in shown
        if code == "AccessDenied":
            assert "s3:GetObject and s3:ListBucket, and s3:PutObject, on this location" in shown
        shown = site.run("storage", "migrate", code=1)
    assert shown.startswith("sensorflow: I503 storage-unavailable: the migration is not finished: ")
    assert reason in shown.splitlines()[0]


def test_a_restore_into_a_bucket_goes_on_after_a_kill(
    site: Site, empty_database: str, tmp_path: Path
) -> None:
    site.store(data=site.url)
    site.fill()
    before = site.objects()
    path = site.asked("backup", str(tmp_path / "b"))["path"]
    other, place = f"s3://{BUCKET}/{uuid.uuid4()}", tmp_path / "p"
    place.mkdir()
    text = site.driver.config.read_text().replace(site.url, other)
    (place / "sensorflow.toml").write_text(text.replace(site.database, empty_database))
    where = ("restore", path, "--to", str(place))
    for step in ("fill", "place"):
        site.run(*where, code=-signal.SIGKILL, STOPPED=step)
        assert (place / "data" / ".restoring" / "areas").is_file()
    assert "every one accounted for" in site.run(*where)
    settings = bootstrap.settings(place)
    assert {
        f"{area}/{one.name}": one.size
        for area in AREAS
        for one in stores.area(settings, area).list()
    } == {name: len(data) for name, data in before.items()}


def test_a_previous_location_without_objects_is_not_a_finished_move(site: Site) -> None:
    site.fill()
    site.store(data=site.url, previous=f"{site.url}-misspelled")
    for words in (("storage", "check"), ("doctor",)):
        shown = site.run(*words, code=1)
        assert "no objects at the previous location\n      -> correct storage.previous" in shown
    shown = site.run("storage", "migrate", code=1)
    assert "no objects at the previous location" in shown
    assert f"{site.url}-misspelled/landing" in shown
    assert "remove `previous` from [storage]" not in shown


def test_a_folder_that_does_not_exist_is_named_and_not_made_by_a_check(site: Site) -> None:
    folder = site.project / "plant-data/m"
    for _ in range(2):
        shown = site.run("storage", "check", code=1, SENSORFLOW_STORAGE__DATA="plant-data/m")
        assert (
            f"location: a folder on this host: {folder}/landing; the folder {folder} does" in shown
        )
        assert "as in s3://plant-data/m" in shown
    assert not folder.parent.exists()


def test_migrate_needs_a_previous_location(site: Site) -> None:
    shown = site.run("storage", "migrate", code=2)
    assert shown == (
        "sensorflow: nothing to migrate: set [storage] data to the new location and previous to the "
        "current one, restart all processes, then run this command; see docs/how-to/storage.md\n"
    )
    other = {"SENSORFLOW_STORAGE__DATA": "elsewhere"}
    restore = site.run("restore", "none", "--check", code=2, **other)
    assert "no such folder" in restore


def test_two_migrations_do_not_run_at_once(site: Site) -> None:
    from sensorflow.adapters.local import move_journal

    site.fill()
    site.store(data="./moved", previous="data")
    path = site.driver.settings.data_folder / move_journal.NAME
    with move_journal.opened(path, "elsewhere"):
        shown = site.run("storage", "migrate", code=2)
    assert "another migration of this project is running" in shown
    path.write_bytes(b"no database" * 100)
    assert "remove this file" in site.run("storage", "migrate", code=2)
    path.unlink()
    assert site.asked("storage", "migrate")["problems"] == []


def test_a_check_that_was_killed_is_cleaned_up_by_the_next_one() -> None:
    from datetime import UTC, datetime, timedelta

    from sensorflow.flow.store_check import PREFIX, StoreCheck
    from sensorflow.testing.objects import MemoryObjects

    objects = MemoryObjects()
    for name in (f"{PREFIX}old", f"{PREFIX}new", "other"):
        objects.put(name, io.BytesIO(b""))
    objects._written_at[f"{PREFIX}old"] = datetime.now(UTC) - timedelta(hours=2)
    assert {found.verdict for found in StoreCheck(objects).run()} == {"ok"}
    assert sorted(objects.contents) == ["other", f"{PREFIX}new"]
