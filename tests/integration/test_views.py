"""The SQL views tell the same as the commands, and pass conditions on to the partitions and the index."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from project_driver import ProjectDriver
from psycopg.rows import dict_row

from sensorflow.adapters.postgres.gold import Gold
from sensorflow.core.partitions import Layer, layer_path

HEAD = b"time,sensor,type,value,unit\n"

Query = Callable[..., list[dict[str, Any]]]


def row(minute: int, value: object, sensor: str = "tank-7") -> bytes:
    return f"2026-01-31T12:{minute:02}:00Z,{sensor},temperature,{value},degC\n".encode()


@pytest.fixture
def driver(project: Path, emptied: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, emptied, {"max_rejects": "60%"})
    yield project_driver
    project_driver.close()


@pytest.fixture
def query(driver: ProjectDriver) -> Query:
    def run(statement: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(driver.database, row_factory=dict_row) as connection:
            return connection.execute(statement, values).fetchall()  # type: ignore[arg-type]

    return run


def test_a_reading_leads_to_its_file_and_line(driver: ProjectDriver, query: Query) -> None:
    file_id = driver.load("roof/a.csv", HEAD + row(0, 1) + row(1, 2))
    [reading] = query("SELECT * FROM v_readings WHERE ts = '2026-01-31 12:01Z'")
    assert (reading["value"], reading["source"], reading["file_name"]) == (2, "plant", "roof/a.csv")
    [line] = query("SELECT * FROM v_lineage WHERE ts = '2026-01-31 12:01Z'")
    shared = reading.keys() & line.keys()
    assert {name: line[name] for name in shared} == {name: reading[name] for name in shared}
    landed = driver.landed(file_id)
    assert driver.data / "landing" / line["landing"] == landed
    assert landed.read_bytes().splitlines()[line["landing_line"] - 1] == row(1, 2).strip()
    assert (line["landing_removed"], line["profile"]) == (False, "long")
    driver.sql(
        "INSERT INTO growing_files (root, source, key, last_file, inode, head, tail, fingerprint)"
        f" VALUES ({file_id}, 'plant', '', {file_id}, '', '', '', '')"
    )
    driver.sql(f"INSERT INTO growths VALUES ({file_id}, {file_id}, NULL, 0, 2)")
    [line] = query("SELECT * FROM v_lineage WHERE ts = '2026-01-31 12:01Z'")
    assert (line["line_no"], line["landing_line"], line["growing_file_id"]) == (3, 1, file_id)


def test_readings_that_another_program_wrote_are_there_without_a_file(
    driver: ProjectDriver, query: Query
) -> None:
    driver.load("a.csv", HEAD + row(0, 1))
    driver.sql("UPDATE raw_readings SET file_id = 99")
    for view in ("v_readings", "v_lineage"):
        [reading] = query(f"SELECT * FROM {view}")
        assert (reading["value"], reading["file_id"], reading["file_name"]) == (1, 99, None)


def test_the_newest_readings_have_their_files(driver: ProjectDriver, query: Query) -> None:
    driver.load("a.csv", HEAD + row(0, 1) + row(2, 3) + row(1, 2, "tank-8"))
    refresher = Gold(driver.database, "test")
    while refresher.is_pending():
        refresher.refresh_once(1000)
    refresher.close()
    found = query("SELECT sensor_id, value, file_name, line_no FROM v_latest ORDER BY 1")
    assert [tuple(one.values()) for one in found] == [
        ("tank-7", 3, "a.csv", 3),
        ("tank-8", 2, "a.csv", 4),
    ]


def test_files_and_rejects_are_as_the_commands_show_them(
    driver: ProjectDriver, query: Query
) -> None:
    driver.load("a.csv", HEAD + row(0, 1) + row(1, "x"))
    driver.load("a.csv", HEAD + row(0, 1) + row(1, 2))
    bad = driver.quarantine("bad.csv", HEAD + row(5, "x") + row(6, "y") + row(7, 1))
    driver.arrive("new.csv", HEAD + row(9, 1))
    files = {one["file_id"]: one for one in query("SELECT * FROM v_files ORDER BY file_id")}
    views = {view.file_id: view for view in driver.ledger.files()}
    assert files.keys() == views.keys()
    for file_id, view in views.items():
        found = files[file_id]
        assert (found["state"], found["names"]) == (view.state, [view.name])
        for name in ("read", "loaded", "rejected", "duplicate", "not_loaded", "replaced"):
            assert found[f"rows_{name}"] == getattr(view.account, name), (file_id, name)
    rejects = {one["file_id"]: one for one in query("SELECT * FROM v_rejects")}
    assert sorted(rejects) == [1, bad]
    for file_id, one in rejects.items():
        assert one["rejects_file"] == layer_path(Layer.REJECTS, views[file_id].layer_file)
        assert (driver.data / one["rejects_file"]).is_file()
    assert rejects[1]["rejected_share"] == 0.5
    manifest = driver.data / "quarantine" / rejects[bad]["manifest"]
    assert json.loads(manifest.read_text())["file"]["id"] == bad
    assert [one["expired"] for one in files.values()] == [[]] * len(files)
    driver.sql("UPDATE files SET expired = '{rejects}'")
    assert [one["expired"] for one in query("SELECT expired FROM v_files")] == [["rejects"]] * 4
    assert [one["rejects_file"] for one in query("SELECT * FROM v_rejects")] == [None] * 2


@pytest.mark.parametrize("view", ["v_readings", "v_lineage"])
def test_conditions_on_readings_reach_the_partitions_and_the_index(
    driver: ProjectDriver, query: Query, view: str
) -> None:
    for month in ("01", "02", "03"):
        driver.load(
            f"{month}.csv", HEAD + row(0, 1).replace(b"2026-01-31", f"2026-{month}-11".encode())
        )
    # a part of a month or chunk: TimescaleDB leaves out conditions that all times of a chunk meet
    where = "WHERE ts >= '2026-02-11Z' AND ts < '2026-02-11 13:00Z' AND sensor_id = 'tank-7'"
    with psycopg.connect(driver.database, autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off")

        def explained(columns: str) -> str:
            text = f"EXPLAIN (FORMAT JSON) SELECT {columns} FROM {view} {where}"
            found = connection.execute(text).fetchone()  # type: ignore[arg-type]
            assert found is not None
            return json.dumps(found[0])

        assert query(f"SELECT file_name FROM {view} {where}") == [{"file_name": "02.csv"}]
        parts = query(
            "SELECT relname FROM raw_readings r JOIN pg_class c ON c.oid = r.tableoid ORDER BY ts"
        )
        january, february, march = (f'"{part["relname"]}"' for part in parts)  # months or chunks
        whole = explained("*")
        assert february in whole
        assert january not in whole
        assert march not in whole
        assert '"Index Cond": "((ts >=' in whole or '"Recheck Cond": "((ts >=' in whole
        assert "files" not in explained("ts, value, line_no")
