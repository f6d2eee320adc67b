"""What a few lines do: adapters that are no more than their ports ask for, with all else real."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest
from fleet import Manifest, rows, text
from toys import AwayFeed, ToyFeed

from sensorflow import bootstrap
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.arrival import Lane
from sensorflow.core.heartbeat import Role
from sensorflow.flow.consume import consume
from sensorflow.flow.intake.loop import Intake
from sensorflow.flow.publish import publish
from sensorflow.settings import Settings
from sensorflow.testing.queue import MemoryQueue

SETTINGS = """\
data = "data"
database_url = "{database}"
inline_below = 2000
[sources.toy]
path = "drop"
profile = "long"
[sources.away]
path = "away"
profile = "long"
[profiles.long]
format = "csv"
time = "time"
sensor = "sensor"
type = "type"
value = "value"
unit = "unit"
"""
READINGS = [rows(n, 50 if n % 20 == 7 else n % 5 + 1, random.Random(n)) for n in range(200)]
FILES = {b"%03d.csv" % number: text(some) for number, some in enumerate(READINGS)}


@pytest.fixture
def settings(project: Path, database: str, ledger: PostgresLedger) -> Settings:
    """Of a project that has taken 200 files in, from a list in memory, beside a source that is away."""
    (project / "sensorflow.toml").write_text(SETTINGS.format(database=database))
    settings, mine = bootstrap.settings(project), bootstrap.identity()
    toy, landing = ToyFeed("toy", dict(FILES)), bootstrap.landing(settings)
    leases = bootstrap.leases(settings, ledger, ["away", "toy"], mine)
    loop = bootstrap.heart(settings, ledger, mine).loop(Role.INTAKE)
    feeds = [AwayFeed("away", {}), toy]
    intake = Intake(settings, feeds, landing, ledger, leases, loop)
    toy.emptied = intake.stop
    late = threading.Timer(60, intake.stop)
    late.start()
    leases.start()
    intake.start()
    intake.run()
    late.cancel()
    leases.stop()
    return settings


def test_two_hundred_files_of_a_list_are_registered_once_each(
    settings: Settings, ledger: PostgresLedger
) -> None:
    landing = bootstrap.landing(settings)
    views = ledger.files(limit=1000)
    assert sorted(v.name.encode() for v in views) == sorted(FILES)
    for view in views:
        with landing.open(view.landing) as stream:
            assert stream.read() == FILES[view.name.encode()]


def test_they_are_loaded_exactly_once_without_celery(
    settings: Settings, ledger: PostgresLedger, database: str
) -> None:
    queue, world = MemoryQueue(), bootstrap.world(settings, "toy", ledger)
    while ledger.unfinished(Lane.LIVE):
        assert publish(ledger, queue, settings.limits)
        consume(queue, world, lambda: queue.depth() == 0)
    assert Manifest().of_database(database) == {row for some in READINGS for row in some}
    large = [v.file_id for v in ledger.files(limit=1000) if v.name.endswith("7.csv")]
    sent = [[e.stage for e in ledger.history(n) if e.what == "published"] for n in large]
    assert sent.count(["validate", "transform", "load"]) == 10  # by the outbox, stage by stage
