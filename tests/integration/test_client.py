"""A project from Python: files, readings and rejects, replay, undo and audit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from patience import PATIENCE
from project_driver import ProjectDriver

import sensorflow
from sensorflow import Client, SensorflowError
from sensorflow.adapters.postgres import readings as stored
from sensorflow.cli.replay import undo
from sensorflow.flow.garbage import collect_garbage

HEAD = b"time,sensor,type,value,unit\n"
START, END = "2026-01-31T12:00Z", "2026-01-31T13:00Z"


def row(minute: int, value: object, sensor: str = "tank-7", kind: str = "temperature") -> bytes:
    return f"2026-01-31T12:{minute:02}:00Z,{sensor},{kind},{value},degC\n".encode()


@pytest.fixture
def driver(project: Path, emptied: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, emptied, {"max_rejects": "60%"})
    project_driver.load("a.csv", HEAD + row(2, 3) + row(0, 1) + row(1, "x") + row(1, 2, "tank-8"))
    yield project_driver
    project_driver.close()


@pytest.fixture
def client(driver: ProjectDriver) -> Iterator[Client]:
    with Client(driver.project) as new_client:
        yield new_client


def refused(error: pytest.ExceptionInfo[SensorflowError]) -> str:
    assert type(error.value).__module__ == "sensorflow.errors"
    return f"{str(error.value.code).split()[0]} {error.value}"


def test_files_are_listed_with_their_account(driver: ProjectDriver, client: Client) -> None:
    driver.quarantine("bad.csv")
    bad, good = client.files()
    assert (good.name, good.state, good.read, good.loaded, good.rejected) == (
        "a.csv",
        "loaded",
        4,
        3,
        1,
    )
    assert good.first_reading == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert (bad.state, str(bad.error).split()[0], bad.first_reading) == (
        "quarantined",
        "F203",
        None,
    )
    assert client.files(state="quarantined", source="plant", name="b*") == [bad]
    assert client.files(rejected=True) == [good]
    assert client.files(since="2199-01-01T00:00Z") == []
    assert client.file("a.csv") == client.file(good.id) == good
    with pytest.warns(UserWarning, match="1 of 2 files"):
        assert client.files(limit=1) == [bad]


def test_readings_come_in_the_order_of_time_as_the_database_has_them(client: Client) -> None:
    found = client.readings(START, END).to_table()
    assert found.schema == stored.SCHEMA
    assert found.select(["sensor_id", "value", "unit", "line_no"]).to_pylist() == [
        {"sensor_id": "tank-7", "value": 1.0, "unit": "degC", "line_no": 3},
        {"sensor_id": "tank-8", "value": 2.0, "unit": "degC", "line_no": 5},
        {"sensor_id": "tank-7", "value": 3.0, "unit": "degC", "line_no": 2},
    ]
    frame = client.readings(START, END).to_pandas()
    assert str(frame["ts"].dtype).endswith("UTC]")
    assert frame["ts"].max() == datetime(2026, 1, 31, 12, 2, tzinfo=UTC)


def test_readings_are_chosen_by_time_sensor_type_and_source(client: Client) -> None:
    cest = timezone(timedelta(hours=2))

    def count(start: str | datetime = START, end: str | datetime = END, **only: object) -> int:
        return len(client.readings(start, end, **only).to_table())  # type: ignore[arg-type]

    assert count(end="2026-01-31T12:02Z") == 2  # the end is not in it
    assert count(datetime(2026, 1, 31, 14, 1, tzinfo=cest)) == 2
    assert count(sensor="tank-8") == count(sensor=["tank-8", "none"]) == 1
    assert (count(type="temperature"), count(type="pressure")) == (3, 0)
    assert count(source="plant") == 3
    assert count(START, START) == 0


def test_readings_of_every_value_and_time_come_through(
    driver: ProjectDriver, client: Client
) -> None:
    times = ("1970-01-01T00:00:00Z", "2026-02-01T00:00:00.000001Z", "2199-12-31T23:59:59.999999Z")
    rows = (f"{time},Ö,k,-1e-308,°\n".encode() for time in times)
    file_id = driver.load("far.csv", HEAD + b"".join(rows))
    driver.sql("UPDATE raw_readings SET value = 'NaN', quality = 7 WHERE ts < '1971-01-01Z'")
    driver.sql("UPDATE raw_readings SET value = '-Infinity', unit = '' WHERE ts > '2199-01-01Z'")
    found = client.readings("1900-01-01T00:00Z", "2300-01-01T00:00Z", sensor="Ö").to_table()
    assert [str(v) for v in found["value"].to_pylist()] == ["nan", "-1e-308", "-inf"]
    micros = [0, 1_769_904_000_000_001, 7_258_118_399_999_999]
    assert found["ts"].cast(pa.int64()).to_pylist() == micros
    assert found["quality"].to_pylist() == [7, 0, 0]
    assert found["unit"].to_pylist() == ["°", "°", ""]
    assert found["file_id"].to_pylist() == [file_id] * 3


def test_readings_stream_by_a_cursor_of_one_snapshot(
    driver: ProjectDriver, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_FETCH", "FETCH FORWARD 2 FROM readings")
    batches = client.readings(START, END)
    reader = iter(batches)
    assert len(next(reader)) == 2
    driver.load("b.csv", HEAD + row(3, 4))
    assert [len(batch) for batch in reader] == [1]
    assert sum(map(len, batches)) == 4  # each iteration begins anew
    assert batches.reader().read_all().num_rows == 4


def test_a_stream_that_is_left_ends_its_session(driver: ProjectDriver, client: Client) -> None:
    reader = iter(client.readings(START, END))
    next(reader)
    # a thread fetches ahead: the session waits after the last batch of this short table
    waits = "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"
    waits += " AND query ~ '^(FETCH|CLOSE)' AND datname = current_database()"
    until = time.monotonic() + PATIENCE
    while driver.sql(waits) != 1 and time.monotonic() < until:
        time.sleep(0.01)
    assert driver.sql(waits) == 1
    del reader
    assert driver.sql(waits) == 0


def test_rejects_of_one_file_and_of_all(driver: ProjectDriver, client: Client) -> None:
    driver.load("b.csv", HEAD + row(5, "y") + row(6, 1))
    found = client.rejects().to_pandas()
    assert list(found["file"]) == ["b.csv", "a.csv"]
    [one] = client.rejects("a.csv").to_table().to_pylist()
    assert (one["line_no"], one["code"].split()[0], one["raw"]) == (
        4,
        "F111",
        row(1, "x").decode().strip(),
    )
    assert client.rejects(source="plant", since="2199-01-01T00:00Z").to_table().num_rows == 0


def test_undo_and_replay_say_what_they_did(driver: ProjectDriver, client: Client) -> None:
    [undone] = client.undo("a.csv", reason="wrong sensor")
    assert (undone.done, undone.rows, undone.file.name) == (True, 3, "a.csv")
    assert client.readings(START, END).to_table().num_rows == 0
    [again] = client.undo(undone.file.id)
    assert (again.done, again.reason) == (False, "it is undone, not loaded")
    [replayed] = client.replay("a.csv")
    assert replayed.done
    assert client.file("a.csv").state == "pending"
    [refused] = client.replay(undone.file.id)
    assert (refused.done, refused.reason) == (False, "it is pending")
    driver.work(undone.file.id)
    assert client.file("a.csv").loaded == 3
    assert client.replay(source="plant", state="quarantined") == []


def test_undo_with_an_unavailable_lake_says_that_silver_is_removed_later(
    driver: ProjectDriver, client: Client
) -> None:
    data, away = driver.project / "data", driver.project / "away"
    driver.load("b.csv", HEAD + row(3, 4))
    data.rename(away)
    data.mkdir()  # a disk that is not mounted
    [undone] = client.undo("a.csv")
    assert (undone.done, undone.rows) == (True, 3)
    assert "is empty, but the ledger has files" in undone.delay
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(undo)
    assert "its silver is removed later, because of " in driver.invoke(app, "b.csv").stdout
    data.rmdir()
    away.rename(data)
    assert collect_garbage(driver.ledger, driver.services.lake, driver.services.landing) == 2
    assert not list((data / "silver").rglob("*.parquet"))


def test_the_status_says_where_files_are_and_whether_all_is_well(
    driver: ProjectDriver, client: Client
) -> None:
    driver.quarantine("bad.csv")
    found = client.status("plant")
    assert (found.totals["plant"].loaded, found.totals["plant"].quarantined) == (1, 1)
    assert (found.balanced, found.well) == (True, False)  # no daemon and no worker runs
    assert found.activity["plant"].quarantined == 1
    assert "daemon" in found.health


def test_an_audit_proves_it(driver: ProjectDriver, client: Client) -> None:
    found = client.audit("checksum", source="plant")
    assert found.verdict == "audit: 1 file, 3 readings: every one accounted for"
    assert (found.is_clean, found.files, found.readings) == (True, 1, 3)
    driver.sql("DELETE FROM raw_readings WHERE sensor_id = 'tank-8'")
    found = client.audit()
    assert (found.is_clean, [f.kind for f in found.findings]) == (False, ["lost"])


@pytest.mark.parametrize(
    ("method", "given", "only", "expected"),
    [
        ("files", (), {"state": "lost"}, "S002 state lost: no such state; there are: pending"),
        (
            "files",
            (),
            {"source": "plnt"},
            "S002 source plnt: no such source; did you mean 'plant'?",
        ),
        ("files", (), {"since": "2026-01-31"}, "S002 since 2026-01-31: the time has no zone"),
        ("files", (), {"name": "[z-a]*"}, "S002 name [z-a]*: not a pattern"),
        ("files", (), {"limit": 0}, "S002 limit 0"),
        ("file", ("b.csv",), {}, "S002 no file 'b.csv'; did you mean 'a.csv'?"),
        (
            "readings",
            (datetime(2026, 1, 1), END),  # noqa: DTZ001
            {},
            "S002 start 2026-01-01 00:00:00: the time has no zone",
        ),
        ("readings", (START, "noon"), {}, "S002 end 'noon': not a time in ISO 8601"),
        ("readings", (START, date(2026, 1, 1)), {}, "S002 end datetime.date(2026, 1, 1): give"),
        ("readings", (END, START), {}, f"S002 end {START} is before start {END}"),
        ("readings", (START, END), {"source": ["plant", "x"]}, "S002 source x: no such source"),
        (
            "readings",
            (START, END),
            {"sensor": "a\0b"},
            "S002 sensor 'a\\x00b': give one or more strings of printable characters",
        ),
        (
            "rejects",
            ("a.csv",),
            {"source": "plant"},
            "S002 give either a file, or source and since",
        ),
        ("replay", (), {}, "S002 name files, or select them by source, since, state or rejected"),
        ("replay", ("a.csv",), {"profile": "lnog"}, "S002 profile: no such profile: 'lnog'"),
        ("replay", (), {"state": "pending"}, "S002 state pending: no such state of files"),
        ("undo", (), {}, "S002 name the files"),
        ("undo", ("nope",), {}, "S002 no file 'nope'"),
        ("status", ("plnt",), {}, "S002 source plnt: no such source; did you mean 'plant'?"),
        ("audit", ("deepest",), {}, "S002 level 'deepest': give one of fast, default"),
    ],
)
def test_a_mistake_is_one_clear_error(
    client: Client, method: str, given: tuple[object, ...], only: dict[str, object], expected: str
) -> None:
    with pytest.raises(SensorflowError) as error:
        getattr(client, method)(*given, **only)
    assert refused(error).startswith(expected)


def test_no_project_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SENSORFLOW_CONFIG", raising=False)
    with pytest.raises(SensorflowError) as error:
        Client()
    assert refused(error).startswith("S001 no sensorflow.toml at or above")
    with pytest.raises(SensorflowError) as error:
        Client(tmp_path / "plant")
    assert refused(error).startswith(f"S001 {tmp_path}/plant: no such file")


def test_a_project_that_does_not_run_and_a_database_that_is_away_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "sensorflow.toml"
    settings.write_text("")
    with pytest.raises(SensorflowError) as error:
        Client(tmp_path)
    assert refused(error).startswith("S002 no database: `sensorflow up` is not running")
    settings.write_text('database_url = "postgresql://127.0.0.1:1/none"')
    with Client(settings) as client:
        for ask in (client.files, lambda: client.readings(START, END).to_table()):
            with pytest.raises(sensorflow.Transient) as error:
                ask()
            assert refused(error).startswith("I501 ")
