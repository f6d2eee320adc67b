"""Schema 0006: nothing changes by an upgrade, and workers of 0.1 cannot replace whole files any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from project_driver import ProjectDriver, content
from samples import arrival, batch, claim, load

from sensorflow.adapters.postgres import migrate
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.keys import keys
from sensorflow.ports.files import Counts
from sensorflow.ports.intake import OnChange
from sensorflow.ports.loading import Load

TABLES = ("files", "arrivals", "file_events", "raw_readings")
ADDED = (
    *("rows_replaced", "on_change", "remarks", "collected_for", "name"),
    *("members", "archive", "progress_bytes", "progress_rows", "trace_id"),
)


def everything(url: str) -> dict[str, list[Any]]:
    """Every row of every table, without the columns that the upgrade adds."""
    with psycopg.connect(url) as connection:
        found = {}
        for table in TABLES:
            rows = connection.execute(f"SELECT to_jsonb(t) FROM {table} t").fetchall()  # type: ignore[arg-type]
            rows_before = [{k: v for k, v in row.items() if k not in ADDED} for (row,) in rows]
            found[table] = sorted(rows_before, key=str)
        return found


def test_an_upgrade_changes_nothing_of_superseded_undone_and_aliased_files(
    project: Path, database: str
) -> None:
    driver = ProjectDriver(project, database, {"on_change": "supersede"})
    driver.load("a.csv", content(1))
    driver.load("a.csv", content(2))  # supersedes
    driver.arrive("b.csv", content(2))  # an alias
    undone = driver.load("c.csv", content(3))
    driver.ledger.undo(undone, "")
    driver.quarantine()
    driver.close()
    migrate.downgrade(database, "0005")
    before = everything(database)
    migrate.upgrade(database)
    assert everything(database) == before
    project_driver = ProjectDriver(project, database, {"on_change": "supersede"})
    assert project_driver.audit("--deep").code == 0
    project_driver.close()
    # and under merge from now on: the next version replaces readings, what was superseded stays so
    merging = ProjectDriver(project, database)
    merging.load("a.csv", content(2, 5) + content(4, 5).partition(b"\n")[2])
    assert merging.ledger.totals()["plant"].superseded == 1
    assert merging.ledger.totals()["plant"].rows_replaced == 5
    assert merging.audit("--deep").code == 0
    merging.close()


def test_a_downgrade_is_refused_while_readings_are_replaced(
    database: str, ledger: PostgresLedger
) -> None:
    plan = Load(Counts(read=3), OnChange.MERGE, "p", "h", "0.2", ())
    for number in (1, 2):
        file_id = ledger.register(arrival(content=number), OnChange.MERGE, False).file_id
        silver = batch(3, value=float(number))
        ledger.load(claim(ledger, file_id), [(silver, keys(silver, "plant/a.csv"))], plan)
    with pytest.raises(RuntimeError, match="undo these versions first"):
        migrate.downgrade(database, "0005")


@pytest.mark.parametrize("on_change", [OnChange.MERGE, None])
def test_a_worker_of_0_1_cannot_load_a_newer_version_and_does_not_blame_the_file(
    database: str, ledger: PostgresLedger, on_change: OnChange | None
) -> None:
    first = ledger.register(arrival(content=1), OnChange.MERGE, False).file_id
    load(ledger, claim(ledger, first), batch(3))
    second = ledger.register(arrival(content=2), OnChange.MERGE, False).file_id
    with psycopg.connect(database) as connection:
        if on_change is None:  # registered by a daemon of 0.1
            connection.execute("UPDATE files SET on_change = NULL WHERE id = %s", (second,))
    claimed = claim(ledger, second)
    with psycopg.connect(database) as connection:  # the statements of a worker of 0.1
        connection.execute("UPDATE files SET state = 'superseded' WHERE id = %s", (first,))
        connection.execute("DELETE FROM raw_readings WHERE file_id = %s", (first,))
        with pytest.raises(psycopg.OperationalError, match="upgrade the worker"):
            connection.execute(
                "UPDATE files SET state = 'loaded', lease_until = NULL, finished_at = now(),"
                " checksum = 0, code_version = '0.1.0' WHERE id = %s AND lease_token = %s",
                (second, claimed.token),
            )
    assert ledger.totals()["plant"].superseded == 0
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM raw_readings").fetchone() == (3,)
