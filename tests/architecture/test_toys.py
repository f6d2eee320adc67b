"""What a few lines do: adapters that are no more than their ports ask for, with all else real."""

from __future__ import annotations

import random
from pathlib import Path

from fleet import Manifest, rows, text
from patience import PATIENCE

from sensorflow import bootstrap
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.account import Totals
from sensorflow.daemon import Daemon
from sensorflow.flow.consume import consume
from sensorflow.testing.feed import AwayFeed, MemoryFeed
from sensorflow.testing.project import write_settings
from sensorflow.testing.queue import MemoryQueue
from sensorflow.testing.running import running, within

READINGS = [rows(n, 50 if n % 20 == 7 else n % 5 + 1, random.Random(n)) for n in range(200)]
FILES = {b"%03d.csv" % number: text(some) for number, some in enumerate(READINGS)}


def test_two_hundred_files_of_a_list_are_loaded_exactly_once_without_celery(
    project: Path, database: str, ledger: PostgresLedger
) -> None:
    write_settings(project, {"toy": {}, "away": {}}, database_url=database, inline_below=2000)
    settings, queue = bootstrap.settings(project), MemoryQueue()
    landing, services = (
        bootstrap.landing(settings, ledger),
        bootstrap.services(settings, "toy", ledger),
    )
    feeds = [AwayFeed("away"), MemoryFeed("toy", FILES)]

    def loaded() -> bool:
        return ledger.totals().get("toy", Totals()).loaded == len(FILES)

    with running(Daemon(settings, feeds, landing, ledger, queue)):
        consume(queue, services, within(PATIENCE, loaded))
    assert Manifest().of_database(database) == {row for some in READINGS for row in some}
    views = ledger.files(limit=1000)
    assert sorted(view.name.encode() for view in views) == sorted(FILES)
    for view in views:
        with landing.open(view.landing) as stream:
            assert stream.read() == FILES[view.name.encode()]
    large = [view.file_id for view in views if view.name.endswith("7.csv")]
    sent = [[e.stage for e in ledger.history(n) if e.what == "published"] for n in large]
    assert sent.count(["validate", "transform", "load"]) == 10  # by the outbox, stage by stage
