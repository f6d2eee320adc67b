"""What a few lines do: adapters that are no more than their ports ask for, with all else real."""

from __future__ import annotations

from pathlib import Path

from toys import ToyFeed

from sensorflow import bootstrap
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.heartbeat import Role
from sensorflow.flow.intake.loop import Intake

SETTINGS = """\
data = "data"
database_url = "{database}"
[sources.toy]
path = "drop"
profile = "long"
"""
FILES = {b"%03d.csv" % number: b"file %d\n" % number for number in range(200)}


def test_two_hundred_files_of_a_list_are_registered_once_each(
    project: Path, database: str, ledger: PostgresLedger
) -> None:
    (project / "sensorflow.toml").write_text(SETTINGS.format(database=database))
    settings, mine = bootstrap.settings(project), bootstrap.identity()
    toy, landing = ToyFeed("toy", dict(FILES)), bootstrap.landing(settings)
    leases = bootstrap.leases(settings, ledger, ["toy"], mine)
    loop = bootstrap.heart(settings, ledger, mine).loop(Role.INTAKE)
    intake = Intake(settings, [toy], [], landing, ledger, leases, loop)
    toy.emptied = intake.stop
    leases.start()
    intake.start()
    intake.run()
    leases.stop()
    views = ledger.files(limit=1000)
    assert sorted(v.name.encode() for v in views) == sorted(FILES)
    for view in views:
        with landing.open(view.landing) as stream:
            assert stream.read() == FILES[view.name.encode()]
